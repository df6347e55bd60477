"""Packages give their names on first use and list them without loading anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

PACKAGES = ["mdps", "mdps.zoo", "mdps.io", "pgtheory", "pgtheory.robust", "pgtheory.utility", "pgtheory.sampling", "proofs_check.grading"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_listed_name_is_there_and_no_other(package):
    import importlib

    module = importlib.import_module(package)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is vars(module)[name]  # kept, so that it is looked up once
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nonesuch'"):
        _ = module.nonesuch


def test_listing_loads_nothing():
    code = "import sys, pgtheory, mdps; before = set(sys.modules); dir(pgtheory), dir(mdps); print(sorted(set(sys.modules) - before))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"

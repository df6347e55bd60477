"""The public names of mdps: each is there, and nothing heavy is loaded before it is used."""

from __future__ import annotations

import importlib
import inspect

import pytest

PACKAGES = ("mdps", "mdps.io", "mdps.zoo")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_resolves_and_is_documented(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        item = getattr(module, name)
        assert name in dir(module)
        if callable(item) or inspect.ismodule(item):
            assert item.__doc__, f"{package}.{name} has no docstring"
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        module.nonsense  # noqa: B018


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_function_is_hidden_by_a_module_of_its_name(package):
    """Importing mdps.io.load would make mdps.io.load a module, and no longer the function."""
    module = importlib.import_module(package)
    for name in module.__all__:
        before = getattr(module, name)
        if not inspect.ismodule(before):
            assert importlib.util.find_spec(f"{package}.{name}") is None

"""The benchmark of robust sweeps compares programs that compute the same thing."""

from __future__ import annotations

import numpy as np
import pytest

from proofs_check.bench import robust as bench


@pytest.mark.parametrize("rectangular", ["sa", "s"])
def test_all_programs_compute_one_sweep(rectangular):
    rows = bench.case(10, 3, rectangular, 0.0, 10)
    assert rows[0].program == "pgtheory"
    assert any("HiGHS" in row.program for row in rows)
    assert not any("craam2" in row.program for row in rows)  # its figures belong to other sizes
    assert all(row.rate > 0 and row.ratio > 0 for row in rows)


def test_a_wrong_sweep_is_caught(monkeypatch):
    monkeypatch.setattr(bench, "numpy_sweep", lambda P, r, v: np.zeros(v.size))
    with pytest.raises(AssertionError, match="differ"):
        bench.case(10, 3, "sa", 0.0, 3)

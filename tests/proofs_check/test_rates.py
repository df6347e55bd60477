"""Rates read off records that have one, that have none, and that are at rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest

from proofs_check.rates import fit_rate

TIMES = np.arange(0, 2001)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_a_power_of_t_is_found_with_its_window(power):
    rate = fit_rate(TIMES, 3.0 / np.maximum(TIMES, 0.5) ** power)
    assert rate.kind == "power"
    assert rate.value == pytest.approx(-power, abs=1e-9)
    assert (rate.first, rate.last) == (200, 2000)


@pytest.mark.parametrize("factor", [0.999, 0.95])
def test_a_factor_a_step_is_found_above_rounding_only(factor):
    rate = fit_rate(TIMES, 2.0 * factor**TIMES + 1e-14)
    assert rate.kind == "geometric"
    assert rate.value == pytest.approx(factor, rel=1e-6)
    assert rate.last <= math.log(1e-10) / math.log(factor) + 1


def test_a_burst_after_a_plateau_is_fitted_on_the_last_half():
    gap = np.where(TIMES < 600, 1.0, np.maximum(0.97 ** (TIMES - 600.0), 1e-12))
    rate = fit_rate(TIMES, gap)
    assert rate.kind == "geometric"
    assert rate.value == pytest.approx(0.97, rel=0.02)
    assert rate.first >= 600


def test_what_has_no_rate_says_so():
    assert fit_rate(TIMES, 1.0 + np.sin(TIMES)).kind == "none"
    assert fit_rate(TIMES[:3], np.array([1.0, 0.9, 0.8])).text() == "no rate"


def test_a_gap_that_vanishes_is_solved():
    assert fit_rate(TIMES, np.where(TIMES < 3, 1.0, 0.0)).text() == "solved by t = 3"
    assert fit_rate(TIMES, np.zeros(TIMES.size)).kind == "solved"

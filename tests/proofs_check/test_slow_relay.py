"""The relay that refutes the rate 1/t without its mismatch: one number a state, against the library's own run with all logits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from proofs_check.catalogue.against import relay
from proofs_check.catalogue.slow_relay import BREAKS, FIVE
from proofs_check.catalogue.softmax import one_over_t
from proofs_check.engine.measure import trajectory
from proofs_check.instance import Batch
from proofs_check.instances import settle
from proofs_check.quantities import quantity


@pytest.mark.exact
def test_one_logit_a_state_runs_as_the_library_does():
    case = one_over_t.case(one_over_t.form("derived"))
    instance = settle(case, relay(5, 10, "23/50", "41/200", "1/10000000")())
    assert instance is not None
    context = trajectory(case, Batch.of([instance.as_float()]), 301, times=np.arange(301))
    probabilities = [float(p) for p in FIVE.probabilities(FIVE.after(300))]
    assert context.policies[0, 300, :, 0] == pytest.approx(probabilities, rel=1e-9)
    gap = quantity("gap_mu").code(context)[0, 300, 0]
    assert gap == pytest.approx(float(FIVE.gap(FIVE.after(300))), rel=1e-9)
    bound = float(gap) * 300 * float(FIVE.on) ** 2 * (1 - float(FIVE.discount)) ** 4 / 5
    assert float(FIVE.overshoot(300)) == pytest.approx(bound, rel=1e-9)


@pytest.mark.slow
@pytest.mark.exact
def test_the_bound_without_the_mismatch_is_passed():
    passed = FIVE.overshoot(BREAKS)
    assert passed > 1 and not passed > 1.03


@pytest.mark.exact
def test_a_relay_that_is_in_no_hurry_does_not_pass_it():
    assert dataclasses.replace(FIVE, length=3).overshoot(200) < 1

"""Branch and bound: what it proves for a whole class, and what it must not prove."""

from __future__ import annotations

import numpy as np
import pytest

from mdps.errors import ModelError
from proofs_check.catalogue import get_claim
from proofs_check.engine.boxes import prove_class, scope
from proofs_check.engine.measure import compare, trajectory
from proofs_check.instance import Batch

SMOOTH = get_claim("softmax-smoothness-sharp")


def _case(form: str, bound: str | None = None):
    return SMOOTH.replace(form=form, bound=bound).cases()[0] if bound else SMOOTH.case(SMOOTH.form(form))


def test_the_hessian_of_every_two_armed_bandit_is_below_one_fifth():
    """The largest norm is sqrt(3)/9 = 0.19245."""
    assert prove_class(_case("bandit derived"), 1, 2).proved
    assert prove_class(_case("bandit derived", "1/5"), 1, 2).proved


def test_a_bound_below_the_largest_value_is_not_proved():
    ended = prove_class(_case("bandit derived", "19/100"), 1, 2, most=400)
    assert not ended.proved and ended.left_over > 0


def test_one_state_at_discount_one_half():
    assert prove_class(_case("derived"), 1, 2, "1/2").proved
    assert prove_class(_case("gradient"), 1, 2, "1/2").proved
    assert not prove_class(_case("gradient", "7/10"), 1, 2, "1/2", most=300).proved  # 1/sqrt(2) is attained


@pytest.mark.parametrize("norm", ["bandit derived", "gradient"])
def test_the_norms_are_convex_in_rewards_and_largest_at_a_vertex(norm):
    """What step 1 of the proof rests on, sampled: no interior reward beats the best vertex at the same policy."""
    rng = np.random.default_rng(3)
    case = _case("derived" if norm == "bandit derived" else "gradient")
    free = case.domain.decode(rng.standard_normal((40, case.domain.length(2, 2, 0))), 2, 2, case.settings)
    inside = compare(case, trajectory(case, free, 1)).left[:, 0, 0]
    best = np.zeros(40)
    for k in range(16):
        ends = np.array([(k >> i) & 1 for i in range(4)], dtype=float).reshape(2, 2)
        for start in np.eye(2):
            fields = {f: getattr(free, f) for f in ("transitions", "discount", "policy", "other", "settings")}
            vertex = Batch(
                rewards=np.broadcast_to(ends, (40, 2, 2)), mu=np.broadcast_to(start, (40, 2)), rho=np.broadcast_to(start, (40, 2)), **fields
            )
            best = np.maximum(best, compare(case, trajectory(case, vertex, 1)).left[:, 0, 0])
    assert (inside <= best * (1 + 1e-12)).all()


def test_other_statements_are_refused():
    loja = get_claim("softmax-lojasiewicz")
    with pytest.raises(ModelError, match="bounds from above"):
        prove_class(loja.case(loja.form("bandit")), 1, 2)
    with pytest.raises(ModelError, match="does not speak of"):
        prove_class(_case("bandit derived"), 2, 2, "1/2")
    derived = _case("bandit derived")
    assert scope(derived, 1, 3, 0) == "all bandits with 3 arms, rewards in [0, 1]" and "discount 1/2" in scope(derived, 2, 2, "1/2")

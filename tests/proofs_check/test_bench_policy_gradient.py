"""The benchmark of policy gradients compares programs that compute the same thing, and says how they compare."""

from __future__ import annotations

import numpy as np
import pytest

from proofs_check.bench import clock, step_costs
from proofs_check.bench import policy_gradient as bench


def programs(peer: str, natural: bool):
    model = bench._garnet(4, 3, seed=1)
    return {clock.OURS: bench._ours(*model, 50, natural), **bench._SINGLE[peer](*model, 50, natural)}


def agree(chosen) -> None:
    bench._checked(lambda *rest: rest, "case", "steps/s", 50, chosen, 0.0)


@pytest.mark.parametrize("natural", [False, True])
def test_numpy_and_ours_do_the_same_steps(natural):
    agree(programs("numpy", natural))


@pytest.mark.peer
@pytest.mark.parametrize("natural", [False, True])
@pytest.mark.parametrize("peer", ["jax", "torch"])
def test_peers_and_ours_do_the_same_steps(peer, natural):
    pytest.importorskip(peer)
    agree(programs(peer, natural))


def test_batches_agree_for_any_number_of_threads():
    P, r = (np.stack(parts) for parts in zip(*(bench._garnet(4, 3, seed) for seed in range(5)), strict=True))
    agree({clock.OURS: bench._ours_batch(P, r, 1), "two": bench._ours_batch(P, r, 2), **bench._numpy_batch(P, r)})


def test_a_program_that_computes_something_else_is_caught():
    chosen = programs("numpy", False) | programs("numpy", True) | {clock.OURS: programs("numpy", False)[clock.OURS]}
    with pytest.raises(AssertionError, match=r"ends .* away from pgtheory"):
        agree(chosen)


def test_the_table_shows_ours_first_and_the_ratio_of_the_others():
    spent = []
    rows = clock.race("case", "steps/s", 10.0, {clock.OURS: lambda: spent.append(1), "slow": lambda: sum(range(100_000))}, 0.0)
    assert [row.program for row in rows] == [clock.OURS, "slow"]
    assert rows[0].ratio == 1
    assert len(spent) >= 4
    assert clock.table(rows, "title").row_count == 2  # type: ignore[attr-defined]


def test_every_method_of_the_package_has_its_cost_measured():
    from pgtheory import policy_gradient as pg

    measured = {type(method).__name__ for method, _ in step_costs.methods().values()}
    known = {name for name in pg.NAMES.values() if pg.__getattr__(name).__module__.startswith("pgtheory.policy_gradient.")}
    assert known <= measured


def test_costs_are_positive_and_say_how_many_evaluations_a_step_is():
    rows = step_costs.costs(0.0, ("natural PG", "line search, projected", "decreasing-pg"))
    assert len(rows) == 6
    assert all(row.step > 0 and row.evaluation > 0 and row.ratio > 0 for row in rows)
    assert {row.method: row.evaluations for row in rows} == {"natural PG": 1, "line search, projected": 15, "decreasing-pg": 1}
    assert all(np.isnan(row.plain) == (row.method == "decreasing-pg") for row in rows)
    assert step_costs.table(rows).row_count == 3  # type: ignore[attr-defined]


def test_an_evaluation_of_the_bench_is_one():
    """The loop that is timed does what `state_values` does: 3 evaluations of Q(s_0, a_0) from logits and from the policy."""
    from mdps import MDP
    from pgtheory.exact import action_values

    P, r = bench._garnet(3, 2, seed=4)
    mdp, policy = MDP(P, r, 0.9), np.full((3, 2), 0.5)
    for logits in (np.zeros((3, 2)), np.zeros((0, 0))):
        total = step_costs._evaluations()(mdp.transitions, mdp.rewards, mdp.discount, policy, logits, 3)
        assert total == pytest.approx(3 * action_values(mdp, policy)[0, 0], rel=1e-12)

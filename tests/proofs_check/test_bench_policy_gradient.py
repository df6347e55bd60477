"""The benchmark of policy gradients compares programs that compute the same thing, and says how they compare."""

from __future__ import annotations

import numpy as np
import pytest

from proofs_check.bench import clock
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

"""Inequalities proved for ALL instances of a compact class: branch and bound in ball arithmetic.

The class: every MDP with S states, A actions and a given discount (bandits: S = 1, discount 0), rewards in the domain's range, any start
distribution mu
and any policy, also on the boundaries of the simplices.  Two steps:

1.  V(mu) is linear in the rewards and in mu, and so are its gradient and Hessian in the logits.  A norm of something linear is convex, so on the
    box of
    rewards times the simplex of mu it is largest at a vertex: rewards at the ends of their range, all of mu on one state.  Of vertices that differ
    by the names of states or of each state's actions one is enough, since every box of transitions and policies is looked at, and one of two
    opposite ones: r and low + high - r have opposite derivatives.
2.  For each vertex the transitions and policies are cut into boxes.  On a box every number is an interval, and both sides of the statement,
    evaluated on
    it, enclose both sides at every point.  Where the inequality is certain the box is done, otherwise its widest side is halved; boxes that hold no
    distribution are dropped.

When no box is left the statement is proved for the class.  Where the two sides touch nothing is proved: boxes around such a point never end.
"""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq

from mdps.errors import ModelError, plural
from mdps.rational import rational
from pgtheory import arithmetic
from proofs_check.claim import Case
from proofs_check.context import Context
from proofs_check.engine.certify import sides

Array = np.ndarray
Box = tuple[tuple[fmpq, fmpq], ...]
BITS = 53
MOST_BOXES = 5_000
CONVEX = ("gradient_norm", "hessian_norm")
"""Norms of what is linear in the rewards and in mu."""
PLAIN = ("gamma", "S", "A")


@dataclasses.dataclass(frozen=True)
class BoxProof:
    """How a branch and bound ended: whether it proved the statement, and how many boxes it looked at."""

    proved: bool
    boxes: int
    left_over: int


def prove_class(case: Case, states: int, actions: int, discount: Any = 0, most: int = MOST_BOXES) -> BoxProof:
    """Whether `norm <= bound` holds for every MDP of that size and discount.

    most     boxes to look at before giving up
    raises   ModelError: a statement of another form, or a class that is not in the claim's domain
    """
    left, domain = str(case.statement.left), case.domain
    if left not in CONVEX or case.statement.relation != "<=" or case.process is not None or case.where:
        raise ModelError(f"{case.claim}:{case.name}: boxes prove bounds from above of {' and '.join(CONVEX)}, and no run")
    if domain.rewards is None or not {s.name for s in case.statement.right.free_symbols} <= set(PLAIN):
        raise ModelError(f"{case.claim}:{case.name}: the bound must depend on {', '.join(PLAIN)} only, and rewards must be bounded")
    gamma = rational(discount)
    if not 0 <= gamma < 1 or (domain.bandit and (states != 1 or gamma != 0)):
        raise ModelError(f"{case.claim}:{case.name} does not speak of {states} states at discount {discount}")
    low, high = (fmpq(x) for x in domain.rewards)
    rows = states * actions * (states - 1) + states * (actions - 1)
    whole: Box = ((fmpq(0), fmpq(1)),) * rows
    count = 0
    with arithmetic.precision(BITS):
        for start, ends in _vertices(states, actions):
            pay = np.array([[high if end else low for end in row] for row in ends], dtype=object)
            work = [whole]
            while work:
                if count >= most:
                    return BoxProof(False, count, len(work))
                box = work.pop()
                count += 1
                context = _context(box, pay, gamma, start)
                if context is not None and not _certain(case, context):
                    work.extend(_halves(box))
    return BoxProof(True, count, 0)


def scope(case: Case, states: int, actions: int, discount: Any) -> str:
    """The class in words."""
    paid = "" if case.domain.rewards is None else f", rewards in [{case.domain.rewards[0]}, {case.domain.rewards[1]}]"
    if states == 1 and Fraction(str(discount)) == 0:
        return f"all bandits with {actions} arms{paid}"
    return f"all MDPs with {plural(states, 'state')} and {actions} actions at discount {discount}{paid}"


def _vertices(states: int, actions: int) -> list[tuple[int, tuple[tuple[int, ...], ...]]]:
    """(start state, which rewards are high (1) in each state): one vertex of each class of equivalent ones.

    Equal rewards, which have derivative 0, are left out where there are others: a norm is at least 0 there too."""
    out = set()
    for start, ends in itertools.product(range(states), itertools.product((0, 1), repeat=states * actions)):
        alike = []
        for flip in (0, 1):
            rows = [tuple(sorted(end ^ flip for end in ends[s * actions : (s + 1) * actions])) for s in range(states)]
            alike.append((0, (rows[start], *sorted(rows[:start] + rows[start + 1 :]))))
        if 0 < sum(ends) < states * actions:
            out.add(min(alike))
    return sorted(out) or [(0, ((0,) * actions,) * states)]


def _certain(case: Case, context: Context) -> bool:
    """Whether the inequality holds at every point of the box."""
    try:
        left, right, _ = sides(case, context)
    except (ArithmeticError, ValueError):  # a matrix that may be singular on the box
        return False
    return all(bool(a <= b) for a, b in zip(left.reshape(-1), right.reshape(-1), strict=True))


def _context(box: Box, pay: Array, gamma: Any, start: int) -> Context | None:
    """An interval for every number; None where a row of the box holds no distribution."""
    states, actions = pay.shape
    cut = states * actions * (states - 1)
    moves = _rows(box[:cut], states * actions, states)
    acts = _rows(box[cut:], states, actions)
    if moves is None or acts is None:
        return None
    point = arithmetic.balls(np.array([fmpq(int(s == start)) for s in range(states)], dtype=object))[None]
    return Context(
        "ball",
        moves.reshape(1, states, actions, states),
        arithmetic.balls(pay)[None],
        np.array([arb(gamma)], dtype=object),
        point,
        point,
        {},
        np.zeros(1, dtype=np.int64),
        acts[None, None],
    )


def _rows(box: Box, count: int, width: int) -> Array | None:
    """(count, width) intervals: the free entries, and 1 minus their sum."""
    out = np.empty((count, width), dtype=object)
    for i in range(count):
        row = box[i * (width - 1) : (i + 1) * (width - 1)]
        low, high = 1 - sum((b for _, b in row), fmpq(0)), 1 - sum((a for a, _ in row), fmpq(0))
        if high < 0:
            return None
        out[i] = [_interval(a, b) for a, b in (*row, (max(low, fmpq(0)), high))]
    return out


def _interval(a: fmpq, b: fmpq) -> arb:
    return arb(a).union(arb(b))


def _halves(box: Box) -> list[Box]:
    """The box cut in two across its widest side."""
    k = max(range(len(box)), key=lambda i: box[i][1] - box[i][0])
    a, b = box[k]
    middle = (a + b) / 2
    return [(*box[:k], (a, middle), *box[k + 1 :]), (*box[:k], (middle, b), *box[k + 1 :])]

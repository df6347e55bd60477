"""Independent answers for constrained problems: mixtures of all deterministic policies, in fractions, by elimination written elsewhere.

The values (V_r, V_c) of all policies are the convex hull of those of the deterministic ones (Altman 1999, chapter 3), so the optimum is attained by at
most m + 1 of them, with enough thresholds tight to fix their weights.  No occupancies, no simplex method.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

from mdps import ConstrainedMDP
from mdps.rational import fraction
from tests.pgtheory.exact.independent import gauss

Point = tuple[Fraction, tuple[Fraction, ...]]


def points(model: ConstrainedMDP) -> list[Point]:
    """(V_r, costs read as "<=") from the start, of every deterministic policy; each once."""
    exact = model.exact
    mdp = exact.mdp
    gamma, rho = fraction(exact.discount), [fraction(p) for p in mdp.start]
    rows = mdp.choices.toarray() if hasattr(mdp.choices, "indptr") else mdp.choices
    signs = [-1 if d == ">=" else 1 for d in exact.directions]
    spans = [range(int(b), int(e)) for b, e in itertools.pairwise(mdp.first_pair)]
    found = set()
    for chosen in itertools.product(*spans):
        matrix = [[Fraction(int(s == t)) - gamma * fraction(rows[k][t]) for t in range(len(chosen))] for s, k in enumerate(chosen)]

        def worth(per_pair, matrix=matrix, chosen=chosen):
            return sum((p * v for p, v in zip(rho, gauss(matrix, [fraction(per_pair[k]) for k in chosen]), strict=True)), Fraction(0))

        found.add((worth(mdp.pair_rewards), tuple(sign * worth(c) for sign, c in zip(signs, exact.costs, strict=True))))
    return sorted(found)


def bounds(model: ConstrainedMDP) -> list[Fraction]:
    """Thresholds read as "<="."""
    return [(-1 if d == ">=" else 1) * fraction(b) for b, d in zip(model.exact.thresholds, model.directions, strict=True)]


def best_mixture(corners: list[Point], thresholds: list[Fraction]) -> Fraction | None:
    """The largest value of a mixture that meets the thresholds; None if there is none."""
    best = None
    for size in range(1, len(thresholds) + 2):
        for support in itertools.combinations(corners, size):
            for tight in itertools.combinations(range(len(thresholds)), size - 1):
                matrix = [[Fraction(1)] * size] + [[costs[i] for _, costs in support] for i in tight]
                try:
                    weights = gauss(matrix, [Fraction(1), *(thresholds[i] for i in tight)])
                except StopIteration:  # no pivot: these points do not fix the weights
                    continue
                spent = [sum((w * costs[i] for w, (_, costs) in zip(weights, support, strict=True)), Fraction(0)) for i in range(len(thresholds))]
                if min(weights) >= 0 and all(x <= b for x, b in zip(spent, thresholds, strict=True)):
                    value = sum((w * v for w, (v, _) in zip(weights, support, strict=True)), Fraction(0))
                    best = value if best is None else max(best, value)
    return best


def best_deterministic(corners: list[Point], thresholds: list[Fraction]) -> Fraction | None:
    """The largest value of a deterministic policy that meets the thresholds."""
    return max((v for v, costs in corners if all(c <= b for c, b in zip(costs, thresholds, strict=True))), default=None)

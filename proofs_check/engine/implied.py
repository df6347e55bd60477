"""Whether a changed statement follows from the original one whatever the instance is: by the signs of a difference, not by looking at instances.

With the same measured side, `measured <= B` gives `measured <= B'` where B' - B >= 0 (B - B' for >=), for all values that the quantities of
the bound can take together.  `proofs_check.signs` decides the sign of a rational function over free ranges; what is known about several
quantities at once is written into the variables before:

    a setting with a range        eta = high / r^2 with r >= 1, or low r^2
    a condition C x < 1           x = (1 - 1/r^2) / C
    rewards in [0, 1]             a gap is (1/(1-gamma)) / r^2; so is a gap beside the one at the start, for a method that never loses
    c_t, mismatches               c_t <= min pi(a*|s), |rho/mu| <= |1/mu|, |d_t/mu| <= its running maximum
    powers b^(n + k t)            V^k b^(n+k) with V = b^(t-1) in [0, 1], where 0 <= b <= 1 and t >= 1

A quantity that may be negative is a difference of two free numbers, so that its sign is never assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import sympy

from proofs_check.claim import Case
from proofs_check.domains import Between, is_free
from proofs_check.quantities import parse
from proofs_check.signs import AT_LEAST_ONE, PROBABILITIES, nonnegative

Swap = dict[sympy.Symbol, sympy.Expr]
T = sympy.Symbol("t")
GAMMA = sympy.Symbol("gamma")
NEVER_LOSES = ("softmax-pg", "natural-pg", "policy-iteration")
"""Methods whose steps lower no state's value, at any step size (claims of their own)."""
GAPS = ("gap_rho", "gap_mu", "gap_sup", "gap_mu_0", "gap_sup_0", "next_gap_sup", "bellman_gap_sup")
AT_START = {"gap_mu": "gap_mu_0", "gap_sup": "gap_sup_0"}
BELOW = {"c_inf": "min_optimal_probability"}
"""a -> b with 0 <= a <= b on every record."""
ABOVE = {"inverse_mu": "rho_over_mu", "largest_mismatch": "policy_mismatch"}
"""a -> b with a >= b >= 1 on every record."""
NONNEGATIVE = {
    "gamma", "S", "A", "t", "zero", "eta", "tau", "fraction", "C1", "gradient_norm", "hessian_norm", "soft_q_gap", "log_policy_gap", "visits",
    "start_probabilities", "c_inf", "min_optimal_probability", "mismatch", "mismatch_rho_policy", "mismatch_mu_policy", "largest_mismatch",
    "policy_mismatch", "rho_over_mu", "inverse_mu", *GAPS,
    # gaps and distances
    "next_gap_mu", "next_gap_sum", "gap_sum", "regret_mu", "state_gaps", "stage_gap", "chain_gap", "plan_gap", "soft_gap_mu", "soft_gap_rho",
    "soft_gap_sup", "next_soft_gap_sup", "soft_gap_stationary_0", "soft_optimal_policy_gap", "soft_bias", "approximate_gap", "fitted_gap",
    "fitted_gap_0", "iterated_gap", "modified_gap", "modified_gap_0", "vector_gap", "vector_backup_gap", "vector_difference", "vector_residual",
    "backup_difference", "policy_backup_difference", "pair_vector_difference", "interpolated_difference", "interpolated_distance",
    "soft_backup_difference", "greedy_loss", "feasible_excess", "feasible_excess_mu", "mapped_gap_0", "mapped_gap_log", "mapped_gap_root",
    "mapped_gap_square", "visitation_difference", "behaviour_distance", "off_policy_error", "largest_error", "largest_fit_error",
    # divergences, masses, norms
    "kl_from_policy", "tsallis_from_policy", "scaled_chi_square", "scaled_tsallis", "penalised_divergence", "penalised_divergence_back",
    "penalised_divergences", "safe_divergence", "soft_divergence", "largest_divergence", "start_divergence_kl", "start_divergence_euclidean",
    "start_divergence_root", "tilt_divergence", "other_divergence", "suboptimal_mass", "next_suboptimal_mass", "next_weight_off_greedy",
    "occupancy_off_optimal", "new_support_mass", "least_suboptimality", "entropy_hessian_norm", "direct_tangent_curvature",
    "escort_gradient_norm", "stage_hessian_norm", "stage_gradient_square", "soft_gradient_norm", "chain_gradient_norm", "barrier_gradient_norm",
    "regulator_gap", "regulator_gap_after", "regulator_gradient_square", "best_improvement", "best_advantages", "largest_advantage_range",
    "advantage_ranges", "quadratic_penalty", "drift_kl", "drift_euclidean",
    "mismatch_rho_mu", "soft_mismatch", "soft_mismatch_policy", "stage_mismatch", "stage_optimal_probability", "radius", "H", "greedy_limit",
}  # fmt: skip
"""Quantities that are at least 0 by definition."""
LARGEST = 120
"""Operations in a difference up to which its sign is decided; beyond, expanding it takes long."""
TRIALS = 40
"""Points at which a difference is looked at before its sign is decided."""


def follows(original: Case, changed: Case) -> bool:
    """Whether `changed`, about the same runs, is seen to follow from `original` (False: not seen)."""
    a, b = original.statement, changed.statement
    if a.left != b.left or a.relation != b.relation or a.relation == "=":
        return False
    if not _speaks_no_more(original, changed):
        return False
    sign = 1 if a.relation == "<=" else -1
    return _nonnegative(sign * (b.right - a.right), original)


def trivially(changed: Case) -> bool:
    """Whether the statement is seen to hold because its bound is on the far side of 0, of the bound that holds anyway, or of what it bounds."""
    left, relation, right = changed.statement.left, changed.statement.relation, changed.statement.right
    if relation != "=" and left.free_symbols <= right.free_symbols and _nonnegative(right - left if relation == "<=" else left - right, changed):
        return True
    if relation == ">=" and str(left) in NONNEGATIVE:
        return _nonnegative(-right, changed)
    if relation == "<=" and changed.trivial is not None:
        return _nonnegative(right - changed.trivial, changed)
    return False


def _speaks_no_more(original: Case, changed: Case) -> bool:
    """Whether the original says something wherever the changed statement does: conditions, and zeros of denominators."""
    for small, large in original.where:
        room = large - small
        if not any(room == (b - a) or _nonnegative(room - (b - a), changed) for a, b in changed.where):
            return False
    for symbol in (T, GAMMA):
        if _undefined(original.statement.right, symbol) and not _undefined(changed.statement.right, symbol):
            if symbol == T and any((a, b) == (0, T) for a, b in changed.where):
                continue
            return False
    return True


def _undefined(tree: sympy.Expr, symbol: sympy.Symbol) -> bool:
    return bool(tree.subs(symbol, 0).has(sympy.zoo, sympy.nan, sympy.oo))


def _nonnegative(difference: sympy.Expr, case: Case) -> bool:
    """Whether the difference is seen to be >= 0 for all instances of the case; each way of writing the ranges is tried."""
    if difference == 0:
        return True
    if not (difference.free_symbols <= {sympy.Symbol(name) for name in NONNEGATIVE}):
        return False
    for swaps in _ranges(case):
        tree = difference
        for swap in swaps:
            tree = tree.subs(swap, simultaneous=True)
        tree = _powers(tree)
        if tree.count_ops() > LARGEST or tree.has(sympy.zoo, sympy.nan) or _somewhere_negative(tree):
            continue
        if nonnegative(tree):
            return True
    return False


def _somewhere_negative(tree: sympy.Expr) -> bool:
    """Whether a few points of the ranges already have the wrong sign: cheaper to see than that no coefficient has."""
    rng = np.random.default_rng(0)
    logs = {term: sympy.Symbol(f"log_{k}") for k, term in enumerate(sorted(tree.atoms(sympy.log), key=str))}
    plain = tree.xreplace(logs)
    symbols = sorted(plain.free_symbols, key=str)
    code = sympy.lambdify(symbols, plain, "math")
    for _ in range(TRIALS):
        point = [_draw(str(symbol), rng) for symbol in symbols]
        try:
            value = code(*point)
        except (ArithmeticError, ValueError, OverflowError):
            continue
        if not isinstance(value, complex) and value < -1e-9 * (1 + abs(value)):
            return True
    return False


def _draw(name: str, rng: np.random.Generator) -> float:
    """A value that the variable can take, near its ends now and then."""
    if name == "gamma" or name in PROBABILITIES:
        return float(rng.choice([rng.random(), 1 - 10 ** rng.uniform(-6, -1), 10 ** rng.uniform(-6, -1)]))
    grown = float(rng.choice([10 ** rng.uniform(-6, 0), 10 ** rng.uniform(0, 3)]))
    return 1 + grown if name.startswith("root_") or name in AT_LEAST_ONE else grown


def _root(name: object) -> sympy.Symbol:
    """A variable r >= 1 in the language of `signs`, which expands polynomials of names `root_...` in r - 1."""
    return sympy.Symbol(f"root_range_{name}", positive=True)


def _ranges(case: Case) -> Iterator[list[Swap]]:
    """Lists of substitutions, one after the other, that write down what is known of several quantities at once."""
    first: Swap = {}
    if case.domain.bandit:
        first |= {GAMMA: sympy.Integer(0), sympy.Symbol("S"): sympy.Integer(1)}
    fixed = {sympy.Symbol(name): _tree(rule) for name, rule in case.settings.items() if not is_free(rule)}
    ranges = {sympy.Symbol(name): rule for name, rule in case.settings.items() if isinstance(rule, Between)}
    low = {name: _tree(rule.low) * _root(name) ** 2 for name, rule in ranges.items()}
    high = {name: _tree(rule.high) / _root(name) ** 2 for name, rule in ranges.items()}
    together = {sympy.Symbol(a): sympy.Symbol(b) / _root(a) ** 2 for a, b in BELOW.items()}
    together |= {sympy.Symbol(a): sympy.Symbol(b) * _root(a) ** 2 for a, b in ABOVE.items()}
    if _counts_from_one(case):
        first[T] = _root("t") ** 2
    bounded: list[Swap] = [{}]
    conditions = _conditions(case)
    never_loses = getattr(case.process, "name", "") in NEVER_LOSES
    start = {sympy.Symbol(a): sympy.Symbol(b) / _root(a) ** 2 for a, b in AT_START.items()} if never_loses else {}
    if case.domain.rewards == (0, 1):
        names = [sympy.Symbol(name) for name in GAPS if sympy.Symbol(name) not in {**start, **conditions}]
        bounded.append({name: 1 / ((1 - GAMMA) * _root(name) ** 2) for name in names})
    for setting in ({}, high, low) if ranges else ({},):
        for gaps in bounded:
            yield [start, together, conditions, gaps, fixed, setting, fixed, first]


def _conditions(case: Case) -> Swap:
    """C x < 1, with C >= 0 free of x and x a gap at the start: x = (1 - 1/r^2) / C."""
    for small, large in case.where:
        for name in ("gap_mu_0", "gap_sup_0"):
            x = sympy.Symbol(name)
            if large == 1 and small.has(x):
                share = sympy.cancel(small / x)
                if not share.has(x) and nonnegative(share):
                    return {x: (1 - 1 / _root(name) ** 2) / share}
    return {}


def _counts_from_one(case: Case) -> bool:
    return any((a, b) == (0, T) for a, b in case.where) or _undefined(case.statement.right, T)


def _powers(tree: sympy.Expr) -> sympy.Expr:
    """b^(n + k t) as V^k b^n with V = b^t, or where t >= 1 is known as V^k b^(n+k) with V = b^(t-1).

    Powers of a base that is not seen to lie in [0, 1] stay as they are."""
    swap: dict[sympy.Expr, sympy.Expr] = {}
    for power in tree.atoms(sympy.Pow):
        base, exponent = power.base, power.exp
        time = [symbol for symbol in exponent.free_symbols if symbol == T or symbol == _root("t")]
        if not time or len(exponent.free_symbols) > 1:
            continue
        count = time[0] ** (1 if time[0] == T else 2)
        parts = sympy.Poly(exponent, time[0]).as_expr()
        k = sympy.expand(parts).coeff(time[0], 1 if time[0] == T else 2)
        n = sympy.expand(parts - k * count)
        if n.free_symbols or not k.is_Rational or not (nonnegative(base) and nonnegative(1 - base)):
            continue
        share = sympy.Symbol(f"root_range_power_{abs(hash(base))}", positive=True)
        swap[power] = share ** (-2 * k) * base ** (n + k if time[0] != T else n)
    return tree.xreplace(swap)


def _tree(rule: Any) -> sympy.Expr:
    return parse(rule) if isinstance(rule, str) else sympy.sympify(rule)

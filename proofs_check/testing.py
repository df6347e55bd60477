"""Checks for other libraries' tests: hand in a function, get silence or the smallest instance on which it is wrong.

    from proofs_check.testing import check_policy_gradient

    def test_my_gradient():
        check_policy_gradient(my_gradient)          # my_gradient(mdp, logits) -> (S, A)

Each check compares the function with an exact oracle on named instances and on random ones of up to 3 states and 3 actions, boundary values
included (one state, one action, discount 0, ties, unreachable states).  A failure is shrunk and raised as `AssertionError`: the model in
fractions, what was expected, what came, and, where the difference has a known shape, the likely reason (a missing 1/(1 - gamma), a sign, Q
for A).  Functions may return numpy arrays, lists, or tensors of any library that numpy can read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import sympy

from mdps.errors import ModelError
from mdps.model import MDP
from proofs_check import quantities
from proofs_check.claim import Case
from proofs_check.context import Context
from proofs_check.domains import Domain
from proofs_check.engine.budget import Budget
from proofs_check.engine.measure import compare, tolerance, trajectory
from proofs_check.engine.search import search
from proofs_check.engine.shrink import exactly, shrink
from proofs_check.instance import Batch, Instance
from proofs_check.instances import REAL, SMALL, named
from proofs_check.statement import Statement, equal

Array = np.ndarray
BUDGET = Budget("check", 24, 2, (1,), 9, 0, 0)
THEIRS = "their_answer"


def check_policy_gradient(gradient: Callable[[MDP, Array], Any], *, parameters: str = "logits", rtol: float | None = None, seed: int = 0) -> int:
    """Checks a gradient of V(start) in the parameters of a tabular policy, in reward units.

    gradient    (mdp, logits (S, A)) -> (S, A) for "logits"; (mdp, policy (S, A)) -> (S, A) partial derivatives for "policy"
    rtol        relative difference that is accepted, beside rounding (for float32 implementations, say 1e-4)
    returns     how many instances were compared
    raises      AssertionError with a shrunk counterexample
    source      Sutton, McAllester, Singh, Mansour (2000), Theorem 1
    """
    if parameters not in ("logits", "policy"):
        raise ModelError(f"parameters is {parameters!r}; it is 'logits' or 'policy'")

    def theirs(instance: Instance, c: Context) -> Any:
        with np.errstate(divide="ignore"):
            point = np.log(instance.policy) if parameters == "logits" else instance.policy
        return gradient(instance.mdp(), point)

    oracle = quantities.softmax_gradient if parameters == "logits" else quantities.direct_gradient
    return _check(
        theirs, oracle, Domain(rewards=None, mu="any", rho="mu", policy="interior", max_states=3, max_actions=3), rtol, seed, _gradient_reasons
    )


def check_bellman_operator(operator: Callable[[MDP, Array], Any], *, rtol: float | None = None, seed: int = 0) -> int:
    """Checks T V = max_a (r + gamma P V): `operator(mdp, values (S,)) -> (S,)`, at the values of random policies.

    returns   how many instances were compared;  raises  AssertionError with a shrunk counterexample
    """

    def theirs(instance: Instance, c: Context) -> Any:
        return operator(instance.mdp(), c.values[0, 0])

    return _check(
        theirs,
        quantities.bellman_values,
        Domain(rewards=None, mu="any", rho="mu", policy="any", max_states=3, max_actions=3),
        rtol,
        seed,
        _operator_reasons,
    )


def check_state_values(evaluate: Callable[[MDP, Array], Any], *, rtol: float | None = None, seed: int = 0) -> int:
    """Checks policy evaluation: `evaluate(mdp, policy (S, A)) -> V (S,)`.

    returns   how many instances were compared;  raises  AssertionError with a shrunk counterexample
    """

    def theirs(instance: Instance, c: Context) -> Any:
        return evaluate(instance.mdp(), instance.policy)

    return _check(
        theirs,
        quantities.state_values,
        Domain(rewards=None, mu="any", rho="mu", policy="any", max_states=3, max_actions=3),
        rtol,
        seed,
        _operator_reasons,
    )


def check_projection(project: Callable[[Array], Any], *, atol: float = 1e-9, seed: int = 0, count: int = 500) -> int:
    """Checks the Euclidean projection onto the probability simplex: `project(x (n,)) -> (n,)`.

    count     random points that are tried besides the named ones;  atol   how far off a coordinate may be
    The optimality conditions are checked, not another implementation: p is a distribution, and x - p is one number where p > 0 and at most
    that number elsewhere.  Points inside, outside, far away, with ties and of length 1 are tried.

    returns   how many points were tried;  raises  AssertionError with the shortest and simplest failing point
    """
    rng = np.random.default_rng(seed)
    points = [
        np.array(p, dtype=float) for p in ([0], [5], [-3], [0.5, 0.5], [1, 1], [0, 0], [2, 0], [-1, -1], [0, 0, 0], [1, 0, 0], [1, 1, 0], [3, 2, -5])
    ]
    points += [np.round(rng.normal(0, rng.choice([0.3, 1, 10]), rng.integers(1, 6)), int(rng.integers(0, 4))) for _ in range(count)]
    failures = []
    for x in points:
        p = np.asarray(project(x.copy()), dtype=float)
        wrong = _projection_error(x, p, atol)
        if wrong:
            failures.append((x.size, float(np.abs(x).sum()), x.tolist(), p.tolist(), wrong))
    if failures:
        _, _, x, p, wrong = min(failures, key=lambda f: f[:2])
        raise AssertionError(f"project({x}) returned {p}: {wrong}\n  ({len(failures)} of {len(points)} points failed; this is the simplest)")
    return len(points)


def _projection_error(x: Array, p: Array, atol: float) -> str:
    scale = atol * max(1.0, float(np.abs(x).max()))
    if p.shape != x.shape:
        return f"its shape is {p.shape}, not {x.shape}"
    if not np.all(np.isfinite(p)):
        return "it is not finite"
    if p.min() < -scale or abs(p.sum() - 1) > scale * p.size:
        return f"this is no distribution (sum {p.sum():.12g}, smallest {p.min():.3g})"
    shift = x - p
    level = shift[p > scale]
    if level.max() - level.min() > 2 * scale or shift.max() > level.min() + 2 * scale:
        return "it is a distribution, but not the nearest one (x - p must be constant where p > 0 and not larger elsewhere)"
    return ""


def _check(
    theirs: Callable[[Instance, Context], Any], oracle: sympy.Symbol, domain: Domain, rtol: float | None, seed: int, reasons: Callable[..., str]
) -> int:
    with _answering(theirs, oracle.name, rtol or 0.0):
        statement: Statement = equal(sympy.Symbol(THEIRS), oracle)
        case = Case("check", oracle.name, "statement", statement, domain, None, {}, None, (), None, (), SMALL + REAL)

        def on_candidate(instance: Instance, seen: Any, k: int, horizon: int) -> Any:
            small = shrink(case, instance, 1)
            return small[0] if small is not None else exactly(instance)

        found = search(case, BUDGET, seed, on_candidate, named(case))
        if found.refutation is not None:
            raise AssertionError(_message(case, found.refutation, reasons))
        return found.instances


@contextlib.contextmanager
def _answering(theirs: Callable[[Instance, Context], Any], oracle: str, rtol: float) -> Iterator[None]:
    """Makes the user's function a quantity for the time of one check."""
    right = quantities.quantity(oracle)

    def code(c: Context) -> Array:
        expected = right.code(c) if right.code is not None else np.zeros(())
        out = np.empty(expected.shape)
        for b in range(c.discount.size):
            instance = Instance(c.transitions[b], c.rewards[b], float(c.discount[b]), c.mu[b], c.rho[b], c.policies[b, 0])
            answer = np.asarray(theirs(instance, _only(c, b)), dtype=np.float64)
            if answer.size != out[b, 0].size:
                raise AssertionError(f"the function returned shape {answer.shape} for {instance.shape[0]} states and {instance.shape[1]} actions")
            out[b, 0] = answer.reshape(-1)
        slack = rtol * np.abs(expected).max(axis=-1, keepdims=True)
        near = np.abs(out - expected) <= slack
        return np.where(np.isfinite(out), np.where(near, expected, out), 1e300)

    with quantities.temporary(quantities.Quantity(THEIRS, r"\text{yours}", "the checked function's answer", code, right.varies, right.entries)):
        yield


def _only(c: Context, b: int) -> Context:
    """Instance b of a context alone."""
    import dataclasses

    arrays = {name: getattr(c, name)[b : b + 1] for name in ("transitions", "rewards", "discount", "mu", "rho", "policies")}
    return dataclasses.replace(c, **arrays, settings={}, logits=None, minima=None, other=None)


def _message(case: Case, instance: Instance, reasons: Callable[..., str]) -> str:
    plain = instance.as_float()
    context = trajectory(case, Batch.of([plain]), 1)
    seen = compare(case, context)
    states, actions = instance.shape
    shape = (states, actions) if seen.left.shape[-1] == states * actions and actions > 1 else (-1,)
    got, expected = seen.left[0, 0].reshape(shape), seen.right[0, 0].reshape(shape)
    got = np.where(got == 1e300, np.nan, got)
    lines = [
        f"wrong answer on a model with {states} state{'s' * (states > 1)} and {actions} action{'s' * (actions > 1)}, discount {instance.discount}:"
    ]
    for s in range(states):
        for a in range(actions):
            moves = ", ".join(f"{p} to {u}" for u, p in enumerate(instance.transitions[s, a]) if p != 0)
            lines.append(f"  state {s}, action {a}: reward {instance.rewards[s, a]}, goes {moves}; policy {instance.policy[s, a]}")
    lines.append(f"  start {[str(x) for x in instance.mu]}")
    lines.append(f"  expected {expected.tolist()}")
    lines.append(f"  got      {got.tolist()}")
    hint = reasons(got, expected, context, float(tolerance(context)[0]))
    return "\n".join([*lines, *([f"  {hint}"] if hint else [])])


def _gradient_reasons(got: Array, expected: Array, c: Context, rounding: float) -> str:
    """A likely reason for a wrong gradient, by its shape."""
    gamma, expected = float(c.discount[0]), expected.reshape(c.rewards[0].shape)
    visits, policy = c.visits_mu[0, 0][:, None], c.policies[0, 0]
    q, adv = c.action_values[0, 0], c.advantages[0, 0]
    candidates = [
        ("the sign is flipped: this descends", -expected),
        ("the factor 1/(1 - gamma) is missing: visits are normalised to 1", (1 - gamma) * expected),
        ("1/(1 - gamma) is counted twice", expected / (1 - gamma)),
        ("the action values are used where advantages belong", visits * policy * q / (1 - gamma)),
        ("the visits are those of the start distribution only: later states are missing", c.mu[0][:, None] * policy * adv),
        ("the state visits are not discounted as d = (1 - gamma) mu (I - gamma P)^-1 asks", adv * policy / (1 - gamma)),
        ("the policy's probabilities are missing from the softmax gradient", visits * adv / (1 - gamma)),
    ]
    return _matching(candidates, got, expected, rounding)


def _operator_reasons(got: Array, expected: Array, c: Context, rounding: float) -> str:
    values, q = c.values[0, 0], c.action_values[0, 0]
    reward_only = c.rewards[0].max(axis=-1)
    candidates = [
        ("this is the minimum over actions", q.min(axis=-1)),
        ("the future is not discounted", (c.rewards[0] + c.transitions[0] @ values).max(axis=-1)),
        ("the future is missing", reward_only),
        ("this is the policy's own backup, not the best action's", values),
        ("this is the average over actions", q.mean(axis=-1)),
    ]
    return _matching(candidates, got, expected, rounding)


def _matching(candidates: list[tuple[str, Array]], got: Array, expected: Array, rounding: float) -> str:
    if np.isnan(got).any():
        return "it is not finite"
    got, expected = got.reshape(-1), expected.reshape(-1)
    for reason, shape in candidates:
        shaped = shape.reshape(-1)
        if np.abs(shaped - got).max() <= 10 * rounding + 1e-9 and np.abs(shaped - expected).max() > rounding:
            return f"This is what comes out when {reason}." if not reason.startswith("the sign") else f"Probably {reason}."
    return ""

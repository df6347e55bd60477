"""What a step of each method costs, in policy evaluations.

The unit is one evaluation of the policy that the method keeps on the same model, from its parameters to V and Q: a softmax where logits are kept, one
factorisation, one substitution, one pass over the model.  A step has that to do in any case, then its update.  Methods that are by definition several
evaluations (line searches) are measured against as many; those that climb a fixed surrogate by inner steps, or search a multiplier, do work of
another kind beside it, and the table says what.

The second figure is the plain step: the method's own array code in numpy, one model at a time.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
SIZES = ((10, 4), (100, 5))
DISCOUNT = 0.9
LEAST = 0.003
"""CPU seconds of a timed loop, at the least."""
GOAL = 1.5
"""Evaluations that a step may cost."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """A method on a dense Garnet of S states and A actions.

    step, evaluation, plain   CPU seconds of a compiled step, of a policy evaluation, and of the plain numpy step
    evaluations               how many evaluations a step is by definition
    ratio                     step / (evaluations * evaluation);  note: what else a step is by definition
    """

    method: str
    states: int
    actions: int
    step: float
    evaluation: float
    plain: float
    evaluations: float
    ratio: float
    note: str


def methods() -> dict[str, tuple[Any, str]]:
    """Every method of `pgtheory.policy_gradient` in every form that has its own step, with what it does by definition beside one evaluation."""
    from pgtheory import policy_gradient as pg

    climb, root = "10 inner gradient steps", "a root in every state"
    chosen: dict[str, tuple[Any, str]] = {
        "softmax PG": (pg.SoftmaxPG(0.2), ""),
        "natural PG": (pg.NaturalPG(0.2), ""),
        "entropy PG": (pg.EntropyPG(0.2, 0.1), ""),
        "entropy NPG": (pg.EntropyNPG(0.05, 0.1), ""),
        "log-barrier PG": (pg.LogBarrierPG(0.2, 0.01), ""),
        "KL-regularised PG": (pg.RegularisedPG(0.2, 0.1), ""),
        "escort PG": (pg.EscortPG(0.05), ""),
        "log-linear NPG": (pg.LogLinearNPG(0.2, _features), "least squares in 8 unknowns"),
        "projected PG": (pg.ProjectedPG(0.05), ""),
        "mirror descent, KL": (pg.MirrorDescent(0.2), ""),
        "mirror descent, Euclidean": (pg.MirrorDescent(0.2, "euclidean"), ""),
        "growing steps, KL": (pg.GrowingMirrorDescent(0.1, 1.001), ""),
        "growing steps, Euclidean": (pg.GrowingMirrorDescent(0.1, 1.001, "euclidean"), ""),
        "adaptive steps, KL": (pg.AdaptiveMirrorDescent(1.0), ""),
        "adaptive steps, Euclidean": (pg.AdaptiveMirrorDescent(1.0, "euclidean"), ""),
        "regularised mirror descent": (pg.RegularisedMirrorDescent(0.2, 0.1), ""),
        "soft policy iteration": (pg.SoftPolicyIteration(0.1), ""),
        "Munchausen, q = 1": (pg.Munchausen(0.1, "1"), "one backup, no evaluation"),
        "Munchausen, q = 2": (pg.Munchausen(0.1, "2"), "one backup, no evaluation"),
        "policy iteration": (pg.PolicyIteration(), ""),
        "simplex policy iteration": (pg.SimplexIteration(), ""),
        "conservative iteration": (pg.ConservativePI(), ""),
        "mirror learning, kl": (pg.MirrorLearning(0.2), ""),
        "mirror learning, ppo": (pg.MirrorLearning(0.2, "ppo"), ""),
        "mirror learning, discovered": (pg.MirrorLearning(0.2, "discovered"), "nested roots in every state"),
        "SPO": (pg.SPO(), ""),
        "MDPO": (pg.MDPO(0.2, 0.1), climb),
        "PPO": (pg.PPO(), climb),
        "FixPO": (pg.FixPO(), f"{climb}, then fix-up steps"),
        "line search, projected": (pg.LineSearchPG(), ""),
        "line search, natural": (pg.LineSearchPG("natural"), ""),
    }
    for order in ("0", "1/2", "1", "3/2", "2"):
        chosen[f"Bregman, q = {order}"] = (pg.BregmanDescent(0.2, order), "" if order in "12" else root)
    for divergence in ("forward", "reverse"):
        for over in ("mean", "each"):
            chosen[f"trust region, {divergence} {over}"] = (pg.TrustRegion(0.01, divergence, over), "a search for the multiplier")
    for rule in (pg.Normalised(0.2), pg.Polyak(), pg.Decreasing(0.2), pg.Adaptive(0.2), pg.Armijo(1)):
        chosen[rule.name] = (rule, "")
    return chosen


def costs(seconds: float = 0.3, names: tuple[str, ...] = ()) -> list[Cost]:
    """Every method on both sizes, about `seconds` each; names: only these."""
    from mdps import MDP

    rows = []
    for states, actions in SIZES:
        rng = np.random.default_rng(7)
        moves = rng.standard_exponential((states, actions, states))
        mdp = MDP(moves / moves.sum(axis=-1, keepdims=True), rng.random((states, actions)), DISCOUNT)
        rows += [_cost(name, method, note, mdp, seconds) for name, (method, note) in methods().items() if not names or name in names]
    return rows


def _features(mdp: Any) -> Array:
    return np.random.default_rng(8).normal(size=(mdp.num_states, mdp.num_actions, 8))


def _cost(name: str, method: Any, note: str, mdp: Any, seconds: float) -> Cost:
    arrays = mdp.transitions[None], mdp.rewards[None], [mdp.discount], mdp.start[None]
    settings, first = method.settings(mdp), method.start(mdp)
    numbers = tuple(np.asarray(x)[None] for x in settings)
    policy = method.policy_of(first)
    logits = np.log(np.full_like(policy, 1 / mdp.num_actions)) if _keeps_logits(method) else np.zeros((0, 0))

    def steps(count: int) -> Callable[[], object]:
        return lambda: method.run_arrays(*arrays, first[None], numbers, [count])

    loop = _evaluations()

    def evaluations(count: int) -> Callable[[], object]:
        return lambda: loop(mdp.transitions, mdp.rewards, mdp.discount, policy, logits, count)

    programs, counts = [], []
    for make in (steps, evaluations):
        make(1)()
        count = 1
        while (spent := _timed(make(count))) < LEAST and count < 1 << 14:
            count = count * 2 if spent < 0.001 else max(count + 1, int(count * 1.2 * LEAST / spent))
        programs.append(make(count))
        counts.append(count)
    best = [float("inf")] * 2
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 3 or time.perf_counter() < end:
        best = [min(old, _timed(program)) for old, program in zip(best, programs, strict=True)]
        rounds += 1
    step, evaluation = (spent / count for spent, count in zip(best, counts, strict=True))
    many = _evaluations_of(method, mdp)
    return Cost(
        name, mdp.num_states, mdp.num_actions, step, evaluation, _plain(method, first, mdp, settings, seconds), many, step / evaluation / many, note
    )


def _timed(program: Callable[[], object]) -> float:
    begun = time.process_time()
    program()
    return time.process_time() - begun


def _keeps_logits(method: Any) -> bool:
    return method.parameters == "logits" or bool(getattr(method, "keeps_logits", False))


def _plain(method: Any, first: Array, mdp: Any, settings: tuple[Any, ...], seconds: float) -> float:
    """CPU seconds of the plain step; NaN for a rule whose step depends on the past, and where it is an oracle by bisection that takes seconds."""
    from pgtheory.policy_gradient.method import NoEnclosure

    if method.name == "trust-region":
        return float("nan")
    best, end, params = float("inf"), time.perf_counter() + seconds / 3, first
    while best == float("inf") or time.perf_counter() < end:
        begun = time.process_time()
        try:
            params = method.plain_step(params, mdp.transitions, mdp.rewards, mdp.discount, mdp.start, *settings)
        except NoEnclosure:
            return float("nan")
        best = min(best, time.process_time() - begun)
    return best


def _evaluations_of(method: Any, mdp: Any) -> float:
    """Evaluations of one step: 1; what a line search says; for halved steps, 1 and the trials, from a run of 50 steps."""
    if method.name != "armijo-pg":
        return float(getattr(method, "evaluations", 1))
    from pgtheory.run import run

    trail = run(mdp, method, 50, record="all").parameters
    problem = (mdp.transitions, mdp.rewards, mdp.discount, mdp.start)
    lengths = [np.sqrt(method.ascent(params, problem).square) for params in trail[:-1]]
    moved = np.linalg.norm(np.diff(trail, axis=0), axis=(1, 2))
    return 2 + float(np.mean(np.log2(float(method.settings(mdp)[0]) * np.array(lengths) / moved).round()))


@functools.cache
def _evaluations() -> Any:
    """The compiled loop of evaluations: of softmax(logits) where logits are given, else of the policy."""
    import numba

    from pgtheory import kernels

    @numba.njit(nogil=True)
    def loop(transitions, rewards, discount, policy, logits, count):
        total = 0.0
        for _ in range(count):
            present = kernels.softmax(logits) if logits.size > 0 else policy
            values = kernels.policy_values(present, transitions, rewards, discount)
            total += kernels.lookahead(transitions, rewards, discount, values)[0, 0]
        return total

    return loop


def table(rows: list[Cost]) -> object:
    """The costs as a rich table, a method a row, both sizes side by side; what a step does beside an evaluation is said below."""
    from rich import box
    from rich.table import Table

    sizes = list(dict.fromkeys((row.states, row.actions) for row in rows))
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    said = [
        f"evals: policy evaluations, from parameters to V and Q, that a step costs; the goal is {GOAL}, or that times what a step is by definition"
    ]
    said += [
        "k/s: thousand steps a second of CPU time;  plain: how many times faster than the plain numpy step",
        *(f"{chr(97 + k)}: {note}" for k, note in enumerate(notes)),
    ]
    out = Table(title="A step of each method", caption="\n".join(said), caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    out.add_column("method", no_wrap=True)
    for states, actions in sizes:
        for column in (f"S={states}\nA={actions}\nk/s", "\n\nevals", "\n\nplain"):
            out.add_column(column, justify="right", no_wrap=True)
    for name in dict.fromkeys(row.method for row in rows):
        cells, mark = [], ""
        for size in sizes:
            row = next(row for row in rows if row.method == name and (row.states, row.actions) == size)
            many = "" if row.evaluations == 1 else f" x{row.evaluations:.3g}"
            cells += [f"{1e-3 / row.step:,.3g}", f"{row.ratio:.2f}{many}", "-" if np.isnan(row.plain) else f"{row.plain / row.step:,.0f}"]
            mark = f" ({chr(97 + notes.index(row.note))})" if row.note else ""
        out.add_row(name + mark, *cells)
    return out

"""Long certified runs: a theorem about a trajectory, enclosed in balls for a thousand steps and more and judged along the way.

Each named rational instance (a bandit, stay-or-leave, a chain) is run by `pgtheory.policy_gradient.certified.certified_run`, whose radius is
proved, and the statement is judged at every t up to EVERY, at log-spaced t where a run is longer; quantities that look back at all steps see all
of them in any case.  The verdict on a run is `holds` only where every judged inequality is certain.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterable

from mdps.errors import ModelError
from proofs_check.claim import Case
from proofs_check.engine.certify import NOTHING_SAID, Confirmation, certified_horizon, confirm, exact_method_settings
from proofs_check.instance import Instance
from proofs_check.instances import dressed

MODELS = ("arms([1, 0])", "loop(1/2)", "chain(1, 9/10)")
"""Small models on which a thousand steps in balls take a second or two."""
STEPS = 1000
EVERY = 2000
"""Steps up to which every single t is judged: enclosing a run costs more than judging its steps."""


@dataclasses.dataclass(frozen=True)
class LongRun:
    """One certified run: what was judged, and how it came out."""

    name: str
    steps: int
    judged: int
    status: str  # "holds", "violated", "undecided"
    bits: int
    ratio: float | None
    seconds: float
    reason: str = ""
    instance: Instance | None = dataclasses.field(default=None, repr=False)
    outcome: Confirmation | None = dataclasses.field(default=None, repr=False)


def certify_long(
    case: Case, steps: int = STEPS, *, instances: Iterable[Instance] | None = None, every: bool | None = None, seconds: float | None = None
) -> list[LongRun]:
    """Judges a trajectory statement along certified runs of `steps` steps.

    instances  exact ones; by default one of each of `MODELS` that the domain allows
    every      judge every t, or log-spaced ones; by default every t of runs up to EVERY steps.  A form's own horizon, which limits the search and the
               exact instances, does not limit these runs, except where they are in rationals: a method with a rational step, whose numbers swell, and
               no Lipschitz constant, or a statement that balls leave open (equality)
    seconds    begins no further run after that long
    raises     ModelError: the claim has no method to run, or one whose step has no enclosure
    """
    if case.process is None or not hasattr(case.process, "run_arrays"):
        raise ModelError(f"{case.claim} ({case.name}) is no statement about a run of one of our methods")
    out: list[LongRun] = []
    begun = time.perf_counter()
    for instance in named_instances(case) if instances is None else instances:
        if seconds is not None and out and time.perf_counter() - begun > seconds:
            break
        last = steps if _enclosed(case, instance) else certified_horizon(case, instance, steps)
        run = _judged_run(case, instance, last, every)
        if run is not None and run.status == "undecided" and last > (short := certified_horizon(case, instance, steps)):
            run = _judged_run(case, instance, short, every) if getattr(case.process, "rational_step", False) else run
        if run is not None:
            out.append(run)
    return out


def _judged_run(case: Case, instance: Instance, last: int, every: bool | None) -> LongRun | None:
    """One run, judged; None where the statement says nothing on it."""
    clock = time.perf_counter()
    times = judged_times(case, last, last <= EVERY if every is None else every)
    try:
        outcome = confirm(case, instance, times, most_bits=4096)
    except ArithmeticError as error:
        return LongRun(instance.name, last, 0, "undecided", 0, None, time.perf_counter() - clock, str(error), instance)
    if outcome.reason == NOTHING_SAID:
        return None
    spent = time.perf_counter() - clock
    return LongRun(instance.name, last, len(times), outcome.status, outcome.bits, outcome.ratio, spent, outcome.reason, instance, outcome)


def _enclosed(case: Case, instance: Instance) -> bool:
    """Whether the run is one in balls: the step is not rational, or its Lipschitz constant is known."""
    from pgtheory import arithmetic
    from pgtheory.policy_gradient.certified import has_lipschitz

    method = case.process
    if not getattr(method, "rational_step", False):
        return True
    return has_lipschitz(method, instance.mdp(), lambda: method.params_of(arithmetic.balls(instance.policy)), exact_method_settings(case, instance))


def judged_times(case: Case, steps: int, every: bool) -> list[int]:
    """Every t, or 1 2 3 ... on a logarithmic scale with the last one."""
    from pgtheory.run import log_times

    last = steps - 1 if case.statement.over == "pair" else steps
    chosen = range(last + 1) if every else (int(t) for t in log_times(steps) if t <= last)
    return sorted({*chosen, last})


def named_instances(case: Case) -> list[Instance]:
    """One instance of each model that the domain allows: uniform start distributions and policy."""
    from mdps import zoo

    out: list[Instance] = []
    for text in MODELS:
        model = zoo.load(text)
        out.extend(itertools.islice(dressed(case, model), 1))
    return out

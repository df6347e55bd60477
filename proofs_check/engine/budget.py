"""How much work a verification does.  Budgets count instances and steps, never seconds, so that the same seed gives the same figures anywhere.

Two budgets are shared by the forms of a run: `quick` stands for the ladder quick, quick-1, quick-2, quick-3 (`standard` likewise), and a run takes
the first rung that its number of forms allows (`rung`), so that few changed forms are searched as hard as ever and a catalogue of hundreds of forms
still ends within a minute (ten minutes) on two cores.  The rung is part of the key of the evidence.  Evidence of a richer rung serves a poorer one,
never the other way round; a control that survives on a poor rung is tried again on the first one.
"""

from __future__ import annotations

import dataclasses

from mdps.errors import ModelError, nearest


@dataclasses.dataclass(frozen=True)
class Budget:
    """Counts of one form's verification.

    population    instances evaluated together;  generations  rounds of adversarial search at each size
    horizons      steps of the run by number of states (the last entry serves all larger models)
    largest       S * A up to which sizes are searched
    rationals     random rational instances that are certified;  certified_steps  steps of each certified run
    long_runs     certified runs of `long_steps` steps for a statement about a method's run
    draws         replications of each instance of a statement about an expectation or a probability
    stride        of the named instances every one, or every second, ... is looked at
    """

    name: str
    population: int
    generations: int
    horizons: tuple[int, ...]
    largest: int
    rationals: int
    certified_steps: int
    long_runs: int = 0
    long_steps: int = 0
    draws: int = 4000
    stride: int = 1

    def horizon(self, states: int) -> int:
        return self.horizons[min(states, len(self.horizons)) - 1]


BUDGETS = {
    "quick": Budget("quick", 48, 5, (1000, 400, 150, 100), 9, 12, 25, 1, 250, draws=20_000),
    "quick-1": Budget("quick-1", 48, 3, (800, 250, 100, 60), 9, 8, 20, 1, 250, draws=20_000),
    "quick-2": Budget("quick-2", 32, 2, (400, 120, 60, 30), 6, 5, 12, 1, 100, draws=10_000, stride=2),
    "quick-3": Budget("quick-3", 24, 1, (200, 60, 30, 15), 6, 3, 8, 0, 0, draws=10_000, stride=4),
    "standard": Budget("standard", 64, 30, (20_000, 2000, 600, 300), 12, 40, 100, 3, 1000, draws=100_000),
    "standard-1": Budget("standard-1", 64, 20, (8000, 1200, 400, 200), 12, 30, 80, 3, 1000, draws=100_000),
    "standard-2": Budget("standard-2", 64, 12, (4000, 800, 300, 150), 9, 20, 50, 3, 1000, draws=60_000),
    "standard-3": Budget("standard-3", 48, 8, (2000, 600, 200, 120), 9, 12, 40, 2, 1000, draws=40_000),
    "deep": Budget("deep", 128, 120, (50_000, 8000, 2000, 1000), 16, 150, 1000, 3, 4000, draws=1_000_000),
}

SHARED = {
    "quick": (("quick", 100), ("quick-1", 180), ("quick-2", 300), ("quick-3", None)),
    "standard": (("standard", 20), ("standard-1", 60), ("standard-2", 150), ("standard-3", None)),
}
"""Budget -> its rungs, each with the number of forms up to which a run takes it (None: any), from what a form costs on one core: on average
at most 0.6, 0.44 and 0.27 seconds on the first rungs of `quick`.  On the last ones the 1,401 forms of the catalogue take, with the start of the
processes and all machine code known (`time pgtheory verify --fresh --jobs 2 --no-report`), two minutes of one core (`quick`, 0.09 seconds a form)
and at most 16 (`standard`, 0.7 seconds a form, the longest of them minutes)."""


def rungs(full: Budget) -> list[Budget]:
    """The budgets among which a run with this one chooses by its number of forms, the richest first: one for all but the quick budget."""
    if full != BUDGETS.get(full.name) or full.name not in SHARED:
        return [full]
    return [BUDGETS[name] for name, _ in SHARED[full.name]]


def rung(full: Budget, forms: int) -> int:
    """Which of `rungs(full)` a run over that many forms takes."""
    if len(rungs(full)) == 1:
        return 0
    return next(k for k, (_, most) in enumerate(SHARED[full.name]) if most is None or forms <= most)


def richest(poor: Budget) -> Budget:
    """The first rung of the ladder that a budget belongs to; itself where it belongs to none."""
    for name, ladder in SHARED.items():
        if any(poor == BUDGETS[step] for step, _ in ladder):
            return BUDGETS[name]
    return poor


def for_plain_python(full: Budget) -> Budget:
    """The budget for a method in plain Python, whose steps cost a hundred times more."""
    return dataclasses.replace(full, population=8, generations=full.generations // 2, horizons=tuple(min(h, 100) for h in full.horizons), largest=6)


def for_another_bound(full: Budget) -> Budget:
    """The budget with runs at least as long as the standard one's: what a sharper bound claims may fail only after thousands of steps."""
    longest = BUDGETS["standard"].horizons
    return dataclasses.replace(full, horizons=tuple(max(full.horizon(k + 1), steps) for k, steps in enumerate(longest)))


def budget(name: str) -> Budget:
    """The budget of that name; raises ModelError with the known ones."""
    if name not in BUDGETS:
        raise ModelError(f"unknown budget {name!r}; it is one of {', '.join(BUDGETS)}.{nearest(name, list(BUDGETS))}")
    return BUDGETS[name]

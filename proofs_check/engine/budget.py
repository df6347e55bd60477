"""How much work a verification does.  Budgets count instances and steps, never seconds, so that the same seed gives the same figures anywhere."""

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

    def horizon(self, states: int) -> int:
        return self.horizons[min(states, len(self.horizons)) - 1]


BUDGETS = {
    "quick": Budget("quick", 48, 5, (1000, 400, 150, 100), 9, 12, 25, 1, 250),
    "standard": Budget("standard", 64, 30, (20_000, 2000, 600, 300), 12, 40, 100, 3, 1000),
    "deep": Budget("deep", 128, 120, (50_000, 8000, 2000, 1000), 16, 150, 1000, 3, 4000),
}


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

"""The search for a violation: named instances first, then every size from small to large, by random and adversarial instances.

At each size a population of unbounded vectors is decoded into instances of the domain (`Domain.decode`), run as one compiled batch and scored
by log(measured/bound).  The best quarter is kept and varied: each child moves one parent's coordinates, a few or all, by a normal step whose
size is drawn anew, or crosses two parents; a tenth of each generation is fresh.  Small sizes come first because a small counterexample is
worth more, and because on few states a run of thousands of steps costs nothing.  A larger size starts with copies of the worst instances of
smaller ones (`lifted`): states that are copies of one another are what a factor S, or a mismatch coefficient, is there for.

Every instance that fails by more than rounding is handed to `on_candidate`, which shrinks and confirms it; the search ends when it returns a
confirmed refutation.  Random numbers depend on the seed and on the names of claim, form and size only, never on the worker.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from mdps.errors import plural
from proofs_check.claim import Case
from proofs_check.engine.budget import Budget
from proofs_check.engine.measure import Measurement, free_names, measure
from proofs_check.instance import Batch, Instance

Array = np.ndarray
ATTEMPTS = 6
"""Candidates per form that are tried in exact arithmetic before the search stops asking."""

APART = 4.0
"""How far below all others the coordinates of a move lie that leaves its block: far enough for `Domain.decode` to snap it to 0."""


@dataclasses.dataclass
class Found:
    """What a search saw: counts, and the instance that came closest to the bound."""

    instances: int = 0
    silent: int = 0  # the statement said nothing about them
    trivial: int = 0
    horizon: int = 0
    score: float = -np.inf
    ratio: float | None = None
    instance: Instance | None = None
    instance_horizon: int = 0
    candidates: int = 0
    refutation: Any = None
    best: dict[tuple[int, int], Array] = dataclasses.field(default_factory=dict)  # the worst coordinates of each size

    def note(self, batch: Batch, seen: Measurement, horizon: int) -> None:
        """Counts a measured batch and keeps its worst instance."""
        self.instances += int(seen.says.sum())
        self.silent += int((~seen.says).sum())
        self.trivial += int((seen.says & ~seen.informative).sum())
        self.horizon = max(self.horizon, int(seen.times[-1]) if seen.times.size else 0)
        scores = np.where(seen.informative, seen.scores(), -np.inf)
        k = int(scores.argmax())
        if scores[k] > self.score:
            self.score, self.instance, self.instance_horizon = float(scores[k]), batch[k], horizon
            if seen.ratio is not None:
                self.ratio = float(np.exp(scores[k]))


def generator(seed: int, *names: object) -> np.random.Generator:
    """A generator that depends on the seed and the names only."""
    words = hashlib.sha256(repr(names).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(words[:16], dtype=np.uint32).tolist()])


def search(
    case: Case,
    budget: Budget,
    seed: int,
    on_candidate: Callable[[Instance, Measurement, int, int], Any],
    named: Iterable[Instance] = (),
    progress: Callable[[str], None] = lambda text: None,
    climb: bool = True,
) -> Found:
    """Searches the domain of `case` (only the named instances with climb=False).

    on_candidate   (instance, measurement, position in it, horizon) -> a refutation, or None
    """
    found = Found()
    later: list[tuple[Batch, int]] = []
    progress("named instances")
    for batch in by_shape(named):
        horizon = budget.horizon(batch.rewards.shape[1])
        if batch.rewards[0].size > budget.largest:
            later.append((batch, horizon))
        elif _look(case, batch, horizon, found, on_candidate) is not None:
            return found
    for states, actions in case.domain.sizes() if climb else ():
        if states * actions > budget.largest and (states, actions) != case.domain.sizes()[0]:
            continue
        progress(f"{plural(states, 'state')}, {plural(actions, 'action')}")
        if _climb(case, states, actions, budget, seed, found, on_candidate) is not None:
            return found
    for batch, horizon in later:
        progress(f"named instances with {batch.rewards.shape[1]} states")
        if _look(case, batch, horizon, found, on_candidate) is not None:
            return found
    return found


_STACKED: dict[tuple[int, ...], tuple[list[Instance], list[Batch]]] = {}
"""Batches of the last few lists of named instances, by the identities of the instances, which are kept so that none of them is used again."""
_MOST_STACKED = 8


def by_shape(instances: Iterable[Instance]) -> list[Batch]:
    """Instances stacked into batches of one shape, small shapes first; the forms and controls of a claim share most of them."""
    listed = list(instances)
    key = tuple(map(id, listed))
    if key not in _STACKED:
        groups: dict[tuple[int, int], list[Instance]] = {}
        for instance in listed:
            groups.setdefault(instance.shape, []).append(instance.as_float())
        while len(_STACKED) >= _MOST_STACKED:
            del _STACKED[next(iter(_STACKED))]
        _STACKED[key] = (listed, [Batch.of(groups[shape]) for shape in sorted(groups, key=lambda s: (s[0] * s[1], s))])
    return _STACKED[key][1]


def _look(case: Case, batch: Batch, horizon: int, found: Found, on_candidate: Callable[..., Any]) -> Any:
    seen = measure(case, batch, horizon)
    found.note(batch, seen, horizon)
    _try_candidates(batch, seen, horizon, found, on_candidate)
    return found.refutation


def _try_candidates(batch: Batch, seen: Measurement, horizon: int, found: Found, on_candidate: Callable[..., Any]) -> None:
    scores = seen.scores()
    failing = np.flatnonzero(seen.candidates())
    for k in failing[np.argsort(-scores[failing], kind="stable")][:2]:
        if found.refutation is not None or found.candidates >= ATTEMPTS:
            return
        found.candidates += 1
        found.refutation = on_candidate(batch[int(k)], seen, int(k), horizon)


def _climb(case: Case, states: int, actions: int, budget: Budget, seed: int, found: Found, on_candidate: Callable[..., Any]) -> Any:
    rng = generator(seed, case.claim, case.name, states, actions)
    free = len(free_names(case))
    size = case.domain.length(states, actions, free)
    horizon = budget.horizon(states)
    population = rng.standard_normal((budget.population, size)) * rng.choice([0.3, 1.0, 3.0], (budget.population, 1))
    extras = case.domain.extras
    seeds = [lifted(found.best[small], *small, states, actions, extras) for small in found.best if small[0] <= states and small[1] <= actions]
    for k, vector in enumerate(seeds[-budget.population // 4 :]):
        population[-1 - k] = vector
    elite, merit = np.empty((0, size)), np.empty(0)
    for generation in range(budget.generations + 1):
        population = population if generation == 0 else _children(rng, elite, budget.population)
        batch = case.domain.decode(population, states, actions, case.settings)
        seen = measure(case, batch, horizon)
        found.note(batch, seen, horizon)
        _try_candidates(batch, seen, horizon, found, on_candidate)
        if found.refutation is not None:
            return found.refutation
        elite, merit = np.concatenate([elite, population]), np.concatenate([merit, seen.scores()])
        order = np.argsort(-merit, kind="stable")[: budget.population // 4]
        elite, merit = elite[order], merit[order]
    found.best[states, actions] = elite[0]
    return None


def lifted(vector: Array, states: int, actions: int, more_states: int, more_actions: int, extras: Any = ()) -> Array:
    """Coordinates of a larger instance made of copies: state s is a copy of state s mod `states`, in a block of its own that it does not leave
    (the last block, where it is not whole, leads to the first), and action a of action a mod `actions`."""
    pairs = states * actions
    sizes = [extra.size(states, actions) for _, extra in extras]
    cut = np.cumsum([pairs * states, pairs, pairs, pairs, states, states, *sizes])
    moves, pay, act, act2, first, second, *further, rest = np.split(vector, cut)
    s, a = np.arange(more_states) % states, np.arange(more_actions) % actions
    block = np.arange(more_states) // states
    whole = (block + 1) * states <= more_states
    home = np.where(whole, block, 0)
    stays = home[:, None] == block[None, :]
    spread = moves.reshape(states, actions, states)[s[:, None, None], a[None, :, None], s[None, None, :]]
    spread = np.where(stays[:, None, :], spread, spread.min() - APART)
    tables = [table.reshape(states, actions)[s[:, None], a].reshape(-1) for table in (pay, act, act2)]
    for (_, extra), part in zip(extras, further, strict=True):
        places = [s if axis == "S" else a if axis == "A" else np.arange(int(axis)) for axis in extra.axes]
        table = part.reshape(extra.shape(states, actions))
        tables.append(table[np.ix_(*places)].reshape(-1) if places else part)
    extra_tables = tables[3:]
    return np.concatenate([spread.reshape(-1), *tables[:3], first[s], second[s], *extra_tables, rest])


def _children(rng: np.random.Generator, elite: Array, count: int) -> Array:
    """The next generation: moved copies of the elite, crossings, and a tenth of newcomers."""
    size = elite.shape[1]
    parents = elite[rng.integers(0, len(elite), count)]
    mates = elite[rng.integers(0, len(elite), count)]
    crossed = np.where(rng.random((count, size)) < 0.5, mates, parents)
    children = np.where(rng.random((count, 1)) < 0.3, crossed, parents)
    few = rng.random((count, size)) < rng.choice([2.0 / size, 0.2, 1.0], (count, 1))
    step = rng.choice([0.02, 0.1, 0.4, 1.5], (count, 1))
    children = children + few * step * rng.standard_normal((count, size))
    fresh = rng.random(count) < 0.1
    children[fresh] = rng.standard_normal((int(fresh.sum()), size)) * rng.choice([0.3, 1.0, 3.0], (int(fresh.sum()), 1))
    return children

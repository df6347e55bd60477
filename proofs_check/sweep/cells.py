"""The cells of a sweep: what is computed for a block of seeds, and the key under which the store keeps it.

A cell is one run: (instance, method, step size, seed).  A `Series` is all cells that differ in the seed only; a `Block` is some of its runs that
follow each other, the unit of work and of storage.  Run r draws from streams of its own number, so a cell has the same figures in any block, on any
worker, after any interruption; blocks are as large as fits into about a second and 32 MB, which is tens of thousands of runs on a small bandit.

The key of a series is a digest of the numbers of its model, the method with its settings, the seed, what is recorded, and the sources that
compute it: change one of these and it is computed anew; ask for more seeds and only those are.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import pkgutil
import re
import time
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.model import MDP

Array = np.ndarray
SECONDS_A_BLOCK = 1.0
"""What a block should take: so much is lost where a worker is killed."""
ENTRIES_A_BLOCK = 2**22
"""Matrix entries of all recorded policies of a block (runs x records x states^2): 32 MB."""
SCHEMA = "pgtheory-sweep-1"
GRADIENTS = {"reinforce": False, "reward-to-go": False, "sampled-npg": True}
"""Methods that a bandit with drawn rewards knows as softmax gradients, and whether the gradient is the natural one."""


@dataclasses.dataclass(frozen=True)
class Series:
    """All cells of a grid that differ in the seed only.

    model    an MDP or a `pgtheory.sampling.Bandit`;  method, step  as on the command line (step None: the method takes none, or has its own)
    seeds    number of replications: 1 for a method without randomness"""

    instance: str
    model: Any
    method: str
    step: str | None
    seeds: int
    steps: int
    samples: int
    horizon: int
    seed: int
    start: str

    @property
    def name(self) -> str:
        return self.method.split(":")[0].strip()

    @property
    def label(self) -> str:
        """'reinforce, step size 1/4'."""
        return self.method + (f", step size {self.step}" if self.step is not None else "")

    @property
    def sampled(self) -> bool:
        return self.name in sampled_names()

    @functools.cached_property
    def shelf(self) -> str:
        """Under which the store keeps the blocks of this series."""
        model = self.model.digest() if isinstance(self.model, MDP) else [self.model.rewards.tolist(), self.model.probabilities.tolist()]
        drawn = [self.samples, self.horizon, self.seed] if self.sampled else [self.seed if self.start == "random" else 0, self.start]
        asked = json.dumps([SCHEMA, model, self.method, self.step, self.settings(), self.steps, drawn, sources_of(self)])
        return "sweep " + hashlib.sha256(asked.encode()).hexdigest()[:32]

    def settings(self) -> str:
        """The method with all its settings as text."""
        rule = self.rule()
        return re.sub(r" at 0x[0-9a-f]+", "", repr(rule[1] if self.sampled else rule))

    def rule(self) -> Any:
        """(offer, settings) of a sampled method, or the exact method.  raises  ModelError: unknown name or setting, a setting that is missing"""
        return rule_of(self.method, self.step)

    def blocks(self, wanted: Array) -> list[Block]:
        """Blocks that cover the runs `wanted` (increasing numbers)."""
        most, out = self.most_runs(), list[Block]()
        for part in np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1):
            out += [Block(self, int(part[k]), min(most, part.size - k), sources_of(self)) for k in range(0, part.size, most)]
        return out

    def most_runs(self) -> int:
        """Runs of a block."""
        records = recorded(self.steps).size
        states = self.model.num_states if isinstance(self.model, MDP) else 1
        kept = ENTRIES_A_BLOCK // (records * states**2)
        return max(1, min(kept, int(SECONDS_A_BLOCK / self.cost())))

    def cost(self) -> float:
        """Seconds of one run, roughly: only the sizes of blocks and the time left depend on it."""
        if not isinstance(self.model, MDP):
            return 1e-7 * self.steps * self.samples + 1e-5
        entries = self.model.num_states**2 * self.model.num_actions
        if not self.sampled:
            return 0.02 + self.steps * (1e-6 + 2e-9 * self.model.num_states * entries)
        drawn = 2e-8 * self.samples * self.horizon
        if self.name in GRADIENTS and self._compiled():
            solved = 1e-9 * self.model.num_states**3 if GRADIENTS[self.name] else 0.0
            return 1e-5 + self.steps * (1e-7 + drawn + 2e-8 * entries + solved)
        return 1e-3 + self.steps * (5e-4 + drawn * (1 + self.model.num_states * self.model.num_actions / 4))

    def _compiled(self) -> bool:
        from pgtheory.sampling.replications import MOST_ENTRIES

        return self.model.num_states**2 * self.model.num_actions <= MOST_ENTRIES


@dataclasses.dataclass(frozen=True)
class Block:
    """Runs first .. first + count - 1 of a series: one job, one record of the store."""

    series: Series
    first: int
    count: int
    sources: str

    def __str__(self) -> str:
        return f"{self.series.instance}: {self.series.label}, seeds {self.first} to {self.first + self.count - 1}"

    @property
    def key(self) -> str:
        return f"{self.series.shelf} {self.first} {self.count}"

    def cost(self) -> float:
        return self.count * self.series.cost()


@dataclasses.dataclass(frozen=True)
class Figures:
    """What `count` runs passed through at R recorded iterations.

    times (R,);  gaps (count, R) V*(start) - V(start), exactly evaluated;  regret (count, R) on bandits, of all pulls so far, else None
    drawn (R,) what all these runs have drawn so far (paths, pulls, ...: `unit`), 0 for an exact method;  seconds  that it took"""

    first: int
    times: Array
    gaps: Array
    regret: Array | None
    drawn: Array
    unit: str
    seconds: float


def rule_of(method: str, step: str | None) -> Any:
    """The method of that text: (offer, settings) if it is sampled, else an exact one."""
    from proofs_check.cli.runs import methods_in
    from proofs_check.cli.sampled_methods import chosen

    if method.split(":")[0].strip() in sampled_names():
        return chosen(method, {"step_size": step})
    return methods_in(method, {} if step is None else {"step_size": step})[method]


def takes_step(method: str) -> bool:
    """Whether --step-size is for this method: it has one, and none is written at its name.  raises  ModelError: an unknown name (the nearest)"""
    from pgtheory.policy_gradient import NAMES
    from proofs_check.cli.runs import fields_of
    from proofs_check.cli.sampled_methods import OFFERS

    name, *own = (part.strip() for part in method.split(":"))
    if name not in OFFERS and name not in NAMES:
        from pgtheory.online.names import NAMES as LEARNERS_OF_EPISODES

        if name in LEARNERS_OF_EPISODES:
            raise ModelError(f"{name} learns in episodes, which sweeps do not: pgtheory run MODEL --method {name} --episodes K --horizon H --runs N")
        near = nearest(name, [*OFFERS, *NAMES])
        raise ModelError(f"unknown method {name!r}.{near} Sweeps take the exact and the sampled methods of `pgtheory run MODEL --method ?`")
    has = "step-size" in OFFERS[name].settings if name in OFFERS else "step_size" in fields_of(name)
    return has and not any(setting.replace("_", "-").startswith("step-size=") for setting in own)


def recorded(steps: int) -> Array:
    """Iterations at which a cell is kept: 0, 1, then two an octave, and the last."""
    spaced = np.round(2 ** (np.arange(2 * int(steps).bit_length() + 1) / 2)).astype(np.int64)
    return np.unique(np.concatenate([[0, steps], spaced[spaced < steps]]))


def sampled_names() -> list[str]:
    """Names of the methods that draw random numbers."""
    from proofs_check.cli.sampled_methods import OFFERS

    return list(OFFERS)


@functools.cache
def _digest(modules: tuple[str, ...]) -> str:
    from pgtheory.sources import compiler, digest_of

    return digest_of(modules, compiler(), ("mdps.*", "proofs_check.cli.*"))


def sources_of(series: Series) -> str:
    """Digest of the sources that compute this series."""
    from pgtheory import sampling

    own = ("proofs_check.sweep.cells", "proofs_check.cli.sampled_methods", "pgtheory.run")
    if series.sampled:
        return _digest((*own, *(f"pgtheory.sampling.{module.name}" for module in pkgutil.iter_modules(sampling.__path__))))
    return _digest((*own[:1], own[2], type(series.rule()).__module__))


def carry_out(block: Block) -> dict[str, Any]:
    """The record of a block, in a worker.  raises  ModelError: its sources are not those of who asks"""
    from proofs_check.engine import schedule

    if not schedule.same_files() and sources_of(block.series) != block.sources:
        raise ModelError("a worker has other sources than this process. Give all workers the same version")
    return payload(block, figures(block.series, block.first, block.count))


def figures(series: Series, first: int, count: int) -> Figures:
    """Runs first .. first + count - 1 of a series.  raises  ModelError: names the instance and the method"""
    begun = time.perf_counter()
    try:
        found = _sampled(series, first, count) if series.sampled else _exact(series, first, count)
    except ModelError as error:
        raise ModelError(f"{series.instance}, {series.label}: {error}") from error
    if not np.isfinite(found.gaps).all():
        run, record = np.argwhere(~np.isfinite(found.gaps))[0]
        raise ModelError(f"{series.instance}, {series.label}: the gap of seed {first + run} is not finite at step {found.times[record]}")
    return dataclasses.replace(found, seconds=time.perf_counter() - begun)


def _sampled(series: Series, first: int, count: int) -> Figures:
    from proofs_check.cli.sampled_methods import LEARNERS, Sampling, pulled

    offer, settings = series.rule()
    sampling = Sampling(series.samples, count, series.horizon, series.seed, first, recorded(series.steps))
    if isinstance(series.model, MDP):
        found = offer.run(series.model, settings, series.steps, sampling, series.horizon)
    else:
        from pgtheory.sampling import SoftmaxGradient

        natural = GRADIENTS.get(series.name)
        learner = LEARNERS[series.name](settings) if natural is None else SoftmaxGradient(settings["step-size"], natural=natural)
        found = pulled(learner, series.model, series.steps, sampling)
    drawn = np.rint(np.asarray(found.drawn, dtype=np.float64) * count)  # of the whole block: whole numbers, which add up the same in any blocks
    return Figures(first, np.asarray(found.times), found.gaps, found.regret, drawn, found.unit, 0.0)


def _exact(series: Series, first: int, count: int) -> Figures:
    """Exact gradients: run r differs from the others in its first policy only."""
    from pgtheory.run import run
    from pgtheory.sampling.replications import is_bandit

    model, times = series.model, recorded(series.steps)
    if not isinstance(model, MDP):  # the gradient knows the means
        model = MDP(np.ones((1, model.means.size, 1)), model.means[None], 0.0)
    bandit = is_bandit(model)
    gaps, regret = np.empty((count, times.size)), np.zeros((count, times.size)) if bandit else None
    for k in range(count):
        initial = f"random:{series.seed + first + k}" if series.start == "random" else series.start
        gap = run(model, series.rule(), series.steps, "all" if bandit else times, initial).gap()
        gaps[k] = gap[times] if bandit else gap
        if regret is not None:
            regret[k] = np.concatenate([[0.0], np.cumsum(gap)])[times] * series.samples
    return Figures(first, times, gaps, regret, np.zeros(times.size), "", 0.0)


# Records


def payload(block: Block, found: Figures) -> dict[str, Any]:
    """The record of a block: what was asked for in words, and every figure to its last bit."""
    series = block.series
    return {
        "schema": SCHEMA, "instance": series.instance, "method": series.label, "seed": series.seed, "steps": series.steps, "samples": series.samples,
        "horizon": series.horizon, "first": found.first, "count": len(found.gaps), "unit": found.unit, "seconds": found.seconds,
        "times": found.times.tolist(), "drawn": found.drawn.tolist(), "gaps": packed(found.gaps),
        "regret": None if found.regret is None else packed(found.regret),
    }  # fmt: skip


def unpack(data: dict[str, Any]) -> Figures:
    """The figures of a record."""
    shape = (data["count"], len(data["times"]))
    regret = None if data["regret"] is None else unpacked(data["regret"], shape)
    times, drawn = np.array(data["times"], dtype=np.int64), np.array(data["drawn"], dtype=np.float64)
    return Figures(data["first"], times, unpacked(data["gaps"], shape), regret, drawn, data["unit"], data["seconds"])


def packed(values: Array) -> str:
    """Floats as text, all bits kept (little-endian, base64)."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode("ascii")


def unpacked(text: str, shape: tuple[int, ...]) -> Array:
    """What `packed` was given."""
    return np.frombuffer(base64.b64decode(text), dtype="<f8").reshape(shape).astype(np.float64)

"""Repeated retraining on a gridworld whose followers answer: Mandal, Triantafyllou and Radanovic (2023).

A principal steers through an 8 x 8 gridworld; 50 followers, each of whom believes in another version of it, take over by the softmax (beta) of what
that is worth to them on average (`pgtheory.performative.shared_control`).  Each round the principal retrains against the present answer, with lam / 2
|d|^2 taken off the reward of the occupancy d.  Compared with the released figures: the relative change |d_{t+1} - d_t| / |d_t| and the reward of d.

Repeated optimisation for four regularisers and three followers' betas, repeated gradient ascent for three step sizes, and answers estimated from
trajectories.  `python -m experiments.performative_gridworld --full` takes more rounds, seeds and trajectories.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.findings import Finding, Outcome, report
from pgtheory.performative import Path, repeated_gradient_ascent, repeated_optimisation, unrest
from pgtheory.performative.shared_control import SharedControl, from_json
from proofs_check.plots import INK, SERIES

Array = np.ndarray
DATA = pathlib.Path(__file__).with_name("data") / "performative_gridworld.json"
SOURCE = "Mandal, Triantafyllou, Radanovic (2023), experiments"
WEIGHTS = ("0.2", "0.5", "1.0", "5.0")
BETA = 10.0
STEEP = 200.0
STEPS = (0.1, 0.5, 1.0)
AGREES = 0.02
"""Relative difference up to which a change counts as the released one: they were made by a conic solver, ours by the exact dual."""
CONIC = 1e-8
"""Tolerance of the conic solver."""
VISIBLE = 1e-6
"""Released changes below this are the noise of that solver."""


@dataclasses.dataclass(frozen=True)
class Size:
    """Rounds of exact retraining, rounds with the conic solver, numbers of trajectories, seeds."""

    rounds: int
    conic_rounds: int
    samples: tuple[int, ...]
    seeds: int


QUICK = Size(14, 4, (20, 2000), 2)
FULL = Size(40, 40, (20, 100, 500, 2000), 20)


def _against(path: Path, released: dict[str, float]) -> float:
    """Largest relative difference from the released changes that are not noise, over the rounds that were run."""
    rounds = [k for k in released if int(k) <= len(path.changes) and released[k] > VISIBLE]
    return max(abs(path.changes[int(k) - 1] / released[k] - 1) for k in rounds)


def _optimise(world: SharedControl, weight: float, rounds: int, **more: Any) -> Path:
    return repeated_optimisation(world.model(), weight, rounds, world.first_policy(), **more)


def experiment(size: Size = QUICK) -> Outcome:
    data = json.loads(DATA.read_text())
    results = data["results"]
    rows: list[list[Any]] = []
    found: list[Finding] = []
    curves: dict[str, Array] = {}
    world = from_json(data, BETA)
    paths = {}
    for name in WEIGHTS:
        paths[name] = _optimise(world, float(name), size.rounds)
        curves[f"optimisation, lam = {name}"] = paths[name].changes
        off = _against(paths[name], results[name]["relative_change"])
        reward = abs(paths[name].rewards[9] - results[name]["reward_of_d"]["10"])
        fact = f"lam = {name}, beta = {BETA:g}: changes and reward of the released run"
        said = f"changes off by at most {off:.1e} of themselves, the reward of round 10 by {reward:.1e}"
        found.append(Finding(SOURCE, fact, said, off < AGREES and reward < 1e-4))
    last = [float(paths[name].changes[-1]) for name in WEIGHTS]
    found.append(
        Finding(
            SOURCE, "repeated optimisation converges for every regulariser tried", f"last changes {_list(last)} after {size.rounds} rounds",
            max(last) < 1e-3,
        )
    )  # fmt: skip
    factors = [float(paths[name].factors[4:9].mean()) for name in WEIGHTS]
    said = f"mean factor of rounds 6 to 10: {_list(factors)} for lam {' '.join(WEIGHTS)}"
    found.append(Finding(SOURCE, "(ours) where transitions answer, a larger regulariser does not speed convergence", said, factors[0] < factors[-1]))
    rewards = [float(paths[name].rewards[-1]) for name in WEIGHTS]
    found.append(
        Finding(
            SOURCE, "a larger regulariser costs reward at the stable point", f"rewards {_list(rewards)}", bool(np.all(np.diff(rewards) < 0))
        )
    )  # fmt: skip
    found += _followers(data, size, curves)
    found += _ascent(world, paths["1.0"], size, curves)
    found += _sampled(world, paths["1.0"], size, rows)
    rows += [[name, t + 1, float(change)] for name, changes in curves.items() for t, change in enumerate(changes)]
    return Outcome(("run", "round", "relative change"), rows, _picture(curves), found)


def _list(values: list[float]) -> str:
    return " ".join(f"{x:.3g}" for x in values)


def _followers(data: dict[str, Any], size: Size, curves: dict[str, Array]) -> list[Finding]:
    """Followers who answer mildly (beta 1) and steeply (beta 200)."""
    mild = _optimise(from_json(data, 1.0), 1.0, size.rounds)
    off = _against(mild, data["results"]["beta=1.0,lambda=1"]["relative_change"])
    found = [Finding(SOURCE, "beta = 1: changes of the released run", f"off by at most {off:.1e} of themselves", off < AGREES)]
    world, released = from_json(data, STEEP), data["results"]["beta=200.0,lambda=1"]["relative_change"]
    conic = _optimise(world, 1.0, size.conic_rounds, solver="program")
    exact = _optimise(world, 1.0, size.rounds)
    curves["optimisation, beta = 1"], curves["optimisation, beta = 200"] = mild.changes, exact.changes
    off = _against(conic, released)
    found.append(
        Finding(
            SOURCE, f"beta = {STEEP:g}: changes of the released run, with the same solver (Clarabel)",
            f"off by at most {off:.1e} of themselves in {size.conic_rounds} rounds", off < AGREES,
        )
    )  # fmt: skip
    apart = float(np.abs(exact.changes[: size.conic_rounds] / conic.changes - 1).max())
    said = f"exact maximisers go another way: changes differ by up to {apart:.0%}, and the last of {size.rounds} is {exact.changes[-1]:.1e}"
    fact = "(ours) followers this steep answer the rounding of the solver: the released run is not that of exact retraining, which has not settled"
    found.append(Finding(SOURCE, fact, said, apart > 1000 * CONIC and exact.changes[-1] > 1e-4))
    slower = mild.factors[:5].mean() < exact.factors[:5].mean()
    said = f"mean factor of the first rounds {mild.factors[:5].mean():.3f} for beta 1, {exact.factors[:5].mean():.3f} for beta {STEEP:g}"
    return [*found, Finding(SOURCE, "the steeper the answer, the slower the convergence", said, bool(slower))]


def _ascent(world: SharedControl, optimised: Path, size: Size, curves: dict[str, Array]) -> list[Finding]:
    """Repeated gradient ascent: step size 1 / lam is repeated optimisation, smaller steps take longer."""
    stable, ends = optimised.occupancies[-1], []
    for step in STEPS:
        path = repeated_gradient_ascent(world.model(), 1.0, step, size.rounds, world.first_policy())
        curves[f"gradient ascent, eta = {step}"] = path.changes
        ends.append(float(np.linalg.norm(path.occupancies[-1] - stable) / np.linalg.norm(stable)))
    rest = unrest(world.model(), 1.0, stable)
    falling = bool(np.all(np.diff(ends) < 0))
    said = f"relative distance from the point of repeated optimisation {_list(ends)} for eta {_list(list(STEPS))}; that point moves by {rest:.1e}"
    return [Finding(SOURCE, "repeated gradient ascent goes to the same stable point, faster with larger steps up to 1 / lam", said, falling)]


def _sampled(world: SharedControl, optimised: Path, size: Size, rows: list[list[Any]]) -> list[Finding]:
    """Answers that are estimated: how far from the stable occupancy the last rounds stay."""
    stable, far = optimised.occupancies[-1], []
    for samples in size.samples:
        ends = []
        for seed in range(size.seeds):
            path = _optimise(world, 1.0, 8, samples=samples, seed=seed)
            ends.append(np.mean([np.linalg.norm(d - stable) for d in path.occupancies[-4:]]) / np.linalg.norm(stable))
        far.append(float(np.mean(ends)))
        rows.append([f"{samples} trajectories, distance from the stable occupancy", 8, far[-1]])
    said = f"mean relative distance {_list(far)} for {_list(list(map(float, size.samples)))} trajectories a round"
    return [Finding(SOURCE, "with estimated answers retraining stays away, the less the more trajectories it sees", said, far[-1] < far[0])]


def _picture(curves: dict[str, Array]) -> Figure:
    figure = Figure(figsize=(9.0, 3.8), constrained_layout=True)
    left, right = figure.subplots(1, 2)
    groups = ((left, "lam", "repeated optimisation, beta 10"), (right, ("eta", "beta"), "gradient ascent; milder and steeper followers"))
    for ax, keys, title in groups:
        shown = [name for name in curves if any(key in name.split(",")[1] for key in ([keys] if isinstance(keys, str) else keys))]
        for k, name in enumerate(shown):
            style = "-" if name.startswith("optimisation") else "--"
            ax.plot(np.arange(1, len(curves[name]) + 1), np.maximum(curves[name], 1e-16), style, color=SERIES[k % len(SERIES)], label=name)
        ax.set_yscale("log")
        ax.set_xlabel("round", color=INK)
        ax.set_title(f"relative change: {title}", loc="left", color=INK, fontsize=9)
        ax.legend(frameon=False, fontsize=7)
    return figure


if __name__ == "__main__":
    chosen = FULL if "--full" in sys.argv else QUICK
    sys.exit(report("performative_gridworld", lambda: experiment(chosen), [word for word in sys.argv[1:] if word != "--full"]))

"""`pgtheory run` with sampled methods: many runs of each, their gaps as mean and quantiles, beside the exact gradient's."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError, plural
from proofs_check.cli.models import check_ending, checked_discount, number_in, write_arrays
from proofs_check.cli.output import line, print_json, say, table
from proofs_check.cli.runs import PICTURES, methods_in
from proofs_check.files import write_whole

Array = np.ndarray
LEVELS = (0.05, 0.95)
"""Quantiles of the band."""


@dataclasses.dataclass(frozen=True)
class Sampling:
    """What the command says about sampling.

    samples  paths of a step;  runs  independent runs;  horizon  steps of a path (by default until the discount leaves 1/100);  seed"""

    samples: int
    runs: int
    horizon: int | None
    seed: int


@dataclasses.dataclass(frozen=True)
class Band:
    """Gaps of one method: mean and quantiles over its runs (one run, for an exact method)."""

    label: str
    times: Array
    gaps: Array
    paths: Array | None

    @property
    def mean(self) -> Array:
        return np.asarray(self.gaps.mean(axis=0))

    @property
    def low(self) -> Array:
        return np.asarray(np.quantile(self.gaps, LEVELS[0], axis=0))

    @property
    def high(self) -> Array:
        return np.asarray(np.quantile(self.gaps, LEVELS[1], axis=0))


def _rules() -> dict[str, Callable[[Any, int], tuple[Any, str]]]:
    """name -> (estimator, paths a step) -> (direction, update)."""
    from pgtheory.sampling import Anchored, Fresh, HessianAided, Momentum, Page, Reinforce, Transported

    return {
        "reinforce": lambda e, n: (Fresh(Reinforce(e.horizon), n), "plain"),
        "reward-to-go": lambda e, n: (Fresh(e, n), "plain"),
        "sampled-npg": lambda e, n: (Fresh(e, n), "natural"),
        "storm-pg": lambda e, n: (Momentum(e, n), "plain"),
        "n-storm-pg": lambda e, n: (Momentum(e, n), "normalised"),
        "n-pg-igt": lambda e, n: (Transported(e, n), "normalised"),
        "harpg": lambda e, n: (HessianAided(e, n), "plain"),
        "n-harpg": lambda e, n: (HessianAided(e, n), "normalised"),
        "page-pg": lambda e, n: (Page(e, n, large=10 * n), "plain"),
        "svrpg": lambda e, n: (Anchored(e, n, large=10 * n), "plain"),
    }


NAMES = ("reinforce", "reward-to-go", "sampled-npg", "storm-pg", "n-storm-pg", "n-pg-igt", "harpg", "n-harpg", "page-pg", "svrpg")
SETTINGS = ("step-size", "weight")
"""Step size eta > 0; weight of a fresh batch in a momentum, in (0, 1]."""


def is_sampled(part: str) -> bool:
    """Whether a part of --method names a sampled method."""
    return part.split(":")[0].strip() in NAMES


def sampled_method(part: str, options: dict[str, str | None], sampling: Sampling, horizon: int) -> Any:
    """The method of "name:step-size=0.1:weight=0.2".  raises ModelError: a setting that it does not have, or no step size"""
    from pgtheory.sampling import RewardToGo, StochasticPG

    name, *own = part.split(":")
    given = {key: text for key, text in options.items() if text is not None}
    settings: dict[str, float] = {}
    if "step_size" in given:
        settings["step-size"] = float(number_in(given["step_size"], "--step-size"))
    direction, update = _rules()[name](RewardToGo(horizon), sampling.samples)
    for setting in own:
        key, found, value = setting.partition("=")
        if not found or key not in SETTINGS or (key == "weight" and not hasattr(direction, "weight")):
            allowed = ", ".join(k for k in SETTINGS if k != "weight" or hasattr(direction, "weight"))
            raise ModelError(f"{part}: {name} takes {allowed}, not {key!r}")
        settings[key] = float(number_in(value, key))
    if "weight" in settings:
        direction = dataclasses.replace(direction, weight=settings["weight"])
    if "step-size" not in settings:
        raise ModelError(f"{name} needs --step-size, for example --step-size 0.1")
    return StochasticPG(direction, settings["step-size"], update)


def run_sampled_methods(
    spec: str,
    names: str,
    options: dict[str, str | None],
    iterations: int,
    sampling: Sampling,
    *,
    discount: str | None,
    plot: Path | None,
    as_json: bool,
    out: Path | None,
    trail: Path | None,
) -> int:
    """Runs sampled and exact methods on MODEL from the uniform policy, prints and writes what was asked for."""
    from mdps.io import load_model
    from pgtheory.run import run
    from pgtheory.sampling import run_sampled

    check_ending(out, (".npz",))
    check_ending(plot, PICTURES)
    check_ending(trail, (".csv",))
    parts = list(dict.fromkeys(part.strip() for part in names.split(",") if part.strip()))
    mdp = load_model(spec, discount=checked_discount(discount))
    horizon = sampling.horizon or effective_horizon(float(mdp.discount))
    exact = [part for part in parts if not is_sampled(part)]
    strange = [key for key, text in options.items() if text is not None and key != "step_size"]
    if strange and not exact:
        raise ModelError(f"no method here has --{strange[0].replace('_', '-')}: sampled methods take --step-size")
    methods = {part: sampled_method(part, options, sampling, horizon) for part in parts if is_sampled(part)}
    others = methods_in(",".join(exact), options) if exact else {}
    bands = []
    for part in parts:
        if part in others:
            trajectory = run(mdp, others[part], iterations)
            bands.append(Band(part, trajectory.times, trajectory.gap()[None], None))
            continue
        say(f"{part}: {plural(sampling.runs, 'run')} of {plural(iterations, 'step')}, {plural(sampling.samples, 'path')} of {horizon} a step ...")
        runs = run_sampled(mdp, methods[part], iterations, sampling.runs, sampling.seed)
        bands.append(Band(part, runs.times, runs.gaps(), runs.paths.mean(axis=0)))
    command = (
        f"pgtheory run {spec} --method {names} --iterations {iterations} --samples {sampling.samples} --runs {sampling.runs} --seed {sampling.seed}"
    )
    if out is not None:
        write_arrays(out, **{f"{key}:{band.label}": getattr(band, key) for band in bands for key in ("times", "gaps")})
    if trail is not None:
        write_whole(trail, as_csv(bands))
    if plot is not None:
        write_plot(bands, plot, command)
    if as_json:
        print_json({"model": spec, "command": command, "horizon": horizon, "levels": LEVELS, "runs": [as_data(band) for band in bands]})
        return 0
    line(f" {spec}: {plural(mdp.num_states, 'state')}, {plural(mdp.num_actions, 'action')}, discount {float(mdp.discount):g}")
    each = f"{plural(sampling.samples, 'path')} of {horizon} a step, seed {sampling.seed}"
    line(f" {plural(sampling.runs, 'run')} of {plural(iterations, 'step')} each, {each}")
    line()
    rows = [
        (
            band.label, f"{max(band.mean[-1], 0.0):.4g}", "" if band.paths is None else f"{band.low[-1]:.4g} .. {band.high[-1]:.4g}",
            "exact" if band.paths is None else f"{band.paths[-1]:,.0f}",
        )
        for band in bands
    ]  # fmt: skip
    table(("method", "mean gap at the end", "5% .. 95% of the runs", "paths a run"), rows, right=(1, 3))
    for what, path in (("plot", plot), ("written", out), ("written", trail)):
        if path is not None:
            line(f" {what}: {path}")
    return 0


def effective_horizon(discount: float) -> int:
    """The least H with discount^H <= 1/100, at most 1,000."""
    return 1 if discount <= 0.01 else min(1000, int(np.ceil(np.log(100) / -np.log(discount))))


def as_csv(bands: list[Band]) -> str:
    """method, t, mean gap, the two quantiles and the paths drawn, one row a record."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", "t", "mean gap", "5% gap", "95% gap", "paths"])
    for band in bands:
        for k, t in enumerate(band.times.tolist()):
            drawn = "" if band.paths is None else repr(float(band.paths[k]))
            writer.writerow([band.label, t, repr(float(band.mean[k])), repr(float(band.low[k])), repr(float(band.high[k])), drawn])
    return out.getvalue()


def as_data(band: Band) -> dict[str, Any]:
    return {"method": band.label, "t": band.times, "mean": band.mean, "low": band.low, "high": band.high, "paths": band.paths}


def write_plot(bands: list[Band], path: Path, command: str) -> None:
    """Draws the mean gaps with their bands, with the command in the file's metadata."""
    from proofs_check.plots import plot_bands

    figure = plot_bands({band.label: (band.times, band.mean, band.low, band.high) for band in bands}).figure
    buffer = io.BytesIO()
    key = {"png": "Description", "svg": "Description", "pdf": "Subject"}[path.suffix[1:].lower()]
    figure.savefig(buffer, format=path.suffix[1:].lower(), metadata={key: command}, dpi=160)
    write_whole(path, buffer.getvalue())

"""`pgtheory run` with sampled methods: many runs of each, their gaps as mean and quantiles, beside the exact gradient's."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError, plural
from proofs_check.cli.models import check_ending, checked_discount, write_arrays
from proofs_check.cli.output import line, print_json, save_picture, say, table
from proofs_check.cli.runs import PICTURES, command_of, methods_in
from proofs_check.cli.sampled_methods import OFFERS, Sampling, chosen
from proofs_check.files import write_whole

Array = np.ndarray
LEVELS = (0.05, 0.95)
"""Quantiles of the band."""


@dataclasses.dataclass(frozen=True)
class Band:
    """Gaps of one method: mean and quantiles over its runs (one run, for an exact method); what was drawn (R,), and its unit."""

    label: str
    times: Array
    gaps: Array
    paths: Array | None
    unit: str = "paths"

    @property
    def mean(self) -> Array:
        return np.asarray(self.gaps.mean(axis=0))

    @property
    def low(self) -> Array:
        return np.asarray(np.quantile(self.gaps, LEVELS[0], axis=0))

    @property
    def high(self) -> Array:
        return np.asarray(np.quantile(self.gaps, LEVELS[1], axis=0))


NAMES = tuple(OFFERS)
HELP = {name: offer.help for name, offer in OFFERS.items()}
"""A line on every sampled method."""


def is_sampled(part: str) -> bool:
    """Whether a part of --method names a sampled method."""
    return part.split(":")[0].strip() in NAMES


def settings_of(name: str) -> list[str]:
    """The settings that the method of that name has."""
    return list(OFFERS[name].settings)


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
    """Runs sampled and exact methods on MODEL, from the same first policy where they have one, prints and writes what was asked for."""
    from mdps.io import load_model
    from pgtheory.run import run

    check_ending(out, (".npz",))
    check_ending(plot, PICTURES)
    check_ending(trail, (".csv",))
    parts = list(dict.fromkeys(part.strip() for part in names.split(",") if part.strip()))
    mdp = load_model(spec, discount=checked_discount(discount))
    horizon = sampling.horizon or effective_horizon(float(mdp.discount))
    exact = [part for part in parts if not is_sampled(part)]
    strange = [key for key, text in options.items() if text is not None and key != "step_size"]
    if any(key == "step_size" for key, text in options.items() if text is not None) and not exact:
        takers = [part for part in parts if "step-size" in OFFERS[part.split(":")[0]].settings]
        if not takers:
            raise ModelError(f"no method here has --step-size: {', '.join(parts)} take none")
    if strange and not exact:
        raise ModelError(f"no method here has --{strange[0].replace('_', '-')}: sampled methods take --step-size")
    methods = {part: chosen(part, options) for part in parts if is_sampled(part)}
    others = methods_in(",".join(exact), options) if exact else {}
    if sampling.start != "uniform":
        without = [part for part, (offer, _) in methods.items() if not offer.begins_with_a_policy]
        if without:
            raise ModelError(f"--start {sampling.start}: {', '.join(without)} begin with no policy; --start is for policy gradients")
    bands = []
    for part in parts:
        if part in others:
            trajectory = run(mdp, others[part], iterations, initial=sampling.start)
            bands.append(Band(part, trajectory.times, trajectory.gap()[None], None))
            continue
        say(f"{part}: {plural(sampling.runs, 'run')} of {plural(iterations, 'step')}, {plural(sampling.samples, 'path')} of {horizon} a step ...")
        offer, settings = methods[part]
        found = offer.run(mdp, settings, iterations, sampling, horizon)
        bands.append(Band(part, found.times, found.gaps, found.drawn, found.unit))
    sizes = {"samples": sampling.samples, "runs": sampling.runs, "horizon": sampling.horizon, "seed": sampling.seed}
    told = {key: None if number is None else str(number) for key, number in sizes.items()}
    told["start"] = None if sampling.start == "uniform" else sampling.start
    command = command_of(spec, names, iterations, options | {"discount": discount} | told)
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
            "exact" if band.paths is None else f"{band.paths[-1]:,.0f} {band.unit}",
        )
        for band in bands
    ]  # fmt: skip
    table(("method", "mean gap at the end", "5% .. 95% of the runs", "drawn a run"), rows, right=(1, 3))
    for what, path in (("plot", plot), ("written", out), ("written", trail)):
        if path is not None:
            line(f" {what}: {path}")
    return 0


def effective_horizon(discount: float) -> int:
    """The least H with discount^H <= 1/100, at most 1,000."""
    return 1 if discount <= 0.01 else min(1000, int(np.ceil(np.log(100) / -np.log(discount))))


def as_csv(bands: list[Band]) -> str:
    """method, t, mean gap, the two quantiles, how much was drawn and of what, one row a record."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", "t", "mean gap", "5% gap", "95% gap", "paths", "unit"])
    for band in bands:
        for k, t in enumerate(band.times.tolist()):
            drawn = ("", "") if band.paths is None else (repr(float(band.paths[k])), band.unit)
            writer.writerow([band.label, t, *(repr(float(x[k])) for x in (band.mean, band.low, band.high)), *drawn])
    return out.getvalue()


def as_data(band: Band) -> dict[str, Any]:
    return {"method": band.label, "t": band.times, "mean": band.mean, "low": band.low, "high": band.high, "paths": band.paths, "unit": band.unit}


def write_plot(bands: list[Band], path: Path, command: str) -> None:
    """Draws the mean gaps with their bands, with the command in the file's metadata."""
    from proofs_check.plots import plot_bands

    figure = plot_bands({band.label: (band.times, band.mean, band.low, band.high) for band in bands}).figure
    save_picture(figure, path, command)

"""`pgtheory run --episodes`: learners that explore a model with a horizon, their exact regret as mean and quantiles, beside what is proved of it."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest, plural
from proofs_check.cli.models import check_ending, number_in, setting_in, write_arrays
from proofs_check.cli.output import line, print_json, save_picture, say, table
from proofs_check.cli.runs import PICTURES, command_of
from proofs_check.cli.sampled import LEVELS
from proofs_check.files import write_whole

Array = np.ndarray
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the command says about episodes.

    episodes K;  runs;  horizon H, of a model that has none;  seed
    rewards   the name of a sequence, with ":revealed" where the learner sees the table afterwards
    """

    episodes: int
    runs: int
    horizon: int | None
    seed: int
    rewards: str


@dataclasses.dataclass(frozen=True)
class Seen:
    """One learner's runs."""

    label: str
    runs: Any

    @property
    def mean(self) -> Array:
        return np.asarray(self.runs.regret.mean(axis=0))

    @property
    def band(self) -> tuple[Array, Array]:
        """(low, high): the quantiles LEVELS over the runs."""
        low, high = np.quantile(self.runs.regret, LEVELS, axis=0)
        return low, high

    @property
    def half_width(self) -> float | None:
        """Half of Student's 95% interval for the expected regret at the end; None for one run."""
        from scipy.special import stdtrit

        last = self.runs.regret[:, -1]
        if last.size < 2:
            return None
        return float(stdtrit(last.size - 1, (1 + CONFIDENCE) / 2) * last.std(ddof=1) / np.sqrt(last.size))

    @property
    def proved(self) -> Array | None:
        return None if self.runs.guarantee is None else np.asarray(self.runs.guarantee.values)


def is_online(part: str) -> bool:
    """Whether a part of --method names a learner of episodes."""
    from pgtheory.online.names import NAMES

    return part.split(":")[0].strip() in NAMES


def learners_in(names: str, options: dict[str, str | None]) -> dict[str, Any]:
    """Label -> learner, from "ucbvi,optimistic-npg:scale=0.1".  raises ModelError: no learner, a setting or an option that it does not have"""
    from pgtheory.online.names import NAMES, learner, settings_of

    parts = list(dict.fromkeys(part.strip() for part in names.split(",") if part.strip()))
    if not parts:
        raise ModelError("--method names no method")
    given = {key: text for key, text in options.items() if text is not None}
    out: dict[str, Any] = {}
    for part in parts:
        name, *own = part.split(":")
        if name not in NAMES:
            raise ModelError(f"{name} does not learn in episodes; --episodes is for {', '.join(NAMES)}.{nearest(name, NAMES)}")
        known = settings_of(name, written=True)
        texts = {key: text for key, text in given.items() if key in known}
        for setting in own:
            key, found, value = setting.partition("=")
            if not found:
                raise ModelError(f"{part}: write a setting as {name}:{next(iter(known), 'scale')}=VALUE")
            if key.replace("-", "_") not in known:
                raise ModelError(f"{part}: {name} takes {', '.join(k.replace('_', '-') for k in known)}, not {key!r}.{nearest(key, tuple(known))}")
            texts[key.replace("-", "_")] = value
        out[part] = learner(name, **{key: _value(known, key, text) for key, text in texts.items()})
    for key in given:
        if not any(key in settings_of(part.split(":")[0]) for part in parts):
            raise ModelError(f"no method here has --{key.replace('_', '-')}")
    return out


def _value(known: dict[str, Any], key: str, text: str) -> Any:
    """The text as what the setting holds: words stay words, whole numbers stay whole."""
    default = known[key]
    if isinstance(default, str):
        return text
    if isinstance(default, int) and not isinstance(default, bool):
        number = number_in(text, key)
        if number != int(number):
            raise ModelError(f"{key} is {text}; it must be a whole number")
        return int(number)
    return setting_in(text, key)


def sequence_in(text: str, task: Any, seed: int) -> Any:
    """The reward sequence of "noisy" or "phases:revealed".  raises ModelError: an unknown one"""
    from pgtheory.online.rewards import ADVERSARIES

    name, _, said = text.partition(":")
    if name not in ADVERSARIES or said not in ("", "revealed"):
        raise ModelError(f"--rewards {text!r}: it is one of {', '.join(ADVERSARIES)}, or that with :revealed.{nearest(name, tuple(ADVERSARIES))}")
    more = {"seed": seed} if name == "random" else {}
    return ADVERSARIES[name](task, revealed=bool(said), **more)


def run_episodes(
    spec: str,
    names: str,
    options: dict[str, str | None],
    given: dict[str, Any],
    others: dict[str, Any],
    *,
    plot: Path | None,
    as_json: bool,
    out: Path | None,
    trail: Path | None,
) -> int:
    """Runs the learners on MODEL, prints their regret and writes what was asked for.

    given   what `Asked` holds, None where the command does not say it
    others  options that play no part here: one that is not None is refused
    """
    from mdps.io import load_model
    from pgtheory.online import Episodic, run_online

    check_ending(out, (".npz",))
    check_ending(plot, PICTURES)
    check_ending(trail, (".csv",))
    for flag, value in others.items():
        if value is not None:
            raise ModelError(f"{flag} plays no part in episodes: learners take --episodes, --horizon, --runs, --seed and --rewards")
    if given["episodes"] is None:
        what = names if any(is_online(part) for part in names.split(",")) else "--rewards is for learners that explore, and a learner"
        raise ModelError(f"{what} needs --episodes K, and --horizon STEPS where the model has none")
    asked = Asked(given["episodes"], given["runs"] or 20, given["horizon"], given["seed"] or 0, given["rewards"] or "sure")
    learners = learners_in(names, options)
    if asked.episodes < 1:
        raise ModelError(f"--episodes is {asked.episodes}; it must be at least 1")
    task = Episodic.of(load_model(spec), asked.horizon, reward_range="own")
    paid = sequence_in(asked.rewards, task, asked.seed)
    seen = []
    for label, learner in learners.items():
        say(f"{label}: {plural(asked.runs, 'run')} of {plural(asked.episodes, 'episode')} ...")
        seen.append(Seen(label, run_online(task, learner, asked.episodes, asked.runs, asked.seed, rewards=paid)))
    sizes = {"episodes": asked.episodes, "runs": asked.runs, "horizon": asked.horizon, "seed": asked.seed, "rewards": asked.rewards}
    told = {key: None if value is None else str(value) for key, value in sizes.items()}
    command = command_of(spec, names, None, options | told)
    if out is not None:
        write_arrays(out, **{f"{key}:{one.label}": getattr(one.runs, key) for one in seen for key in ("times", "regret", "policies", "switches")})
    if trail is not None:
        write_whole(trail, as_csv(seen))
    if plot is not None:
        write_plot(seen, plot, command)
    if as_json:
        print_json({"model": spec, "command": command, "levels": LEVELS, "range": [task.low, task.high], "runs": [as_data(one) for one in seen]})
        return 0
    _print(spec, task, asked, seen)
    for what, path in (("plot", plot), ("written", out), ("written", trail)):
        if path is not None:
            line(f" {what}: {path}")
    return 0


def _print(spec: str, task: Any, asked: Asked, seen: list[Seen]) -> None:
    H, S, A = task.shape
    line(f" {spec}: {plural(S, 'state')}, {plural(A, 'action')}, {plural(H, 'step')} an episode; {asked.rewards} rewards")
    if (task.low, task.high) != (0.0, 1.0):
        line(f" rewards lie in [{task.low:g}, {task.high:g}], which the learners are told; regret is in the model's units")
    each = f"{plural(asked.runs, 'run')} of {plural(asked.episodes, 'episode')} each, seed {asked.seed}"
    line(f" {each}; regret is computed from the model, not estimated")
    line()
    rows: list[tuple[str, ...]] = []
    trivial = asked.episodes * H * task.scale
    for one in seen:
        low, high = one.band
        wide = "" if one.half_width is None else f" ± {one.half_width:.2g}"
        proved = "not stated" if one.proved is None else f"{one.proved[-1]:.4g}"
        if one.proved is not None and one.proved[-1] > trivial:
            proved += " (> K H)"
        failed = "" if one.runs.failures is None else f"{int((one.runs.failures > 0).sum())} of {asked.runs}"
        rows.append((one.label, f"{one.mean[-1]:.4g}{wide}", f"{low[-1]:.4g} .. {high[-1]:.4g}", proved, f"{one.runs.switches.mean():,.1f}", failed))
    headings = ["method", "expected regret (95%)", "5% .. 95% of the runs", "proved at most", "switches", "runs not optimistic"]
    if not any(row[-1] for row in rows):
        rows, headings = [row[:-1] for row in rows], headings[:-1]
    table(tuple(headings), rows, right=(1, 3, 4, 5)[: len(headings) - 2])
    for one in seen:
        if one.runs.guarantee is not None or one.runs.broken:
            line(f" {one.label}: {one.runs.broken or one.runs.guarantee.text}")
    if any("(> K H)" in row[3] for row in rows):
        line(f" (> K H): above {trivial:g}, which no learner exceeds; such a bound says something for more episodes")


def as_csv(seen: list[Seen]) -> str:
    """method, episodes, mean regret, the two quantiles and what is proved, one row a record."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", "episodes", "mean regret", "5% regret", "95% regret", "proved"])
    for one in seen:
        low, high = one.band
        for k, t in enumerate(one.runs.times.tolist()):
            proved = "" if one.proved is None else repr(float(one.proved[k]))
            writer.writerow([one.label, t, repr(float(one.mean[k])), repr(float(low[k])), repr(float(high[k])), proved])
    return out.getvalue()


def as_data(one: Seen) -> dict[str, Any]:
    low, high = one.band
    return {
        "method": one.label, "episodes": one.runs.times, "mean": one.mean, "low": low, "high": high, "half_width": one.half_width,
        "proved": one.proved, "guarantee": None if one.runs.guarantee is None else one.runs.guarantee.text, "broken": one.runs.broken,
        "switches": one.runs.switches, "failures": one.runs.failures,
    }  # fmt: skip


def write_plot(seen: list[Seen], path: Path, command: str) -> None:
    """Draws the mean regrets with their bands and guarantees, with the command in the file's metadata."""
    from proofs_check.plots import plot_bands

    bands = {one.label: (one.runs.times, one.mean, *one.band) for one in seen}
    bounds = {one.label: one.proved for one in seen if one.proved is not None}
    save_picture(plot_bands(bands, bounds=bounds, axes=("episodes", "regret [reward]")).figure, path, command)

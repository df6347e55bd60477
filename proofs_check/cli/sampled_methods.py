"""The sampled methods of `pgtheory run --method`: what each does in a line, its settings, and how it is run many times.

softmax policies from paths   reinforce, actor-critic, storm-pg, ...      an iteration draws --samples paths of --horizon steps
action values along a path    sarsa, expected-sarsa, q-learning           an iteration makes --samples times --horizon steps
a sampled model               plug-in                                     an iteration draws every pair --samples times
bandits (one state)           exp3, tsallis-inf, ...                      an iteration pulls --samples arms
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from proofs_check.cli.models import setting_in

Array = np.ndarray
Settings = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Sampling:
    """What the command says about sampling.

    samples  paths of a step;  runs  independent runs;  horizon  steps of a path (by default until the discount leaves 1/100);  seed
    first    number of the first run: runs first .. first + runs - 1 of the seed;  record  iterations to keep (`pgtheory.run.recorded_times`)
    start    first policy by name (`pgtheory.starts`), for the methods that have one"""

    samples: int
    runs: int
    horizon: int | None
    seed: int
    first: int = 0
    record: Any = "log"
    start: str = "uniform"


@dataclasses.dataclass(frozen=True)
class Followed:
    """What the runs passed through: times (R,), gaps (N, R), how much was drawn so far (R,), and of what; on bandits the regret so far (N, R)."""

    times: Array
    gaps: Array
    drawn: Array
    unit: str
    regret: Array | None = None


@dataclasses.dataclass(frozen=True)
class Offer:
    """A method: its line of help, its settings with their defaults (None: must be given), how it runs, and whether it begins with a policy."""

    help: str
    settings: dict[str, Any]
    run: Callable[[MDP, Settings, int, Sampling, int], Followed]

    @property
    def begins_with_a_policy(self) -> bool:
        return self.settings.get("step-size", 0.0) is None


def _paths(direction: Callable[[Any, int, Settings], Any], update: str) -> Callable[[MDP, Settings, int, Sampling, int], Followed]:
    """A stochastic policy gradient: `direction(horizon, paths, settings)`."""

    def run(mdp: MDP, settings: Settings, iterations: int, sampling: Sampling, horizon: int) -> Followed:
        from pgtheory.sampling import StochasticPG, run_sampled
        from pgtheory.starts import start_policy

        method = StochasticPG(direction(horizon, sampling.samples, settings), settings["step-size"], update)
        initial = None if sampling.start == "uniform" else np.log(start_policy(sampling.start, mdp))
        told: dict[str, Any] = {"record": sampling.record, "first": sampling.first, "initial": initial}
        runs = run_sampled(mdp, method, iterations, sampling.runs, sampling.seed, **told)
        return Followed(runs.times, runs.gaps(), runs.paths.mean(axis=0), "paths", runs.regret)

    return run


def _direction(name: str, estimator: str = "RewardToGo", **fixed: Any) -> Callable[[int, int, Settings], Any]:
    """The direction of that name; settings other than the step size are its fields.  Advantages are those of one step unless a decay is set."""

    def make(horizon: int, paths: int, settings: Settings) -> Any:
        from pgtheory import sampling

        given = {key.replace("-", "_"): value for key, value in settings.items() if key != "step-size"}
        of = {"decay": given.pop("decay", 0)} if estimator == "GAE" else {}
        if "large" in given:
            given["large"] = 10 * paths if given["large"] == 0 else _whole("large", given["large"])
        if "epoch" in given:
            given["epoch"] = _whole("epoch", given["epoch"])
        return getattr(sampling, name)(getattr(sampling, estimator)(horizon, **of), paths, **given, **fixed)

    return make


def _off_policy(horizon: int, paths: int, settings: Settings) -> Any:
    from pgtheory.sampling import Fresh, ImportanceWeighted, RewardToGo

    mix = settings["mix"]
    if not 0 < mix <= 1:
        raise ModelError(f"mix is {mix}; the share of the uniform policy must lie in (0, 1]")
    behaviour = lambda policy: (1 - mix) * policy + mix / policy.shape[1]  # noqa: E731 - a field of the estimator
    return Fresh(ImportanceWeighted(horizon, RewardToGo(horizon), behaviour, per_decision=True), paths)


def _action_values(kind: str) -> Callable[[MDP, Settings, int, Sampling, int], Followed]:
    def run(mdp: MDP, settings: Settings, iterations: int, sampling: Sampling, horizon: int) -> Followed:
        from pgtheory.sampling import TDControl, run_td

        method = TDControl(kind, settings["step-size"], settings["decay"], settings["exploration"], settings["initial"])
        steps = sampling.samples * horizon
        told: dict[str, Any] = {"record": sampling.record, "first": sampling.first}
        runs = run_td(mdp, method, iterations, sampling.runs, sampling.seed, steps=steps, horizon=horizon, **told)
        return Followed(runs.times, runs.gaps(), runs.times * float(sampling.samples), "paths")

    return run


def _plug_in(mdp: MDP, settings: Settings, iterations: int, sampling: Sampling, horizon: int) -> Followed:
    from pgtheory.sampling import PlugIn, run_plug_in

    runs = run_plug_in(mdp, PlugIn(sampling.samples), iterations, sampling.runs, sampling.seed, record=sampling.record, first=sampling.first)
    return Followed(runs.times, runs.gaps(), runs.paths.mean(axis=0), "draws")


def _bandit(learner: Callable[[Settings], Any]) -> Callable[[MDP, Settings, int, Sampling, int], Followed]:
    """A bandit learner on a model of one state: the gap of its distribution after t x samples pulls, as a gap of values."""

    def run(mdp: MDP, settings: Settings, iterations: int, sampling: Sampling, horizon: int) -> Followed:
        from pgtheory.sampling import Bandit

        if mdp.num_states != 1:
            raise ModelError(f"bandit learners take a model of one state; this one has {mdp.num_states}")
        rewards = np.asarray(mdp.float.rewards)[0]
        if rewards.min() < 0 or rewards.max() > 1:
            raise ModelError(f"bandit learners take rewards in [0, 1]; these lie in {rewards.min():g} .. {rewards.max():g}")
        found = pulled(learner(settings), Bandit.sure(rewards), iterations, sampling)
        return dataclasses.replace(found, gaps=found.gaps / (1 - float(mdp.discount)))

    return run


def pulled(learner: Any, bandit: Any, iterations: int, sampling: Sampling) -> Followed:
    """The gap of the distribution after t x samples pulls, and the regret of these pulls; the gap is the next pull's share of the regret."""
    from pgtheory.run import recorded_times
    from pgtheory.sampling import replicate

    times = recorded_times(sampling.record, iterations)
    pulls = times * sampling.samples
    rounds = np.unique(np.concatenate([pulls, pulls + 1]))
    found = replicate(learner, bandit, int(rounds[-1]), sampling.runs, sampling.seed, times=rounds[rounds > 0], first=sampling.first)
    regret = np.concatenate([np.zeros((sampling.runs, 1)), found.regret], axis=1)  # before the first pull
    at = np.searchsorted(rounds, pulls)
    return Followed(times, regret[:, at + 1] - regret[:, at], pulls.astype(float), "pulls", regret[:, at])


def _mirror(potential: str) -> Callable[[Settings], Any]:
    def learner(settings: Settings) -> Any:
        from pgtheory.sampling import MirrorDescent

        return MirrorDescent(potential, settings["step-size"], decreasing=True)

    return learner


def _gap_weighting(settings: Settings) -> Any:
    from pgtheory.sampling import InverseGapWeighting

    return InverseGapWeighting(settings["scale"])


def _whole(key: str, value: float) -> int:
    if value != int(value):
        raise ModelError(f"{key} is {value:g}; it must be a whole number")
    return int(value)


STEP: dict[str, Any] = {"step-size": None}
TD: dict[str, Any] = {"step-size": 0.5, "decay": 0.6, "exploration": 0.1, "initial": 0.0}
LEARNERS: dict[str, Callable[[Settings], Any]] = {
    "exp3": _mirror("shannon"),
    "tsallis-inf": _mirror("tsallis"),
    "log-barrier-inf": _mirror("log-barrier"),
    "gap-weighting": _gap_weighting,
}
"""The methods that learn bandits: settings -> learner of `pgtheory.sampling.bandits`."""
OFFERS: dict[str, Offer] = {
    "reinforce": Offer("whole returns", STEP, _paths(_direction("Fresh", "Reinforce"), "plain")),
    "reward-to-go": Offer("rewards to go (GPOMDP)", STEP, _paths(_direction("Fresh"), "plain")),
    "fitted-baseline-pg": Offer(
        "rewards to go less the state baseline of least variance, fitted to earlier batches",
        STEP | {"weight": 0.2},
        _paths(_direction("FittedBaseline"), "plain"),
    ),
    "actor-critic": Offer(
        "one-step advantages of a critic that TD(0) learns beside the actor",
        STEP | {"critic-step": 0.5},
        _paths(_direction("LearningCritic", "GAE"), "plain"),
    ),
    "gae-pg": Offer(
        "generalised advantages of a learned critic", STEP | {"critic-step": 0.5, "decay": 0.95}, _paths(_direction("LearningCritic", "GAE"), "plain")
    ),
    "natural-actor-critic": Offer(
        "the natural step along one-step advantages of a learned critic",
        STEP | {"critic-step": 0.5},
        _paths(_direction("LearningCritic", "GAE"), "natural"),
    ),
    "off-policy-pg": Offer("paths of the policy mixed with the uniform one, importance weighted", STEP | {"mix": 0.2}, _paths(_off_policy, "plain")),
    "balanced-pg": Offer(
        "actions make up for what the batch drew too rarely (after ROS and PROPS)",
        STEP | {"strength": math.inf},
        _paths(_direction("Balanced"), "plain"),
    ),
    "sampled-npg": Offer("the natural step along rewards to go", STEP, _paths(_direction("Fresh"), "natural")),
    "fitted-baseline-npg": Offer(
        "the natural step along rewards to go less a fitted state baseline", STEP | {"weight": 0.2}, _paths(_direction("FittedBaseline"), "natural")
    ),
    "storm-pg": Offer("recursive momentum with importance weights", STEP | {"weight": 0.1}, _paths(_direction("Momentum"), "plain")),
    "n-storm-pg": Offer("recursive momentum, steps of fixed length", STEP | {"weight": 0.1}, _paths(_direction("Momentum"), "normalised")),
    "n-pg-igt": Offer(
        "momentum with transported gradients, steps of fixed length", STEP | {"weight": 0.1}, _paths(_direction("Transported"), "normalised")
    ),
    "harpg": Offer("momentum corrected by sampled Hessians", STEP | {"weight": 0.1}, _paths(_direction("HessianAided"), "plain")),
    "n-harpg": Offer("Hessian-aided momentum, steps of fixed length", STEP | {"weight": 0.1}, _paths(_direction("HessianAided"), "normalised")),
    "page-pg": Offer("now and then a large batch, else a correction", STEP | {"large": 0, "probability": 0.1}, _paths(_direction("Page"), "plain")),
    "svrpg": Offer("variance reduced around an anchor that moves", STEP | {"large": 0, "epoch": 10}, _paths(_direction("Anchored"), "plain")),
    "sarsa": Offer("action values of the exploring policy; the greedy one is judged", TD, _action_values("sarsa")),
    "expected-sarsa": Offer("SARSA with the mean over the next action", TD, _action_values("expected-sarsa")),
    "q-learning": Offer("action values of the best policy, while exploring", TD, _action_values("q-learning")),
    "plug-in": Offer("plans in the model of the frequencies of a generative model", {}, _plug_in),
    "exp3": Offer("bandits: exponential weights on weighted losses, steps falling as 1/sqrt t", {"step-size": 1.0}, _bandit(LEARNERS["exp3"])),
    "tsallis-inf": Offer("bandits: leader with Tsallis entropy, best of both worlds", {"step-size": 2.0}, _bandit(LEARNERS["tsallis-inf"])),
    "log-barrier-inf": Offer("bandits: leader with the log-barrier", {"step-size": 1.0}, _bandit(LEARNERS["log-barrier-inf"])),
    "gap-weighting": Offer("bandits: explores an arm the less the worse it looks", {"scale": 2.0}, _bandit(LEARNERS["gap-weighting"])),
}


def chosen(part: str, options: dict[str, str | None]) -> tuple[Offer, Settings]:
    """The method of "name:step-size=0.1:weight=0.2" with all its settings.

    raises   ModelError: a setting that it does not have, or one that is missing"""
    name, *own = part.split(":")
    offer = OFFERS[name.strip()]
    values = dict(offer.settings)
    if options.get("step_size") is not None and "step-size" in values:
        values["step-size"] = setting_in(str(options["step_size"]), "step_size")
    for setting in own:
        key, found, value = setting.partition("=")
        if not found or key not in values:
            raise ModelError(f"{part}: {name} takes {', '.join(values) or 'no settings'}, not {key!r}")
        values[key] = math.inf if key == "strength" and value == "inf" else setting_in(value, key.replace("-", "_"))
    missing = [key for key, value in values.items() if value is None]
    if missing:
        raise ModelError(f"{name} needs --{missing[0]}, for example --{missing[0]} 0.1")
    return offer, values

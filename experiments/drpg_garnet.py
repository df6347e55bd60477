"""Double-loop robust policy gradient on Garnets and on an inventory: Wang, Ho and Petrik (2023).  Robust values of river swim and machine
replacement.

Garnet: 6 actions, 3 successors a pair, costs uniform in [0, 5], discount 0.95, an L1 ball of radius uniform in [0.1, 0.5] around every row (mass may
move to any state), uniform start.  DRPG with outer step 0.05 (5 states) or 0.01 (10 and 15), inner step 0.1; the error is the worst-case cost of the
policy of each outer iteration above that of robust value iteration, which is written out here and shares only the sorting of a row with the method.

Inventory: the released model with 8 states and 3 actions, whose costs belong to transitions.  (a) an L1 ball of radius 0.2 around every row, (b)
kernels P ~ nominal exp(theta . f(s') / (lambda . g(s, a))) with (theta, lambda) in L1 balls, the set of the paper, which is no product.

`python -m experiments.drpg_garnet --full` runs the sizes of the paper (50 Garnets of 5, 10 and 15 states, 200 iterations); without it a small
version."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.findings import Finding, Outcome, report
from mdps import MDP, random
from pgtheory import arithmetic
from pgtheory.robust.double_loop import DRPG, TiltedDRPG
from pgtheory.robust.nature import ball_answer, worst_kernel
from pgtheory.robust.worst_case import worst_l1
from pgtheory.run import run
from proofs_check.plots import INK, SERIES

Array = np.ndarray
DATA = pathlib.Path(__file__).with_name("data")
SOURCE = "Wang, Ho, Petrik (2023), experiments"
DISCOUNT, BRANCHES, ACTIONS = 0.95, 3, 6
OUTER = {5: 0.05, 10: 0.01, 15: 0.01}
INNER = 0.1
RADIUS = 0.2
SWEEPS = 1200
"""Sweeps of robust value iteration: 0.95^1200 = 2e-27."""


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is run."""

    states: tuple[int, ...]
    instances: int
    iterations: int
    inventory: int


QUICK = Size((5,), 4, 40, 20)
FULL = Size((5, 10, 15), 50, 200, 200)


def robust_value_iteration(transitions: Array, rewards: Array, paid: Array | float, discount: Any, radii: Array) -> Array:
    """V <- max_a r + min over the ball of q . (paid + gamma V), for models (..., S, A, S')."""
    values = np.zeros(rewards.shape[:-1])
    for _ in range(SWEEPS):
        values = (rewards + worst_l1(transitions, paid + discount * values[..., None, None, :], radii)[0]).max(axis=-1)
    return values


def garnets(states: int, count: int) -> tuple[list[MDP], Array]:
    """The models and their radii (count, S, A)."""
    rng = np.random.default_rng([2023, states])
    models = []
    for _ in range(count):
        costs = 5 * rng.random((states, ACTIONS))
        models.append(random.garnet(states, ACTIONS, BRANCHES, rng, discount=DISCOUNT, rewards=-costs))
    return models, rng.uniform(0.1, 0.5, (count, states, ACTIONS))


def garnet_errors(states: int, count: int, iterations: int) -> tuple[Array, Array, Array]:
    """(iterations recorded (R,), errors (count, R) in cost units, optimal worst-case costs (count,))."""
    models, radii = garnets(states, count)
    method = DRPG(OUTER[states], 0, inner_step=INNER, tolerance=1.0, decay=0.95)
    stack = [np.stack([np.asarray(getattr(model, name)) for model in models]) for name in ("transitions", "rewards", "start")]
    times = np.arange(iterations + 1)
    initial = np.stack([method.start(model) for model in models])
    numbers = (OUTER[states], radii, INNER, 1.0, 0.95, 100.0)
    settings = tuple(np.full(count, x) if np.ndim(x) == 0 else x for x in numbers)
    records, _ = method.run_arrays(stack[0], stack[1], np.full(count, DISCOUNT), stack[2], initial, settings, times)
    best = (robust_value_iteration(stack[0], stack[1], 0.0, DISCOUNT, radii) * stack[2]).sum(axis=-1)
    errors = np.empty((count, times.size))
    for k, model in enumerate(models):
        answer = ball_answer("l1", np.broadcast_to(radii[k], (times.size, *radii[k].shape)))
        rewards = np.broadcast_to(model.rewards, (times.size, *model.rewards.shape))
        values = worst_kernel(method.policy_of(records[k]), model.transitions[None], rewards, DISCOUNT, answer)[0]
        errors[k] = best[k] - values @ model.start
    return times, errors, -best


# Costs that belong to transitions


@dataclasses.dataclass(frozen=True)
class PaidRobustPG:
    """Projected gradient at the worst kernel where transitions pay: the protocol of `pgtheory.run`."""

    step_size: float
    radius: float
    paid: Array

    def worst(self, mdp: MDP, policy: Array) -> tuple[Array, Array]:
        """Worst-case values and kernel."""
        answer = ball_answer("l1", np.full(mdp.rewards.shape, self.radius), paid=self.paid, discount=mdp.discount)
        return worst_kernel(policy, mdp.transitions, mdp.rewards, mdp.discount, answer, self.paid)

    def start(self, mdp: MDP) -> Array:
        return np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions)

    def step(self, state: Array, mdp: MDP) -> Array:
        values, rows = self.worst(mdp, state)
        means = mdp.rewards + (rows * self.paid).sum(axis=-1)
        _, visits = arithmetic.policy_values_and_visits(state, rows, means, mdp.discount, mdp.start)
        ahead = arithmetic.lookahead(rows, means, mdp.discount, values)
        return arithmetic.project_simplex(state + self.step_size * visits[:, None] * ahead)

    def policy(self, state: Array) -> Array:
        return state


def inventory() -> tuple[MDP, Array, dict[str, Any]]:
    """(the empirical model without rewards, what its transitions pay (S, A, S'), the released data)."""
    data = json.loads((DATA / "drpg_inventory.json").read_text())
    rows = np.array(data["p_empirical_columns"]).T.reshape(8, 3, 8)
    rows = rows / rows.sum(axis=-1, keepdims=True)  # released to 16 digits
    return MDP(rows, np.zeros((8, 3)), DISCOUNT, name="inventory"), -np.array(data["cost"]).reshape(8, 3, 8), data


def features(data: dict[str, Any]) -> tuple[Array, Array]:
    """(f (2, S), g (2, S, A)) of the tilted kernels."""
    x, actions = np.array(data["state_features"]).T, np.array(data["action_values"], float)
    joint = np.array(data["centres_state_action"])
    centres = np.array(data["centres_state"])
    f = np.stack([-((x - c) ** 2).sum(axis=1) / (2 * np.sqrt(2 * np.pi)) for c in centres])
    g = np.stack([-((((x - c[:2]) ** 2).sum(axis=1))[:, None] + (actions - c[2]) ** 2) / (8 * np.sqrt(8 * np.pi)) for c in joint])
    return f, g


def transition_model(name: str) -> tuple[Array, Array, dict[str, Any]]:
    """(P, what transitions pay, data) of river swim or machine replacement, with rewards of transitions."""
    data = json.loads((DATA / f"{name}.json").read_text())
    size = 1 + max(row[0] for row in data["rows"])
    rows, paid = np.zeros((size, 2, size)), np.zeros((size, 2, size))
    for s, a, t, probability, reward in data["rows"]:
        rows[s, a, t] += float(probability)
        paid[s, a, t] = float(reward)
    return rows, paid, data


def experiment(size: Size = QUICK) -> Outcome:
    rows: list[list[Any]] = []
    found: list[Finding] = []
    figure = Figure(figsize=(9.6, 3.8), constrained_layout=True)
    left, right = figure.subplots(1, 2)
    for k, states in enumerate(size.states):
        times, errors, costs = garnet_errors(states, size.instances, size.iterations)
        mean, (low, high) = errors.mean(axis=0), np.percentile(errors, [5, 95], axis=0)
        rows += [[f"garnet {states}", int(t), float(m), float(a), float(b)] for t, m, a, b in zip(times, mean, low, high, strict=True)]
        left.plot(times, mean, color=SERIES[k], label=f"{states} states")
        left.fill_between(times, np.maximum(low, 1e-9), high, color=SERIES[k], alpha=0.2, linewidth=0)
        share = mean[-1] / mean[0]
        said = (
            f"mean error {mean[0]:.3g} -> {mean[-1]:.3g} ({share:.2%}) of costs around {costs.mean():.4g}; 5% and 95%: {low[-1]:.2g}, {high[-1]:.2g}"
        )
        fact = f"DRPG closes in on robust value iteration: Garnet, {states} states, {size.instances} instances, {size.iterations} iterations"
        found.append(Finding(SOURCE, fact, said, share < 0.1 and errors.min() > -1e-7 * costs.max()))
    found += _inventory(size, rows, right)
    found += [_reference(name) for name in ("riverswim", "machine_replacement")]
    left.set_yscale("log")
    for ax, title in ((left, "Garnet: worst-case cost above the optimum"), (right, "inventory: worst-case cost")):
        ax.set_xlabel("outer iteration", color=INK)
        ax.set_title(title, loc="left", color=INK, fontsize=10)
        ax.legend(frameon=False)
    return Outcome(("run", "iteration", "mean", "5%", "95%"), rows, figure, found)


def _inventory(size: Size, rows: list[list[Any]], ax: Any) -> list[Finding]:
    model, paid, data = inventory()
    best = robust_value_iteration(model.transitions, model.rewards, paid, DISCOUNT, np.full((8, 3), RADIUS))
    off = float(np.abs(best + np.array(data["v_robust_sa_l1_02"])).max())
    found = [Finding(SOURCE, "inventory: robust values within L1 balls of 0.2 are the released ones", f"largest difference {off:.1e}", off < 1e-6)]
    balls = PaidRobustPG(0.1, RADIUS, paid)
    path = run(model, balls, size.inventory, record="all")
    costs = np.array([-model.start @ balls.worst(model, policy)[0] for policy in path.policies])
    optimum = float(-model.start @ best)
    ax.plot(path.times, costs, color=SERIES[0], label="L1 balls of 0.2")
    ax.axhline(optimum, color=SERIES[0], linestyle="--", label="their optimum")
    rows += [["inventory l1", int(t), float(x - optimum), "", ""] for t, x in zip(path.times, costs, strict=True)]
    said = f"cost {costs[0]:.4f} -> {costs[-1]:.4f}, optimum {optimum:.4f}"
    fact = f"inventory: gradient at the worst kernel reaches the robust optimum, {size.inventory} iterations"
    found.append(Finding(SOURCE, fact, said, abs(costs[-1] - optimum) < 0.01 * (costs[0] - optimum)))
    f, g = features(data)
    tilted = TiltedDRPG(0.1, 0.01, f, g, np.array([0.4, 0.9]), np.array([0.7, 0.6]), 1.0, 1.0, paid=paid)
    trail = run(model, tilted, size.inventory, record=list(range(0, size.inventory + 1, 5)))
    theta, weights = tilted.theta, tilted.weights
    worst = []
    for policy in trail.policies:
        theta, weights, value = tilted.worst(model, policy, theta, weights)
        worst.append(-value)
    ax.plot(trail.times, worst, color=SERIES[1], label="tilted kernels")
    rows += [["inventory tilted", int(t), float(x), "", ""] for t, x in zip(trail.times, worst, strict=True)]
    centre = tilted.kernel(model, tilted.theta, tilted.weights)
    known = -robust_value_iteration(centre, model.rewards, paid, DISCOUNT, np.zeros((8, 3)))
    off = float(np.abs(known - np.array(data["v_opt_nominal_param_kernel"])).max())
    found.append(
        Finding(SOURCE, "inventory: optimal values at the centre of the tilted kernels are the released ones", f"difference {off:.1e}", off < 1e-6)
    )
    said = f"worst cost {worst[0]:.3f} -> {worst[-1]:.3f}; without ambiguity the optimum is {model.start @ known:.3f}"
    found.append(Finding(SOURCE, "inventory: the double loop lowers the worst cost over tilted kernels", said, worst[-1] < worst[0]))
    return found


def _reference(name: str) -> Finding:
    """Robust values of a model of craam2's tests."""
    rows, paid, data = transition_model(name)
    worst = 0.0
    for radius in (0.2, 0.5, 1.0):
        values = robust_value_iteration(rows, np.zeros(rows.shape[:2]), paid, 0.9, np.full(rows.shape[:2], radius))
        expected = np.array(data[f"robust_sa_l1_{radius}_full"])
        worst = max(worst, float(np.abs(values - expected).max() / np.abs(expected).max()))
    title = name.replace("riverswim", "river swim").replace("_", " ")
    fact = f"robust values of {title}, L1 radius 0.2, 0.5, 1, are those of craam2's test data"
    return Finding("craam2 (test data)", fact, f"largest relative difference {worst:.1e}", worst < 1e-9)


if __name__ == "__main__":
    chosen = FULL if "--full" in sys.argv else QUICK
    sys.exit(report("drpg_garnet", lambda: experiment(chosen), [word for word in sys.argv[1:] if word != "--full"]))

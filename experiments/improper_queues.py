"""Improper policy gradient on two queues: Zaki, Mohan, Gopalan, Mannor (2022).

One server, two queues with equal arrivals; each of two controllers always serves the same queue.  Neither keeps both queues short, and the best
mixture serves each half of the time; policy gradient over the mixture finds it from a start that prefers one controller.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
from matplotlib.figure import Figure

import mdps
import pgtheory
from experiments.findings import Finding, Outcome, report
from pgtheory import arithmetic
from proofs_check.plots import INK, SERIES

LONGEST, ARRIVAL, DISCOUNT = 6, 0.4, 0.95
"""Largest length of a queue, chance of an arrival in each queue a step, discount."""
STEP, ITERATIONS, FIRST = 0.02, 600, 0.95
"""Step size, steps, weight of the first controller at the start."""
CRITIC_STEP, CRITIC_STEPS = 5.0, 20


def queues() -> mdps.MDP:
    """State (a, b): the lengths.  Action k serves queue k if it is not empty; then each queue gains one with chance ARRIVAL.

    Pays 1 - (a + b)/(2 LONGEST) a step."""
    states = list(itertools.product(range(LONGEST + 1), repeat=2))
    index = {state: k for k, state in enumerate(states)}
    transitions, rewards = np.zeros((len(states), 2, len(states))), np.zeros((len(states), 2))
    for state, action in itertools.product(states, range(2)):
        left = [max(length - (queue == action), 0) for queue, length in enumerate(state)]
        rewards[index[state], action] = 1 - sum(state) / (2 * LONGEST)
        for come in itertools.product((0, 1), repeat=2):
            likely = np.prod([ARRIVAL if one else 1 - ARRIVAL for one in come])
            after = tuple(min(length + one, LONGEST) for length, one in zip(left, come, strict=True))
            transitions[index[state], action, index[after]] += likely
    return mdps.MDP(transitions, rewards, DISCOUNT, start=np.eye(len(states))[0])


def experiment() -> Outcome:
    model = queues()
    controllers = np.stack([np.eye(2)[np.full(model.num_states, k)] for k in range(2)])
    method = pgtheory.ImproperPG(STEP, controllers)

    def value(weight: float) -> float:
        return float(model.start @ pgtheory.state_values(model, weight * controllers[0] + (1 - weight) * controllers[1]))

    state = np.log([FIRST, 1 - FIRST])
    path = [arithmetic.softmax(state)[0]]
    for _ in range(ITERATIONS):
        state = method.step(state, model)
        path.append(arithmetic.softmax(state)[0])
    grid = np.linspace(0, 1, 101)
    values, along = np.array([value(w) for w in grid]), np.array([value(w) for w in path])
    best = float(grid[values.argmax()])
    critic = pgtheory.ImproperActorCritic(STEP, controllers, CRITIC_STEP, CRITIC_STEPS)
    learner = np.concatenate([np.log([FIRST, 1 - FIRST]), np.zeros(model.num_states)])
    for _ in range(ITERATIONS):
        learner = critic.step(learner, model)
    learned = arithmetic.softmax(learner[:2])[0]
    source = "Zaki, Mohan, Gopalan, Mannor (2022), the two-queue example"
    ends = max(values[0], values[-1])
    compared = f"{values.max():.4f} at weight {best:.2f} against {values[0]:.4f} and {values[-1]:.4f}"
    arrived = f"weight {path[-1]:.4f} after {ITERATIONS} steps, from {FIRST}"
    found = [
        Finding(source, "the best mixture is better than either controller", compared, values.max() > ends + 0.1),
        Finding(source, "policy gradient over the mixture converges to it", arrived, abs(path[-1] - best) < 0.02),
        Finding(
            f"{source}, actor-critic",
            "with a critic by a few expected TD(0) steps it converges to the same mixture",
            f"weight {learned:.4f} after {ITERATIONS} steps from {FIRST}, with {CRITIC_STEPS} critic steps each",
            abs(learned - best) < 0.02,
        ),
        Finding(source, "its values never fall", f"smallest increase {np.diff(along).min():.1e}", (np.diff(along) > -1e-12).all()),
    ]
    figure = Figure(figsize=(8.0, 3.8), constrained_layout=True)
    left, right = figure.subplots(1, 2)
    left.plot(grid, values, color=SERIES[0])
    left.plot([path[0], path[-1]], [along[0], along[-1]], "o", color=SERIES[1])
    left.set_xlabel("weight of the first controller", color=INK)
    left.set_title("value of the mixture [reward]", loc="left", color=INK, fontsize=10)
    right.plot(range(ITERATIONS + 1), path, color=SERIES[0])
    right.set_xlabel("iteration t", color=INK)
    right.set_title("weight of the first controller", loc="left", color=INK, fontsize=10)
    rows = [[t, float(w), float(v)] for t, (w, v) in enumerate(zip(path, along, strict=True))]
    return Outcome(("t", "weight of the first controller", "value"), rows, figure, found)


if __name__ == "__main__":
    sys.exit(report("improper_queues", experiment))

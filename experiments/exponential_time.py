"""Softmax policy gradient can take exponential time, after Li, Wei, Chi, Gu, Chen (2021): growth in the number of states and in the horizon.

The model follows the mechanism of the paper's proof; its constants are our own, as the paper's text was not at hand.  Primary states s = 1, ..., H,
of optimal value gamma^(2 s), adjoint states s', an absorbing state 0.  With tau_s = gamma^(2s/3) / 2, r_s = gamma^(2s/3 + 5/6) / 2, p = (1 -
gamma)/10:

    s = 1, 2    a_0, a_2: pay -gamma^(2 s), end     a_1: pays gamma^(2 s), ends                        (n copies each: the buffers)
    s >= 3      a_0: pays r_s + gamma^2 p tau_(s-2), ends     a_1: to (s - 1)'     a_2: pays r_s, to (s - 2)' with probability p, else ends
    s'          a_0, a_2: pay gamma tau_s, end      a_1: to s
    boosters    n for each s >= 3 and each s', which lead there whatever is done

In state s action a_1 is the best in the end and the worst at first: it pays once V(s - 1) has passed tau_(s-1), and until then its probability falls,
first beside a_0, then, when V(s - 2) passes tau_(s-2), beside a_2, which takes over from a_0.  What has fallen to 1/t takes a time of more than t to
come back; and every state waits for the one before.  Start distribution and first policy are uniform.

Copies of a state behave alike, so the run is computed for one of each kind (`slopes`), its logits moving by the share of one copy; as the step size
goes to 0, logits at iteration t follow the gradient flow at time eta t, which is integrated, so that 10^10 iterations cost a second.  Both reductions
are checked: the first against `pgtheory.run` on the whole model, the second against the steps.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
from matplotlib.figure import Figure

import mdps
import pgtheory
from experiments.findings import Finding, Outcome, report
from pgtheory.compiled import kernel
from proofs_check.plots import INK, SERIES

SOURCE = "Li, Wei, Chi, Gu, Chen (2021), Theorem 1 (as recalled), on a model of our own after theirs"
DEPTHS = (3, 4, 5, 6)
COPIES = (100_000, 1_000_000, 10_000_000)
SLOWNESS = 0.2
"""H (1 - gamma): the horizon 1/(1 - gamma) is 5 H, and gamma^(2 H) about 2/3."""
ACCURACY = 0.15
LEAK = 0.1

Array = np.ndarray


@kernel
def slopes(logits, depth, gamma, leak, copies):
    """(dtheta/dT (2 H + 1, 3), V (2 H + 1,)) for one state of each kind: rows 1 .. H the primary states, H + 1 .. 2 H the adjoint ones."""
    policy = np.empty_like(logits)
    for s in range(logits.shape[0]):
        weights = np.exp(logits[s] - logits[s].max())
        policy[s] = weights / weights.sum()
    size = 2 * depth + 1
    values, worth = np.zeros(size), np.zeros((size, 3))
    for s in range(1, depth + 1):
        tau = 0.5 * gamma ** (2 * s / 3)
        if s <= 2:
            worth[s, :] = -(gamma ** (2 * s))
            worth[s, 1] = gamma ** (2 * s)
        else:
            paid = tau * gamma ** (5 / 6)
            worth[s, 0] = paid + gamma * gamma * leak * 0.5 * gamma ** (2 * (s - 2) / 3)
            worth[s, 1] = gamma * values[depth + s - 1]
            worth[s, 2] = paid + gamma * leak * values[depth + s - 2]
        values[s] = (policy[s] * worth[s]).sum()
        worth[depth + s, :] = gamma * tau
        worth[depth + s, 1] = gamma * values[s]
        values[depth + s] = (policy[depth + s] * worth[depth + s]).sum()
    total = 1 + 2 * copies + (depth - 2) + depth + (2 * depth - 2) * copies
    visits = np.zeros(size)
    for s in range(depth, 0, -1):
        visits[depth + s] = (1 + gamma * copies) / total
        if s + 1 <= depth and s >= 2:
            visits[depth + s] += gamma * policy[s + 1, 1] * visits[s + 1]
        if s + 2 <= depth:
            visits[depth + s] += gamma * leak * policy[s + 2, 2] * visits[s + 2]
        here = (1 + gamma * copies if s >= 3 else copies) / total
        visits[s] = here + gamma * policy[depth + s, 1] * visits[depth + s]
    moves = np.zeros_like(logits)
    for s in range(1, size):
        share = visits[s] / copies if s <= 2 else visits[s]
        for a in range(3):
            moves[s, a] = share * policy[s, a] * (worth[s, a] - values[s])
    return moves, values


def num_states(depth: int, copies: int) -> int:
    """|S| of the whole model."""
    return 1 + 2 * copies + (depth - 2) + depth + (2 * depth - 2) * copies


def whole_model(depth: int, gamma: float, copies: int) -> tuple[mdps.MDP, list[int]]:
    """The model with all its copies, and one state of each kind, in the order of `slopes` without the absorbing state."""
    names: list[tuple[str, int, int]] = [("end", 0, 0)]
    names += [("primary", s, k) for s in range(1, depth + 1) for k in range(copies if s <= 2 else 1)]
    names += [("adjoint", s, 0) for s in range(1, depth + 1)]
    boosted = [("primary", s) for s in range(3, depth + 1)] + [("adjoint", s) for s in range(1, depth + 1)]
    states = len(names) + len(boosted) * copies
    index = {name: k for k, name in enumerate(names)}
    transitions, rewards = np.zeros((states, 3, states)), np.zeros((states, 3))
    tau, leak = [0.5 * gamma ** (2 * s / 3) for s in range(depth + 1)], LEAK * (1 - gamma)

    def to(state: int, action: int, kind: str, s: int, probability: float = 1.0) -> None:
        targets = [index[kind, s, k] for k in range(copies if kind == "primary" and s <= 2 else 1)]
        transitions[state, action, targets] += probability / len(targets)

    for (kind, s, _), k in index.items():
        for action in range(3):
            if kind == "adjoint" and action == 1:
                to(k, action, "primary", s)
            elif kind == "primary" and s >= 3 and action == 1:
                to(k, action, "adjoint", s - 1)
            elif kind == "primary" and s >= 3 and action == 2:
                to(k, action, "adjoint", s - 2, leak)
                to(k, action, "end", 0, 1 - leak)
            else:
                to(k, action, "end", 0)
        if kind == "adjoint":
            rewards[k, [0, 2]] = gamma * tau[s]
        elif kind == "primary" and s <= 2:
            rewards[k] = [-(gamma ** (2 * s)), gamma ** (2 * s), -(gamma ** (2 * s))]
        elif kind == "primary":
            paid = tau[s] * gamma ** (5 / 6)
            rewards[k] = [paid + gamma**2 * leak * tau[s - 2], 0, paid]
    for number, (kind, s) in enumerate(boosted):
        for k in range(copies):
            for action in range(3):
                to(len(names) + number * copies + k, action, kind, s)
    kinds = [index["primary", s, 0] for s in range(1, depth + 1)] + [index["adjoint", s, 0] for s in range(1, depth + 1)]
    return mdps.MDP(transitions, rewards, gamma, start=np.full(states, 1 / states)), kinds


@kernel
def steps(depth, gamma, leak, copies, step_size, most, accuracy):
    """The first iteration at which no primary state is further than `accuracy` from its optimum; `most` if none is."""
    logits = np.zeros((2 * depth + 1, 3))
    for t in range(most):
        moves, values = slopes(logits, depth, gamma, leak, copies)
        worst = 0.0
        for s in range(1, depth + 1):
            worst = max(worst, gamma ** (2 * s) - values[s])
        if worst <= accuracy:
            return t
        logits += step_size * moves
    return most


def flow(depth: int, gamma: float, copies: int, latest: float = 1e22) -> tuple[Array, Array]:
    """(T (N,), V of the primary states (N, H)) along the gradient flow, until all are within ACCURACY of their optimum."""
    from scipy.integrate import solve_ivp

    shape, leak = (2 * depth + 1, 3), LEAK * (1 - gamma)
    best = gamma ** (2 * np.arange(1, depth + 1))

    def moved(log_time: float, flat: Array) -> Array:
        return np.exp(log_time) * slopes(flat.reshape(shape), depth, gamma, leak, float(copies))[0].reshape(-1)

    def short(log_time: float, flat: Array) -> float:
        return float((best - slopes(flat.reshape(shape), depth, gamma, leak, float(copies))[1][1 : depth + 1]).max() - ACCURACY)

    short.terminal = True  # type: ignore[attr-defined]
    found = solve_ivp(moved, (np.log(0.1), np.log(latest)), np.zeros(shape).reshape(-1), method="LSODA", rtol=1e-6, atol=1e-7, events=short)
    values = [slopes(flat.reshape(shape), depth, gamma, leak, float(copies))[1][1 : depth + 1] for flat in found.y.T]
    return np.exp(found.t), np.array(values)


def experiment() -> Outcome:
    rows, times, curves = [], {}, {}
    for depth in DEPTHS:
        gamma = 1 - SLOWNESS / depth
        for copies in COPIES:
            T, values = flow(depth, gamma, copies)
            times[depth, copies] = float(T[-1])
            curves[depth, copies] = (T, values)
            rows.append([depth, gamma, copies, num_states(depth, copies), float(T[-1])])
    found = [*_checks(), *_growth(times)]
    return Outcome(("depth", "discount", "copies", "states", "eta t"), rows, _picture(times, curves), found)


def _checks() -> list[Finding]:
    """That one state of each kind, and the flow, stand for policy gradient on the whole model."""
    depth, gamma, copies, step = 4, 0.95, 3, 0.5
    model, kinds = whole_model(depth, gamma, copies)
    run = pgtheory.run(model, pgtheory.SoftmaxPG(step), 400, record="all")
    logits, apart = np.zeros((2 * depth + 1, 3)), 0.0
    for t in range(401):
        moves, values = slopes(logits, depth, gamma, LEAK * (1 - gamma), float(copies))
        apart = max(apart, float(np.abs(values[1:] - run.values[t, kinds]).max()))
        logits += step * moves
    depth, copies = 3, 1000
    gamma = 1 - SLOWNESS / depth
    step = (1 - gamma) ** 2 / 5
    taken = steps(depth, gamma, LEAK * (1 - gamma), float(copies), 100 * step, 10**7, ACCURACY)
    flowed = float(flow(depth, gamma, copies)[0][-1]) / (100 * step)
    return [
        Finding(
            SOURCE, "one state of each kind behaves as in the whole model", f"values of {model.num_states} states apart by {apart:.0e}", apart < 1e-9
        ),
        Finding(
            SOURCE,
            "the gradient flow tells the number of steps",
            f"{taken:,} steps of size {100 * step:.3g}, {flowed:,.0f} by the flow",
            abs(taken / flowed - 1) < 0.02,
        ),
    ]


def _growth(times: dict[tuple[int, int], float]) -> list[Finding]:
    slopes_of = {}
    for depth in DEPTHS:
        few, many = COPIES[-2:]
        slopes_of[depth] = float(np.log(times[depth, many] / times[depth, few]) / np.log(num_states(depth, many) / num_states(depth, few)))
    exponents = list(slopes_of.values())
    last = [times[depth, COPIES[-1]] for depth in DEPTHS]
    factors = [b / a for a, b in itertools.pairwise(last)]
    return [
        Finding(
            SOURCE,
            "the time grows as a power of the number of states, and the exponent grows with the horizon",
            ", ".join(f"exponent {slope:.2f} at horizon {round(depth / SLOWNESS)}" for depth, slope in slopes_of.items()),
            all(b > a for a, b in itertools.pairwise(exponents)) and exponents[-1] > 1.5,
        ),
        Finding(
            SOURCE,
            f"the time grows exponentially with the horizon: at {num_states(DEPTHS[-1], COPIES[-1]):.0e} states it doubles with every 5 steps",
            "eta t = " + ", ".join(f"{x:.1e}" for x in last) + f" at horizons {', '.join(str(round(depth / SLOWNESS)) for depth in DEPTHS)}",
            min(factors) > 2,
        ),
    ]


def _picture(times: dict[tuple[int, int], float], curves: dict[tuple[int, int], tuple[Array, Array]]) -> Figure:
    figure = Figure(figsize=(10.5, 4.2), constrained_layout=True)
    left, right = figure.subplots(1, 2)
    for k, depth in enumerate(DEPTHS):
        sizes, taken = [num_states(depth, copies) for copies in COPIES], [times[depth, copies] for copies in COPIES]
        left.loglog(sizes, taken, color=SERIES[k], marker="o")
        left.annotate(
            f"horizon {round(depth / SLOWNESS)}", (sizes[-1], taken[-1]), xytext=(6, 0), textcoords="offset points", color=SERIES[k], fontsize=9
        )
    left.set_xlabel("number of states |S|", color=INK)
    left.set_title(f"η t until all states are within {ACCURACY} of V* [1/reward]", loc="left", color=INK, fontsize=10)
    left.margins(x=0.25)
    T, values = curves[DEPTHS[-1], COPIES[-1]]
    gamma = 1 - SLOWNESS / DEPTHS[-1]
    for s in range(1, DEPTHS[-1] + 1):
        right.semilogx(
            T, gamma ** (2 * s) - values[:, s - 1], color=SERIES[(s - 1) % len(SERIES)], label=f"s = {s}", linestyle="-" if s <= 3 else "--"
        )
    right.set_xlim(left=1e4)
    right.set_xlabel("η t [1/reward]", color=INK)
    right.set_title(f"V* − V in state s [reward], |S| = {num_states(DEPTHS[-1], COPIES[-1]):,}", loc="left", color=INK, fontsize=10)
    right.legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    sys.exit(report("exponential_time", experiment))

"""Softmax PG against its geometry-aware normalised form on an MDP: Mei, Gao, Dai, Szepesvari, Schuurmans (2021).

The model is a tree: four levels with three actions, each leading to a state of its own, rewards drawn once for the actions of the last level, which
end. Normalising the gradient, theta <- theta + eta g/|g|, turns the 1/t of softmax PG into a linear rate, and it leaves plateaus sooner: from a first
policy that prefers the worst action of every state.  (The tree is ours: the paper's figure shows a synthetic tree, whose rewards are not published
with it as far as we know.)
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

import mdps
import pgtheory
from experiments.findings import Finding, Outcome, report
from proofs_check.plots import INK, SERIES
from proofs_check.rates import fit_rate

LEVELS, ACTIONS, DISCOUNT = 4, 3, 0.9
PLAIN_STEP, NORMALISED_STEP, ITERATIONS = 1.0, 0.5, 20_000
PREFERRED = 0.98
"""Probability of the worst action of every state in the bad first policy."""
WAITING = 0.9
"""A plateau lasts while at least this part of the first gap is left."""
SOURCE = "Mei, Gao, Dai, Szepesvari, Schuurmans (2021)"


def tree(seed: int = 5) -> mdps.MDP:
    """States level by level, then one absorbing end; the start distribution is uniform, as the theory asks for mu > 0."""
    states = sum(ACTIONS**level for level in range(LEVELS)) + 1
    inner = sum(ACTIONS**level for level in range(LEVELS - 1))
    transitions, rewards = np.zeros((states, ACTIONS, states)), np.zeros((states, ACTIONS))
    rng = np.random.default_rng(seed)
    for s in range(states):
        for a in range(ACTIONS):
            transitions[s, a, ACTIONS * s + a + 1 if s < inner else states - 1] = 1
    rewards[inner : states - 1] = np.round(rng.random((states - 1 - inner, ACTIONS)), 2)
    return mdps.MDP(transitions, rewards, DISCOUNT, start=np.full(states, 1 / states))


def experiment() -> Outcome:
    model = tree()
    worst = pgtheory.action_values(model, pgtheory.solve(model).policy).argmin(axis=1)
    bad = np.where(np.eye(ACTIONS)[worst] > 0, PREFERRED, (1 - PREFERRED) / (ACTIONS - 1))
    methods = {"softmax PG": pgtheory.SoftmaxPG(PLAIN_STEP), "normalised PG": pgtheory.Normalised(NORMALISED_STEP)}
    rows, gaps = [], {}
    for begin, initial in (("uniform start", np.full(bad.shape, 1 / ACTIONS)), ("bad start", bad)):
        for name, method in methods.items():
            run = pgtheory.run(model, method, ITERATIONS, initial=initial)
            gaps[begin, name] = (run.times, run.gap())
            rows += [[begin, name, int(t), float(gap)] for t, gap in zip(*gaps[begin, name], strict=True)]
    return Outcome(("start", "method", "t", "gap"), rows, _picture(gaps), _findings(gaps))


def _findings(gaps: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]) -> list[Finding]:
    plain, normalised = (fit_rate(*gaps["uniform start", name]) for name in ("softmax PG", "normalised PG"))
    waits = {
        name: int(times[np.argmax(gap < WAITING * gap[0])]) for name in ("softmax PG", "normalised PG") for times, gap in [gaps["bad start", name]]
    }
    said = ", ".join(f"{name} until t = {t:,}" for name, t in waits.items())
    return [
        Finding(f"{SOURCE}, figure for MDPs", "softmax PG: the gap falls as 1/t", plain.text(), plain.kind == "power" and abs(plain.value + 1) < 0.1),
        Finding(f"{SOURCE}, Theorem 4 (as recalled)", "normalised PG: the gap falls linearly", normalised.text(), normalised.kind == "geometric"),
        Finding(
            f"{SOURCE}, escape from plateaus",
            "normalised PG leaves a plateau sooner",
            f"{WAITING:.0%} of the first gap is left with {said}",
            waits["normalised PG"] * 2 < waits["softmax PG"],
        ),
    ]


def _picture(gaps: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]) -> Figure:
    figure = Figure(figsize=(9.0, 4.0), constrained_layout=True)
    for ax, begin in zip(figure.subplots(1, 2, sharey=True), ("uniform start", "bad start"), strict=True):
        for k, name in enumerate(("softmax PG", "normalised PG")):
            times, gap = gaps[begin, name]
            keep = gap > 1e-13
            ax.loglog(np.maximum(times[keep], 0.5), gap[keep], color=SERIES[k], linestyle="-" if k == 0 else "--", label=name)
        ax.set_xlabel("iteration t", color=INK)
        ax.set_title(f"{begin}: gap V* − V [reward]", loc="left", color=INK, fontsize=10)
        ax.legend(frameon=False)
    return figure


if __name__ == "__main__":
    sys.exit(report("normalised_pg_mdp", experiment))

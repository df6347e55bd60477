"""Twelve methods on the simplex of one state with three actions, rewards 1, 0.9 and 0.1."""

from matplotlib.figure import Figure

import mdps
import pgtheory
from proofs_check.pictures import methods_on_simplex

STARTS = {"from the middle": [[1 / 3, 1 / 3, 1 / 3]], "near the second best": [[0.05, 0.85, 0.1]], "near the worst": [[0.03, 0.07, 0.9]]}
METHODS = {
    "softmax PG, η = 2/5": (pgtheory.SoftmaxPG(0.4), 3000),
    "normalised PG, η = 1/5": (pgtheory.Normalised(0.2), 300),
    "natural PG, η = 1/5": (pgtheory.NaturalPG(0.2), 300),
    "projected PG, η = 1/10": (pgtheory.ProjectedPG(0.1), 60),
    "entropy PG, τ = 1/5": (pgtheory.EntropyPG(0.4, 0.2), 3000),
    "log-barrier PG, λ = 1/20": (pgtheory.LogBarrierPG(0.4, 0.05), 3000),
    "escort PG, p = 2": (pgtheory.EscortPG(0.1), 600),
    "Bregman descent, q = 1/2": (pgtheory.BregmanDescent(0.2), 300),
    "Tsallis steps, MVI(2)": (pgtheory.Munchausen(2), 100),
    "PPO, clip 1/5": (pgtheory.PPO(0.2, 1, 10), 200),
    "trust region, 1/50": (pgtheory.TrustRegion(0.02), 60),
    "conservative iteration, α = 1/10": (pgtheory.ConservativePI(0.1, "fixed"), 60),
}


def draw() -> Figure:
    return methods_on_simplex(mdps.zoo.load("arms([1, 9/10, 1/10])"), METHODS, STARTS)

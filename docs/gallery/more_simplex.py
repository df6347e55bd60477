"""Sixteen further methods on the same simplex."""

import numpy as np
from matplotlib.figure import Figure

import mdps
import pgtheory
from proofs_check.pictures import methods_on_simplex

STARTS = {"from the middle": [[1 / 3, 1 / 3, 1 / 3]], "near the worse corner": [[0.05, 0.85, 0.1]], "near the worst": [[0.03, 0.07, 0.9]]}
FEATURES = np.array([[[1.0, 0.0], [0.5, 1.0], [0.0, 0.5]]])
METHODS = {
    "KL to (1/10, 4/5, 1/10), τ = 1/5": (pgtheory.RegularisedPG(0.4, 0.2, np.array([[0.1, 0.8, 0.1]])), 3000),
    "entropy NPG, τ = 1/5": (pgtheory.EntropyNPG(0.2, 0.2), 300),
    "regularised mirror descent, τ = 1/5": (pgtheory.RegularisedMirrorDescent(0.2, 0.2), 300),
    "soft policy iteration, τ = 1/5": (pgtheory.SoftPolicyIteration(0.2), 3),
    "decreasing steps, 2/√(t + 1)": (pgtheory.Decreasing(2, power=0.5), 1000),
    "adaptive steps, η = 1/2": (pgtheory.Adaptive(0.5), 1000),
    "Armijo steps": (pgtheory.Armijo(16), 200),
    "Polyak steps": (pgtheory.Polyak(), 40),
    "mirror descent, growing, KL": (pgtheory.GrowingMirrorDescent(0.1, 1.2), 60),
    "mirror descent, adaptive, Euclidean": (pgtheory.AdaptiveMirrorDescent(1, "euclidean"), 10),
    "mirror learning, clipped drift 1/5": (pgtheory.MirrorLearning(0.2, "ppo"), 30),
    "MDPO, η = 1/2": (pgtheory.MDPO(0.5, 0.5), 100),
    "SPO, ε = 1/5": (pgtheory.SPO(0.2), 100),
    "FixPO, radius 1/50": (pgtheory.FixPO(0.02), 200),
    "line search, natural": (pgtheory.LineSearchPG("natural"), 4),
    "log-linear NPG, 2 features": (pgtheory.LogLinearNPG(0.2, FEATURES), 300),
}


def draw() -> Figure:
    return methods_on_simplex(mdps.zoo.load("arms([1, 9/10, 1/10])"), METHODS, STARTS)

"""Mutants that no search refutes because they are true: why, in a sentence.  `pgtheory mutate` prints the reason beside the survivor.

Only what is derived is listed.  A survivor that is merely never refuted stays without a reason: it is open, and worth a derivation.
"""

from __future__ import annotations

LIMITS = "both sides are continuous in the policy, and policies with zeros are limits of interior ones"
SCALE = "both sides are equivariant under r -> a r + b with a > 0, so that any rewards can be mapped to [0, 1]"
BACKUP = "a Bellman backup takes the best action, and the policy's own values are the mean over its actions: T V >= V"
ANY_POLICY = "the improvement step reads the current policy only through its values, and these may be the values of any policy"
EVERY_STEP = "the theorem holds for every step size eta > 0; the range is only where it is sampled"
DOUBLE = "it is the theorem for the step size 2 eta, whose bound is smaller than the one for eta"
TWO_ARMS = "a Hessian has norm at most sqrt(3)/9 = 0.19245 in a bandit with rewards in [0, 1] (two arms at p = (3 - sqrt 3)/6)"

REASONS: dict[str, dict[str, str]] = {
    "softmax-smoothness-sharp:derived": {"assumption dropped: interior policy": LIMITS},
    "softmax-smoothness-sharp:printed": {
        "assumption dropped: interior policy": LIMITS,
        "assumption dropped: rewards in [0, 1]": "the rewards sampled then span 4; 4 times the derived form, 2/(1-gamma)^2, is below 8/(1-gamma)^3",
    },
    "softmax-smoothness-sharp:bandit derived": {"assumption dropped: interior policy": LIMITS, "constant 1/2 halved": TWO_ARMS},
    "softmax-smoothness-sharp:bandit printed": {
        "assumption dropped: interior policy": LIMITS,
        "assumption dropped: rewards in [0, 1]": "the rewards sampled without it span 4, and 4/2, the derived form times 4, is below 5/2",
    },
    "softmax-smoothness-sharp:gradient": {"assumption dropped: interior policy": LIMITS},
    "softmax-lojasiewicz:mdp": {
        "assumption dropped: rewards in [0, 1]": SCALE,
        "assumption dropped: full support of mu": "where the policy never goes and the optimal one does, the mismatch is infinite and the bound 0",
        "assumption dropped: interior policy": LIMITS,
    },
    "softmax-lojasiewicz:bandit": {"assumption dropped: rewards in [0, 1]": SCALE, "assumption dropped: interior policy": LIMITS},
    "npg-one-over-T:rate": {
        "gap_mu measured, not gap_rho": "the theorem holds for every rho and its bound does not depend on it: take rho = mu",
        "step size doubled": DOUBLE,
        "range of eta: upper end doubled": EVERY_STEP,
    },
    "npg-one-over-T:ascent": {
        "step size doubled": "(1/eta) log Z grows with eta (a log moment generating function is convex), so the theorem for 2 eta promises more",
        "range of eta: upper end doubled": EVERY_STEP,
        "assumption dropped: rewards in [0, 1]": "log Z >= 0 by Jensen and the performance difference lemma, whatever the rewards are",
    },
    "npg-one-over-T:monotone": {
        "bellman_values measured, not next_state_values": BACKUP,
        "step size doubled": EVERY_STEP,
        "range of eta: upper end doubled": EVERY_STEP,
        "assumption dropped: rewards in [0, 1]": SCALE + " (eta is divided by a, and any eta > 0 will do)",
    },
    "policy-iteration-monotone-geometric-finite:geometric": {"assumption dropped: deterministic start": ANY_POLICY},
    "policy-iteration-monotone-geometric-finite:better than a Bellman backup": {"assumption dropped: deterministic start": ANY_POLICY},
    "policy-iteration-monotone-geometric-finite:backup improves": {
        "assumption dropped: deterministic start": ANY_POLICY,
        "next_state_values measured, not bellman_values": "the form 'better than a Bellman backup' and this one together: V_{t+1} >= T V_t >= V_t",
    },
    "policy-iteration-monotone-geometric-finite:finite": {
        "gap_mu measured, not gap_sup": "the gap under mu is at most the largest gap, which is 0",
        "constant -1 doubled in the condition's left side": "every step improves, and A^S policies allow A^S - 1 of them: t = A^S - 1 is enough",
        "assumption dropped: deterministic start": "one step makes the policy deterministic, and A^S - 1 more are enough: t = A^S",
    },
    **{
        f"softmax-pg-any-step-monotone:{form}": {
            "step size doubled": EVERY_STEP,
            "range of eta: upper end doubled": EVERY_STEP,
            "assumption dropped: rewards in [0, 1]": SCALE + " (eta is divided by a, and any eta > 0 will do)",
        }
        for form in ("action values", "one step")
    },
    "softmax-pg-any-step-monotone:state values": {
        "bellman_values measured, not next_state_values": BACKUP,
        "step size doubled": EVERY_STEP,
        "range of eta: upper end doubled": EVERY_STEP,
        "assumption dropped: rewards in [0, 1]": SCALE + " (eta is divided by a, and any eta > 0 will do)",
    },
    "softmax-one-over-t-lower-bound:bandit": {
        "condition 0 < t dropped": "at t = 0 both sides are the gap of the start policy",
    },
}  # fmt: skip
"""{"claim:form": {name of the mutant: reason}}; the name may end in * to speak of all that begin so."""


def reason(claim: str, form: str, mutant: str) -> str:
    """Why that mutant is true; empty where no reason is known."""
    for name, text in REASONS.get(f"{claim}:{form}", {}).items():
        if name == mutant or (name.endswith("*") and mutant.startswith(name[:-1])):
            return text
    return ""

"""Mutants that no search refutes because they are true: why, in a sentence.  `pgtheory mutate` prints the reason beside the survivor.

Reasons are derived.  A survivor that is merely never refuted is listed with a reason that begins with "open: " and says what is known; one that
is not listed at all makes `pgtheory mutate` end with status 1.  STRONGER holds statements that are sharper than the catalogue's and proved in a
few lines; a mutant that follows from one of them needs no reason of its own.
"""

from __future__ import annotations

LIMITS = "both sides are continuous in the policy, and policies with zeros are limits of interior ones"
SCALE = "both sides are equivariant under r -> a r + b with a > 0, so that any rewards can be mapped to [0, 1]"
BACKUP = "a Bellman backup takes the best action, and the policy's own values are the mean over its actions: T V >= V"
ANY_POLICY = "the improvement step reads the current policy only through its values, and these may be the values of any policy"
EVERY_STEP = "the theorem holds for every step size eta > 0; the range is only where it is sampled"
EVERY_TEMPERATURE = "the theorem holds for every temperature tau > 0; the range is only where it is sampled"
LONGEST_STEP = "it is the theorem for the longest step that it allows, (1-gamma)/tau"
ALLOWED_STEP = "eta is still at most (1-gamma)/tau (tau is at most 1), and the theorem holds for every such step"
SOFT_SCALE = "both sides are equivariant under r -> a r + b, tau -> a tau, eta -> eta/a with a > 0, and every tau > 0 is allowed"
WHATEVER_RUN = "it holds for every sequence of policies, whatever step made it"
DOUBLE = "it is the theorem for the step size 2 eta, whose bound is smaller than the one for eta"
QUARTER = (
    "the second derivative along y is Cov(r, X) with X = (y - E y)^2, at most E(X - E X)_+ for r in [0, 1]. With y in an interval of length "
    "R = sqrt 2 and E y at alpha >= 1/2 of it: X <= M = alpha^2 R^2 and E X <= alpha (1 - alpha) R^2, so that E(X - E X)_+ <= E X (1 - E X / M), "
    "which is at most (1 - alpha)(2 alpha - 1) R^2 <= R^2/8 = 1/4, or M/4 <= 2/9 where alpha <= 2/3"
)

ONE_STEP = (
    "one step gains at most 2 eta gap^2: with g = pi A (A the advantages r - V), V_next - V = sum pi A (exp(eta g) - 1) / Z, Z = sum pi exp(eta g). "
    "Let P be the probability of the arms with A > 0 and m = sum of pi A over them = sum of pi |A| over the others, so m <= min(P gap, 1 - P). The "
    "first arms give at most eta m^2 exp(eta m), the others eta m^2, and Z >= 1 - (1 - P)^2 for eta <= 1. As P (exp(1 - P) + 1) rises to 2 at P = 1, "
    "the sum is at most 2 eta gap^2"
)

PRINTED_STEP = (
    "with the step (1-gamma)^3/8 and the derived smoothness, kappa = (31/256)(1-gamma)^5 c^2/(S mismatch^2), and 1/gap_0 >= 1-gamma >= 8 kappa: "
    "1/gap_t >= kappa (t + 8)"
)
ONE_SIDED = (
    "Q*_tau - Q_k >= 0, so that errors of Q move log pi by at most themselves (a log-softmax moves by the range of what it is given), and only the "
    "start counts twice: with a = 1 - eta tau/(1-gamma) and b = 1 - eta tau = a + (1-a) gamma, tau log_policy_gap_t is at most 2 tau a^t |log pi* - "
    "log pi_0| + (1-a) a^(t-1) |Q* - Q_0| + C1 (b^(t-1) - a^(t-1)) <= C1 b^(t-1)"
)
NO_CONDITION = (
    "with m as in the one-step bound and rewards in [0, 1], the arms below the mean lose at most 1 - gap, so that m = gap u with u <= 1 - gap; then "
    "u^2 (exp(eta gap u) + 1)(1 + C gap) <= 2 (1 + eta/4)(1 - eta gap u (1 - u)) says that a step gains at most C gap_t gap_(t+1), "
    "that is, 1/gap grows by at most C a step, from any start"
)

STRONGER: dict[str, tuple[tuple[str, str, tuple[tuple[str, str], ...] | None], ...]] = {
    "softmax-one-over-t-lower-bound:bandit": (
        (
            "gap_mu >= gap_mu_0*(1 - 2*eta*gap_mu_0)/(1 - 2*eta*gap_mu_0 + 2*eta*gap_mu_0*t)",
            ONE_STEP + ", so the recursion has C = 2 eta",
            (("2*eta*gap_mu_0", "1"),),
        ),
        ("gap_mu >= gap_mu_0/(1 + 2*eta*(1 + eta/4)*gap_mu_0*t)", NO_CONDITION, ()),
    ),
    "softmax-one-over-t-lower-bound:mdp": (
        (
            "gap_mu >= gap_mu_0*(1 - 2*eta*largest_mismatch**2/(1-gamma)**2*gap_mu_0)"
            "/(1 - 2*eta*largest_mismatch**2/(1-gamma)**2*gap_mu_0 + 2*eta*largest_mismatch**2/(1-gamma)**2*gap_mu_0*t)",
            "in each state, as for a bandit with the step eta d(s)/(1-gamma) and advantages up to 1/(1-gamma), "
            + ONE_STEP
            + "; the sum over d_(t+1)(s) d_t(s) <= mismatch^2 mu(s)^2 gives C = 2 eta mismatch^2/(1-gamma)^2",
            (("2*eta*largest_mismatch**2/(1-gamma)**2*gap_mu_0", "1"),),
        ),
    ),
    "softmax-mdp-one-over-t:printed": tuple(
        (f"{measured} <= 256*S*{ratio}mismatch**2/(31*(1-gamma)**5*c_inf**2*(t + 8))", PRINTED_STEP, None)
        for measured, ratio in (("gap_rho", "rho_over_mu*"), ("gap_mu", ""))
    ),
    "softmax-mdp-one-over-t:derived": (
        ("gap_mu <= S*mismatch**2/((1-gamma)**4*c_inf**2*t)", "the theorem holds for every rho: take rho = mu, whose ratio to mu is 1", None),
    ),
    "entropy-npg-linear:log policies": (("log_policy_gap <= C1*(1 - eta*tau)**(t - 1)/tau", ONE_SIDED, None),),
    "softmax-smoothness-sharp:bandit derived": (("hessian_norm <= 1/4", QUARTER, None),),
    "softmax-smoothness-sharp:bandit printed": (("hessian_norm <= 1/4", QUARTER, None),),
    "npg-one-over-T:rate": (
        (
            "gap_rho <= (log(A)/eta + 1/(1-gamma)**2)/(t + 1)",
            "V_t - V_0 under the optimal visits is at most 1/(1-gamma) less the gap at t there, which is at least (1-gamma) gap_t(rho): the sum over "
            "k < t of gap_k is at most log(A)/eta + 1/(1-gamma)^2 - gap_t",
            None,
        ),
    ),
}
"""{"claim:form": ((sharper statement, why it is true, its conditions or None for those of the form), ...)}: about the form's instances and runs."""

SMOOTH = (
    "open: it holds if the Hessian's norm is at most half of 1/(2(1-gamma)^2); so it is in bandits (1/4), no MDP was found with more than "
    "(sqrt(3)/9)/(1-gamma), and nobody has a proof"
)
RANGE = "open: the smoothness that the proof uses grows with the range of the rewards, so it says nothing here; no instance breaks it"
NO_SUPPORT = "where mu vanishes a ratio to it is infinite or 0/0, so that the bound is infinite or says nothing"
ORDER = (
    "open: no instance comes closer than this, and the proof loses the factor where it multiplies worst cases of gradient domination that do not "
    "occur together; no better proof is known here"
)
OTHER_STEP = (
    "the derived smoothness allows it: eta (1 - eta/(4(1-gamma)^2)) (1-gamma)^2 is still at least (1-gamma)^6/16, which is all that the printed "
    "constant asks of it"
)
CHAIN = (
    "open: false in float64, but no run that long is certified: on a chain of six states (discount 1/2, nearly all of mu on the first, every optimal "
    "action at 1/5, the others lead back to the first) the gap is 4% above it after 39,000 steps"
)
FEW_STEPS = (
    "open: policy iteration takes far fewer than A^S steps on every instance found; known bounds are of the order A^S/S, and the instances that are "
    "known to need many steps have more states than the search tries"
)
LESS_MISMATCH = (
    "open: d(s) max A(s, .) <= gap_mu for every single state, by improving the policy there alone; whether the sum of squares obeys it too is not "
    "known here, and no instance breaks it"
)
FASTER = (
    "open: it would follow if the gradient's norm were at most sqrt 2 gap_mu, without mismatch and horizon (see softmax-reverse-lojasiewicz); one "
    "state attains that, no instance breaks it, and there is no proof"
)
MANY_ARMS = (
    "open: false by hand, on more arms than the search tries: 20,000 arms of which one pays 1, a uniform start and eta = 69/20 leave the gap "
    "19,999/(19,999 + exp(6.9)) = 0.953 after two steps, and this bound is 0.916"
)

REASONS: dict[str, dict[str, str]] = {
    "softmax-mdp-one-over-t:derived": {
        "exponent of 1/c_inf: 2 -> 1": ORDER, "exponent of mismatch: 2 -> 1": ORDER, "exponent of 1/(1-gamma): 4 -> 3": ORDER,
        "factor mismatch**2 dropped": CHAIN, "rho_over_mu for mismatch": CHAIN, "bound halved": ORDER,
        "step size doubled": ORDER, "rule of eta: *": ORDER, "assumption dropped: rewards in [0, 1]": RANGE,
        "assumption dropped: full support of mu": NO_SUPPORT,
    },
    "softmax-mdp-one-over-t:printed": {
        "assumption dropped: rewards in [0, 1]": RANGE, "assumption dropped: full support of mu": NO_SUPPORT,
        "factor S dropped": ORDER, "A for S": ORDER, "exponent of 1/c_inf: 2 -> 1": ORDER, "exponent of mismatch: 2 -> 1": ORDER,
        "factor mismatch**2 dropped": ORDER, "term t doubled": ORDER, "constant 16 halved": ORDER,
        "step size doubled": OTHER_STEP, "rule of eta: constant 1/8 doubled": OTHER_STEP,
        "rule of eta: exponent of (1-gamma): 3 -> 4": OTHER_STEP, "rule of eta: exponent of (1-gamma): 3 -> 2": OTHER_STEP,
        "rule of eta: *": ORDER,
    },
    "entropy-npg-linear:action values": {
        "range of tau: upper end doubled": EVERY_TEMPERATURE, "rule of eta: factor fraction dropped": LONGEST_STEP,
        "rule of eta: exponent of fraction: 1 -> 2": ALLOWED_STEP, "rule of eta: factor 1/tau dropped": ALLOWED_STEP,
        "rule of eta: exponent of (1-gamma): 1 -> 2": ALLOWED_STEP, "assumption dropped: rewards in [0, 1]": SOFT_SCALE,
        "condition 0 < t dropped":
            "at t = 0 it asks that 2 gamma tau |log pi*/pi_0| >= (1-gamma)|Q* - Q_0|, and V* - V_0 is the discounted sum of tau KL(pi_0 || pi*)",
    },
    "entropy-npg-linear:log policies": {
        "range of tau: upper end doubled": EVERY_TEMPERATURE, "rule of eta: factor fraction dropped": LONGEST_STEP,
        "rule of eta: exponent of fraction: 1 -> 2": ALLOWED_STEP, "rule of eta: factor 1/tau dropped": ALLOWED_STEP,
        "rule of eta: exponent of (1-gamma): 1 -> 2": ALLOWED_STEP, "assumption dropped: rewards in [0, 1]": SOFT_SCALE,
        "soft_q_gap measured, not log_policy_gap": "the form 'action values' says so with gamma <= 1 and tau <= 1 to spare",
    },
    "softmax-reverse-lojasiewicz:bandit": {"assumption dropped: rewards in [0, 1]": SCALE, "assumption dropped: interior policy": LIMITS},
    "visits-at-least-start:mismatch": {"assumption dropped: full support of mu": NO_SUPPORT},
    "change-of-measure:gap": {"assumption dropped: full support of mu": NO_SUPPORT},
    **{
        f"extremes-so-far:{form}": dict.fromkeys(
            (
                "step size doubled", "range of eta: upper end doubled", "assumption dropped: rewards in [0, 1]",
                "assumption dropped: full support of mu",
            ),
            WHATEVER_RUN,
        )
        for form in ("optimal probability", "mismatch")
    },
    **{
        f"values-in-range:{form}": dict.fromkeys(("step size doubled", "range of eta: upper end doubled"), WHATEVER_RUN)
        for form in ("least", "rise")
    },
    "values-in-range:gap at the start": {
        **dict.fromkeys(("step size doubled", "range of eta: upper end doubled"), WHATEVER_RUN),
        "gap_mu measured, not gap_mu_0": "every policy's gap is at most 1/(1-gamma)",
    },
    "npg-potential:identity": {
        "range of eta: upper end doubled": EVERY_STEP,
        "assumption dropped: rewards in [0, 1]": "it is the performance difference lemma and the definition of Z, whatever the rewards are",
    },
    "npg-potential:ends": dict.fromkeys(
        ("step size doubled", "range of eta: upper end doubled", "assumption dropped: rewards in [0, 1]"),
        "the divergence of a policy from the uniform one is at most log A, and it ends at 0 or above, whatever the run is",
    ),
    "bellman-contraction:policy iteration": {"assumption dropped: deterministic start": ANY_POLICY},
    "softmax-reverse-lojasiewicz:mdp": {
        "assumption dropped: rewards in [0, 1]": SCALE,
        "assumption dropped: full support of mu": NO_SUPPORT,
        "assumption dropped: interior policy": LIMITS,
        "factor gap_mu dropped": "open: true for gamma <= 15/16 by the form 'gradient' of softmax-smoothness-sharp; beyond, no instance breaks it",
        "factor policy_mismatch dropped": LESS_MISMATCH,
        "factor 1/(1-gamma) dropped": LESS_MISMATCH,
        "gamma for 1-gamma": LESS_MISMATCH,
    },
    "softmax-sufficient-increase:at least": {
        "range of eta: upper end doubled": EVERY_STEP,
        "step size doubled": SMOOTH,
        "constant -1/4 halved": SMOOTH,
        "exponent of 1/(1-gamma): 2 -> 1": SMOOTH,
        "exponent of eta: 1 -> 2, everywhere": SMOOTH,
    },
    "softmax-sufficient-increase:at least, printed": {
        "range of eta: upper end doubled": EVERY_STEP,
        "step size doubled": "the form 'at least' with 2 eta: 2 eta - eta^2/(1-gamma)^2 >= eta - 4 eta^2/(1-gamma)^3",
        "assumption dropped: rewards in [0, 1]":
            "the rewards sampled then span 4; 4 times the derived smoothness, 2/(1-gamma)^2, is below 8/(1-gamma)^3",
        "exponent of eta: 1 -> 2, everywhere": SMOOTH,
    },
    "softmax-sufficient-increase:at most": {
        "range of eta: upper end doubled": EVERY_STEP,
        "constant 1/4 halved": SMOOTH,
        "exponent of 1/(1-gamma): 2 -> 1": SMOOTH,
    },
    "softmax-smoothness-sharp:derived": {
        "assumption dropped: interior policy": LIMITS, "constant 1/2 halved": SMOOTH, "exponent of 1/(1-gamma): 2 -> 1": SMOOTH,
    },
    "softmax-smoothness-sharp:printed": {
        "assumption dropped: interior policy": LIMITS,
        "assumption dropped: rewards in [0, 1]": "the rewards sampled then span 4; 4 times the derived form, 2/(1-gamma)^2, is below 8/(1-gamma)^3",
    },
    "softmax-smoothness-sharp:bandit derived": {"assumption dropped: interior policy": LIMITS},
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
        "exponent of 1/eta: 1 -> 2": MANY_ARMS,
        "exponent of log(A): 1 -> 2": ORDER,
        "term 1/(t*(1-gamma)**2) halved": ORDER,
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
        "term A**S halved in the condition's left side": FEW_STEPS,
        "exponent of A (S): one less in the condition's left side": FEW_STEPS,
        "exponent of A (S): halved in the condition's left side": FEW_STEPS,
        "S for A in the condition's left side": FEW_STEPS,
        "exponent of t: 1 -> 2 in the condition's right side": FEW_STEPS,
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
        "range of eta: upper end doubled": EVERY_STEP,
        "assumption dropped: bandit": "open: it says of MDPs, with no mismatch and no horizon, what is proved for bandits; no instance breaks it",
        "assumption dropped: rewards in [0, 1]": RANGE,
    },
    "softmax-one-over-t-lower-bound:mdp": {
        "condition 0 < t dropped": "at t = 0 both sides are the gap of the start policy",
        "range of eta: upper end doubled": EVERY_STEP,
        "assumption dropped: full support of mu": NO_SUPPORT,
        "gap_mu for gap_mu_0, everywhere": "its right side is the measured gap times a number that is at most 1",
        **dict.fromkeys(
            (
                "exponent of largest_mismatch: 2 -> 1*", "factor largest_mismatch**2 dropped*", "mismatch for largest_mismatch*",
                "exponent of 1/(1-gamma): 2 -> 1*", "factor (1-gamma)**(-2) dropped*", "gamma for 1-gamma*", "factor gap_mu_0 dropped*",
                "exponent of 1/(1-gamma): 2 -> 3*", "gap_mu for gap_mu_0*", "constant -2 halved, everywhere", "term eta/(4*(1-gamma)**2)*",
                "constant 1/4 *", "constant 1 doubled*", "sign of the term eta*",
            ),
            FASTER,
        ),
    },
    "change-of-measure:ratio": {"assumption dropped: full support of mu": NO_SUPPORT, "mismatch measured, not rho_over_mu": "visits are at most 1"},
    "values-in-range:most": {
        **dict.fromkeys(("step size doubled", "range of eta: upper end doubled"), WHATEVER_RUN),
        "bellman_values measured, not state_values": "r + gamma V <= 1 + gamma/(1-gamma) = 1/(1-gamma)",
    },
}  # fmt: skip
"""{"claim:form": {name of the mutant: reason}}; the name may end in * to speak of all that begin so."""


AGAINST: dict[str, tuple[tuple[str, dict[str, str]], ...]] = {
    "entropy-npg-linear:action values": (("domino(8, 9/10)", {"tau": "1/100", "fraction": "1"}),),
    "entropy-npg-linear:log policies": (("domino(8, 9/10)", {"tau": "1/100", "fraction": "1"}),),
}
"""{"claim:form": ((model, settings), ...)}: instances that a person found against mutants of the form, where the search finds none."""

OTHERS = "the sharper "
"""How a mutant's verdict names a statement of STRONGER that implies it."""


def stronger(claim: str, form: str) -> dict[str, str]:
    """{name: reason} of the sharper true statements known of a form."""
    return {f"{OTHERS}{text}": why for text, why, _ in STRONGER.get(f"{claim}:{form}", ())}


def reason(claim: str, form: str, mutant: str) -> str:
    """Why that mutant is true; empty where no reason is known."""
    for name, text in REASONS.get(f"{claim}:{form}", {}).items():
        if name == mutant or (name.endswith("*") and mutant.startswith(name[:-1])):
            return text
    return ""

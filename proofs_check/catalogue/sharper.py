"""Mutants that no search refutes because they are true: why, in a sentence.  `pgtheory mutate` prints the reason beside the survivor.

Reasons are derived.  A survivor that is merely never refuted is listed with a reason that begins with "open: " and says what is known; one that
is not listed at all makes `pgtheory mutate` end with status 1.  STRONGER holds statements that are sharper than the catalogue's and proved in a
few lines; a mutant that follows from one of them needs no reason of its own.
"""

from __future__ import annotations

from proofs_check.catalogue.reasons import REASONS

ONE_STEP = (
    "one step gains at most 2 eta gap^2 as long as 2 eta gap <= 1, for rewards of any size: with A the advantages r - V, w = eta gap, P the "
    "probability of the arms with A > 0, M = sum of pi A over them = sum of pi |A| over the others, u = eta M <= P w and E = sum of x (exp x - "
    "1) with x = eta pi A over them, eta (V_next - V) Z <= E + u (1 - exp(-u)), where Z = sum pi exp(eta pi A) >= 1 - (1 - P) u + E/w as x <= "
    "pi w; and E + u (1 - exp(-u)) <= 2 w E + u^2 (2 - 1.4 u) <= 2 w^2 Z (docs/theory/mutants.md)"
)

ONE_STATE_AT_A_TIME = (
    "as for one bandit, with advantages weighted by visits v: a state's share of the gain is at most 2 eta v_next m v M, with m its largest "
    "advantage and M the mean of the positive ones; v M <= gap (mend this state alone) and the v_next m add up to at most mismatch "
    "gap/(1-gamma)"
)

FIRST_ORDER = (
    "the reciprocal of the gap grows by at least eta (1-gamma)^2 c^2/(S mismatch^2) a step, for every step size up to 2(1-gamma)^2: in each state "
    "K (1 + y p^2 A) >= y p^2 A^2 for the gain K, the advantage A of the optimal action, its probability p and y = eta v, and the states' gains are "
    "added up by Cauchy's inequality in Engel's form (docs/theory/mutants.md, 'The first order is exact')"
)
ONE_SIDED = (
    "Q*_tau - Q_k >= 0, so that errors of Q move log pi by at most themselves (a log-softmax moves by the range of what it is given), and only the "
    "start counts twice: with a = 1 - eta tau/(1-gamma) and b = 1 - eta tau = a + (1-a) gamma, tau log_policy_gap_t is at most 2 tau a^t |log pi* - "
    "log pi_0| + (1-a) a^(t-1) |Q* - Q_0| + C1 (b^(t-1) - a^(t-1)) <= C1 b^(t-1)"
)
WORST_STATE = (
    "where the gap V* - V is largest, A(s, a*) >= (1-gamma) gap, and the state's own step gains k A^2/(1 + k A) with k = eta c^2 min mu: neither S "
    "nor a mismatch is lost on the way (docs/theory/worst_state.md)"
)
GROWS_BY_C = (
    "the reciprocal of the gap grows by C a step at most: a state's share of the gain is at most 2 eta v_next m v M P/(1 - (1-P) u), P the "
    "probability of its good actions, and v M is smaller than the gap where that is large (docs/theory/mutants.md, 'Between one step and the "
    "horizon')"
)
NO_CONDITION = (
    "with m as in the one-step bound and rewards in [0, 1], the arms below the mean lose at most 1 - gap, so that m = gap u with u <= 1 - gap; then "
    "u^2 (exp(eta gap u) + 1)(1 + C gap) <= 2 (1 + 7 eta/40)(1 - eta gap u (1 - u)) says that a step gains at most C gap_t gap_(t+1), "
    "that is, 1/gap grows by at most C a step, from any start"
)

FIRST = (
    "pg-theorem-direct-and-softmax", "performance-difference", "softmax-smoothness-sharp", "softmax-lojasiewicz", "softmax-mdp-one-over-t",
    "softmax-pg-any-step-monotone", "npg-one-over-T", "policy-iteration-monotone-geometric-finite", "entropy-npg-linear",
    "softmax-one-over-t-lower-bound",
)  # fmt: skip
LEMMAS = (
    "softmax-sufficient-increase", "softmax-reverse-lojasiewicz", "visits-at-least-start", "change-of-measure", "extremes-so-far",
    "values-in-range", "npg-potential", "bellman-contraction",
)  # fmt: skip
VARIED = (
    # identities
    "pg-theorem-log-linear-and-compatible-critic", "softmax-npg-closed-form", "policy-iteration-is-newton", "stateful-policy-gradient",
    "deterministic-policy-gradient", "gradient-subspace", "mdpo-exact-step-is-npg",
    # one method is another one
    "pmd-kl-is-npg", "soft-policy-iteration-is-npg", "large-steps-are-policy-iteration",
    # bounds on one step, one operator or one policy
    "visitation-perturbation", "bellman-contraction-and-vi-error", "soft-bellman-facts", "interpolated-bellman-operator",
    "kl-penalty-guarantees-trust-region", "tsallis-kl-policy", "smoothness-direct", "entropy-smoothness", "gradient-domination-direct",
    "escort-lojasiewicz", "robustness-set-of-a-policy-family", "beer-cosine-bound",
    # duality
    "occupancy-lp-duality", "npg-limit-solves-the-dual",
    # rates, from below, linear, quadratic, after finitely many steps; other settings
    "modified-policy-iteration", "softmax-gravity-well", "pmd-no-faster-than-gamma", "regularised-pmd-gamma-rate",
    "soft-policy-iteration-quadratic", "ppg-finite-termination", "lqr-gradient-domination-and-newton", "finite-horizon-simultaneous-pg",
)  # fmt: skip
STANDARD = (*FIRST, *LEMMAS, *VARIED)
"""The claims that `pgtheory mutate --all` goes through: the first ten, the lemmas of their proofs, and others chosen for variety."""

STRONGER: dict[str, tuple[tuple[str, str, tuple[tuple[str, str], ...] | None], ...]] = {
    "softmax-one-over-t-lower-bound:bandit": (
        (
            "gap_mu >= gap_mu_0*(1 - 2*eta*gap_mu_0)/(1 - 2*eta*gap_mu_0 + 2*eta*gap_mu_0*t)",
            ONE_STEP + ", so the recursion has C = 2 eta",
            (("2*eta*gap_mu_0", "1"),),
        ),
        ("gap_mu >= gap_mu_0/(1 + 2*eta*(1 + 7*eta/40)*gap_mu_0*t)", NO_CONDITION, ()),
    ),
    "softmax-one-over-t-lower-bound:mdp": (
        (
            "gap_mu >= gap_mu_0*(1 - 2*eta*largest_mismatch/(1-gamma)*gap_mu_0)"
            "/(1 - 2*eta*largest_mismatch/(1-gamma)*gap_mu_0 + 2*eta*largest_mismatch/(1-gamma)*gap_mu_0*t)",
            ONE_STATE_AT_A_TIME + ", so the recursion has C = 2 eta mismatch/(1-gamma)",
            (("2*eta*largest_mismatch/(1-gamma)*gap_mu_0", "1"),),
        ),
        (
            "gap_mu >= gap_mu_0/(1 + 2*eta/(1-gamma)**2*(1 + 7*eta/(40*(1-gamma)**2))*largest_mismatch**2*gap_mu_0*t)",
            GROWS_BY_C,
            (("2*eta/(1-gamma)**2*(1 + 7*eta/(40*(1-gamma)**2))*largest_mismatch**2*gap_mu_0", "1"),),
        ),
    ),
    "softmax-mdp-one-over-t:printed": (
        ("gap_rho <= 9*inverse_mu/((1-gamma)**5*c_inf**2*(t + 9))", WORST_STATE, None),
        *(
            (f"{measured} <= 8*S*{ratio}mismatch**2/((1-gamma)**5*c_inf**2*(t + 8))", FIRST_ORDER, None)
            for measured, ratio in (("gap_rho", "rho_over_mu*"), ("gap_mu", ""))
        ),
    ),
    "entropy-npg-linear:log policies": (("log_policy_gap <= C1*(1 - eta*tau)**(t - 1)/tau", ONE_SIDED, None),),
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

OTHERS = "the sharper "
"""How a mutant's verdict names a statement of STRONGER that implies it."""


def stronger(claim: str, form: str) -> dict[str, str]:
    """{name: reason} of the sharper true statements known of a form."""
    return {f"{OTHERS}{text}": why for text, why, _ in STRONGER.get(f"{claim}:{form}", ())}


def reason(claim: str, form: str, mutant: str) -> str:
    """Why that mutant is true; empty where no reason is known."""
    for key in (f"{claim}:{form}", f"{claim}:*"):
        for name, text in REASONS.get(key, {}).items():
            if name == mutant or (name.endswith("*") and mutant.startswith(name[:-1])):
                return text
    return ""

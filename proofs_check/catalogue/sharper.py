"""Mutants that no search refutes because they are true: why, in a sentence.  `pgtheory mutate` prints the reason beside the survivor.

Reasons are derived.  A survivor that is merely never refuted is listed with a reason that begins with "open: " and says what is known; one that
is not listed at all makes `pgtheory mutate` end with status 1.  STRONGER holds statements that are sharper than the catalogue's and proved in a
few lines; a mutant that follows from one of them needs no reason of its own.
"""

from __future__ import annotations

from proofs_check.catalogue.reasons import REASONS

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

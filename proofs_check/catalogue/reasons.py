"""Why mutants that nothing refutes are true: derived, in a sentence each.  "open: " begins a line about one that is neither refuted nor proved, and
says what is known of it; "false: " one about a mutant that is refuted by hand, by an instance too large or a setting too far out for the search.
Sharper statements that make a mutant follow from them are in `catalogue.sharper`, instances that refute one in `catalogue.against`.
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
TWICE_AS_LONG = (
    "it is the theorem for the step size 2 eta, which promises more: with x = eta/(1-gamma)^2 at most 19/10, 2 x (1 - 7 x/20) >= x (1 - 7 x/40)"
)
NO_RANGE = "the sharper bound of the catalogue holds for rewards of any size: its proof does not use their range"
NO_SUPPORT = "where mu vanishes a ratio to it is infinite or 0/0, so that the bound is infinite or says nothing"
FIRST_ORDER_STEP = "the reciprocal of the gap grows by eta (1-gamma)^2 c^2/(S mismatch^2) a step (docs/theory/mutants.md, 'The first order is exact')"
ANY_LONGER_STEP = (
    "the bound holds for every step size from 2(1-gamma)^2 on: with y = eta v, p and A those of an optimal action and u = y p A, a state gains "
    "at least y p^2 A^2/2 for u <= 1 and p A/2 for u >= 1, and either is at least (1-gamma)^2 c^2 mu A^2 (docs/theory/mutants.md, 'Any longer "
    "step')"
)
OTHER_STEP = (
    "the derived smoothness allows it: eta (1 - 7 eta/(40(1-gamma)^2)) (1-gamma)^2 is still at least (1-gamma)^6/16, which is all that the printed "
    "constant asks of it"
)
MANY_ARMS = (
    "false: by hand, on about exp(42) arms: one of them with probability q = (3 - sqrt 3)/6, the others alike, has the second derivative "
    ".0962 log(A) + .040 in that arm's logit, and gamma = 0"
)
SHORT_STEPS = (
    "false: by hand, for shorter steps than the sampled ones: where one slip ends all rewards (two actions, gamma = 99/100, eta = 1/10^6) the gap is "
    ".565/(eta t) after 6,427 steps, and the bound .491/(eta t)"
)
EVERY_SETTING = "the theorem holds for every value of the setting above 0; the range is only where it is sampled"
LONGER = "the condition and the bound are those of eta, and both ask for less than the theorem for 2 eta gives"
HOMOGENEOUS = "under r -> a r + b both sides are multiplied by the same power of a"
ROUNDING = "the condition is there for rounding only: the statement holds wherever it is defined, and says nothing elsewhere"
ANY_REWARDS = "its proof does not use the range of the rewards"
EVERY_MU = "it holds for every start distribution: a state that is never visited adds 0 to both sides"
NO_VALUE_BELOW = "values are at least 0, so that it says nothing where the bound is negative, and it is weaker where the bound is positive"
STAGES_FIRST_ORDER = (
    "the reciprocal of the gap grows by 2 c^2/(S H^2 D^2) a step, as in 'The first order is exact' of docs/theory/mutants.md (at the first "
    "stage D is 1, which pays for the second order; the last step, whose D is not counted, is paid for by the first gap, which is at most H)"
)
SOFT_HESSIAN = (
    "with L_t <= t (t+1)/(3t+2) (1/4 for t = 1) from docs/theory/softmax_smoothness.md, the norm is at most log(A) times the sum over t of "
    "gamma^t (L_t + .914 "
    "sqrt(t/2) + .7214): gradient and Hessian of the entropy of one state are at most .457 log(A) and .7214 log(A), most of all for two actions"
)
EVERY_BETA = "it holds for every beta: the two sides are an identity and a square split in two, in which 1 - beta may have any sign"
EXCLUDED = "where the policy of now excludes an action the weight is infinite or 0/0, and the statement says nothing"
LOOSE_SQUARE = "open: the proof splits a square of two correlated parts and bounds each by its largest value; no instance comes within half of it"
LONGER_GAINS_MORE = "the proof's gain, x (1-gamma)(2 - x (1-gamma)), rises with x up to 1, and the mutant's step is a longer one of at most 1"
TWO_LEVELS = "open: true for gamma = 0, where both eigenvalues lie in [omega, F - omega]; with a horizon no instance breaks it"
FIRST_ROW = "a batch reads the rewards of the first state only, so that there is one state in effect, and no discount"
ANY_SPLIT = (
    "with a = alpha F at most 1/4 and y = 1/2, |g* - Xe|^2 <= y/(y - a) |g*|^2 + y/a |Xe|^2 and fact (1) of temporal_differences.md give the "
    "factor 1 - 3/2 alpha (1-gamma) omega and the floor 2/3 y/(y - a) alpha sigma^2/((1-gamma) omega): 8/9 for a <= 1/8, 4/3 for a <= 1/4, against 2"
)
FADES = "open: from the fixed point one state comes within .17 of the noise term, from elsewhere the first error decides; no proof of less"
MIXED_ROOM = (
    "open: the mixed term is bounded by Cauchy and Schwarz and a geometric sum, with room in all that was looked at; the statement without "
    "it, 'from the fixed point', leaves no mutant alive"
)
ONE_AGENT = "there is at least one agent, and variances are not negative"
FIRST_STATE = "it reads the extra arrays and the first state's policy only: other states and the discount play no part"
FOUR_ROUNDS = "up to four rounds, which is what the form has: any law loses at most b_t = sum of the other roots in a round, and 2/sqrt t >= 1 there"
SURE_DRAWS = "a draw's mean is at most 1, and where it is 1 nothing exceeds it: the measured is 0"
NEVER_DRAWN = "an arm that is never drawn has an infinite gap and makes a law worth infinitely much: the statement says nothing, or holds"
RARE_FAILURES = "open: Hoeffding's inequality and the union lose more than this in all that was listed; no proof"

REASONS: dict[str, dict[str, str]] = {
    "softmax-mdp-one-over-t:one step, derived": {
        "step size doubled": ANY_LONGER_STEP, "rule of eta: constant 2 doubled": ANY_LONGER_STEP,
        "rule of eta: exponent of (1-gamma): 2 -> 1": ANY_LONGER_STEP, "rule of eta: factor (1-gamma)**2 dropped": ANY_LONGER_STEP,
        "assumption dropped: full support of mu":
            "where mu vanishes and the optimal policy goes the mismatch is infinite and the bound 0; where neither does the ratio is 0/0",
    },
    "softmax-mdp-one-over-t:printed": {
        "assumption dropped: full support of mu": NO_SUPPORT,
        "step size doubled": OTHER_STEP, "rule of eta: constant 1/8 doubled": OTHER_STEP,
        "rule of eta: exponent of (1-gamma): 3 -> 4": OTHER_STEP, "rule of eta: exponent of (1-gamma): 3 -> 2": OTHER_STEP,
        "rule of eta: constant 1/8 halved": FIRST_ORDER_STEP,
        "rule of eta: factor (1-gamma)**3 dropped": f"{FIRST_ORDER_STEP} up to 2(1-gamma)^2; from there on {ANY_LONGER_STEP}",
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
    },
    "softmax-sufficient-increase:at least": {
        "range of eta: upper end doubled": EVERY_STEP,
        "step size doubled": TWICE_AS_LONG,
    },
    "softmax-sufficient-increase:at least, printed": {
        "range of eta: upper end doubled": EVERY_STEP,
        "step size doubled": "the form 'at least' with 2 eta: 2 eta - 7 eta^2/(10(1-gamma)^2) >= eta - 4 eta^2/(1-gamma)^3",
        "assumption dropped: rewards in [0, 1]":
            "the rewards sampled then span 4; 4 times the derived smoothness, 7/(5(1-gamma)^2), is below 8/(1-gamma)^3",
    },
    "softmax-sufficient-increase:at most": {
        "range of eta: upper end doubled": EVERY_STEP,
    },
    "softmax-smoothness-sharp:derived": {
        "assumption dropped: interior policy": LIMITS,
    },
    "softmax-smoothness-sharp:printed": {
        "assumption dropped: interior policy": LIMITS,
        "assumption dropped: rewards in [0, 1]":
            "the rewards sampled then span 4; 4 times the derived form, 7/(5(1-gamma)^2), is below 8/(1-gamma)^3",
    },
    "softmax-smoothness-sharp:bandit derived": {"assumption dropped: interior policy": LIMITS},
    "softmax-smoothness-sharp:bandit printed": {
        "assumption dropped: interior policy": LIMITS,
        "assumption dropped: rewards in [0, 1]": "the rewards sampled without it span 4, and 4/4, the derived form times 4, is below 5/2",
    },
    "softmax-smoothness-sharp:gradient": {"assumption dropped: interior policy": LIMITS},
    "softmax-lojasiewicz:mdp": {
        "assumption dropped: rewards in [0, 1]": SCALE,
        "assumption dropped: full support of mu": "where the policy never goes and the optimal one does, the mismatch is infinite and the bound 0",
        "assumption dropped: interior policy": LIMITS,
    },
    "softmax-lojasiewicz:bandit": {"assumption dropped: rewards in [0, 1]": SCALE, "assumption dropped: interior policy": LIMITS},
    "npg-one-over-T:rate": {
        "exponent of log(A): 1 -> 2": SHORT_STEPS,
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
    **{
        f"policy-iteration-monotone-geometric-finite:{form}": {"assumption dropped: deterministic start": ANY_POLICY}
        for form in ("geometric", "better than a Bellman backup", "stops only at the optimum")
    },
    "policy-iteration-monotone-geometric-finite:backup improves": {
        "assumption dropped: deterministic start": ANY_POLICY,
        "next_state_values measured, not bellman_values": "the form 'better than a Bellman backup' and this one together: V_{t+1} >= T V_t >= V_t",
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
        "assumption dropped: rewards in [0, 1]": NO_RANGE,
    },
    "softmax-one-over-t-lower-bound:mdp": {
        "condition 0 < t dropped": "at t = 0 both sides are the gap of the start policy",
        "range of eta: upper end doubled": EVERY_STEP,
        "assumption dropped: full support of mu": NO_SUPPORT,
        "gap_mu for gap_mu_0, everywhere": "its right side is the measured gap times a number that is at most 1",
        "assumption dropped: rewards in [0, 1]": NO_RANGE,
        "factor gap_mu_0 dropped, in -2*eta*gap_mu_0*largest_mismatch**2*(1 + 7*et... (place 2)":
            "weaker than the sharper theorem with c <= C, as gap_0 <= 1/(1-gamma): (1 - C)(1 - c + c t) <= (1 - c)(1 - C gap_0 + C gap_0 t)",
    },
    "change-of-measure:ratio": {"assumption dropped: full support of mu": NO_SUPPORT, "mismatch measured, not rho_over_mu": "visits are at most 1"},
    "values-in-range:most": {
        **dict.fromkeys(("step size doubled", "range of eta: upper end doubled"), WHATEVER_RUN),
        "bellman_values measured, not state_values": "r + gamma V <= 1 + gamma/(1-gamma) = 1/(1-gamma)",
    },
    "pg-theorem-log-linear-and-compatible-critic:*": {"assumption dropped: interior policy": LIMITS},
    "softmax-npg-closed-form:Fisher times advantages is the gradient": {
        "assumption dropped: interior policy": LIMITS, "assumption dropped: full support of mu": EVERY_MU,
    },
    "softmax-npg-closed-form:*": {"range of eta: upper end doubled": EVERY_STEP, "step size doubled": DOUBLE},
    "policy-iteration-is-newton:step": {"assumption dropped: deterministic start": ANY_POLICY},
    "gradient-subspace:*": {"assumption dropped: interior policy": LIMITS, "assumption dropped: rewards in [0, 1]": HOMOGENEOUS},
    "mdpo-exact-step-is-npg:never beaten": {
        "term -objective_at_second dropped in the measured": "the original with the current policy as the second one: its objective is 0",
        "term -objective_at_second halved in the measured":
            "the objective at the step is at least that of the second policy and at least 0, that of the current one: at least half of the former",
    },
    "mdpo-exact-step-is-npg:*": {"range of eta: upper end doubled": EVERY_STEP, "assumption dropped: interior policy": LIMITS},
    "pmd-kl-is-npg:*": {
        "range of eta: upper end doubled": EVERY_STEP,
        "assumption dropped: full support of mu": "neither step depends on mu",
    },
    "soft-policy-iteration-is-npg:*": {
        "range of tau: upper end doubled": EVERY_TEMPERATURE,
        "assumption dropped: full support of mu": "neither step depends on mu",
    },
    "large-steps-are-policy-iteration:*": {"range of eta: upper end doubled": EVERY_STEP, "step size doubled": LONGER},
    "soft-bellman-facts:*": {
        "range of tau: upper end doubled": EVERY_TEMPERATURE,
        "assumption dropped: rewards in [0, 1]": SOFT_SCALE,
        "assumption dropped: interior policy": LIMITS,
    },
    "kl-penalty-guarantees-trust-region:enough weight": {
        "condition 1/1000000 < largest_advantage_range dropped": ROUNDING, "range of radius: upper end doubled": EVERY_SETTING,
    },
    "kl-penalty-guarantees-trust-region:*": {
        "range of beta: upper end doubled": EVERY_SETTING, "assumption dropped: interior policy": LIMITS,
    },
    "tsallis-kl-policy:*": {
        "range of tau: upper end doubled": EVERY_TEMPERATURE, "temperature doubled": EVERY_TEMPERATURE,
        "assumption dropped: interior policy": LIMITS,
    },
    "entropy-smoothness:derived": {
        "assumption dropped: interior policy": LIMITS,
        "factor log(A) dropped": MANY_ARMS,
        **dict.fromkeys(("factor gamma dropped", "1-gamma for gamma", "exponent of log(A): 1 -> 2", "bound halved"), SOFT_HESSIAN),
    },
    "entropy-smoothness:printed": {
        "assumption dropped: interior policy": LIMITS, "term 8*log(A) dropped": MANY_ARMS, "S for A": MANY_ARMS,
    },
    "gradient-domination-direct:*": {"assumption dropped: full support of mu": NO_SUPPORT},
    "escort-lojasiewicz:*": {
        "range of scale: upper end doubled": EVERY_SETTING, "assumption dropped: rewards in [0, 1]": SCALE,
        "assumption dropped: interior policy": LIMITS, "assumption dropped: full support of mu": NO_SUPPORT,
    },
    "robustness-set-of-a-policy-family:the family": {"bound halved": NO_VALUE_BELOW, "factor 1-gamma added": NO_VALUE_BELOW},
    "beer-cosine-bound:cosine": dict.fromkeys(
        ("constant 1/100 halved in the condition's left side", "condition 1/100 < feature_scale dropped"), ROUNDING
    ),
    "occupancy-lp-duality:unique minimiser where mu is positive": {
        "assumption dropped: full support of mu": "where mu vanishes 1/mu is infinite, and it says that the objective is at least the optimum",
    },
    "occupancy-lp-duality:*": {"assumption dropped: full support of mu": EVERY_MU},
    "npg-limit-solves-the-dual:vanishes": {
        "step size doubled": DOUBLE, "range of eta: upper end doubled": EVERY_STEP,
    },
    "npg-limit-solves-the-dual:*": {
        "step size doubled": WHATEVER_RUN, "range of eta: upper end doubled": WHATEVER_RUN, "assumption dropped: rewards in [0, 1]": HOMOGENEOUS,
    },
    "softmax-gravity-well:*": {
        "range of eta: upper end doubled": EVERY_STEP, "assumption dropped: rewards in [0, 1]": ANY_REWARDS,
        "condition 0 < t dropped": "at t = 0 both sides are 0",
    },
    "pmd-no-faster-than-gamma:*": {"range of eta: upper end doubled": EVERY_STEP},
    "regularised-pmd-gamma-rate:*": {
        "condition 0 < t dropped": "at t = 0 both sides are the potential of the start policy",
        "range of tau: upper end doubled": EVERY_TEMPERATURE, "assumption dropped: rewards in [0, 1]": SOFT_SCALE,
    },
    "soft-policy-iteration-quadratic:*": {"range of tau: upper end doubled": EVERY_TEMPERATURE},
    "ppg-finite-termination:*": {
        "step size doubled": "eta of the condition is then half of the step size, so that the condition asks for more than the theorem does",
        "range of eta: upper end doubled": EVERY_STEP,
        "assumption dropped: rewards in [0, 1]": ANY_REWARDS,
        "assumption dropped: full support of mu": "a state that is not visited has step size 0, and the condition fails",
    },
    "lqr-gradient-domination-and-newton:*": {
        "assumption dropped: uniform start": "the gain is made of the policy, and the theorem holds for every gain that stabilises the system",
    },
    "finite-horizon-simultaneous-pg:rate": {"bound halved": STAGES_FIRST_ORDER},
    "finite-horizon-dynamic-pg:epoch": {
        "constant 5/4 halved":
            "open: one good arm among many comes to 1/2 of S A/n in the limit, and no bandit that was tried to more; short steps would make 5/4 .82",
    },
    "td0-mean-path:average, printed": {
        "constant 4 halved": "open: a self-loop without a future comes closest, .93 of it after five steps; no proof",
        "rule of stride: *": LONGER_GAINS_MORE, "constant 1/1000*": ROUNDING, "condition 1/1000*": ROUNDING,
    },
    "td0-mean-path:last, printed": {
        "exponent of exp(*": "with one feature the factor of a step is (1 - alpha A)^2 <= exp(-2 alpha A), and A is at least (1-gamma) omega",
        "rule of stride: *": LONGER_GAINS_MORE, "constant 1/1000*": ROUNDING, "condition 1/1000*": ROUNDING,
    },
    "td0-mean-path:last, two features": {
        "term -stride*(1-gamma) halved": TWO_LEVELS, "exponent of (1-gamma): 1 -> 2, in -stride*(1-gamma)": TWO_LEVELS,
        "constant 1/1000*": ROUNDING, "condition 1/1000*": ROUNDING,
    },
    **{
        f"{claim}:*": {"constant 1/1000*": ROUNDING, "condition 1/1000*": ROUNDING}
        for claim in ("td0-mean-path", "td0-iid-finite-time", "federated-td-speedup")
    },
    "td0-iid-finite-time:constant step, printed": {
        "constant 1/4 halved": ANY_SPLIT, "range of stride: upper end doubled": ANY_SPLIT,
        "exponent of exp(*": "open: the proof's factor is 1 - 2 alpha (1-gamma) omega + 8 alpha^2 F^2, twice the exponent for short steps only",
        "constant 1/1000*": ROUNDING, "condition 1/1000*": ROUNDING,
    },
    **{
        f"{claim}:{form}": {
            "constant 8 halved": FADES, "term rounds doubled": FADES, "gamma for 1-gamma, in max(8*": FADES,
            "exponent of 1/(1-gamma): 2 -> 1*": FADES, "constant 16 *": FADES,
            "constant 1/1000*": ROUNDING, "condition 1/1000*": ROUNDING,
        }
        for claim, form in (("td0-iid-finite-time", "fading steps, printed"), ("federated-td-speedup", "fading steps"))
    },
    **{
        f"federated-td-speedup:{form}": {
            "factor learners dropped in the measured": ONE_AGENT, "bound doubled": ONE_AGENT, "factor 1/(1-gamma) added": ONE_AGENT,
            "range of stride: upper end doubled": EVERY_STEP, "constant 1/1000*": ROUNDING, "condition 1/1000*": ROUNDING,
        }
        for form in ("variance", "variance, two features")
    },
    **{
        f"{claim}:{form}": {"constant 1/1000*": ROUNDING, "condition 1/1000*": ROUNDING, "*": MIXED_ROOM}
        for claim in ("td0-iid-finite-time", "federated-td-speedup")
        for form in ("from anywhere", "from anywhere, two features")
    },
    "federated-heterogeneity-floor:*": {
        "factor matrix_distance dropped":
            "open: with two features a matrix may be more than 1 away, but where it is, the smallest eigenvalue on the left is small",
        "constant 1/1000*": ROUNDING, "condition 1/1000*": ROUNDING,
    },
    "q-learning-sandwich:probability": {
        "exponent of failure_level: 1 -> 2": RARE_FAILURES, "bound halved": RARE_FAILURES, "factor 1-gamma added": RARE_FAILURES,
        "range of mixing_step: upper end doubled":
            "the weights eta (1 - eta)^k have squares that sum to at most eta/(2 - eta) for every eta below 2, which is all that the proof uses",
    },
    "momentum-variance-reduction-recursion:difference": {
        "constant 4 halved": LOOSE_SQUARE, "exponent of return_sum: 2 -> 1": LOOSE_SQUARE, "factor weight_cosh dropped": LOOSE_SQUARE,
        "range of refresh: upper end doubled": "neither side depends on beta", "assumption dropped: interior policy": EXCLUDED,
    },
    "momentum-variance-reduction-recursion:*": {
        "range of refresh: upper end doubled": EVERY_BETA, "assumption dropped: interior policy": EXCLUDED,
        "assumption dropped: rewards in [-1, 1]": ANY_REWARDS,
    },
    "scalarised-plug-in-bias:*": {"assumption dropped: bandit": FIRST_ROW, "assumption dropped: rewards in [0, 1]": ANY_REWARDS},
    "value-deviation-contraction:*": {
        "constant 1 doubled, everywhere":
            "with a = rho^2, (2 + a)^2 (1 - a) >= (1 + a)^2 (2 - a) up to sqrt 2 - 1, so that it is larger there, and beyond it is above 1",
        "factor backup_slope dropped in the measured": "a ratio of the smallest value to the largest is at most 1",
    },
    "tsallis-inf-best-of-both:roots": {
        "constant 4 halved": FOUR_ROUNDS,
        "exponent of tsallis_exploration: 1 -> 2":
            "with two arms or more the first law makes the exploration B at least 1/sqrt 2, so that 4 B^2 >= 2 B, which is enough " + FOUR_ROUNDS,
        "factor tsallis_exploration dropped": "a round costs at most 1, and the form has at most four of them",
        "assumption dropped: bandit": FIRST_STATE,
    },
    "tsallis-inf-best-of-both:*": {
        "assumption dropped: bandit": FIRST_STATE,
        "assumption dropped: interior policy": LIMITS + " with the same arm above one half",
    },
    "tracking-after-a-switch:sample mean": {"range of eta: upper end doubled": "neither side depends on eta"},
    "tracking-after-a-switch:softmax ascent": {"bound halved": NO_VALUE_BELOW, "range of eta: upper end doubled": EVERY_STEP},
    "tracking-after-a-switch:*": {"range of eta: upper end doubled": "both sides are the same polynomial in eta"},
    "batches-against-adaptivity:at most": {
        **dict.fromkeys(
            (
                "exponent of (batched_questions/batches) (batches): one less in the measured",
                "exponent of (batched_questions/batches) (batches): halved in the measured",
            ),
            "x^a is at most 1 or at most x^b for 0 <= a <= b: the form itself, or 1 <= m",
        ),
        "factor (batched_questions/batches)**batches dropped in the measured": "1 <= m: there is a hypothesis",
        "factor batched_questions dropped in the measured": "(1/K)^K <= 1 <= m",
    },
    "concentration-toolbox:Bernstein, derived": {
        "constant 1 doubled in the condition's right side": SURE_DRAWS, "condition lattice_mean < 1 dropped": SURE_DRAWS,
    },
    "doubling-episodes:*": {"constant 2 halved, everywhere": "1 <= T/A, which the form asks for, so that 1 <= (T/A)^A"},
    "igw-equaliser:*": {
        "range of scale_of_gaps: upper end doubled": EVERY_SETTING, "assumption dropped: bandit": FIRST_STATE,
        "assumption dropped: interior policy": NEVER_DRAWN,
    },
    "exact-penalty:*": {
        "range of price_factor: upper end doubled": "it holds for every larger price too", "assumption dropped: rewards in [0, 1]": ANY_REWARDS,
    },
    "hedge-regret:*": {"range of eta: upper end doubled": EVERY_STEP, "assumption dropped: bandit": FIRST_STATE},
    "batches-against-adaptivity:as many batches as questions": {"constant 2 halved, everywhere": "1 <= m: there is a hypothesis"},
}  # fmt: skip
"""{"claim:form": {name of the mutant: reason}}; the name may end in * to speak of all that begin so; the form * stands for all forms."""

"""Policy mirror descent, natural gradient beyond 1/T, line search, entropy.  Derivation: docs/theory/mirror_descent.md"""

from sympy import Expr, Max, Rational, exp, log

from mdps.rational import rational, rational_array
from pgtheory.policy_gradient import (
    AdaptiveMirrorDescent,
    BregmanDescent,
    EntropyNPG,
    GrowingMirrorDescent,
    LineSearchPG,
    MirrorDescent,
    NaturalPG,
    ProjectedPG,
)
from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, bandits, random_mdps
from proofs_check.instance import Instance
from proofs_check.instances import BANDITS, HARD, SMALL, model_of
from proofs_check.quantities import gap

XIAO, XIAO_VERSION = "xiao2022convergence", "JMLR 23 (2022)"
INTERIOR = random_mdps(policy="interior", mu="any", max_states=3)
ANY_STEP = {q.eta: Between(Rational(1, 100), 1000)}
TRIVIAL = 1 / (1 - q.gamma)

# Natural gradient


def _late(rate: Expr) -> Expr:
    """(1 - gamma)^-2 odds_0 exp(-(eta/(1 - gamma)) rate t)."""
    return q.optimality_odds_0 / (1 - q.gamma) ** 2 * exp(-q.eta / (1 - q.gamma) * rate * q.T)


asymptotic = Claim(
    id="npg-asymptotic-linear",
    title="Softmax NPG ends linearly, at a rate set by the gap between actions",
    source=Source(
        "khodadadian2022linear",
        where="linear convergence of natural policy gradient, as recalled; explicit form derived",
        version="Systems & Control Letters 164 (2022)",
    ),
    domain=INTERIOR,
    process=NaturalPG(step_size=q.eta),
    settings={q.eta: Between(Rational(1, 100), 100)},
    trivial=TRIVIAL,
    forms=[
        Form("from any start", q.gap_sup <= _late(q.least_suboptimality - q.gamma * q.gap_sup_0)),
        Form(
            "bandit",
            gap(q.mu, q.T) <= q.optimality_odds_0 * exp(-q.eta * q.least_suboptimality * q.T),
            domain=bandits(policy="interior"),
            instances=BANDITS,
        ),
        Form(
            "waiting time",
            q.gap_sup <= q.least_suboptimality,
            domain=random_mdps(policy="uniform", mu="any", max_states=3, max_discount=Rational(1, 2)),
            settings={q.eta: Between(1, 100)},
            where=((log(q.A) / q.eta + 1 / (1 - q.gamma) ** 2, q.least_suboptimality * q.T),),
            instances=("loop(1/2)", "arms([1, 0])", "domino(1, 1/2)"),
        ),
    ],
    negative_controls=[
        Control(
            "exponent doubled",
            gap(q.mu, q.T) <= q.optimality_odds_0 * exp(-2 * q.eta * q.least_suboptimality * q.T),
            domain=bandits(policy="interior"),
            instances=BANDITS,
            because="the odds of two arms shrink by exactly exp(-eta Delta) a step",
        ),
        Control(
            "without waiting",
            q.gap_sup <= _late(q.least_suboptimality),
            instances=("domino(3, 9/10)", "domino(8, 9/10)"),
            because="while later states are wrong, the action that is best in the end may look worse and lose probability",
        ),
    ],
    uses=["npg-one-over-T"],
    instances=SMALL + HARD,
    departs="from any start instead of from the first policy within a fraction of Delta: the rate is Delta - gamma times the start's gap, which is"
    " the printed one, or better, once the gap is below Delta / lambda. The waiting time is stated for lambda = 1, discounts up to 1/2 and eta from 1"
    " to 100; for larger lambda it is the 1/T rate (npg-one-over-T) read at Delta / lambda",
)

ARMS = model_of("arms([1, 0])").exact
BLIND = Instance(
    ARMS.transitions,
    ARMS.rewards,
    ARMS.discount,
    rational_array([1]),
    rational_array([1]),
    rational_array([["1/2", "1/2"]]),
    settings={"eta": rational(1)},
    name="two arms that the features do not tell apart",
    extras={"features": rational_array([[[0, 0], [0, 0]]]), "directions": rational_array([[1, 0]] * 4)},
)

regret_lemma = Claim(
    id="npg-regret-lemma-log-linear",
    title="Log-linear updates in any directions: mean gap against how well they stand in for the advantage",
    source=Source("agarwal2021theory", where="Lemma 6.2", version="arXiv:1908.00261v5"),
    domain=random_mdps(
        policy="uniform",
        mu="any",
        max_states=3,
        max_actions=3,
        extras={
            "features": Extra(("S", "A", 2), low=-2, high=2, meaning="feature vectors phi(s, a)"),
            "directions": Extra((4, 2), low=-3, high=3, meaning="update directions w_0, ..., w_3"),
        },
    ),
    settings={q.eta: Between(Rational(1, 100), 10)},
    forms=[
        Form(
            "printed",
            q.log_linear_mean_gap
            <= (log(q.A) / (q.eta * q.directions_count) + q.eta * q.feature_square_max * q.directions_square_max / 2 + q.log_linear_mean_error)
            / (1 - q.gamma),
        ),
        Form(
            "mean square",
            q.log_linear_mean_gap
            <= (log(q.A) / (q.eta * q.directions_count) + q.eta * q.feature_square_max * q.directions_square_mean / 2 + q.log_linear_mean_error)
            / (1 - q.gamma),
        ),
    ],
    negative_controls=[
        Control(
            "error dropped",
            q.log_linear_mean_gap
            <= (log(q.A) / (q.eta * q.directions_count) + q.eta * q.feature_square_max * q.directions_square_max / 2) / (1 - q.gamma),
            instances=(BLIND,),
            because="directions that have nothing to do with the advantage leave the policy as it is, or make it worse",
        ),
        Control(
            "curvature dropped",
            q.log_linear_mean_gap <= (log(q.A) / (q.eta * q.directions_count) + q.log_linear_mean_error) / (1 - q.gamma),
            because="a long step gains less than its first order promises: log pi bends down by the variance of the features",
        ),
    ],
    uses=["performance-difference"],
    instances=SMALL + BANDITS,
    departs="the second form has the mean of the squared norms in place of the largest",
)

# Mirror descent


def _constant(divergence: Expr) -> Expr:
    return (divergence / (q.eta * (1 - q.gamma)) + 1 / (1 - q.gamma) ** 2) / (q.T + 1)


constant_step = Claim(
    id="pmd-constant-step",
    title="Policy mirror descent with a constant step converges as 1/k",
    source=Source(XIAO, where="constant step size, as recalled; Lan (2023)", version=XIAO_VERSION),
    domain=INTERIOR,
    process=MirrorDescent(step_size=q.eta),
    settings=ANY_STEP,
    trivial=TRIVIAL,
    forms=[
        Form("KL", gap(q.rho, q.T) <= _constant(q.start_divergence_kl)),
        Form(
            "Euclidean",
            gap(q.rho, q.T) <= _constant(q.start_divergence_euclidean),
            domain=INTERIOR.replace(policy="any"),
            process=MirrorDescent(step_size=q.eta, geometry="euclidean"),
        ),
        Form(
            "order 1/2",
            gap(q.rho, q.T) <= _constant(q.start_divergence_root),
            process=BregmanDescent(step_size=q.eta, order="1/2"),
            domain=INTERIOR.replace(max_states=2, max_actions=3),
            horizon=6,
            instances=SMALL[:2] + BANDITS[:2],
        ),
    ],
    negative_controls=[
        Control(
            "second term dropped",
            gap(q.rho, q.T) <= q.start_divergence_euclidean / (q.eta * (1 - q.gamma) * (q.T + 1)),
            process=MirrorDescent(step_size=q.eta, geometry="euclidean"),
            domain=INTERIOR.replace(policy="any"),
            because="as eta grows a step becomes policy iteration, and one step does not solve every MDP",
        ),
        Control("first term dropped", gap(q.rho, q.T) <= 1 / ((1 - q.gamma) ** 2 * (q.T + 1)), because="for small eta the policy hardly moves"),
    ],
    uses=["performance-difference"],
    instances=SMALL + HARD,
)


def _growing(divergence: Expr) -> Expr:
    """x^t (gap_0 + (1/x - 1) D_0/((1 - gamma) eta)) with x = max(1/w, 1 - (1 - gamma)/D)."""
    x = Max(1 / q.growth, 1 - (1 - q.gamma) / q.mismatch)
    return x**q.T * (gap(q.mu, 0) + (1 / x - 1) * divergence / ((1 - q.gamma) * q.eta))


THETA = q.mismatch / (1 - q.gamma)
PRINTED_GROWTH = (1 - 1 / THETA) ** q.T * (gap(q.mu, 0) + q.start_divergence_kl / ((1 - q.gamma) * q.eta * (THETA - 1)))
GROWING = {q.eta: Between(Rational(1, 10), 100), q.growth: Between(1, 4)}
COVERED = random_mdps(policy="interior", rho="mu", max_states=3)

geometric_step = Claim(
    id="pmd-geometric-step-linear",
    title="Policy mirror descent with geometrically growing steps converges linearly",
    source=Source(XIAO, where="geometrically increasing step sizes, as recalled", version=XIAO_VERSION),
    domain=COVERED,
    process=GrowingMirrorDescent(step_size=q.eta, growth=q.growth),
    settings=GROWING,
    trivial=TRIVIAL,
    forms=[
        Form("KL, any growth", gap(q.mu, q.T) <= _growing(q.start_divergence_kl)),
        Form(
            "Euclidean, any growth",
            gap(q.mu, q.T) <= _growing(q.start_divergence_euclidean),
            domain=COVERED.replace(policy="any"),
            process=GrowingMirrorDescent(step_size=q.eta, growth=q.growth, geometry="euclidean"),
        ),
        Form("KL, printed", gap(q.mu, q.T) <= PRINTED_GROWTH, where=((THETA / (THETA - 1), q.growth), (1, THETA))),
    ],
    negative_controls=[
        Control(
            "constant step",
            gap(q.mu, q.T) <= PRINTED_GROWTH,
            process=MirrorDescent(step_size=q.eta),
            settings={q.eta: Between(Rational(1, 10), 100)},
            where=((1, THETA),),
            instances=("arms([1, 999/1000], 1/2)", "loop(1/2)"),
            because="with a constant step two nearly equal actions are told apart as slowly as their difference is small",
        ),
        Control(
            "as fast as the steps grow",
            gap(q.mu, q.T) <= q.growth ** (-q.T) * (gap(q.mu, 0) + (q.growth - 1) * q.start_divergence_kl / ((1 - q.gamma) * q.eta)),
            instances=("domino(3, 9/10)", "chain(3, 9/10)", "domino(8, 9/10)"),
            because="however fast the steps grow, the method is no faster than policy iteration, whose news travel one state a step",
        ),
    ],
    uses=["performance-difference", "visits-at-least-start"],
    instances=SMALL + HARD,
    departs="any growth w > 1 is allowed: the rate is max(1/w, 1 - 1/theta), theta = D_mu/(1 - gamma); printed: w >= theta/(theta - 1)",
)

ADAPTIVE = random_mdps(policy="interior", mu="any", rho="mu", max_states=3)
SHORT_OF = {q.slack: Between(Rational(1, 100), 10)}

adaptive_step = Claim(
    id="pmd-adaptive-gamma-rate-and-lower-bound",
    title="Policy mirror descent with adaptive steps contracts by gamma, and no step sizes do better",
    source=Source("johnson2023optimal", where="Theorems 4.1 and 4.2, as recalled", version="arXiv:2302.11381"),
    domain=ADAPTIVE,
    process=AdaptiveMirrorDescent(slack=q.slack),
    settings=SHORT_OF,
    trivial=TRIVIAL,
    where=((0, q.gamma),),
    forms=[
        Form("KL", q.gap_sup <= q.gamma**q.T * (q.gap_sup_0 + q.slack / (1 - q.gamma))),
        Form(
            "KL, derived",
            q.gap_sup <= q.gamma**q.T * (q.gap_sup_0 + q.slack * q.gamma * (1 - q.gamma**q.T) / (1 - q.gamma)),
            where=((0, q.gamma), (0, q.T)),
        ),
        Form(
            "Euclidean, derived",
            q.gap_sup <= q.gamma**q.T * (q.gap_sup_0 + q.slack * q.gamma * (1 - q.gamma**q.T) / (1 - q.gamma)),
            domain=ADAPTIVE.replace(policy="any"),
            process=AdaptiveMirrorDescent(slack=q.slack, geometry="euclidean"),
            where=((0, q.gamma), (0, q.T)),
        ),
    ],
    negative_controls=[
        Control(
            "gamma^(2k)",
            q.gap_sup <= q.gamma ** (2 * q.T) * (q.gap_sup_0 + q.slack / (1 - q.gamma)),
            instances=("domino(8, 9/10)", "domino(20, 99/100)"),
            settings={q.slack: (Rational(1, 100),)},
            because="on the dominoes optimality travels one state a step, so the gap falls by no more than gamma a step",
        ),
    ],
    uses=["bellman-contraction"],
    instances=SMALL + HARD,
    departs="the first greedy policy instead of the nearest (a longer step); derived forms with gamma c_0 in place of c_0",
)

no_faster = Claim(
    id="pmd-no-faster-than-gamma",
    title="On the dominoes no mirror descent step, and no policy iteration, beats gamma",
    source=Source("johnson2023optimal", where="Theorem 4.2, as recalled; explicit instance derived", version="arXiv:2302.11381"),
    domain=random_mdps(max_states=2, max_actions=2, policy="uniform"),
    settings={q.eta: Between(Rational(1, 100), 10**6)},
    forms=[
        Form("policy iteration", q.domino_gaps_pi >= q.domino_floor, settings={}),
        Form("Euclidean mirror descent, any step", q.domino_gaps_euclidean >= q.domino_floor),
    ],
    negative_controls=[
        Control(
            "twice as slow",
            q.domino_gaps_euclidean >= q.domino_floor_doubled,
            because="after k steps state k is still wrong, and loses gamma^k minus half of gamma^4: less than gamma^k",
        ),
    ],
    instances=("loop(1/2)", "loop(9/10)"),
    kind="lower",
)

DOMINO = model_of("domino(3, 9/10)").exact
FAR_END = Instance(
    DOMINO.transitions,
    DOMINO.rewards,
    DOMINO.discount,
    rational_array(["1/100", "1/100", "1/100", "96/100", "1/100"]),
    rational_array(["1/100", "1/100", "1/100", "96/100", "1/100"]),
    rational_array([[0, 1]] * 5),
    name="dominoes watched from the far end",
)

STUCK = by_hand("dominoes that nobody topples", "domino(2, 9/10)", policy=[[0, 1]] * 4, mu=["1/10", "1/10", "7/10", "1/10"])

line_search = Claim(
    id="line-search-policy-gradient",
    title="Policy gradient with an exact line search converges linearly",
    source=Source("bhandari2021linear", where="exact line search, as recalled; constant derived", version="AISTATS 2021"),
    domain=random_mdps(policy="any", rho="mu", max_states=3, max_actions=3),
    process=LineSearchPG(),
    horizon=6,
    forms=[
        Form("projected", q.next_gap_mu <= (1 - q.least_mu * (1 - q.gamma)) * gap(q.mu, q.T)),
        Form(
            "natural, with the greedy policy",
            q.next_gap_mu <= (1 - q.least_mu * (1 - q.gamma)) * gap(q.mu, q.T),
            process=LineSearchPG(curve="natural"),
        ),
    ],
    negative_controls=[
        Control(
            "capped step",
            q.next_gap_mu <= (1 - q.least_mu * (1 - q.gamma)) * gap(q.mu, q.T),
            process=ProjectedPG(step_size=q.eta),
            settings={q.eta: (Rational(1, 1000),)},
            domain=bandits(policy="any"),
            instances=("arms([1, 0])",),
            because="one state: the claim demands the optimum after one step, and a short step hardly moves",
        ),
        Control(
            "bare natural curve",
            q.next_gap_mu <= (1 - q.least_mu * (1 - q.gamma)) * gap(q.mu, q.T),
            process=LineSearchPG(curve="natural-bare"),
            domain=random_mdps(policy="deterministic", rho="mu", max_states=3, max_actions=3),
            horizon=1,
            instances=(STUCK,),
            because="a natural gradient step stays at a vertex, which is where the first maximiser along the curve may be",
        ),
        Control(
            "no mass in the rate",
            q.next_gap_mu <= q.gamma * gap(q.mu, q.T),
            because="a step of policy iteration contracts the largest gap by gamma, not its mean under mu",
            instances=(FAR_END,),
        ),
    ],
    uses=["bellman-contraction"],
    instances=SMALL + HARD,
    departs="the search tries steps 10^-3 to 10^9 and the greedy policy: the bound needs no more than the greedy policy among them. Along the"
    " bare natural curve the statement is false: its end is greedy only over the support of the policy (second control). With the greedy policy"
    " among the natural candidates, which are exponentials, the best one can tie: no arithmetic here decides that, so that form is supported at best",
)

# Regularised

DETERMINED = Instance(
    rational_array([[[0, 0, 1], [1, 0, 0]], [[0, 0, 1], [1, 0, 0]], [[1, 0, 0], [0, 1, 0]]]),
    rational_array([["7/10", "7/10"], ["3/10", "4/10"], ["9/10", "2/10"]]),
    rational("1/2"),
    rational_array(["1/3", "1/3", "1/3"]),
    rational_array(["1/3", "1/3", "1/3"]),
    rational_array([["2/10", "8/10"], ["8/10", "2/10"], ["5/10", "5/10"]]),
    settings={"tau": rational("1/100"), "fraction": rational("1/3")},
    name="three states that follow each other with certainty",
)
HARDLY_LEFT = Instance(
    rational_array(
        [
            [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
            [["1/10", "9/10", 0]] * 3,
            [["1/10", 0, "9/10"]] * 3,
        ]
    ),
    rational_array([[1, 1, 0], ["9/10"] * 3, [0] * 3]),
    rational("1/2"),
    rational_array(["1/3", "1/3", "1/3"]),
    rational_array(["1/3", "1/3", "1/3"]),
    rational_array([["1/3", "1/3", "1/3"]] * 3),
    settings={"tau": rational("1/100"), "fraction": rational("1/20")},
    name="a state that is hardly left, and two that lead back to it",
)
SHRUNK = q.fraction * q.gamma
"""alpha = 1/(1 + eta tau), at most gamma: the step is long enough."""
REGULARISED = random_mdps(policy="interior", mu="any", rho="mu", max_states=3, max_actions=3, max_discount=Rational(19, 20))

regularised = Claim(
    id="regularised-pmd-gamma-rate",
    title="Entropy-regularised mirror descent contracts gap plus divergence by gamma",
    source=Source(
        "lan2023policy", where="Theorem 1, as recalled; weight that depends on the step derived", version="Mathematical Programming 198 (2023)"
    ),
    domain=REGULARISED,
    process=EntropyNPG(step_size=(1 - q.gamma) * (1 - SHRUNK) / q.tau, temperature=q.tau),
    settings={q.tau: Between(Rational(1, 100), 1), q.fraction: Between(Rational(1, 100), 1)},
    forms=[
        Form("any long step", q.soft_potential <= q.gamma**q.T * q.soft_potential_0, horizon=12, where=((0, q.T),)),
        Form(
            "shortest step, from uniform",
            q.soft_potential <= q.gamma**q.T * (q.soft_gap_stationary_0 + q.tau * log(q.A) / (1 - q.gamma)),
            domain=REGULARISED.replace(policy="uniform"),
            settings={q.tau: Between(Rational(1, 100), 1), q.fraction: (1,)},
            horizon=40,
        ),
    ],
    negative_controls=[
        Control(
            "weight of the shortest step",
            q.soft_potential_fixed <= q.gamma**q.T * q.soft_potential_fixed_0,
            horizon=3,
            instances=(DETERMINED,),
            because="a longer step leaves a divergence that the weight tau/(1 - gamma) counts for more than the step has paid off",
        ),
        Control(
            "weight of the shortest step, from uniform",
            q.soft_potential_fixed <= q.gamma**q.T * (q.soft_gap_stationary_0 + q.tau * log(q.A) / (1 - q.gamma)),
            domain=REGULARISED.replace(policy="uniform"),
            horizon=3,
            instances=(HARDLY_LEFT,),
            because="the long first step follows values that are wrong where the process hardly ever leaves: the divergence there is of size 1/tau",
        ),
    ],
    uses=["performance-difference"],
    instances=SMALL[:2] + ("chain(1, 9/10)",),
    departs="any interior start and any step with 1 + eta tau >= 1/gamma, with the weight tau + 1/eta of the divergence; as recalled, the printed"
    " weight tau/(1 - gamma) is right for 1 + eta tau = 1/gamma only",
)

"""Beliefs, tilted laws and mixtures: adaptive management, goals read off a path, recourse, PAC-Bayes, importance sampling, asking, inventories.

Derivation: docs/theory/side_mechanisms.md
"""

from fractions import Fraction

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, alone, by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

PAIRS = random_mdps(policy="interior", mu="any", rho="mu", max_states=3, max_actions=2)

# Adaptive management

MANAGED = {
    "outcomes": Extra((2, 2, 2, 4), "distribution", meaning="law of the next state and of what is paid, in each of two models"),
    "beliefs": Extra((2,), "distribution", meaning="prior over the models"),
    "second_belief": Extra((2,), "distribution", meaning="another prior"),
    "fixed_plan": Extra((2, 2, 2), "distribution", meaning="a Markov policy for two steps"),
}
PAYS, PAYS_NOT = [0, 1, 0, 0], [1, 0, 0, 0]  # and the state stays 0
TWO_ARMS = alone(
    "which of two arms pays",
    {
        "outcomes": [[[PAYS, PAYS_NOT]] * 2, [[PAYS_NOT, PAYS]] * 2],
        **{"beliefs": ["1/2", "1/2"], "second_belief": [1, 0], "fixed_plan": [[[1, 0], [1, 0]]] * 2},
    },
)

adaptive = Claim(
    id="adaptive-management-sandwich",
    departs="Two models and two steps",
    title="Several possible models: fixed plans, learning, and knowing",
    source=Source("duff2002optimal", where="Bayes-adaptive Markov decision processes; the chain of values is derived here", version="2002"),
    domain=ALONE.replace(extras=MANAGED),
    forms=[
        Form("worst case below the mean", q.fixed_plan_worst <= q.fixed_plan_mean),
        Form("learning", q.fixed_plan_mean <= q.bayes_value),
        Form("knowing", q.bayes_value <= q.informed_value),
        Form("convex in the belief", q.bayes_value_between <= q.bayes_values_mean),
        Form("learning, all plans", q.best_plan_mean <= q.bayes_value),
        Form("nothing to learn from", equal(q.unseen_plan_mean, q.unseen_bayes_value)),
    ],
    negative_controls=[
        Control("knowing is worth nothing", q.informed_value <= q.bayes_value, because="with two arms of which one pays, the first pull is a guess"),
        Control("learning is worth nothing", q.bayes_value <= q.best_plan_mean, because="who has seen which arm pays pulls it the second time"),
        Control(
            "concave in the belief",
            q.bayes_value_between >= q.bayes_values_mean,
            because="the value is a maximum of functions that are linear in the belief",
        ),
    ],
    instances=(TWO_ARMS, "arms([1])"),
    kind="upper",
)

# Goals read off a path

GRAPHS = {
    "edges": Extra((3, 3), low=Rational(1, 8), high=4, meaning="e^(r/tau) of each edge of a graph of three places"),
    "goal_ends": Extra((2, 3), low=Rational(1, 8), high=4, meaning="desirability of the end in each place, for each of two goals"),
    "goal_prior": Extra((2,), "interior", meaning="prior over the goals"),
}
goals = Claim(
    id="goal-posterior-telescopes",
    title="The goal of a softly optimal agent: what a path gives away depends on its end only",
    source=Source(
        "masters2017deceptive", where="goal recognition by cost difference, as recalled; the identity is derived here", version="IJCAI 2017"
    ),
    domain=ALONE.replace(extras=GRAPHS),
    forms=[
        Form("telescoping", equal(q.path_probabilities, q.telescoped_probabilities), symbolic=((1, 1),)),
        Form("the end decides", equal(q.goal_posterior, q.goal_posterior_elsewhere), symbolic=((1, 1),)),
    ],
    departs="Stated for a fixed number of moves, e^(r/tau) in place of r, so that everything is rational; undiscounted, as telescoping needs.",
    negative_controls=[
        Control(
            "the end does not matter",
            equal(q.goal_posterior, q.goal_posterior_early),
            because="two paths that end in different places tell the goals apart differently",
        ),
    ],
    instances=("arms([1])",),
    kind="equal",
)

# Recourse

TILTED = {
    "tilts": Extra(("S", "A"), low=Rational(1, 8), high=4, meaning="e^(r/tau) of each pair"),
    "moves": Extra(("S", "A", "S"), "choice", meaning="where each action leads, for certain"),
}
COIN = by_hand(
    "a fair coin, one action",
    transitions=[[["1/2", "1/2"]] * 2, [[0, 1]] * 2],
    rewards=[[0, 0], [1, 1]],
    discount=0,
    mu=[1, 0],
    settings={"beta": 1},
    extras={"tilts": [[1, 2], [1, 1]], "moves": [[["1/2", "1/2"]] * 2, [[0, 1]] * 2], "other_law": ["1/2", "1/2"]},
)
RECOURSE = PAIRS.replace(extras=TILTED)
recourse = Claim(
    id="kl-recourse-free-energy",
    departs="Growth in 1/tau at one step, from any temperature to half of it",
    title="Recourse near a reference: the tilted law of trajectories is that of a policy, and its value a free energy",
    source=Source("todorov2007linearly", where="linearly solvable problems, as recalled; derived here", version="NeurIPS 2007"),
    domain=RECOURSE,
    forms=[
        Form("a policy", equal(q.recourse_path, q.recourse_gibbs)),
        Form(
            "variational principle",
            q.one_step_other <= q.one_step_gibbs,
            domain=PAIRS.replace(extras={"other_law": Extra(("A",), "interior", meaning="another law of the actions")}),
        ),
        Form("colder pays more", q.tilted_mean <= q.tilted_mean_colder, domain=PAIRS, settings={q.beta: Between(Rational(1, 10), 5)}),
        Form(
            "colder goes further",
            q.tilted_divergence <= q.tilted_divergence_colder,
            domain=PAIRS,
            settings={q.beta: Between(Rational(1, 10), 5)},
        ),
        Form("over laws of what happens it is too good", q.stochastic_control <= q.stochastic_tilt, domain=PAIRS),
    ],
    negative_controls=[
        Control(
            "chance moves",
            equal(q.recourse_path, q.recourse_gibbs),
            domain=PAIRS.replace(extras=TILTED | {"moves": Extra(("S", "A", "S"), "distribution", meaning="where each action leads")}),
            because="the tilted law then weights what happens by chance too, which no policy can",
        ),
        Control(
            "chance may be chosen",
            equal(q.stochastic_control, q.stochastic_tilt),
            domain=PAIRS,
            because="a fair coin that pays 0 or 1 has the free energy log((1 + e)/2) = .62 and the value 1/2",
        ),
        Control(
            "colder stays nearer",
            q.tilted_divergence >= q.tilted_divergence_colder,
            domain=PAIRS,
            settings={q.beta: Between(Rational(1, 10), 5)},
            because="the derivative of the divergence in 1/tau is the variance of the reward over tau",
        ),
        Control(
            "colder pays less",
            q.tilted_mean >= q.tilted_mean_colder,
            domain=PAIRS,
            settings={q.beta: Between(Rational(1, 10), 5)},
            because="the derivative of the mean in 1/tau is the variance of the reward",
        ),
    ],
    instances=(COIN, "loop(9/10)", "arms([1, 0])"),
    kind="equal",
)

# PAC-Bayes

PREDICTORS = {
    "losses": Extra((2, 3), meaning="loss of each of two predictors on each of three outcomes"),
    "outcome_law": Extra((3,), "distribution", meaning="law of an outcome"),
    "predictor_prior": Extra((2,), "interior", meaning="prior over the predictors"),
}
BETAS = {q.beta: Between(Rational(1, 5), 10)}
FAIR = alone(
    "two constant predictors of a fair coin",
    {
        **{"losses": [[0, 1, 1], [1, 0, 0]], "outcome_law": ["1/2", "1/2", 0]},
        **{"predictor_prior": ["1/2", "1/2"], "posterior": ["1/4", "3/4"]},
    },
    {"beta": 1, "failure_level": "1/10"},
)
pac_bayes = Claim(
    id="pac-bayes-gibbs",
    departs="Four samples, enumerated",
    title="PAC-Bayes: exponential moment, failure probability, and the Gibbs posterior",
    source=Source("alquier2016properties", where="Catoni's bound in Hoeffding's form, as recalled; derived here", version="JMLR 2016"),
    domain=ALONE.replace(extras=PREDICTORS),
    settings=BETAS,
    forms=[
        Form("exponential moment", q.exponential_moment <= q.hoeffding_moment),
        Form(
            "failure",
            q.failure_probability <= q.failure_level,
            settings=BETAS | {q.failure_level: Between(Rational(1, 50), Rational(9, 10))},
        ),
        Form(
            "Gibbs posterior",
            q.gibbs_bound <= q.other_bound,
            domain=ALONE.replace(extras=PREDICTORS | {"posterior": Extra((2,), "interior", meaning="another posterior")}),
        ),
    ],
    negative_controls=[
        Control(
            "half the exponent",
            q.exponential_moment <= q.hoeffding_moment_sharp,
            because="a fair coin has the moment cosh(beta/(2m))^m, which begins like Hoeffding's",
        ),
        Control(
            "a prior chosen after the sample",
            q.largest_exponential_moment <= q.hoeffding_moment,
            because="who picks the predictor by the sample picks the one whose luck was best",
        ),
    ],
    instances=(FAIR, "arms([1])"),
    kind="upper",
)

# Mixtures of surrogates

MIXED = {
    "target_law": Extra((4,), "distribution", meaning="p"),
    "values": Extra((4,), meaning="f"),
    "surrogate_laws": Extra((2, 4), "interior", meaning="q_1 and q_2"),
    "mixing": Extra((2,), "interior", meaning="weights w"),
    "second_mixing": Extra((2,), "interior", meaning="other weights"),
}
ALIKE = alone(
    "a surrogate that is the target",
    {
        **{"target_law": ["1/4"] * 4, "values": [1, 1, "1/2", "1/2"], "surrogate_laws": [["1/3", "1/3", "1/6", "1/6"], ["1/4"] * 4]},
        **{"mixing": ["999999/1000000", "1/1000000"], "second_mixing": ["1/2", "1/2"]},
    },
)
mixtures = Claim(
    id="surrogate-mixture-importance-sampling",
    departs="One control variate and one multiple of it",
    title="Importance sampling from a mixture of surrogates: convex in the weights, never much worse than the best one",
    source=Source("owen2000safe", where="mixture importance sampling with control variates, as recalled; derived here", version="JASA 2000"),
    domain=ALONE.replace(extras=MIXED),
    forms=[
        Form("variance", q.mixture_moment >= q.mixture_square),
        Form("convex", q.mixture_moment_between <= q.mixture_moments_mean),
        Form("at most 1/w of each", q.mixture_moment <= q.weighted_single_moments),
        Form("regression", q.corrected_product >= q.regressed_product),
    ],
    negative_controls=[
        Control(
            "as good as each",
            q.mixture_moment <= q.single_moments,
            because="the samples that go to a bad surrogate are lost to the good one",
        ),
        Control(
            "any control variate helps",
            q.corrected_product <= q.plain_product,
            because="one that does not vary with f adds its own variance",
        ),
    ],
    instances=(ALIKE, "arms([1])"),
    kind="upper",
)

# Asking

ASKED = {
    "believed": Extra((), meaning="belief in the first of two states"),
    "right": Extra((), low=Rational(1, 2), high=1, meaning="probability that the oracle is right"),
}
asking = Claim(
    id="ask-for-help-threshold",
    title="Asking an oracle: worth its reliability less one's own, or nothing",
    source=Source("howard1966information", where="the value of information, as recalled; the symmetric case is derived here", version="1966"),
    domain=ALONE.replace(extras=ASKED),
    forms=[
        Form("value", equal(q.asked_value, q.best_of_three)),
        Form("never harmful", q.asked_value >= q.best_guess),
    ],
    negative_controls=[
        Control(
            "an oracle worse than a coin",
            equal(q.asked_value, q.best_of_three),
            domain=ALONE.replace(extras=ASKED | {"right": Extra((), meaning="probability that the oracle is right")}),
            because="an oracle that is mostly wrong is worth as much as one that is mostly right: its answer is turned round",
        ),
        Control(
            "an oracle that is biased",
            equal(q.asked_value_two_sided, q.best_of_three),
            domain=ALONE.replace(extras=ASKED | {"right_other": Extra((), low=Rational(1, 2), high=1, meaning="the same in the second state")}),
            because="what its answer is worth then depends on the answer",
        ),
    ],
    instances=("arms([1])",),
    kind="equal",
)

# Inventories

STOCKS = {
    "form": Extra((), low=Rational(1, 10), high=5, meaning="P, the solution of the Riccati equation"),
    "trade_cost": Extra((), low=Rational(1, 10), high=2, meaning="eta"),
    "stock": Extra((), low=-3, high=3, meaning="q"),
    "spread": Extra((), low=0, high=2, meaning="s, the standard deviation of the inflow"),
}
HELD = ALONE.replace(max_discount=Fraction(9, 10), extras=STOCKS)
WEALTH = ALONE.replace(max_discount=Fraction(9, 10), extras={"wealth": Extra((5,), low=-2, high=2, meaning="wealth at five times")})
MAKER = alone("an inventory", {"form": 1, "trade_cost": 1, "stock": 3, "spread": 1, "wealth": [0, 1, 1, 1, 1]}, discount="1/2")
inventory = Claim(
    id="inventory-quadratic-market-maker",
    title="A quadratic inventory: certainty equivalence, and when mark-to-market rewards telescope",
    source=Source("unpublished", where="derived here"),
    domain=HELD,
    forms=[
        Form("value", equal(q.inventory_backup, q.inventory_value), symbolic=((1, 1),)),
        Form("rule", equal(q.inventory_trade, q.inventory_rule), symbolic=((1, 1),)),
        Form("telescoping", equal(q.undiscounted_changes, q.last_wealth), domain=WEALTH),
    ],
    negative_controls=[
        Control(
            "noise that grows with the trade",
            equal(q.inventory_trade_scaled, q.inventory_rule),
            because="the noise then is a cost of the trade, and the rule is no longer that of the noiseless problem",
        ),
        Control(
            "telescoping with a discount",
            equal(q.marked_to_market, q.last_wealth),
            domain=WEALTH,
            because="a discount weights early changes of wealth more than late ones",
        ),
    ],
    instances=(MAKER, "arms([1])"),
    kind="equal",
)

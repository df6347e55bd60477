"""Exact mechanisms of estimators and structures: advantage estimation, critics, curvature, counterfactuals, fits, robustness.

Derivation: docs/theory/estimators.md
"""

from sympy import Abs, Rational, exp

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Extra, bandits, random_mdps
from proofs_check.instances import BANDITS, REAL, SMALL
from proofs_check.statement import equal

SMALL_MODELS = random_mdps(policy="any", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3)
CRITIC = {
    "error": Extra(("S",), low=-5, high=5, meaning="errors of the critic"),
    "decay": Extra((), meaning="decay of the estimate"),
}
CRITICISED = SMALL_MODELS.replace(extras=CRITIC.items())
MONTE_CARLO = SMALL_MODELS.replace(extras={**CRITIC, "decay": Extra((), low=1, high=1, meaning="decay of the estimate")}.items())
SAME_ERROR = by_hand("loop(9/10), the same error everywhere", "loop(9/10)", extras={"error": [1, 1], "decay": "1/2"})
APART = by_hand(
    "two states, each action leads to one of them",
    transitions=[[[1, 0], [0, 1]]] * 2,
    rewards=[[0, 0]] * 2,
    discount="9/10",
    extras={"error": [1, -1], "decay": 0},
)
AHEAD = q.gamma * (1 - q.decay) / (1 - q.gamma * q.decay)

advantage_estimation = Claim(
    id="gae-bias-exact",
    title="Generalised advantage estimation: its bias exactly, and what it does to the gradient",
    source=Source(
        "schulman2016high", where="equations (16) and (17), Section 3; the exact form and its constants derived", version="arXiv:1506.02438v6"
    ),
    domain=CRITICISED,
    forms=[
        Form("expected estimate", equal(q.expected_gae, q.gae_closed_form)),
        Form("bias", q.gae_bias <= q.error_size * (1 + AHEAD)),
        Form("bias between actions", q.gae_action_bias <= q.error_size * AHEAD),
        Form("gradient", q.gae_gradient_error <= AHEAD / (2 * (1 - q.gamma)) * q.error_range),
        Form("decay 1 leaves the gradient exact", equal(q.gae_gradient, q.softmax_gradient), domain=MONTE_CARLO, instances=SMALL + REAL),
    ],
    negative_controls=[
        Control(
            "without discount",
            q.gae_action_bias <= q.error_size * (1 - q.decay),
            because="the weights of the later errors sum to gamma (1 - lambda)/(1 - gamma lambda), which may be more than 1 - lambda",
        ),
        Control(
            "gradient, half of it",
            q.gae_gradient_error <= AHEAD / (4 * (1 - q.gamma)) * q.error_range,
            because="where two actions are equally likely and lead to the two extreme errors, the mean distance from the mean is half the range",
        ),
        Control(
            "any decay leaves the gradient exact",
            equal(q.gae_gradient, q.softmax_gradient),
            because="with lambda below 1 the estimate trusts the critic in later states, and its errors there differ between actions",
        ),
    ],
    uses=["pg-theorem-direct-and-softmax"],
    instances=(SAME_ERROR, APART, *SMALL, *REAL),
    departs="the gradient's error has the factor 1/2, which two equally likely actions attain",
)

LINEAR_CRITIC = SMALL_MODELS.replace(
    extras={
        "features": Extra(("S", "A", 2), low=-2, high=2, meaning="features of the pairs"),
        "weights": Extra((2,), low=-2, high=2, meaning="weights of the critic"),
    }.items()
)
WRONG_REWARD = by_hand(
    "one pair, reward 1, features and weights 1",
    transitions=[[[1]]],
    rewards=[[1]],
    discount="9/10",
    extras={"features": [[[1, 0]]], "weights": [1, 0]},
)
PARALLEL = by_hand(
    "weights along the difference of the features",
    "loop(9/10)",
    mu=[1, 0],
    policy=[[0, 1], [1, 0]],
    extras={"features": [[[2, 1], [1, 2]], [[1, 0], [0, 0]]], "weights": ["1/10", 2]},
)

feature_cosine = Claim(
    id="beer-cosine-bound",
    title="The Bellman equation of a linear critic bounds how alike consecutive features are",
    source=Source("he2024adaptive", where="Theorem 1, as recalled", version="arXiv:2404.12754"),
    domain=LINEAR_CRITIC,
    forms=[
        Form("inner product", q.feature_product <= q.feature_room),
        Form("cosine", q.feature_cosine <= q.cosine_bound, where=((Rational(1, 100), q.feature_scale),)),
    ],
    negative_controls=[
        Control(
            "any reward",
            q.feature_product <= q.feature_room_any_reward,
            because="the bound is the Bellman equation in disguise: with another reward than w.(phi - gamma phibar') nothing ties the features",
        ),
        Control(
            "half the bound",
            q.feature_cosine <= q.cosine_bound / 2,
            where=((Rational(1, 100), q.feature_scale),),
            because="with weights along phi - gamma phibar' the bound is attained, so no share of it will do",
        ),
    ],
    instances=(WRONG_REWARD, PARALLEL, *SMALL),
)

PAIRS_OF_ARMS = ("arms([1, 0])", "arms([1, 9/10])", "arms([1/2, 1/2])")
TWO_ARMS = bandits(policy="interior", max_actions=2, mu="any")
FLAT_TOP = by_hand("three arms, the best one between two equal ones", "arms([2/5, 9/10, 2/5])", policy=[["1/4", "1/2", "1/4"]])

subspace = Claim(
    id="gradient-subspace",
    title="Where softmax gradients and Hessians lie, and when the gradient is an eigenvector",
    source=Source("schneider2024identifying", where="the empirical claim; the exact mechanism derived", version="arXiv:2401.06604"),
    domain=random_mdps(policy="interior", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3),
    forms=[
        Form("gradient", equal(q.softmax_gradient_sums, q.zero), symbolic=((1, 2), (2, 2), (2, 3))),
        Form("Hessian", equal(q.hessian_sums, q.zero), symbolic=((1, 2), (1, 3))),
        Form(
            "two arms",
            equal(q.hessian_times_gradient, q.trace_times_gradient),
            domain=TWO_ARMS,
            where=((q.A, 3),),
            instances=PAIRS_OF_ARMS,
            symbolic=((1, 2),),
        ),
    ],
    negative_controls=[
        Control(
            "three arms",
            equal(q.hessian_times_gradient, q.trace_times_gradient),
            domain=bandits(policy="interior", mu="any", min_actions=3, max_actions=3),
            instances=(FLAT_TOP, *BANDITS),
            because="with three arms the gradient may even be orthogonal to the top eigenvector: curvature says nothing about where it points",
        ),
        Control(
            "two states",
            equal(q.hessian_times_gradient, q.trace_times_gradient),
            domain=random_mdps(policy="interior", mu="any", rho="mu", rewards=None, min_actions=2, max_actions=2, max_states=2),
            because="each state has a direction of its own, and their curvatures differ",
        ),
    ],
    uses=["pg-theorem-direct-and-softmax"],
    instances=SMALL + REAL,
    kind="equal",
)

TILTS = {"tilt": Extra((), low=-20, high=20, meaning="exponent of the tilt")}
ARMS = bandits(policy="interior", other="any", mu="any", extras=TILTS.items())
MIXED = by_hand(
    "three arms, return 7/10",
    "arms([1, 1/2, 0])",
    policy=[["1/2", "1/4", "1/4"]],
    other=[["1/2", "2/5", "1/10"]],
    extras={"tilt": "9231/20000"},
)
EXP = exp(Abs(q.tilt))
LATER = random_mdps(
    policy="interior", other="any", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3,
    extras={
        "tilt": Extra((), low=-5, high=5, meaning="exponent of the tilt"),
        "W": Extra(("S",), low=-5, high=5, meaning="a potential for what comes later"),
    },
)  # fmt: skip

counterfactual = Claim(
    id="minimal-kl-counterfactual",
    title="The nearest policy with another return is an exponential tilt",
    source=Source("deshmukh2023counterfactual", where="the objective; the bandit mechanism derived (Csiszar 1975)", version="arXiv:2307.13192"),
    domain=ARMS,
    forms=[
        Form("no policy is nearer", q.other_divergence >= q.other_conjugate),
        Form("and its distance says by how much", equal(q.other_divergence - q.other_conjugate, q.other_divergence_from_tilt)),
        Form("the tilt's divergence", equal(q.tilt_divergence, q.tilt_conjugate)),
        Form("in an MDP, no policy is nearer", q.visited_divergence >= q.potential_conjugate, domain=LATER, instances=SMALL),
        Form(
            "and by how much",
            equal(q.visited_divergence - q.potential_conjugate, q.visited_divergence_from_tilt),
            domain=LATER,
            instances=SMALL,
        ),
        Form("at least twice the change squared", q.tilt_divergence >= 2 * q.tilt_return_change**2),
        Form("second order, above", q.tilt_divergence <= q.reward_variance * ((Abs(q.tilt) - 1) * EXP + 1)),
        Form("second order, below", q.tilt_divergence >= q.reward_variance * (1 - (1 + Abs(q.tilt)) / EXP)),
    ],
    negative_controls=[
        Control(
            "mixing with the best arm",
            q.mixture_divergence <= q.tilt_divergence,
            because="a mixture lowers good and bad other arms alike; a tilt takes more from the bad ones, and that is nearer for the same return",
        ),
        Control(
            "quadratic for every tilt",
            q.tilt_divergence <= q.reward_variance * q.tilt**2 / 2,
            because="the variance changes along the tilt, so half the variance times its square is the second order only",
        ),
        Control(
            "in an MDP, normalised over the start",
            q.visited_divergence >= (1 - q.gamma) * q.tilt * q.other_value_mu - q.tilt_normaliser_mu,
            domain=LATER,
            instances=SMALL,
            because="the normaliser must be averaged over the visits of the new policy, not over where it starts",
        ),
    ],
    instances=(MIXED, *BANDITS),
    kind="lower",
)

CELLS = random_mdps(policy="any", mu="any", rho="mu", rewards=None, max_states=2, max_actions=2)
FITTED = CELLS.replace(
    extras={
        "counts": Extra(("S", "A", 2), low="1/10", high=5, meaning="observations of each pair in each group"),
        "targets": Extra(("S", "A", 2), low=-5, high=5, meaning="their mean targets"),
    }.items()
)
ITERATED = CELLS.replace(
    extras={
        "Q": Extra(("S", "A"), low=-20, high=20, meaning="first action values"),
        "fit_errors": Extra((8, "S", "A"), low=-1, high=1, meaning="errors of the fits"),
    }.items()
)
CROSSED = by_hand(
    "two states whose groups differ the opposite way",
    transitions=[[[1, 0]], [[0, 1]]],
    rewards=[[0], [0]],
    discount="9/10",
    extras={"counts": [[[1, 1]], [[1, 1]]], "targets": [[[0, 1]], [[1, 0]]]},
)
ROUNDS = {q.backups: (1, 2, 4, 8)}

nested = Claim(
    id="nested-fqi-decouples",
    title="A nested fit with a free second part is two separate fits",
    source=Source("mandyam2021nested", where="the nested model; the tabular mechanism derived", version="arXiv:2110.02879v1"),
    domain=FITTED,
    forms=[
        Form("fit", equal(q.nested_fit, q.group_means)),
        Form(
            "iterates, derived",
            q.fitted_gap <= q.gamma**q.backups * q.fitted_gap_0 + (1 - q.gamma**q.backups) / (1 - q.gamma) * q.largest_fit_error,
            domain=ITERATED,
            settings=ROUNDS,
            instances=SMALL,
        ),
        Form(
            "iterates",
            q.fitted_gap <= q.gamma**q.backups * q.fitted_gap_0 + q.largest_fit_error / (1 - q.gamma),
            domain=ITERATED,
            settings=ROUNDS,
            instances=SMALL,
        ),
    ],
    negative_controls=[
        Control(
            "one number for all pairs",
            equal(q.shared_fit, q.group_means),
            because="a second part that is the same for all pairs mixes the groups: what one pair gains another loses",
        ),
        Control(
            "errors do not add up",
            q.fitted_gap <= q.gamma**q.backups * q.fitted_gap_0 + q.largest_fit_error,
            domain=ITERATED,
            settings=ROUNDS,
            instances=SMALL,
            because="the error of each round is backed up in the next one, so errors add up over the horizon",
        ),
    ],
    instances=(CROSSED, *SMALL),
)

CHANGE = {
    "changed": Extra(("S", "A"), meaning="at least 1/2 where the pair changes"),
    "new_transitions": Extra(("S", "A", "S"), "distribution", meaning="transitions of the changed pairs"),
    "new_rewards": Extra(("S", "A"), meaning="rewards of the changed pairs"),
}
CHANGED = random_mdps(policy="any", mu="any", rho="mu", max_states=3, max_actions=2, extras=CHANGE.items())
FAMILY = random_mdps(
    policy="any", mu="any", rho="mu", max_states=3, max_actions=2,
    extras={**CHANGE, "family": Extra((3, "S", "A"), "distribution", meaning="three policies")}.items(),
)  # fmt: skip
TRAP = by_hand(
    "an exit that becomes a loop of reward 1",
    transitions=[[[0, 1]], [[0, 1]]],
    rewards=[[0], [0]],
    discount="9/10",
    mu=[1, 0],
    extras={
        "changed": [[1], [0]],
        "new_transitions": [[[1, 0]], [[0, 1]]],
        "new_rewards": [[1], [0]],
        "family": [[[1], [1]]] * 3,
    },
)
HORIZON_SQUARED = (1 - q.gamma) ** 2

robustness = Claim(
    id="robustness-set-of-a-policy-family",
    title="A family of good policies survives changes that one of its members avoids",
    source=Source("kumar2020one", where="the robustness set of Section 4; the finite mechanism derived", version="arXiv:2010.14484"),
    domain=CHANGED,
    forms=[
        Form("one policy", q.change_of_value <= q.visits_of_change / HORIZON_SQUARED),
        Form(
            "the family",
            q.best_of_family_after >= q.worst_of_family_before - q.least_visits_of_change / HORIZON_SQUARED,
            domain=FAMILY,
        ),
    ],
    negative_controls=[
        Control(
            "one horizon",
            q.change_of_value <= q.visits_of_change / (1 - q.gamma),
            because="a visit to a changed pair may cost the rest of the horizon, and the share of visits is itself one over the horizon",
        ),
        Control(
            "no loss at all",
            q.best_of_family_after >= q.worst_of_family_before,
            domain=FAMILY,
            because="where every member visits the changed pairs, all of them may lose",
        ),
    ],
    uses=["performance-difference"],
    instances=(TRAP, *SMALL),
)

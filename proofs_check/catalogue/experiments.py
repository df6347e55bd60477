"""Linear models: how sure an adaptive design may be, what to try next, and what trying everything costs.  Derivation: docs/theory/experiments.md"""

from sympy import Min, Rational, log

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, alone, by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

NODES = 31
DESIGNS = ALONE.replace(
    extras={
        "design": Extra((NODES, 2), low=-1, high=1, meaning="the vector chosen after every past"),
        "noise_chance": Extra((NODES,), meaning="chance of the larger noise after every past"),
        "parameter": Extra((2,), low=-1, high=1, meaning="the true parameter"),
    }
)
SURE = {q.ridge: Between(Rational(1, 10), 4), q.failure: Between(Rational(1, 100), Rational(99, 100))}
FAIR = ["1/2"] * NODES


def _design(name, vectors, parameter, ridge, failure, chance=FAIR):
    return alone(
        name,
        {"design": vectors, "noise_chance": chance, "parameter": parameter},
        settings={"ridge": ridge, "failure": failure},
    )


ONE_LOOK = _design("one look at one direction", [[1, 0]] + [[0, 0]] * (NODES - 1), [0, 0], "1/10", "99/100")
SAME_WAY = _design("the same direction five times", [[1, 0]] * NODES, [1, 0], 1, "9/10")
FAINT = _design("short vectors", [["1/10", 0]] * NODES, [0, 0], 1, "1/2")
ALL_WAYS = _design("another direction after every answer", [[1, 0] if k % 2 else [0, 1] for k in range(NODES)], ["1/2", "-1/2"], "1/2", "1/2")

ellipsoid = Claim(
    id="linear-bandit-confidence-ellipsoid",
    title="A ridge estimate stays in its ellipsoid at all times, however the next vector is chosen",
    source=Source("abbasi2011improved", where="Theorems 1 and 2, as recalled; derived here", version="NeurIPS 2011"),
    domain=DESIGNS,
    settings=SURE,
    forms=[
        Form("mean", q.ellipsoid_mean <= 1),
        Form("all times", q.ellipsoid_failure <= q.failure),
    ],
    negative_controls=[
        Control(
            "noise ten times as large",
            q.ellipsoid_failure_noisier <= q.failure,
            because="the radius is in units of the noise: one look with noise 10 is further off than a radius made for 1",
        ),
        Control(
            "without the determinant",
            q.ellipsoid_failure_unpaid <= q.failure,
            because="one look with noise 1 is always off by about 1, and at delta = .99 the radius would be .14",
        ),
        Control(
            "twice the noise in the mean",
            q.ellipsoid_mean_noisier <= 1,
            because="the exponential grows with the square of the noise, and the determinant does not know it",
        ),
    ],
    instances=(ONE_LOOK, SAME_WAY, FAINT, ALL_WAYS),
    departs="Two dimensions, five rounds, every path; any length of the true parameter, and noise of two values that may depend on the past",
)

CANDIDATES = ALONE.replace(extras={"candidates": Extra((5, 2), low=-2, high=2, meaning="the vector of every experiment")})


def _experiments(name, vectors):
    return alone(name, {"candidates": vectors})


LONG_TWINS = _experiments("three long twins and a shorter one across", [[2, 0], [2, 0], [2, 0], [0, "19/10"], [0, 0]])
BETWEEN = _experiments("one experiment between two that are better together", [["3/2", "3/2"], [2, 0], [0, 2], [0, 0], [0, 0]])
CROSSED = _experiments("two axes", [[1, 0], [0, 1], [0, 0], [0, 0], [1, 1]])
NOTHING = _experiments("experiments that show nothing", [[0, 0]] * 5)

greedy = Claim(
    id="d-optimal-greedy",
    title="Experiments chosen one by one for what they add to a determinant: at least 1 - (1-1/n)^n of the best information",
    source=Source(
        "pukelsheim2006optimal",
        where="the matrix determinant lemma of Chapter 6, as recalled; the ratio after Nemhauser et al. (1978)",
        version="SIAM 2006",
    ),
    domain=CANDIDATES,
    forms=[
        Form("what an experiment adds", equal(q.early_gain, q.norm_gain)),
        Form("diminishing", q.late_gain <= q.early_gain),
        Form("two", log(q.greedy_design_of_two) >= Rational(3, 4) * log(q.best_design_of_two)),
        Form("three", log(q.greedy_design_of_three) >= Rational(19, 27) * log(q.best_design_of_three)),
    ],
    negative_controls=[
        Control(
            "the longest experiments",
            log(q.longest_design_of_two) >= Rational(3, 4) * log(q.best_design_of_two),
            because="length forgets what is known already: the second long twin adds less than a shorter vector across",
        ),
        Control(
            "greedy is best",
            q.greedy_design_of_two >= q.best_design_of_two,
            because="the first choice lies between two vectors that are better together",
        ),
    ],
    instances=(LONG_TWINS, BETWEEN, CROSSED, NOTHING),
    kind="lower",
    departs="Two dimensions, five experiments, every set; 1 - (1-1/n)^n for n of them, which is more than 1 - 1/e",
)

TRIED = random_mdps(policy="deterministic", mu="any", rho="mu", max_states=2, max_actions=3)
STAGES = {q.rounds: (1, 2, 3)}


def _tried(name, transitions, rewards, policy, rounds):
    return by_hand(name, transitions=transitions, rewards=rewards, discount=0, policy=policy, settings={"rounds": rounds})


ALWAYS_PAID = _tried("always paid, two actions, three stages", [[[1]] * 2], [[1, 1]], [[1, 0]], 3)
TORN = _tried("a policy that is torn between two actions", [[[1]] * 2], [[1, 0]], [["1/2", "1/2"]], 2)
ONE_ACTION = _tried("one action", [[[1]]], [["1/2"]], [[1]], 3)
TWO_STATES = _tried("two states, paid in one of them", [[[1, 0], ["1/2", "1/2"]], [[0, 1], [1, 0]]], [[0, "1/2"], [1, 0]], [[0, 1], [1, 0]], 3)

POLICIES, DEPTH = 4, 3
LISTED = ALONE.replace(
    max_actions=3,
    extras={"listed_paths": Extra((POLICIES, DEPTH, "A"), "choice", meaning="what each of four policies does in a tree without chance")},
)


def _listed(name, paths, actions):
    rows = [[[int(a == k) for k in range(actions)] for a in path] for path in paths]
    return by_hand(name, transitions=[[[1]] * actions], rewards=[[0] * actions], discount=0, extras={"listed_paths": rows})


ALL_DIFFERENT = _listed("four policies that part at the second stage", [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]], 2)
ALL_ALIKE = _listed("four times the same policy", [[0, 0, 0]] * 4, 2)

agnostic = Claim(
    id="agnostic-uniform-sampling",
    title="Uniform tries serve every policy at once, at the price of A^H in the second moment",
    source=Source("kearns1999approximate", where="the reusable trajectories of Section 4, as recalled; derived here", version="NeurIPS 1999"),
    domain=TRIED,
    settings=STAGES,
    forms=[
        Form("unbiased", equal(q.uniform_tries_mean, q.stages_mean), domain=TRIED.replace(policy="any", rewards=None)),
        Form("second moment", equal(q.uniform_tries_square, q.A**q.rounds * q.stages_square), domain=TRIED.replace(rewards=None)),
        Form("price", q.uniform_tries_square <= q.A**q.rounds, domain=TRIED.replace(policy="any")),
        Form("paths", q.spanned_pairs <= Min(q.A**3, 4), domain=LISTED, settings={}, instances=(ALL_DIFFERENT, ALL_ALIKE)),
    ],
    negative_controls=[
        Control(
            "a price that is linear in the horizon",
            q.uniform_tries_square <= q.A * q.rounds,
            because="one try in A^H agrees with the policy, and it must stand for all: 8 against 6",
        ),
        Control(
            "the second moment of a random policy",
            equal(q.uniform_tries_square, q.A**q.rounds * q.stages_square),
            domain=TRIED.replace(policy="any"),
            because="the estimate for a random policy is weighted by its probabilities, whose squares are smaller",
        ),
        Control(
            "without the weight",
            equal(q.uniform_tries_mean / q.A**q.rounds, q.stages_mean),
            because="most tries agree with no given policy and count as 0",
        ),
        Control(
            "one path a policy is too many",
            q.spanned_pairs <= q.A,
            domain=LISTED,
            settings={},
            instances=(ALL_DIFFERENT, ALL_ALIKE),
            because="policies that part at the second stage reach A^2 pairs there",
        ),
    ],
    instances=(ALWAYS_PAID, ONE_ACTION, TWO_STATES, TORN),
    kind="equal",
    departs="Up to three stages, mean reward over them; random policies too, weighted by what they do; trees without chance for the pairs that a set "
    "of policies reaches",
)

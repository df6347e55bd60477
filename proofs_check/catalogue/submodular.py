"""Rewards that diminish: greedy choice, local optima, singles, the gradient of marginal gains, a trap.  Derivation: docs/theory/submodular.md"""

from fractions import Fraction

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Extra, random_mdps
from proofs_check.statement import equal

ALONE = random_mdps(policy="any", mu="any", rho="mu", max_states=1, max_actions=1, max_discount=Fraction(0))


def _alone(name, extras):
    return by_hand(name, transitions=[[[1]]], rewards=[[0]], discount=0, extras=extras)


WEIGHTS = {"weights": Extra((3,), meaning="w, what each of three things is worth once it is seen")}
FOUR = ALONE.replace(extras=WEIGHTS | {"covers": Extra((4, 3), meaning="p, how likely each of four items shows each thing")})
SIX = ALONE.replace(extras=WEIGHTS | {"more_covers": Extra((6, 3), meaning="p, how likely each of six items shows each thing")})
LAYERS = WEIGHTS | {
    "layer_covers": Extra((2, 3, 3), meaning="p, for each of three items in each of two layers"),
    "choices": Extra((2, 3), "distribution", meaning="with what probability each layer chooses its item"),
}
COMPLEMENTS = ALONE.replace(extras=LAYERS | {"together": Extra((), meaning="what the first items of both layers are worth more as a pair")})
VISITED = random_mdps(
    policy="interior",
    mu="any",
    rho="mu",
    max_states=2,
    max_actions=2,
    extras=WEIGHTS | {"state_covers": Extra(("S", 3), meaning="p, for each state")},
)
LURED = ALONE.replace(extras={"lure": Extra((), low=Rational(101, 100), high=2, meaning="what the dead end is worth")})

ROWS_AND_COLUMNS = _alone(
    "two things, two items that half show both, two that show one each",
    {"weights": [1, 1, 0], "covers": [["1/2", "1/2", 0], ["1/2", "1/2", 0], [1, 0, 0], [0, 1, 0]]},
)
THREE_AND_THREE = _alone(
    "three things, three items that show each by a little more than a third, three that show one each",
    {"weights": [1, 1, 1], "more_covers": [["1667/5000"] * 3] * 3 + [[1, 0, 0], [0, 1, 0], [0, 0, 1]]},
)
TWINS = _alone("two items that show the same thing", {"weights": [1, "9/10", 0], "covers": [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]})
APART = _alone("items that show different things", {"weights": [1, "1/2", "1/4"], "covers": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]})
SECOND_BEST = _alone(
    "the first layer shows x or y, the second x or nothing",
    {"weights": [1, 1, 0], "layer_covers": [[[1, 0, 0], [0, 1, 0], [0, 0, 0]], [[1, 0, 0], [0, 0, 0], [0, 0, 0]]], "choices": [[1, 0, 0], [0, 1, 0]]},
)
ONLY_TOGETHER = _alone(
    "two items that are worth something together only",
    {"weights": [0, 0, 0], "layer_covers": [[[0, 0, 0]] * 3] * 2, "choices": [[0, 1, 0], [0, 1, 0]], "together": 1},
)
SWITCH = by_hand(
    "two states that either action may change, of which the second shows something",
    transitions=[[[1, 0], [0, 1]], [["1/2", "1/2"], [1, 0]]],
    rewards=[[0, 0], [0, 0]],
    discount=0,
    mu=[1, 0],
    extras={"weights": [1, "1/2", "1/4"], "state_covers": [["1/2", 0, 0], ["1/2", 1, 1]]},
)
LURE = _alone("a dead end worth 11/10", {"lure": "11/10"})

submodular = Claim(
    id="submodular-greedy-and-local-optima",
    title="Rewards that diminish: what greedy and locally optimal choices are sure of, and the gradient of marginal gains",
    source=Source("prajapat2024submodular", where="SubPO; the constants after Nemhauser, Wolsey and Fisher (1978), as recalled", version="ICLR 2024"),
    domain=FOUR,
    forms=[
        Form("greedy, two items", 4 * q.greedy_pair >= 3 * q.best_pair, instances=(ROWS_AND_COLUMNS, TWINS, APART)),
        Form("greedy, three items", 27 * q.greedy_triple >= 19 * q.best_triple, domain=SIX, instances=(THREE_AND_THREE,)),
        Form(
            "one choice in each layer",
            q.layered_best <= 2 * q.layered_value + q.layered_gains,
            domain=ALONE.replace(extras=LAYERS),
            instances=(SECOND_BEST,),
        ),
        Form("the best singles", q.best_singles_together >= q.least_lasting_share * q.best_pair, instances=(ROWS_AND_COLUMNS, TWINS, APART)),
        Form("marginal gains to come", equal(q.visited_gradient, q.gains_to_come), domain=VISITED, instances=(SWITCH,)),
        Form("the whole utility in their place", equal(q.visited_gradient, q.whole_utility_credit), domain=VISITED, instances=(SWITCH,)),
        Form("a trap for greedy", equal(4 * q.greedy_walk_value, q.trap_lure * q.best_walk_value), domain=LURED, instances=(LURE,)),
    ],
    departs="Coverage functions; two or three items; two layers, as a gradient domination that holds for every policy. The trap has four states on "
    "its path: greedy has (1 + epsilon)/4 of the best, and (1 + epsilon)/H with H of them.",
    negative_controls=[
        Control(
            "greedy for three items as for two",
            4 * q.greedy_triple >= 3 * q.best_triple,
            domain=SIX,
            instances=(THREE_AND_THREE,),
            because="each step secures only a third of what is missing: 1 - (2/3)^3 = 19/27",
        ),
        Control(
            "a local optimum has more than half",
            3 * q.layered_best <= 5 * q.layered_value + 3 * q.layered_gains,
            domain=ALONE.replace(extras=LAYERS),
            instances=(SECOND_BEST,),
            because="who shows x in the first layer has nothing left to gain in the second, which could have shown it",
        ),
        Control(
            "complements",
            q.layered_best <= 2 * q.layered_value + q.layered_gains,
            domain=COMPLEMENTS,
            instances=(ONLY_TOGETHER,),
            because="where two items are worth something only together, neither layer gains by changing alone: not submodular",
        ),
        Control(
            "singles do not overlap",
            q.best_singles_together >= q.best_pair,
            instances=(TWINS,),
            because="two items that show the same thing are together worth one of them",
        ),
        Control(
            "the next gain alone",
            equal(q.visited_gradient, q.next_gain_credit),
            domain=VISITED,
            instances=(SWITCH,),
            because="an action decides what can still be gained after the next state too",
        ),
        Control(
            "greedy in any model",
            4 * q.greedy_walk_value >= 3 * q.best_walk_value,
            domain=LURED,
            instances=(LURE,),
            because="the first step that gains most may lead where nothing more can be gained",
        ),
    ],
    kind="lower",
)

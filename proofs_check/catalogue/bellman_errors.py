"""Robust Bellman errors as saddle points: one next state a sample, and a bounded pull.  Derivation: docs/theory/bellman_errors.md"""

from fractions import Fraction

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

GUESSED = {
    "guessed": Extra(("S",), low=-4, high=4, meaning="V, values"),
    "guessed_again": Extra(("S",), low=-4, high=4, meaning="V', other values"),
    "multiplier": Extra(("S",), low=-1, high=1, meaning="h/k, any multiplier"),
}
ERRORS = random_mdps(policy="any", mu="any", rho="mu", max_states=3, max_actions=2, max_discount=Fraction(9, 10), extras=GUESSED)
LEVEL = {q.clip_level: Between(Rational(1, 4), 4)}
OUTLIER = by_hand(
    "three states, one of which is far off",
    transitions=[[[1, 0, 0]], [[0, 1, 0]], [[0, 0, 1]]],
    rewards=[[0], [0], [1]],
    discount=0,
    settings={"clip_level": "1/4"},
    extras={"guessed": [0, 0, -4], "guessed_again": ["1/2", "1/2", -3], "multiplier": [0, 0, 1]},
)
COIN = by_hand(
    "values that are right on average over a fair coin",
    transitions=[[["1/2", "1/2"]], [[0, 1]]],
    rewards=[[0], [0]],
    discount="1/2",
    settings={"clip_level": 1},
    extras={"guessed": [1, 3], "guessed_again": [0, 0], "multiplier": [1, -1]},
)
OPPOSED = by_hand(
    "two states that are off in opposite directions",
    transitions=[[[1, 0]], [[0, 1]]],
    rewards=[[0], [0]],
    discount=0,
    settings={"clip_level": 1},
    extras={"guessed": [1, -1], "guessed_again": [0, 0], "multiplier": [1, 1]},
)

robust_errors = Claim(
    id="robust-bellman-error-saddle",
    title="Squared, absolute and Huber Bellman errors as saddle points, and what samples make of them",
    source=Source("patterson2022robust", where="Huber and absolute Bellman errors, as recalled; derived here", version="arXiv:2205.08464"),
    domain=ERRORS,
    settings=LEVEL,
    forms=[
        Form("squared", equal(q.squared_saddle, q.expected_error_square)),
        Form("absolute", equal(q.absolute_saddle, q.expected_error_size)),
        Form("Huber", equal(q.huber_saddle, q.expected_error_huber)),
        Form("any multiplier", q.huber_at_multiplier <= q.expected_error_huber),
        Form("one next state is enough", q.huber_error + q.huber_slope <= q.huber_error_again),
        Form("the pull of a state", q.huber_change <= q.clip_level * q.error_change),
        Form("squared TD errors", equal(q.td_square, q.expected_error_square + q.td_variance)),
        Form("a common multiplier", q.common_multiplier_error <= q.squared_bellman_error),
    ],
    negative_controls=[
        Control(
            "squared TD errors are squared Bellman errors",
            equal(q.td_square, q.expected_error_square),
            because="chance in the next state adds its variance, which no value can lower without paying for it elsewhere",
        ),
        Control(
            "a common multiplier is enough",
            equal(q.common_multiplier_error, q.squared_bellman_error),
            because="a multiplier that is the same everywhere sees the mean of the errors alone, and opposite ones cancel",
        ),
        Control(
            "multipliers twice as large",
            equal(q.huber_saddle_wide, q.expected_error_huber),
            because="the bound of the multiplier is what makes the loss linear beyond k",
        ),
        Control(
            "half the pull",
            2 * q.huber_change <= q.clip_level * q.error_change,
            because="an error that is far off counts k for each unit",
        ),
    ],
    instances=(OUTLIER, COIN, OPPOSED),
    kind="equal",
    departs="Of restricted classes of multipliers only the constants; the fits of one shared value to an outlier are in the tests",
)

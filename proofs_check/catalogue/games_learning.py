"""Regret with delays, and in processes whose rewards change.  Derivation: docs/theory/regret.md"""

from fractions import Fraction

from sympy import Rational, log, sqrt

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, alone, by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps

LATE = {
    "gradients": Extra((8, 2), low=-1, high=1, meaning="gradient of each round"),
    "delays": Extra((8,), low=0, high=4, meaning="rounds by which each gradient comes late, rounded down"),
    "steps": Extra((8,), low=Rational(1, 20), high=2, meaning="step sizes; the smallest so far counts"),
}
ROUNDS = {q.rounds: (1, 2, 4, 8)}


def _late(name, gradients, delay, step):
    given, rest = [[g, 0] for g in gradients], [[0, 0]] * (8 - len(gradients))
    return alone(name, {"gradients": given + rest, "delays": [delay] * 8, "steps": [step] * 8}, settings={"rounds": len(gradients)})


FIRST = _late("one gradient of length 1 and step 1", [1], 0, 1)
UNHEARD = _late("four equal gradients that arrive after the last round", [1, 1, 1, 1], 4, "1/2")
SPIRAL = _late("gradients along the point, one round late", [1, 1, -1, -1, 1, 1, -1, -1], 1, "1/4")

delayed = Claim(
    id="delayed-dual-averaging",
    title="Dual averaging with late gradients: what has not arrived costs its length, times the step",
    source=Source("hsieh2022multi", where="the regret bound for one agent, as recalled; constants derived here", version="JMLR 23(78)"),
    domain=ALONE.replace(extras=LATE),
    settings=ROUNDS,
    statement=q.delayed_regret <= 1 / (2 * q.last_step_size) + q.prompt_cost + q.delay_cost,
    negative_controls=[
        Control(
            "without the delays",
            q.delayed_regret <= 1 / (2 * q.last_step_size) + q.prompt_cost,
            because="as long as nothing arrives the point stays where it is, and loses against the ball's edge in every round",
        ),
        Control(
            "a quarter of the squared radius",
            q.delayed_regret <= 1 / (4 * q.last_step_size) + q.prompt_cost + q.delay_cost,
            because="one gradient of length 1 with step 1 has regret 1, half of it for the way to the edge",
        ),
    ],
    instances=(FIRST, UNHEARD, SPIRAL),
    departs="Linear losses in the unit ball of the plane, delays in any order",
)

PLAYED = random_mdps(max_states=2, max_actions=3, policy="uniform", mu="any", max_discount=Fraction(0)).replace(
    extras={"changing_rewards": Extra((6, "S", "A"), low=0, high=1, meaning="rewards of each round")}
)
STAGES = {q.H: (1, 2, 3), q.rounds: (1, 2, 6)}
STEP = {**STAGES, q.eta: Between(Rational(1, 10), 3)}


def _rounds(name, changing, stages, transitions=(((1,), (1,)),), mu=None):
    states = len(transitions)
    later = [[[0, 0]] * states] * (6 - len(changing))
    settings = {"H": stages, "rounds": len(changing), "eta": "12/5"}
    extras = {"changing_rewards": [*changing, *later]}
    return by_hand(name, transitions=transitions, rewards=[[0, 0]] * states, discount=0, mu=mu, settings=settings, extras=extras)


ONE_ROUND = _rounds("one reward in one round of one stage", [[[1, 0]]], 1)
TURNS = _rounds("two actions that are paid by turns", [[[1, 0]], [[0, 1]]] * 3, 1)
CORRIDOR = _rounds("a state to stay in for three stages", [[[1, 0], [0, 0]]], 3, transitions=[[[1, 0], [0, 1]], [[0, 1], [0, 1]]], mu=[1, 0])

changing = Claim(
    id="policy-mirror-descent-adversarial-rewards",
    title="Rewards that change from round to round: exponential weights in every state have regret at most H^2 sqrt(T log A/2)",
    source=Source(
        "evendar2009online", where="the mechanism of Section 3 for a fixed horizon; constants derived here", version="Math. Oper. Res. 34(3)"
    ),
    domain=PLAYED,
    settings=STAGES,
    forms=[
        Form("balanced step", q.tuned_changing_regret <= q.H**2 * sqrt(q.rounds * log(q.A) / 2)),
        Form(
            "any step",
            q.changing_regret <= q.H * log(q.A) / q.eta + q.eta * q.rounds * q.H * (q.H + 1) * (2 * q.H + 1) / 48,
            settings=STEP,
        ),
    ],
    negative_controls=[
        Control(
            "against a policy that changes",
            q.tuned_moving_regret <= q.H**2 * sqrt(q.rounds * log(q.A) / 2),
            because="two actions that are paid by turns: a policy that follows them gains 1 a round, and weights that learn from the past 1/2",
        ),
        Control(
            "a quarter of the square",
            q.tuned_changing_regret <= q.H**2 * sqrt(q.rounds * log(q.A) / 4),
            because="the first round is played at random whatever the step: 1/2 against .416",
        ),
    ],
    instances=(ONE_ROUND, TURNS, CORRIDOR),
    departs="Known transitions, all rewards seen after each round, no discount, up to three stages",
)

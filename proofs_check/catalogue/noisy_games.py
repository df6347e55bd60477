"""Optimistic steps in a game with multiplicative noise.  Derivation: docs/theory/regret.md"""

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, alone
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra
from proofs_check.statement import equal

GAME = ALONE.replace(
    extras={
        "place": Extra((2,), low=-1, high=1, meaning="where the two players are"),
        "seen": Extra((2,), low=-1, high=1, meaning="the gradient seen last"),
        "noise": Extra((), low=0, high=2, meaning="relative size of each player's noise"),
    }
)
ETA = {q.eta: Between(Rational(1, 100), 1)}
STEPS = {**ETA, q.look_ahead: Between(Rational(1, 100), 2)}
RUN = {**ETA, q.rounds: (1, 2, 3, 5)}
LONGEST = ((8 * q.noise_factor**3 * q.eta**2, 1),)


def _game(name, noise, eta, rounds=5, place=(1, 0), seen=(0, -1)):
    settings = {"eta": eta, "look_ahead": eta, "rounds": rounds}
    return alone(name, {"place": list(place), "seen": list(seen), "noise": noise}, settings=settings)


SURE = _game("no noise", 0, "1/10")
LOUD = _game("noise as large as the gradient", 1, "1/10")
LONG = _game("a long step without noise", 0, "1/3")
AT_REST = _game("at the saddle", 1, "1/10", place=(0, 0), seen=(0, 0))

separation = Claim(
    id="optimistic-step-separation",
    title="Optimism under multiplicative noise: look ahead with a longer step than the one that is taken",
    source=Source(
        "hsieh2022noregret", where="the separation of step sizes, as recalled; potential and constants derived here", version="NeurIPS 2022"
    ),
    domain=GAME,
    settings=STEPS,
    forms=[
        Form(
            "potential",
            equal(
                q.game_potential_after,
                q.game_potential
                - q.eta * q.look_ahead * q.game_square
                - q.eta * (q.look_ahead / q.noise_factor - q.eta - q.look_ahead**3) * q.seen_square,
            ),
        ),
        Form(
            "separated steps",
            2 * q.noise_factor * q.eta**2 * q.separated_squares <= q.separated_potential,
            settings=RUN,
            where=LONGEST,
        ),
        Form("one separated step", q.settled_square_separated <= q.game_square, settings=ETA, where=LONGEST),
    ],
    negative_controls=[
        Control(
            "equal steps",
            q.settled_square_equal <= q.game_square,
            settings=ETA,
            where=LONGEST,
            because="with noise of size 1 and more an equal step multiplies the mean square by at least 1 + 2 eta^4",
        ),
        Control(
            "a potential that forgets the noise",
            equal(
                q.game_potential_after,
                q.game_potential - q.eta * q.look_ahead * q.game_square - q.eta * (q.look_ahead - q.eta - q.look_ahead**3) * q.seen_square,
            ),
            because="the mean square of a noisy gradient is 1 + s^2 times that of the gradient",
        ),
    ],
    instances=(SURE, LOUD, LONG, AT_REST),
    departs="Separated steps 2 kappa eta with 8 kappa^3 eta^2 < 1, up to five rounds; the exact thresholds are spectral and not verified here",
)

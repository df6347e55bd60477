"""Instances that a person built against mutants of a form where the search by itself finds none; `engine.pursuit` looks at them in its second search.

crossing        two ends that are left rarely, and a walk between them: what a step does in one state of the walk moves the whole mass, so that
                gradients and curvatures grow with the length of the walk while the gap stays, and visits are those of mu
needle          one good arm among very many
crowd           one good arm that is nearly sure, and many bad ones that share the rest
stay_or_fall    one action stays in the only state that pays, all the others fall out of it for good
sticky          two states, half of the actions lead to the one and half to the other, and the policy nearly always stays
out_of_reach    what would be good is two moves away, and the state that rho starts in has nothing to do with it
many_bandits    copies of one bandit, each of which the start distribution hardly ever visits
ladder          leaving a chain pays in every state of it as much as at its end, seen from its beginning: each state's gradient is that of the gap
detour          a loop that is worth a little more than staying, and looks bad until its states have been mended one after the other, which gives
                the other action a lead that takes long to catch up with
seldom_at_work  only one state pays, for an action that is rare; mu is elsewhere, where nothing is learnt as long as that action is rare
plateau         good, better and many bad arms: the good ones gain on the bad ones first, and the best one waits
large_rewards   three arms whose best one is as fast as a worse one in the first step, with rewards far outside of [0, 1]
choices_for_their_own_sake
                a little reward is given up in every step for the sake of a choice between equals
mended_too_late ending at once is better than going on, until the next state has been mended; rewards far outside of [0, 1]
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from mdps.rational import rational, rational_array
from proofs_check.instance import Instance
from proofs_check.instances import model_of


@dataclasses.dataclass(frozen=True)
class Against:
    """A model or a complete instance, with settings, and the steps at which a mutant is judged in exact arithmetic."""

    model: str | Callable[[], Instance]
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    times: tuple[int, ...] = ()
    """Steps at which exact arithmetic is asked even where float64 sees no violation above rounding; empty: only where it does."""


def crossing(length: int, leave: str, patience: str, right: str = "1/2", pay: str = "1", sure: str = "1/2") -> Callable[[], Instance]:
    """Two ends that either action leaves with probability `leave`, the right one paying `pay`, and `length` states between them in which the second
    action goes right and the first left; the policy takes `right` of the second, and `sure` of it at the right end.  mu is where the policy that
    takes half of it stays; the discount is 1 - `patience`."""

    @functools.cache
    def made() -> Instance:
        states, out = length + 2, Fraction(leave)
        moves = np.full((states, 2, states), Fraction(0), dtype=object)
        moves[0, :, 0], moves[0, :, 1] = 1 - out, out
        moves[-1, :, -1], moves[-1, :, -2] = 1 - out, out
        for s in range(1, length + 1):
            moves[s, 0, s - 1] = moves[s, 1, s + 1] = Fraction(1)
        pays = np.full((states, 2), Fraction(0), dtype=object)
        pays[-1] = Fraction(pay)
        weight = [1 / (2 * out), *[Fraction(1)] * length, 1 / (2 * out)]
        mu = rational_array([w / sum(weight) for w in weight])
        policy = rational_array([[1 - Fraction(right), Fraction(right)]] * (states - 1) + [[1 - Fraction(sure), Fraction(sure)]])
        name = f"two ends and {length} states between them"
        discount = rational(1 - Fraction(patience))
        return Instance(rational_array(moves.tolist()), rational_array(pays.tolist()), discount, mu, mu, policy, name=name)

    return made


def needle(arms: int) -> Callable[[], Instance]:
    """One arm that pays 1 among `arms`, from the uniform policy."""

    @functools.cache
    def made() -> Instance:
        model = model_of(f"arms([1{', 0' * (arms - 1)}])").exact
        one = rational_array([1])
        policy = rational_array([[Fraction(1, arms)] * arms])
        return Instance(model.transitions, model.rewards, rational(0), one, one, policy, name=f"one good arm among {arms:,}")

    return made


def crowd(arms: int, sure: str) -> Callable[[], Instance]:
    """One arm that pays 1, taken with probability `sure`; the others pay nothing, and share the rest."""

    @functools.cache
    def made() -> Instance:
        one, best = rational_array([1]), Fraction(sure)
        pays, policy = rational_array([[1, *[0] * (arms - 1)]]), rational_array([[best, *[(1 - best) / (arms - 1)] * (arms - 1)]])
        return Instance(rational_array([[[1]] * arms]), pays, rational(0), one, one, policy, name=f"a good arm and {arms - 1} bad ones")

    return made


def stay_or_fall(actions: int, patience: str) -> Callable[[], Instance]:
    """State 0 pays 1 to the action that stays there; the others lead to state 1, where nothing is paid.  From the uniform policy."""

    @functools.cache
    def made() -> Instance:
        moves = [[[1, 0], *[[0, 1]] * (actions - 1)], [[0, 1]] * actions]
        pays = [[1, *[0] * (actions - 1)], [0] * actions]
        mu = rational_array([1, 0])
        policy = rational_array([[Fraction(1, actions)] * actions] * 2)
        discount = rational(1 - Fraction(patience))
        return Instance(rational_array(moves), rational_array(pays), discount, mu, mu, policy, name=f"stay, or fall by {actions - 1} actions")

    return made


def sticky(actions: int, patience: str, leave: str) -> Callable[[], Instance]:
    """Either half of the actions leads to either state, the first of which pays; the policy leaves its state with probability `leave`."""

    @functools.cache
    def made() -> Instance:
        half, out = actions // 2, Fraction(leave)
        moves = [[[1, 0]] * half + [[0, 1]] * half] * 2
        rows = [[(1 - out) / half] * half + [out / half] * half, [out / half] * half + [(1 - out) / half] * half]
        mu = rational_array([Fraction(999, 1000), Fraction(1, 1000)])
        pays, discount = rational_array([[1] * actions, [0] * actions]), rational(1 - Fraction(patience))
        return Instance(rational_array(moves), pays, discount, mu, mu, rational_array(rows), name=f"two sticky states with {actions} actions")

    return made


def out_of_reach() -> Instance:
    """State 2 pays to those who stay, state 1 leads there, and the policy nearly always goes to state 0, where rho is, and where nothing happens."""
    moves = [[[1, 0, 0], [1, 0, 0]], [[1, 0, 0], [0, 0, 1]], [[1, 0, 0], [0, 0, 1]]]
    mu = rational_array(["9899/10000", "1/100", "1/10000"])
    policy, pays = rational_array([["99/100", "1/100"]] * 3), rational_array([[0, 0], [0, 0], [0, 1]])
    return Instance(rational_array(moves), pays, rational("9/10"), mu, rational_array([1, 0, 0]), policy, name="a reward out of reach")


def many_bandits(copies: int, stages: int, bad: int = 1) -> Callable[[], Instance]:
    """One good arm and `bad` others in each of many states, which the process never leaves; one stage of so many that there are arrays for."""

    @functools.cache
    def made() -> Instance:
        model = model_of(f"{copies} * arms([1{', 0' * bad}])").exact
        mu = rational_array([Fraction(1, copies)] * copies)
        policy = rational_array([[Fraction(1, 1 + bad)] * (1 + bad)] * copies)
        arrays = {"stage_transitions": model.transitions, "stage_rewards": model.rewards, "stage_starts": mu}
        extras = {name: np.stack([array] * stages) for name, array in arrays.items()}
        name = f"{copies} bandits with {1 + bad} arms"
        return Instance(model.transitions, model.rewards, rational(0), mu, mu, policy, settings={"H": rational(1)}, extras=extras, name=name)

    return made


def ladder(length: int, patience: str, on: str, pay: str) -> Callable[[], Instance]:
    """A chain of `length` states; the first action goes on (at the end of the chain to an end without reward), the second one takes what the same
    `pay` at the last state is worth from here, and ends too.  The policy goes on with probability `on`; mu hardly ever begins within the chain."""

    @functools.cache
    def made() -> Instance:
        states, forward, gamma = length + 1, Fraction(on), Fraction(patience)
        moves = np.full((states, 2, states), Fraction(0), dtype=object)
        pays = np.full((states, 2), Fraction(0), dtype=object)
        moves[:, :, length] = Fraction(1)
        for k in range(length - 1):
            moves[k, 0, length], moves[k, 0, k + 1] = Fraction(0), Fraction(1)
        for k in range(length):
            pays[k, 1] = Fraction(pay) * gamma ** (length - 1 - k)
        rare = Fraction(1, 10**6)
        mu = rational_array([Fraction(1, 10) - (length - 1) * rare, *[rare] * (length - 1), Fraction(9, 10)])
        policy, name = rational_array([[forward, 1 - forward]] * states), f"a ladder of {length} states"
        return Instance(rational_array(moves.tolist()), rational_array(pays.tolist()), rational(gamma), mu, mu, policy, name=name)

    return made


def detour(length: int, horizon: int, worth: str, short: str) -> Callable[[], Instance]:
    """A hub, a chain of `length` states, a gate that leads back to the hub, a state that pays 1 for ever and one that pays nothing.  The first action
    walks the loop at 1 a step; in the hub the second one stays for `short` less, in the chain it is worth `worth` (and 3/2 more for each state that
    is left), and at the gate nothing.  Policies are uniform at first; the discount is 1 - 1/`horizon`."""

    @functools.cache
    def made() -> Instance:
        states, gate, pay, nothing = length + 4, length + 1, length + 2, length + 3
        moves = np.full((states, 2, states), Fraction(0), dtype=object)
        pays = np.full((states, 2), Fraction(0), dtype=object)
        for s in range(gate):
            moves[s, 0, s + 1] = pays[s, 0] = Fraction(1)
        moves[gate, 0, 0] = pays[gate, 0] = moves[gate, 1, nothing] = moves[0, 1, 0] = Fraction(1)
        pays[0, 1] = 1 - Fraction(short)
        for k in range(1, gate):
            share = (Fraction(worth) + Fraction(3, 2) * (length - k)) / horizon
            moves[k, 1, pay], moves[k, 1, nothing] = share, 1 - share
        moves[pay, :, pay] = moves[nothing, :, nothing] = pays[pay] = Fraction(1)
        mu = rational_array([1, *[0] * (states - 1)])
        policy, name = rational_array([["1/2", "1/2"]] * states), f"a detour by {length} states"
        return Instance(rational_array(moves.tolist()), rational_array(pays.tolist()), 1 - rational(Fraction(1, horizon)), mu, mu, policy, name=name)

    return made


def seldom_at_work(elsewhere: str, rare: str, patience: str) -> Callable[[], Instance]:
    """Work pays 1 a step to the first action, which stays, and the other one leaves for good.  Elsewhere, where mu begins with the probability
    `elsewhere`, the first action goes to work and the other one leaves for what work is worth to the policy: so neither is better for now.
    The first action has the probability `rare` everywhere; the discount is 1 - `patience`."""

    @functools.cache
    def made() -> Instance:
        gamma, p, away = 1 - Fraction(patience), Fraction(rare), Fraction(elsewhere)
        moves = [[[0, 1, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 1]], [[0, 0, 1]] * 2]
        pays = rational_array([[0, gamma * p / (1 - gamma * p)], [1, 0], [0, 0]])
        left = Fraction(1, 10**4)
        mu, policy = rational_array([away, 1 - away - left, left]), rational_array([[p, 1 - p]] * 3)
        return Instance(rational_array(moves), pays, rational(gamma), mu, mu, policy, name="seldom at work")

    return made


def plateau(good: int, bad: int, short: str, best: str, lost: str) -> Callable[[], Instance]:
    """One arm that pays 1, `good` arms that pay `short` less and `bad` ones that pay nothing; the policy takes the best arm with probability `best`
    and the bad ones with probability `lost` together."""

    @functools.cache
    def made() -> Instance:
        arms = 1 + good + bad
        pays = [Fraction(1), *[1 - Fraction(short)] * good, *[Fraction(0)] * bad]
        rest = 1 - Fraction(best) - Fraction(lost)
        policy = rational_array([[Fraction(best), *[rest / good] * good, *[Fraction(lost) / bad] * bad]])
        one = rational_array([1])
        return Instance(rational_array([[[1]] * arms]), rational_array([pays]), rational(0), one, one, policy, name=f"a plateau of {good} arms")

    return made


def large_rewards(scale: int) -> Callable[[], Instance]:
    """Three arms with the advantages 1, 1/2 and -6 times `scale` under (3/10, 6/10, 1/10): the first two gain the same at the first step."""

    @functools.cache
    def made() -> Instance:
        one = rational_array([1])
        pays = rational_array([[scale, Fraction(scale, 2), -6 * scale]])
        policy = rational_array([["3/10", "6/10", "1/10"]])
        return Instance(rational_array([[[1]] * 3]), pays, rational(0), one, one, policy, name="three arms with large rewards")

    return made


def mended_too_late(scale: int) -> Callable[[], Instance]:
    """State 0 ends with 3/5 or goes on to state 1, which ends with 1 or -10, all times `scale`: worse than ending at once, until that is mended."""

    @functools.cache
    def made() -> Instance:
        moves = [[[0, 0, 1], [0, 1, 0]], [[0, 0, 1]] * 2, [[0, 0, 1]] * 2]
        pays = rational_array([[Fraction(3 * scale, 5), 0], [scale, -10 * scale], [0, 0]])
        mu, policy = rational_array([1, 0, 0]), rational_array([["1/2", "1/2"]] * 3)
        return Instance(rational_array(moves), pays, rational("9/10"), mu, mu, policy, name="mended too late")

    return made


def choices_for_their_own_sake(pay: str, discount: str) -> Callable[[], Instance]:
    """State 0 leads to state 1, where staying pays 1 and leaving nothing for ever, or to state 2, which pays `pay` to either action: a soft-optimal
    policy goes where it may choose, as long as that costs less than the entropy is worth."""

    @functools.cache
    def made() -> Instance:
        moves = [[[0, 1, 0, 0], [0, 0, 1, 0]], [[0, 1, 0, 0], [0, 0, 0, 1]], [[0, 0, 1, 0]] * 2, [[0, 0, 0, 1]] * 2]
        pays = rational_array([[0, 0], [1, 0], [pay, pay], [0, 0]])
        mu, policy = rational_array([1, 0, 0, 0]), rational_array([["1/2", "1/2"]] * 4)
        return Instance(rational_array(moves), pays, rational(discount), mu, mu, policy, name="choices for their own sake")

    return made


CURVED = (Against(crossing(12, "1/20", "3/10000"), times=(0,)), Against(crossing(12, "1/20", "3/10000", right="11/20"), times=(0,)))
STEPS = tuple(dataclasses.replace(entry, settings={"eta": "9/100000000"}) for entry in CURVED)
STEEP = Against(crossing(24, "1/200", "1/1000000"), times=(0,))

RUNGS = Against(ladder(3, "1/10", "1/10", "1/1000"), {"eta": "729/100000"}, times=(1,))

ENTROPIES = crossing(24, "1/20", "1/10000", sure="999/1000")

AGAINST: dict[str, tuple[Against, ...]] = {
    "entropy-npg-linear:action values": (Against("domino(8, 9/10)", {"tau": "1/100", "fraction": "1"}),),
    "entropy-npg-linear:log policies": (Against("domino(8, 9/10)", {"tau": "1/100", "fraction": "1"}),),
    "softmax-smoothness-sharp:derived": CURVED,
    "softmax-reverse-lojasiewicz:mdp": (STEEP, Against(ladder(3, "1/10", "1/10", "1"), times=(0,))),
    **{f"softmax-sufficient-increase:{form}": STEPS for form in ("at least", "at least, printed", "at most")},
    "softmax-one-over-t-lower-bound:bandit": (Against(crossing(12, "1/100", "1/100000", pay="1/1000"), {"eta": "1/1000"}, times=(1,)),),
    "softmax-one-over-t-lower-bound:mdp": (Against(crossing(12, "1/100", "1/100000"), {"eta": "1/100000000000000000"}, times=(1,)), RUNGS),
    "npg-one-over-T:rate": (
        Against(needle(8000), {"eta": "17/5"}, times=(2,)),
        Against(detour(4, 1000, "60", "1/10"), {"eta": "1/10"}, times=(5500,)),
    ),
    "softmax-mdp-one-over-t:one step, derived": (
        Against(seldom_at_work("49/50", "1/200", "1/10"), times=(0,)),
        Against(seldom_at_work("1/1000", "1/20", "1/100"), times=(0,)),
        Against(crowd(41, "4/5"), times=(0,)),
        Against(large_rewards(100), times=(0,)),
    ),
    "softmax-mdp-one-over-t:printed": (
        Against(plateau(4, 94, "52/100", "1/60", "1/2"), times=(4400,)),
        Against(large_rewards(1000), times=(1,)),
    ),
    "npg-limit-solves-the-dual:vanishes": (
        Against(stay_or_fall(8, "3/20"), {"eta": "1/10"}, times=(3,)),
        Against(mended_too_late(1000), {"eta": "10"}, times=(1,)),
    ),
    "smoothness-direct:printed": (Against(sticky(8, "1/100", "1/100000"), times=(0,)),),
    "gradient-domination-direct:start": (Against(out_of_reach, times=(0,)),),
    "entropy-smoothness:derived": (Against(ENTROPIES, times=(0,)),),
    "soft-bellman-facts:loss of the soft-optimal policy": (
        Against(needle(16), {"tau": "2/5"}, times=(0,)),
        Against(choices_for_their_own_sake("469/500", "99/100"), {"tau": "1/10"}, times=(0,)),
    ),
    "finite-horizon-simultaneous-pg:rate": (Against(many_bandits(52, 16), {"H": "1"}, times=(0,)),),
    "finite-horizon-dynamic-pg:epoch": tuple(Against(made, {"H": "1"}, times=(0,)) for made in (many_bandits(64, 3), many_bandits(1, 3, bad=31))),
}
"""{"claim:form": what was built against its mutants}."""

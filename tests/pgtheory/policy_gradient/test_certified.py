"""Enclosed runs: the Lipschitz constants they rest on, that they hold the true iterates, and that they last as long as refutations need."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb, ctx, fmpq
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mdps import MDP, ModelError, strategies, zoo
from mdps.rational import rational_array, to_float
from pgtheory import EntropyNPG, EntropyPG, MirrorDescent, NaturalPG, PolicyIteration, ProjectedPG, SoftmaxPG, Undecided, arithmetic, certified_run
from pgtheory.policy_gradient.method import Method

METHODS = {
    "softmax-pg": (SoftmaxPG(0), (fmpq(1, 3),)),
    "softmax-pg with a large step": (SoftmaxPG(0), (fmpq(20),)),
    "natural-pg": (NaturalPG(0), (fmpq(1, 3),)),
    "entropy-pg": (EntropyPG(0, 0), (fmpq(1, 3), fmpq(1, 5))),
    "entropy-npg": (EntropyNPG(0, 0), (fmpq(1, 3), fmpq(1, 5))),
    "projected-pg": (ProjectedPG(0), (fmpq(1, 3),)),
    "mirror-descent-kl": (MirrorDescent(0), (fmpq(1, 3),)),
    "mirror-descent-euclidean": (MirrorDescent(0, "euclidean"), (fmpq(1, 3),)),
}
every_method = pytest.mark.parametrize(("method", "settings"), METHODS.values(), ids=METHODS)
GENTLE = st.sampled_from(("0", "1/2", "3/4", "9/10"))


def draw_params(data, method: Method, mdp: MDP):
    if method.parameters == "policy":
        return data.draw(strategies.policies(mdp, exact=True))
    size = mdp.num_states * mdp.num_actions
    quarters = data.draw(st.lists(st.integers(-12, 12), min_size=size, max_size=size))
    return rational_array(quarters).reshape(mdp.num_states, mdp.num_actions) / 4


def as_balls(mdp: MDP, settings):
    exact = mdp.exact
    problem = (exact.transitions, exact.rewards, exact.discount, exact.start)
    return tuple(arithmetic.balls(x) for x in problem), tuple(arb(x) for x in settings)


def size(method: Method, values):
    return arithmetic.norm2(values) if method.norm == "two" else arithmetic.maximum(arithmetic.absolute(values))


def holds(enclosure, point) -> bool:
    """Whether a ball of high precision lies inside the enclosure, entry by entry."""
    return all(e.contains(p) for e, p in zip(enclosure.reshape(-1), point.reshape(-1), strict=True))


@every_method
@examples(max_examples=25)
@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3, discount=GENTLE, rewards=(-1, 1)))
def test_no_step_stretches_more_than_its_lipschitz_constant(method, settings, data, mdp):
    """Between two points and on the box that they span: far apart, and so close that the quotient is a derivative."""
    x, other = draw_params(data, method, mdp), draw_params(data, method, mdp)
    near = data.draw(st.sampled_from((fmpq(1), fmpq(1, 2**8), fmpq(1, 2**40))))
    y = x + near * (other - x)
    with arithmetic.precision(256):
        problem, numbers = as_balls(mdp, settings)
        images = [method.plain_step(arithmetic.balls(z), *problem, *numbers) for z in (x, y)]
        distance, moved = size(method, arithmetic.balls(x - y)), size(method, images[0] - images[1])
        middle, half = arithmetic.balls((x + y) / 2), arithmetic.balls(arithmetic.absolute(x - y) / 2)
        box = middle + half * arb(0, 1)
        for enclosure in (None, box):
            try:
                constant = method.lipschitz(problem, numbers, enclosure)
            except ZeroDivisionError:  # the box is too wide for one matrix inverse, and says so
                continue
            if constant is not None and constant.is_finite():
                assert moved.lower() <= (constant * distance).upper()


@every_method
@examples(max_examples=20)
@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=2, discount=GENTLE))
def test_enclosures_hold_the_iterates(method, settings, data, mdp):
    """Against plain balls at 4,000 bits: the same step, without centres, radii and Lipschitz constants."""
    params, times = draw_params(data, method, mdp), (0, 1, 5, 12)
    enclosures = certified_run(method, mdp, params, settings, times, accuracy=fmpq(1, 2**20))
    with arithmetic.precision(4000):
        problem, numbers = as_balls(mdp, settings)
        state, t = arithmetic.balls(params), 0
        for when, enclosure in zip(times, enclosures, strict=True):
            while t < when:
                state, t = method.plain_step(state, *problem, *numbers), t + 1
            assert max(float(x.rad()) for x in enclosure.reshape(-1)) <= 2.0**-20
            assert all(e.overlaps(s) for e, s in zip(enclosure.reshape(-1), state.reshape(-1), strict=True))
            if max(float(x.rad()) for x in state.reshape(-1)) < 1e-300:
                assert holds(enclosure, state)


@every_method
def test_enclosures_agree_with_the_compiled_run(method, settings):
    mdp = zoo.river_swim()
    rewards = mdp.exact.rewards / max(mdp.exact.rewards.reshape(-1))
    mdp = mdp.replace(rewards=rewards)
    times = (0, 4, 15)
    enclosures = certified_run(method, mdp, "uniform", settings, times)
    floats = tuple(float(arb(x)) for x in settings)
    records, _ = method.run_arrays(mdp.transitions[None], mdp.rewards[None], [mdp.discount], mdp.start[None], method.start(mdp)[None], floats, times)
    figures = np.array([[[float(x) for x in row] for row in enclosure] for enclosure in enclosures])
    # 15 steps multiply a rounding of 1e-13 (values of size 1/(1 - gamma)) by Lip each; the largest of these steps are nearly contractions
    np.testing.assert_allclose(records[0], figures, rtol=1e-6, atol=1e-6)


def test_policy_iteration_runs_in_rationals():
    mdp = zoo.domino(4, "9/10")
    worst = np.tile(rational_array([0, 1]), (mdp.num_states, 1))
    enclosures = certified_run(PolicyIteration(), mdp, worst, (), (0, 1, 2))
    assert all(x.is_exact() for enclosure in enclosures for x in enclosure.reshape(-1))
    policy = worst
    for enclosure in enclosures:
        assert [x.fmpq() for x in enclosure.reshape(-1)] == list(policy.reshape(-1))
        policy = PolicyIteration().step(policy, mdp.exact)


def test_a_method_without_a_lipschitz_constant_runs_in_plain_balls():
    class Unknown(NaturalPG):
        def lipschitz(self, problem, settings, enclosure):
            return None

    mdp, settings = zoo.two_state(), (fmpq(1, 5),)
    plain = certified_run(Unknown(0), mdp, "uniform", settings, (10,))[0]
    recentred = certified_run(NaturalPG(0), mdp, "uniform", settings, (10,))[0]
    assert all(a.overlaps(b) for a, b in zip(plain.reshape(-1), recentred.reshape(-1), strict=True))
    assert max(float(x.rad()) for x in plain.reshape(-1)) < 2.0**-40


def test_logits_may_be_given_as_a_function_of_the_precision():
    """log 9 is not rational: the enclosure of the start is as narrow as the precision allows."""
    mdp = MDP([[["1"], ["1"]]], [["1", "0"]], "9/10")
    start = rational_array([["9/10", "1/10"]])
    enclosure = certified_run(SoftmaxPG(0), mdp, lambda: SoftmaxPG(0).params_of(start), (fmpq(1, 8000),), (0,), accuracy=fmpq(1, 2**300))[0]
    with arithmetic.precision(400):
        odds = (enclosure[0, 0] - enclosure[0, 1]).exp()
    assert odds.contains(9)
    assert odds.rad() < fmpq(1, 2**280)


def test_the_start_distribution_of_the_gradient_may_differ_from_the_models():
    mdp = zoo.loop("9/10")
    one = certified_run(SoftmaxPG(0), mdp, "uniform", (fmpq(1),), (1,), start=["1", "0"])[0]
    assert one[0, 0].overlaps(arb(fmpq(100, 121)))
    assert one[1, 0].contains(0)
    assert float(one[1, 0].rad()) < 1e-12


def test_a_run_reports_its_progress_and_restores_the_precision():
    calls, before = [], ctx.prec
    certified_run(NaturalPG(0), zoo.two_state(), "uniform", (fmpq(1, 10),), (200,), on_progress=lambda *x: calls.append(x))
    assert calls[-1][:2] == (200, 200)
    assert [t for t, _, _ in calls] == sorted(t for t, _, _ in calls)
    assert ctx.prec == before


def test_a_hopeless_run_is_undecided(monkeypatch):
    from pgtheory.policy_gradient import certified

    monkeypatch.setattr(certified, "MOST_BITS", 256)
    with pytest.raises(Undecided, match="at 256 bits"):
        certified_run(ProjectedPG(0), zoo.two_state(), "uniform", (fmpq(1000),), (400,), bits=64)


def test_bad_arguments_are_refused():
    mdp = zoo.two_state()
    with pytest.raises(ModelError, match="increasing"):
        certified_run(NaturalPG(0), mdp, "uniform", (1,), (3, 1))
    with pytest.raises(ModelError, match="has the settings step_size"):
        certified_run(NaturalPG(0), mdp, "uniform", (), (1,))
    assert certified_run(NaturalPG(0), mdp, "uniform", (1,), ()) == []


LONG = {
    "ten thousand small steps on one state": (MDP([[["1"], ["1"]]], [["1", "0"]], "19/20"), SoftmaxPG(0), (fmpq(1, 20) ** 3 / 8,), 10_000),
    "eta L = 1 on two states at discount .98": (zoo.loop("49/50"), SoftmaxPG(0), (2 * fmpq(1, 50) ** 2,), 1_500),
    "natural gradient": (zoo.loop("9/10"), NaturalPG(0), (fmpq(1, 5),), 1_000),
}


@pytest.mark.slow
@pytest.mark.parametrize(("mdp", "method", "settings", "steps"), LONG.values(), ids=LONG)
def test_long_runs_last(mdp, method, settings, steps):
    (end,) = certified_run(method, mdp, "uniform", settings, (steps,))
    assert max(float(x.rad()) for x in end.reshape(-1)) <= 2.0**-40
    floats = tuple(float(arb(x)) for x in settings)
    records, _ = method.run_arrays(
        mdp.transitions[None], mdp.rewards[None], [mdp.discount], mdp.start[None], method.start(mdp)[None], floats, (steps,)
    )
    assert np.isfinite(to_float(arithmetic.exactly(end))).all()
    np.testing.assert_allclose(records[0, 0], to_float(arithmetic.exactly(end)), rtol=1e-6, atol=1e-6)  # gross agreement; rigour is tested above


def test_a_run_that_no_precision_encloses_is_given_up_at_the_one_that_was_asked_for():
    """Polyak's step divides by a gap that falls like exp(-t): a thousand steps would take more and more bits."""
    from pgtheory.policy_gradient import Polyak
    from pgtheory.policy_gradient.certified import NotEnclosed

    tried = []
    with pytest.raises(NotEnclosed, match="even at 4,096 bits"):
        certified_run(
            Polyak(step_size=1), zoo.arms([1, 0]), "uniform", [1], [1000], most_bits=4096, on_progress=lambda t, last, bits: tried.append(bits)
        )
    assert max(tried) <= 4096

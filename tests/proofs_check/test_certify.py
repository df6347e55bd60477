"""The judge: never `violated` for a true statement, never `holds` for a false one, and `undecided` where arithmetic cannot know."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import claim, random_instances, the_case
from sympy import Rational, log, sqrt

from mdps import zoo
from mdps.rational import rational, rational_array
from pgtheory import arithmetic
from pgtheory.policy_gradient import EntropyNPG, MirrorDescent, NaturalPG, PolicyIteration, ProjectedPG, SoftmaxPG
from proofs_check import quantities as q
from proofs_check.domains import Domain
from proofs_check.engine import certify as judge
from proofs_check.engine.certify import NOTHING_SAID, certify, confirm, exact_contexts, sides
from proofs_check.engine.measure import compare, trajectory
from proofs_check.expression import check_exact
from proofs_check.instance import Batch, Instance
from proofs_check.statement import Statement, equal
from tests import tolerances

ANY = Domain(policy="any", other="any", mu="any", rewards=None)
TINY_STEP = Rational(1, 10**60)


def stated(left, relation, right) -> Statement:
    """The statement, undecided by sympy whatever the sides are."""
    return Statement(left, relation, check_exact(right))


def judged(statement, instance, times=(0,), process=None, where=(), most_bits=1024, domain=ANY, settings=None):
    """The verdict of exact arithmetic on one statement and one instance."""
    made = claim(statement, domain=domain, process=process, settings=settings or {}, where=where)
    return confirm(the_case(made), instance, list(times), most_bits=most_bits)


def uniform_loop(discount="1/2", settings=None) -> Instance:
    model = zoo.load(f"loop({discount})").exact
    half = rational_array([["1/2", "1/2"]] * 2)
    return Instance(model.transitions, model.rewards, model.discount, model.start, model.start, half, settings=settings or {"eta": rational("1/5")})


NPG = {"process": NaturalPG(step_size=q.eta), "settings": {q.eta: 1}}


# Equality and its neighbourhood


@pytest.mark.exact
def test_equality_in_balls_is_undecided_in_every_direction():
    """A true statement that holds with equality must not be refuted by a radius, nor certified by luck."""
    for statement in (stated(q.gap_rho, "<=", q.gap_rho), stated(q.gap_rho, ">=", q.gap_rho), equal(q.gap_rho, q.gap_rho)):
        outcome = judged(statement, uniform_loop(), times=(0, 3), **NPG)
        assert outcome.status == "undecided" and outcome.arithmetic == "balls"


@pytest.mark.exact
def test_equality_in_rationals_is_known():
    for statement in (stated(q.gap_rho, "<=", q.gap_rho), stated(q.gap_rho, ">=", q.gap_rho), equal(q.gap_rho, q.gap_rho)):
        assert judged(statement, uniform_loop()).status == "holds"
    assert judged(equal(q.gap_rho, q.gap_rho + TINY_STEP), uniform_loop()).status == "violated"


@pytest.mark.exact
def test_precision_is_doubled_until_the_sides_separate():
    """A relative difference of 1e-60 needs more than the first 128 bits."""
    above, below = q.gap_rho * (1 + TINY_STEP), q.gap_rho * (1 - TINY_STEP)
    holds = judged(stated(q.gap_rho, "<=", above), uniform_loop(), times=(2,), **NPG)
    fails = judged(stated(q.gap_rho, "<=", below), uniform_loop(), times=(2,), **NPG)
    assert (holds.status, fails.status) == ("holds", "violated") and holds.bits > judge.FIRST_BITS and fails.bits > judge.FIRST_BITS
    assert fails.t == 2 and fails.ratio == pytest.approx(1)
    assert judged(stated(q.gap_rho, ">=", above), uniform_loop(), times=(2,), **NPG).status == "violated"
    assert judged(equal(q.gap_rho, above), uniform_loop(), times=(2,), **NPG).status == "violated"
    assert judged(stated(q.gap_rho, "<=", below), uniform_loop(), times=(2,), most_bits=128, **NPG).status == "undecided"


@pytest.mark.exact
def test_a_published_equality_is_not_refuted():
    """The two-armed bandit at p = 1/2 attains the gradient bound 1/(2 sqrt2 (1 - gamma)^(3/2)) exactly."""
    model = zoo.load("arms([1, 0])").exact
    instance = Instance(model.transitions, model.rewards, model.discount, model.start, model.start, rational_array([["1/2", "1/2"]]))
    bound = 1 / (2 * sqrt(2) * (1 - q.gamma) ** Rational(3, 2))
    assert judged(stated(q.gradient_norm, "<=", bound), instance).status == "undecided"
    assert judged(stated(q.gradient_norm, "<=", bound * (1 - TINY_STEP)), instance).status == "violated"
    assert judged(stated(q.gradient_norm, "<=", bound * (1 + TINY_STEP)), instance).status == "holds"


RATIONAL_QUANTITIES = ["gap_rho", "gap_mu", "gap_sup", "mismatch", "other_value_difference", "advantage_under_other_visits", "direct_gradient", "softmax_derivative",
                       "inverse_mu", "rho_over_mu", "min_optimal_probability", "gamma"]  # fmt: skip


@pytest.mark.exact
@given(
    left=st.sampled_from(RATIONAL_QUANTITIES),
    right=st.sampled_from(RATIONAL_QUANTITIES),
    relation=st.sampled_from(["<=", ">=", "="]),
    numerator=st.integers(-3, 6),
    denominator=st.integers(1, 4),
    seed=st.integers(0, 40),
)
def test_balls_never_contradict_rationals(left, right, relation, numerator, denominator, seed):
    """Rationals know the truth; balls may say less, never something else."""
    states, actions = ((1, 1), (1, 2), (2, 2))[seed % 3]
    (instance,) = random_instances(seed, states, actions)
    statement = stated(getattr(q, left), relation, Rational(numerator, denominator) * getattr(q, right))
    truth = judged(statement, instance)
    assert truth.arithmetic == "rationals" and truth.status in ("holds", "violated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "rational_possible", lambda case, times: False)
        said = judged(statement, instance, most_bits=256)
    assert said.arithmetic == "balls" and said.status in (truth.status, "undecided")


# What is no number


@pytest.mark.exact
@pytest.mark.parametrize("relation", ["<=", ">=", "="])
@pytest.mark.parametrize(
    "nonsense",
    [
        sqrt(q.gamma - 2),
        log(q.gamma - 2),
        log(q.gamma - Rational(1, 2)),
        1 / (q.gamma - Rational(1, 2)),
        (q.gamma - 2) ** Rational(3, 2),
        1 / (2 * q.gamma - 1) ** 2,
    ],
)
def test_a_bound_that_is_no_number_is_never_violated_and_never_holds(nonsense, relation):
    """At discount 1/2: negative roots and logarithms, log 0, division by 0; with a run (balls) and without (rationals first)."""
    statement = stated(q.gap_rho, relation, nonsense)
    assert judged(statement, uniform_loop(), most_bits=256).status == "undecided"
    assert judged(statement, uniform_loop(), times=(1,), most_bits=256, **NPG).status == "undecided"
    turned = stated(nonsense, relation, q.gap_rho)
    assert judged(turned, uniform_loop(), times=(1,), most_bits=256, **NPG).status == "undecided"


@pytest.mark.exact
def test_a_bound_in_one_over_mu_says_nothing_where_mu_is_zero():
    instance = dataclasses.replace(uniform_loop(), mu=rational_array([1, 0]))
    for relation in ("<=", ">=", "="):
        assert judged(stated(q.gap_rho, relation, q.inverse_mu), instance, most_bits=256).status == "undecided"
        assert judged(stated(q.gap_rho, relation, q.mismatch), instance, times=(1,), most_bits=256, **NPG).status == "undecided"


# Which steps, which conditions


@pytest.mark.exact
def test_a_bound_in_one_over_t_says_nothing_at_the_start():
    statement = stated(q.gap_rho, "<=", 1 / (100 * q.T))
    assert judged(statement, uniform_loop(), times=(0,), **NPG).reason == NOTHING_SAID
    later = judged(statement, uniform_loop(), times=(0, 1), **NPG)
    assert later.status == "violated" and later.t == 1


@pytest.mark.exact
def test_a_condition_that_fails_says_nothing_and_is_no_evidence():
    false_bound = stated(q.gap_rho, "<=", 0 + Rational(1, 10**6))
    assert judged(false_bound, uniform_loop(), times=(0, 1, 2), **NPG).status == "violated"
    for where in (((1, q.gamma),), ((2, q.T),), ((q.T, 0),)):
        outcome = judged(false_bound, uniform_loop(), times=(0, 1, 2), where=where, **NPG)
        assert outcome.status == "undecided" and outcome.reason == NOTHING_SAID
    assert judged(false_bound, uniform_loop(), times=(0, 1, 2), where=((1, q.T),), **NPG).t == 2
    true_bound = stated(q.gap_rho, "<=", 0 + 10)
    assert judged(true_bound, uniform_loop(), times=(0, 1), where=((2, q.T),), **NPG).status == "undecided"


@pytest.mark.exact
def test_a_condition_that_cannot_be_decided_leaves_the_statement_undecided():
    """gap < gap is false, but two balls cannot know."""
    where = ((q.gap_rho, q.gap_rho * 1),)
    for bound in (Rational(1, 10**6), Rational(10)):
        outcome = judged(stated(q.gap_rho, "<=", bound), uniform_loop(), times=(1,), where=where, most_bits=256, **NPG)
        assert outcome.status == "undecided" and "condition" in outcome.reason


@pytest.mark.exact
def test_an_instance_outside_the_domain_is_not_judged():
    outcome = judged(stated(q.gap_rho, "<=", 0), uniform_loop(), domain=Domain(policy="deterministic"))
    assert outcome.status == "undecided" and "deterministic" in outcome.reason


@pytest.mark.exact
def test_pairs_are_judged_at_the_step_that_was_asked_for():
    """From t to t + 1 the NPG gap on the loop falls; the statement that it does not is violated at each t."""
    for t in (0, 1, 4):
        outcome = judged(stated(q.value_increase_rho, "<=", 0), uniform_loop(), times=(t,), **NPG)
        assert outcome.status == "violated" and outcome.t == t
    assert judged(stated(q.value_increase_rho, ">=", 0), uniform_loop(), times=range(6), **NPG).status == "holds"


@pytest.mark.exact
def test_history_looks_at_every_step_in_between():
    """c_t and sup_k |d_k/mu| at t = 9 need the steps 1 .. 8, though only t = 9 is judged."""
    instance = dataclasses.replace(uniform_loop("9/10"), mu=rational_array(["9/10", "1/10"]), rho=rational_array(["1/2", "1/2"]))
    for name in ("c_inf", "largest_mismatch"):
        case = the_case(claim(stated(getattr(q, name), "<=", 100), domain=ANY, process=SoftmaxPG(step_size=20), settings={}))
        with arithmetic.precision(128):
            context = exact_contexts(case, instance, [9], "ball")
            assert context.times.tolist() == list(range(10))
            left = sides(case, context)[0]
        floats = compare(case, trajectory(case, Batch.of([instance.as_float()]), 9, times=np.arange(10))).left[0, :, 0]
        within = 10 * tolerances.quantity(2, 2, 0.9, 1, smallest_start=0.1)
        np.testing.assert_allclose(floats, [float(x) for x in left[0, :, 0]], atol=within)
    hidden = the_case(claim(stated(q.gap_rho, "<=", 10), domain=ANY, process=SoftmaxPG(step_size=20), where=((0, q.c_inf),)))
    with arithmetic.precision(128):
        assert exact_contexts(hidden, instance, [9], "ball").times.tolist() == list(range(10))


# Runs


METHODS = [
    (SoftmaxPG(step_size=q.eta), "1/2"),
    (NaturalPG(step_size=q.eta), "1/2"),
    (EntropyNPG(step_size=q.eta, temperature=q.tau), "1/10"),
    (MirrorDescent(step_size=q.eta), "1/2"),
    (ProjectedPG(step_size=q.eta), "1/4"),
]


@pytest.mark.exact
@pytest.mark.parametrize(("method", "eta"), METHODS, ids=lambda x: getattr(x, "name", ""))
def test_the_enclosure_of_a_run_holds_the_float_run(method, eta):
    """Six steps on a random model: every quantity of the balls within rounding of the compiled run's."""
    (instance,) = random_instances(3, 2, 2)
    instance = dataclasses.replace(instance, discount=rational("1/2"), settings={"eta": rational(eta), "tau": rational("1/2")})
    case = the_case(claim(stated(q.gap_rho, "<=", q.eta + q.tau), domain=ANY, process=method, settings={q.eta: eta, q.tau: "1/2"}))
    with arithmetic.precision(160):
        context = exact_contexts(case, instance, list(range(7)), "ball")
        left = sides(case, context)[0][0, :, 0]
    floats = compare(case, trajectory(case, Batch.of([instance.as_float()]), 6, times=np.arange(7))).left[0, :, 0]
    assert all(x.rad() < 1e-20 for x in left)
    np.testing.assert_allclose(floats, [float(x) for x in left], atol=100 * tolerances.quantity(2, 2, 0.5, 1))


@pytest.mark.exact
def test_a_float_step_size_means_the_number_that_a_person_wrote():
    case = the_case(claim(stated(q.gap_rho, "<=", 10), domain=ANY, process=NaturalPG(step_size=0.1)))
    other = the_case(claim(stated(q.gap_rho, "<=", 10), domain=ANY, process=NaturalPG(step_size=Rational(1, 10))))
    with arithmetic.precision(200):
        one, two = (exact_contexts(c, uniform_loop(), [3], "ball").policies for c in (case, other))
        assert all(a.overlaps(b) and a.rad() < 1e-20 for a, b in zip(one.reshape(-1), two.reshape(-1), strict=True))


@pytest.mark.exact
def test_policy_iteration_runs_in_rationals():
    outcome = judged(stated(q.gap_sup, "<=", q.gamma**q.T * q.gap_sup_0), uniform_deterministic(), times=range(4), process=PolicyIteration())
    assert (outcome.status, outcome.arithmetic) == ("holds", "rationals")
    fails = judged(
        stated(q.gap_sup, "<=", q.gamma ** (4 * q.T) * q.gap_sup_0),
        uniform_deterministic("domino(8, 9/10)"),
        times=range(4),
        process=PolicyIteration(),
    )
    assert fails.status == "violated" and fails.arithmetic == "rationals"


def uniform_deterministic(expression="domino(2, 3/10)") -> Instance:
    model = zoo.load(expression).exact
    policy = rational_array([[0, 1]] * model.num_states)
    return Instance(model.transitions, model.rewards, model.discount, model.start, model.start, policy)


class Stubborn:
    """Stays at one policy, whatever the model."""

    def start(self, mdp):
        return 0

    def step(self, state, mdp):
        return state + 1

    def policy(self, state):
        return np.array([[0.25, 0.75], [1 / 3, 2 / 3]])


@pytest.mark.exact
def test_somebody_elses_run_is_judged_by_its_recorded_policies():
    """On the loop at discount 1/2, staying with probability 1/4: V(s0) = (1/4)/(1 - 1/8) = 2/7, so the gap is 2 - 2/7 = 12/7."""
    loop = dataclasses.replace(uniform_loop(), mu=rational_array([1, 0]), rho=rational_array([1, 0]))
    for bound, status in ((Rational(12, 7) - TINY_STEP, "violated"), (Rational(12, 7) + TINY_STEP, "holds")):
        outcome = judged(stated(q.gap_rho, "<=", bound), loop, times=(5,), process=Stubborn())
        assert outcome.status == status


@pytest.mark.exact
def test_certify_counts_what_holds_and_keeps_what_is_unknown():
    instances = [uniform_loop(d) for d in ("1/2", "9/10")]
    true = the_case(claim(stated(q.gap_rho, "<=", 1 / (1 - q.gamma)), domain=ANY, **NPG))
    assert certify(true, instances, 4)[:2] == (2, [])
    unknown = the_case(claim(stated(q.gap_rho, "<=", q.gap_rho), domain=ANY, **NPG))
    held, unsure, violation, _ = certify(unknown, instances, 2)
    assert held == 0 and unsure == instances and violation is None
    silent = the_case(claim(stated(q.gap_rho, "<=", 1 / (1 - q.gamma)), domain=ANY, where=((1, q.gamma),), **NPG))
    assert certify(silent, instances, 2)[0] == 0
    false = the_case(claim(stated(q.gap_rho, "<=", 1), domain=ANY, **NPG))
    held, _, violation, where = certify(false, instances, 4)
    assert violation.status == "violated" and where is instances[held]


@pytest.mark.exact
@pytest.mark.parametrize("method", [NaturalPG, MirrorDescent], ids=lambda m: m.__name__)
def test_the_enclosure_of_a_run_holds_its_closed_form(method):
    """Natural gradient, or KL mirror descent, on a bandit that pays (1, 0): the odds grow by e^eta a step, so the gap after t steps is
    1/(1 + e^(eta t)).  The enclosure, whose radius carries every rounding, must hold that number computed with 2,000 bits; the second method
    starts from exact parameters, so its radius is rounding alone."""
    from flint import arb

    model = zoo.load("arms([1, 0])").exact
    instance = Instance(
        model.transitions,
        model.rewards,
        model.discount,
        model.start,
        model.start,
        rational_array([["1/2", "1/2"]]),
        settings={"eta": rational("1/3")},
    )
    case = the_case(claim(stated(q.gap_rho, "<=", 1), domain=ANY, process=method(step_size=q.eta), settings={q.eta: 1}))
    for bits in (64, 128, 300):
        with arithmetic.precision(bits):
            left = sides(case, exact_contexts(case, instance, [1, 7, 50], "ball"))[0][0, 1:, 0]
        with arithmetic.precision(2000):
            for t, ball in zip((1, 7, 50), left, strict=True):
                exact = 1 / (1 + (arb(t) / 3).exp())
                assert ball.contains(exact) and ball.rad() < arb(2) ** (-bits // 2 + 8)


@pytest.mark.exact
@pytest.mark.parametrize(
    "method", [ProjectedPG(step_size=q.eta), MirrorDescent(step_size=q.eta, geometry="euclidean")], ids=["projected", "euclidean"]
)
def test_the_enclosure_of_a_rational_run_holds_the_rationals(method):
    """From a dyadic start the radius is rounding alone: without it the balls would be other numbers than the thirds of the exact run."""
    from proofs_check.engine.certify import rational_run

    (instance,) = random_instances(7, 2, 2)
    instance = dataclasses.replace(instance, policy=rational_array([["1/2", "1/2"], ["1/4", "3/4"]]), settings={"eta": rational("1/100")})
    case = the_case(claim(stated(q.gap_rho, "<=", 1), domain=ANY, process=method, settings={q.eta: "1/100"}))
    exact = rational_run(method, instance, [rational("1/100")], np.arange(4))
    with arithmetic.precision(100):
        balls = exact_contexts(case, instance, [0, 1, 2, 3], "ball").policies[0]
    with arithmetic.precision(2000):
        for ball, number in zip(balls.reshape(-1), exact.reshape(-1), strict=True):
            assert ball.overlaps(arithmetic.balls(number)) and ball.rad() < 1e-12
    assert any(int(number.q) & (int(number.q) - 1) for number in exact[1:].reshape(-1))  # not all are dyadic

"""What every method promises: one step in three arithmetics and compiled, step size 0, extreme parameters, threads; and its own formula."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mdps import MDP, ModelError, strategies, zoo
from mdps.rational import fraction, rational_array, to_float
from pgtheory import EntropyNPG, EntropyPG, LogBarrierPG, MirrorDescent, NaturalPG, PolicyIteration, ProjectedPG, SoftmaxPG, arithmetic
from pgtheory.exact import action_values, solve_exactly, state_values
from pgtheory.policy_gradient.method import Method
from tests import tolerances

ETA, TAU = fmpq(1, 3), fmpq(1, 5)
METHODS = {
    "softmax-pg": (SoftmaxPG(ETA), (ETA,)),
    "natural-pg": (NaturalPG(ETA), (ETA,)),
    "entropy-pg": (EntropyPG(ETA, TAU), (ETA, TAU)),
    "entropy-npg": (EntropyNPG(ETA, TAU), (ETA, TAU)),
    "log-barrier-pg": (LogBarrierPG(ETA, TAU), (ETA, TAU)),
    "projected-pg": (ProjectedPG(ETA), (ETA,)),
    "mirror-descent-kl": (MirrorDescent(ETA), (ETA,)),
    "mirror-descent-euclidean": (MirrorDescent(ETA, "euclidean"), (ETA,)),
    "policy-iteration": (PolicyIteration(), ()),
}
"""Every method, with its settings as rationals."""
every_method = pytest.mark.parametrize(("method", "settings"), METHODS.values(), ids=METHODS)
FEW = examples(max_examples=25)
"""Examples for each of eight methods."""
with_step_size = pytest.mark.parametrize(("method", "settings"), [x for x in METHODS.values() if x[1]], ids=[k for k, x in METHODS.items() if x[1]])


def numbers(settings) -> tuple[float, ...]:
    return tuple(float(fraction(x)) for x in settings)


def rational_params(data, method: Method, mdp: MDP):
    """Exact parameters that floats hold (nearly) exactly: quarters as logits, simple policies."""
    if method.parameters == "policy":
        return data.draw(strategies.policies(mdp, exact=True))
    size = mdp.num_states * mdp.num_actions
    quarters = data.draw(st.lists(st.integers(-24, 24), min_size=size, max_size=size))
    return rational_array(quarters).reshape(mdp.num_states, mdp.num_actions) / 4


def tolerance(mdp: MDP, params, settings) -> float:
    size, spread = float(np.abs(mdp.rewards).max()), float(np.abs(params).max())
    if len(settings) > 1:  # entropy adds tau |log pi| to the rewards, at most tau (2 spread + log A)
        size += float(arb(settings[1])) * (2 * spread + np.log(mdp.num_actions))
    step = float(arb(settings[0])) if settings else 0.0
    return tolerances.method_step(mdp.num_states, mdp.num_actions, mdp.discount, size, spread, step)


def compiled(method: Method, mdp: MDP, params, settings, times=(1,), **options):
    """The records of `run_arrays` for one model."""
    arrays = (mdp.transitions[None], mdp.rewards[None], [mdp.discount], mdp.start[None], np.asarray(params)[None])
    records, minima = method.run_arrays(*arrays, numbers(settings), times, **options)
    return records[0], minima if minima is None else minima[0]


@every_method
@FEW
@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3))
def test_a_step_means_the_same_in_floats_balls_rationals_and_compiled(method, settings, data, mdp):
    params = rational_params(data, method, mdp)
    exact = mdp.exact
    problem = (exact.transitions, exact.rewards, exact.discount, exact.start)
    floats = to_float(params)
    plain = method.plain_step(floats, mdp.transitions, mdp.rewards, mdp.discount, mdp.start, *numbers(settings))
    assert plain.dtype == np.float64
    close = tolerance(mdp, floats, settings)
    np.testing.assert_allclose(compiled(method, mdp, floats, settings)[0][0], plain, rtol=0, atol=2 * close)
    if method.rational_step:
        rational = method.plain_step(params, *problem, *settings)
        assert all(isinstance(x, fmpq) for x in rational.reshape(-1))
        reference = to_float(rational)
    if method is not METHODS["policy-iteration"][0]:  # its balls are undecided at ties, which is right, and simple models are full of ties
        with arithmetic.precision(128):
            ball = method.plain_step(arithmetic.balls(params), *(arithmetic.balls(x) for x in problem), *(arb(x) for x in settings))
        assert all(isinstance(x, arb) for x in ball.reshape(-1))
        if method.rational_step:
            inside = [abs(b.mid().fmpq() - q) <= b.rad().upper().mid().fmpq() for b, q in zip(ball.reshape(-1), rational.reshape(-1), strict=True)]
            assert all(inside)
        reference = np.array([[float(x) for x in row] for row in ball])
        assert max(float(x.rad()) for x in ball.reshape(-1)) <= 2.0**-64
    np.testing.assert_allclose(plain, reference, rtol=0, atol=close)


@with_step_size
@FEW
@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3))
def test_step_size_zero_changes_nothing(method, settings, data, mdp):
    params, still = rational_params(data, method, mdp), (fmpq(0), *settings[1:])
    if method.rational_step:
        exact = mdp.exact
        assert (method.plain_step(params, exact.transitions, exact.rewards, exact.discount, exact.start, *still) == params).all()
    floats = to_float(params)
    after = compiled(method, mdp, floats, still, times=(3,))[0][0]
    if method.parameters == "logits":
        np.testing.assert_array_equal(after, floats)
    else:  # the row sums of floats are 1 up to rounding, and the projection makes them so
        np.testing.assert_allclose(after, floats, rtol=0, atol=3 * 4 * tolerances.EPS)


@every_method
@FEW
@given(data=st.data(), mdp=strategies.mdps(max_states=4, max_actions=3, exact=False))
def test_runs_stay_finite_and_policies_sum_to_one(method, settings, data, mdp):
    """From any policy, on ill-conditioned models with discounts up to 0.9999."""
    params = method.params_of(data.draw(strategies.policies(mdp, interior=method.parameters == "logits")))
    records, minima = compiled(method, mdp, params, settings, times=(0, 1, 2, 10), watch=True)
    np.testing.assert_array_equal(records[0], params)
    policies = method.policy_of(records)
    assert np.isfinite(records).all()
    assert (policies >= 0).all()
    np.testing.assert_allclose(policies.sum(axis=-1), 1, rtol=0, atol=8 * tolerances.EPS)
    assert (np.diff(minima, axis=0) <= 0).all()
    assert (minima <= policies + tolerances.EPS).all()


@every_method
def test_extreme_parameters_give_finite_steps(method, settings):
    mdp = zoo.frozen_lake(4)
    shape = (mdp.num_states, mdp.num_actions)
    if method.parameters == "policy":
        extremes = [np.eye(4)[np.full(mdp.num_states, a)] for a in (0, 3)]
    else:
        extremes = [np.where(np.arange(4) == a, 1.0, -1.0) * size + np.zeros(shape) for a in (0, 3) for size in (1e3, 1e15)]
    for params in extremes:
        assert np.isfinite(compiled(method, mdp, params, settings, times=(5,))[0]).all()


@every_method
def test_figures_do_not_depend_on_threads_nor_on_the_company_in_a_batch(method, settings):
    rng = np.random.default_rng(0)
    transitions, rewards, start = rng.dirichlet(np.ones(3), (7, 3, 2)), rng.random((7, 3, 2)), rng.dirichlet(np.ones(3), 7)
    discount, initial = rng.uniform(0.1, 0.95, 7), np.stack([method.params_of(p) for p in rng.dirichlet(np.ones(2), (7, 3))])
    run = (numbers(settings), (0, 3, 20))
    alone = [method.run_arrays(*(x[b : b + 1] for x in (transitions, rewards, discount, start, initial)), *run, watch=True) for b in range(7)]
    for threads in (1, 2, 5):
        records, minima = method.run_arrays(transitions, rewards, discount, start, initial, *run, watch=True, threads=threads)
        np.testing.assert_array_equal(records, np.concatenate([r for r, _ in alone]))
        np.testing.assert_array_equal(minima, np.concatenate([m for _, m in alone]))


@every_method
def test_minima_are_taken_at_every_step(method, settings):
    mdp = zoo.chain(3)
    params = method.params_of(np.tile([0.3, 0.7], (mdp.num_states, 1)))
    every, _ = compiled(method, mdp, params, settings, times=range(31))
    _, minima = compiled(method, mdp, params, settings, times=(0, 30), watch=True)
    policies = method.policy_of(every)
    np.testing.assert_allclose(minima[0], policies[0], rtol=0, atol=2 * tolerances.EPS)
    np.testing.assert_allclose(minima[1], policies.min(axis=0), rtol=0, atol=2 * tolerances.EPS)


@every_method
def test_recording_more_changes_nothing(method, settings):
    mdp, times = zoo.river_swim(), (0, 4, 5, 9)
    params = method.start(mdp)
    every, _ = compiled(method, mdp, params, settings, times=range(10))
    some, _ = compiled(method, mdp, params, settings, times=times)
    np.testing.assert_array_equal(some, every[list(times)])


@every_method
def test_any_layout_of_the_input_meets_the_same_machine_code(method, settings):
    rng = np.random.default_rng(1)
    transitions, rewards = rng.dirichlet(np.ones(3), (4, 3, 2)), rng.integers(0, 3, (4, 3, 2))
    start, initial = np.full((4, 3), 1 / 3), np.stack([method.params_of(np.full((3, 2), 0.5))] * 4)
    plain = method.run_arrays(transitions, rewards, [0.9] * 4, start, initial, numbers(settings), [2])[0]
    frozen = transitions.copy()
    frozen.setflags(write=False)
    strided = np.repeat(initial, 2, axis=0)[::2]
    other = method.run_arrays(frozen, np.asfortranarray(rewards), np.full(4, 0.9), start.tolist(), strided, numbers(settings), range(2, 3))[0]
    np.testing.assert_array_equal(plain, other)
    assert len(method._loop.signatures) == 1


@every_method
def test_the_protocol_runs_in_floats_and_in_rationals(method, settings):
    mdp = MDP([[["1/2", "1/2"], ["1", "0"]], [["0", "1"], ["1/3", "2/3"]]], [["1", "0"], ["1/2", "2"]], "9/10")
    state = method.step(method.start(mdp), mdp)
    np.testing.assert_allclose(state, compiled(method, mdp, method.start(mdp), settings)[0][0], rtol=0, atol=tolerance(mdp, 0, settings))
    assert method.policy(state).shape == (2, 2)
    assert all(isinstance(x, fmpq) for x in method.start(mdp.exact).reshape(-1))
    if method.rational_step:
        assert all(isinstance(x, fmpq) for x in method.step(method.start(mdp.exact), mdp.exact).reshape(-1))


@with_step_size
def test_settings_may_be_functions_of_the_model_and_must_be_numbers(method, settings):
    mdp = zoo.two_state()
    extra = {"geometry": method.geometry} if isinstance(method, MirrorDescent) else {}
    by_rule = type(method)(*(lambda m, x=x: x * m.num_states for x in settings), **extra)
    assert by_rule.settings(mdp.exact) == tuple(x * mdp.num_states for x in settings)
    assert by_rule.settings(mdp) == numbers(x * mdp.num_states for x in settings)
    assert all(isinstance(x, float) for x in by_rule.settings(mdp))
    for bad in (-1.0, float("nan"), float("inf"), "fast", None):
        with pytest.raises(ModelError, match="step_size is"):
            type(method)(bad, *settings[1:], **extra).settings(mdp)


@every_method
def test_a_model_with_unequal_numbers_of_actions_is_refused(method, settings):
    ragged = MDP.from_choices([0, 1, 3], [[0, 1], [1, 0], [0, 1]], [0, 1, 2], 0.5)
    with pytest.raises(ModelError, match="state 0 has 1"):
        method.start(ragged)


# The formula of each method, on the one-state model with rewards (1, 0), discount 1/2, from the uniform policy:
# V = 1, Q = (3/2, 1/2), A = (1/2, -1/2), discounted visits 2


ONE = MDP([[["1"], ["1"]]], [["1", "0"]], "1/2")


@pytest.mark.parametrize(
    ("name", "moved"),
    [
        ("softmax-pg", fmpq(1, 2) * ETA),  # d pi A = 2 * 1/2 * 1/2
        ("natural-pg", ETA),  # A / (1 - gamma)
        ("mirror-descent-kl", ETA / 2),  # A
    ],
)
def test_logits_move_by_the_formula(name, moved):
    method, settings = METHODS[name]
    after = compiled(method, ONE, np.zeros((1, 2)), settings)[0][0]
    np.testing.assert_allclose(after, [[float(arb(moved)), -float(arb(moved))]], rtol=0, atol=tolerance(ONE, 0, settings))


@pytest.mark.parametrize(("name", "moved"), [("projected-pg", ETA), ("mirror-descent-euclidean", ETA / 2)])
def test_policies_move_by_the_formula(name, moved):
    """The gradient d Q = (3, 1) and Q = (3/2, 1/2), projected: half of the difference each way."""
    method, settings = METHODS[name]
    half = rational_array([["1/2", "1/2"]])
    exact = ONE.exact
    after = method.plain_step(half, exact.transitions, exact.rewards, exact.discount, exact.start, *settings)
    assert after.tolist() == [[fmpq(1, 2) + moved, fmpq(1, 2) - moved]]


def test_entropy_moves_by_the_formula():
    """V_tau = (1/2 + tau log 2) / (1 - gamma); at the uniform policy the entropy has gradient 0, so the gradient is the unregularised one."""
    values = 1 + 2 * float(arb(TAU)) * np.log(2)
    eta = float(arb(ETA))
    close = tolerance(ONE, 0, (ETA, TAU))
    after = compiled(*(METHODS["entropy-pg"][0], ONE, np.zeros((1, 2)), (ETA, TAU)))[0][0]
    np.testing.assert_allclose(after, [[eta / 2, -eta / 2]], rtol=0, atol=close)
    after = compiled(*(METHODS["entropy-npg"][0], ONE, np.zeros((1, 2)), (ETA, TAU)))[0][0]
    np.testing.assert_allclose(after, [[2 * eta * (1 + values / 2), eta * values]], rtol=0, atol=close)


def test_the_gradient_on_the_loop():
    """LOOP(.9), uniform policy, start in state 0: the gradient of V(s0) is (.826446, -.826446) = 10/121 * (10, -10)... = d pi A with d = 20/11."""
    loop = zoo.loop("9/10")
    start = np.array([1.0, 0.0])
    records, _ = SoftmaxPG(1).run_arrays(loop.transitions[None], loop.rewards[None], [0.9], start[None], np.zeros((1, 2, 2)), (1.0,), [1])
    np.testing.assert_allclose(records[0, 0, 0], [100 / 121, -100 / 121], rtol=0, atol=tolerance(loop, 0, (1,)))
    np.testing.assert_array_equal(records[0, 0, 1], [0, 0])


@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3, discount=st.sampled_from(("0", "1/2", "9/10")), start="full"))
def test_softmax_pg_follows_the_gradient_of_the_value(data, mdp):
    """Against central differences of the value in 256-bit balls, which share no formula with the step."""
    params = rational_params(data, METHODS["softmax-pg"][0], mdp)
    index = tuple(data.draw(st.integers(0, n - 1)) for n in params.shape)
    width = fmpq(1, 2**60)
    with arithmetic.precision(256):
        shifted = []
        for sign in (1, -1):
            moved = params.copy()
            moved[index] = moved[index] + sign * width
            shifted.append((state_values(mdp, arithmetic.softmax(arithmetic.balls(moved))) * arithmetic.balls(mdp.exact.start)).sum())
        slope = float((shifted[0] - shifted[1]) / (2 * arb(width)))
    floats = to_float(params)
    step = compiled(METHODS["softmax-pg"][0], mdp, floats, (fmpq(1),))[0][0] - floats
    assert abs(step[index] - slope) <= tolerance(mdp, floats, (1,))


@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3))
def test_kl_mirror_descent_is_natural_pg_with_a_scaled_step(data, mdp):
    params = to_float(rational_params(data, METHODS["natural-pg"][0], mdp))
    scaled = (ETA / (1 - mdp.exact.discount),)
    np.testing.assert_allclose(
        compiled(METHODS["mirror-descent-kl"][0], mdp, params, scaled)[0],
        compiled(METHODS["natural-pg"][0], mdp, params, (ETA,))[0],
        rtol=0,
        atol=2 * tolerance(mdp, params, scaled),
    )


@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3, discount=st.sampled_from(("0", "1/2", "9/10"))))
def test_entropy_npg_at_its_largest_step_is_soft_policy_iteration(data, mdp):
    """eta = (1 - gamma) / tau forgets the old logits: they become Q_tau / tau."""
    params = rational_params(data, METHODS["entropy-npg"][0], mdp)
    exact, settings = mdp.exact, ((1 - mdp.exact.discount) / TAU, TAU)
    after = compiled(METHODS["entropy-npg"][0], mdp, to_float(params), settings)[0][0]
    with arithmetic.precision(128):
        logits, tau, P = arithmetic.balls(params), arb(TAU), arithmetic.balls(exact.transitions)
        soft_rewards = arithmetic.balls(exact.rewards) - tau * arithmetic.log_softmax(logits)
        values = arithmetic.policy_values(arithmetic.softmax(logits), P, soft_rewards, arb(exact.discount))
        expected = (arithmetic.balls(exact.rewards) + arb(exact.discount) * arithmetic.expect(P, values)) / tau
    figures = np.array([[float(x) for x in row] for row in expected])
    np.testing.assert_allclose(after, figures, rtol=0, atol=2 * tolerance(mdp, to_float(params), settings))


# Policy iteration


@given(mdp=strategies.mdps(max_states=4, max_actions=3))
def test_policy_iteration_ends_at_an_optimal_policy_in_rationals(mdp):
    exact, policy = mdp.exact, PolicyIteration().start(mdp.exact)
    for _ in range(mdp.num_actions**mdp.num_states + 1):
        following = PolicyIteration().step(policy, exact)
        if (following == policy).all():
            break
        assert (state_values(mdp, following) >= state_values(mdp, policy)).all()
        policy = following
    assert (following == policy).all()
    assert list(state_values(mdp, policy)) == list(solve_exactly(mdp).values)


def test_policy_iteration_on_the_dominoes():
    """Errors 10, 6.848, 5.948, 5.138: optimality travels one state in a step."""
    mdp = zoo.domino(8, "9/10")
    optimum = solve_exactly(mdp).values
    policy = np.tile(rational_array([0, 1]), (mdp.num_states, 1))
    errors = []
    for _ in range(4):
        errors.append(max(float(arb(v - u)) for v, u in zip(optimum, state_values(mdp, policy), strict=True)))
        policy = PolicyIteration().step(policy, mdp.exact)
    np.testing.assert_allclose(errors, [10, 6.848, 5.948, 5.138], rtol=0, atol=5e-4)


@pytest.mark.parametrize("mdp", [zoo.frozen_lake(8), zoo.taxi(), zoo.cliff_walking()], ids=lambda mdp: mdp.name)
def test_policy_iteration_ends_at_ties_in_floats(mdp):
    """Models full of ties, on which policy iteration in floats is known to cycle elsewhere."""
    times = (0, 100, 101)
    records, _ = compiled(PolicyIteration(), mdp, PolicyIteration().start(mdp), (), times)
    np.testing.assert_array_equal(records[1], records[2])
    Q = action_values(mdp, records[2])
    slack = tolerances.linear_solve(mdp.num_states, mdp.discount, float(np.abs(mdp.rewards).max()))
    assert (Q.max(axis=1) - (records[2] * Q).sum(axis=1) <= 4 * slack).all()


def test_mirror_descent_knows_its_geometries():
    with pytest.raises(ModelError, match="knows 'kl' and 'euclidean'"):
        MirrorDescent(1, "hyperbolic")

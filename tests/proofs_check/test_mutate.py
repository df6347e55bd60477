"""Mutants are made by position, named in words, and judged: refuted with a counterexample that replays, implied, or survived."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sympy
from small import TINY, claim, the_case
from sympy import log

from pgtheory.policy_gradient import NaturalPG, PolicyIteration
from proofs_check import quantities as q
from proofs_check.catalogue import claims
from proofs_check.catalogue.sharper import FIRST, OTHERS, REASONS, STANDARD, STRONGER, VARIED, reason
from proofs_check.domains import Between, bandits, random_mdps
from proofs_check.engine.implied import follows, trivially
from proofs_check.engine.mutants import TWINS, mutants
from proofs_check.engine.mutate import HARDER, IMPLIED, REFUTED, SURVIVED, _stronger, as_dict, mutate, mutation_of, stored
from proofs_check.engine.replay import replay
from proofs_check.quantities import gap
from proofs_check.statement import Statement, equal

RATE = claim(
    gap(q.rho, q.T) <= log(q.A) / (q.eta * q.T) + 16 * q.mismatch**2 / ((1 - q.gamma) ** 6 * q.T),
    domain=random_mdps(policy="uniform", mu="any"), process=NaturalPG(step_size=q.eta), settings={q.eta: sympy.Rational(1, 2)},
)  # fmt: skip
CURVATURE = claim(q.hessian_norm <= sympy.Rational(2, 5), domain=bandits(policy="interior", max_actions=3))


def names(made) -> list[str]:
    return [mutant.name for mutant in mutants(the_case(made))]


def bounds(made) -> dict[str, str]:
    return {mutant.name: mutant.case.statement.text() for mutant in mutants(the_case(made))}


@pytest.mark.parametrize(
    "name",
    [
        "exponent of 1/(1-gamma): 6 -> 5", "exponent of 1/(1-gamma): 6 -> 7", "factor mismatch**2 dropped", "constant 16 halved", "gamma for 1-gamma",
        "S for A", "direction flipped", "step size doubled", "assumption dropped: uniform start", "assumption dropped: rewards in [0, 1]",
        "gap_mu measured, not gap_rho", "factor 1-gamma added", "rule of eta: constant 1/2 doubled", "factor 1/eta dropped",
    ],
)  # fmt: skip
def test_each_kind_of_slip_is_made_and_named_in_words(name):
    assert name in names(RATE)


def test_a_change_touches_one_position_only():
    """Replacing values would turn 1/t into 1/sqrt(t), or 1 - gamma into 1 - gamma/2, when a constant is halved."""
    made = bounds(claim(gap(q.rho, q.T) <= 2 / q.t + 2 / (1 - q.gamma) ** 2, process=NaturalPG(step_size=q.eta), settings={q.eta: 1}))
    halved = [text for name, text in made.items() if name.startswith("constant 2 halved, in")]
    assert set(map(Statement.of, halved)) == set(map(Statement.of, ["gap_rho <= 2/(1 - gamma)**2 + 1/t", "gap_rho <= (1 - gamma)**(-2) + 2/t"]))
    assert Statement.of(made["constant 2 halved, everywhere"]) == Statement.of("gap_rho <= (1 - gamma)**(-2) + 1/t")
    assert not any("sqrt" in text or "gamma/2" in text for text in made.values())


@pytest.mark.catalogue
@pytest.mark.parametrize("made", [pytest.param(c, id=c.id) for c in claims().values()])
def test_mutants_of_the_catalogue_are_distinct_controls_that_can_be_written_and_read(made):
    for form in made.forms:
        case = made.case(form)
        found = mutants(case)
        assert len({m.name for m in found}) == len(found) > 0
        for mutant in found:
            assert mutant.case.kind == "control"
            assert dataclasses.replace(mutant.case, name="", kind="", symbolic=()) != dataclasses.replace(case, name="", kind="", symbolic=())
            assert Statement.of(mutant.case.statement.text()).names() == mutant.case.statement.names()


def test_a_rule_that_is_written_as_text_is_changed_like_any_other():
    """sympy would read "gamma" as its function of that name."""
    written, built = (
        claim(gap(q.rho, q.T) <= 1 / (q.eta * q.T), process=NaturalPG(step_size=q.eta), settings={q.eta: rule})
        for rule in ("(1-gamma)/4", (1 - q.gamma) / 4)
    )
    rules = [name for name in names(written) if name.startswith("rule of eta")]
    assert rules and rules == [name for name in names(built) if name.startswith("rule of eta")]


def test_a_range_at_which_another_ends_is_not_doubled():
    """Doubled, it might leave the other no value."""
    short = claim(
        gap(q.rho, q.T) <= 1 / (q.eta * q.T),
        process=NaturalPG(step_size=q.eta), settings={q.tau: Between("1/10", 1), q.eta: Between(q.tau, 2)},
    )  # fmt: skip
    ranges = [name for name in names(short) if name.startswith("range of")]
    assert ranges == ["range of eta: upper end doubled"]


def test_the_condition_of_a_statement_is_changed_too():
    counted = claim(
        equal(q.gap_sup, 0), domain=random_mdps(policy="deterministic", rho="mu"), process=PolicyIteration(), where=((q.A**q.S - 1, q.T),)
    )
    found = names(counted)
    assert any(name.startswith("exponent of A (S): one less in the condition") for name in found)
    assert any(name.startswith("condition") and name.endswith("dropped") for name in found)


def test_an_assumption_that_cannot_fail_is_not_dropped():
    """A softmax method starts in the interior whatever its logits are, and the one state of a bandit has full support."""
    inside = claim(gap(q.rho, q.T) <= 1 / q.T, domain=random_mdps(policy="interior"), process=NaturalPG(step_size=q.eta), settings={q.eta: 1})
    assert not any("interior" in name for name in names(inside))
    assert not any("full support" in name for name in names(CURVATURE))
    assert not any("rho = mu" in name for name in names(claim(q.hessian_norm <= 1, domain=random_mdps(rho="mu"))))


def test_mutants_are_refuted_with_replayable_counterexamples_or_implied(monkeypatch):
    """2/5 may be halved: two arms have curvature at most sqrt(3)/9 = 0.19, so that survivor is true; halved twice it would not be."""
    monkeypatch.setitem(HARDER, "quick", TINY)
    (done,) = mutate(CURVATURE, budget=TINY)
    status = {mutant.name: mutant.status for mutant in done.mutants}
    assert status["direction flipped"] == status["assumption dropped: rewards in [0, 1]"] == status["assumption dropped: bandit"] == REFUTED
    assert status["constant 2/5 doubled"] == IMPLIED
    assert status["constant 2/5 halved"] == SURVIVED
    for mutant in done.mutants:
        if mutant.status == REFUTED:
            assert mutant.verdict is not None
            assert replay(mutant.verdict["counterexample"]).confirmed
    assert done.same == 2  # gamma is 0 in a bandit: a factor 1-gamma more or less is no change
    assert mutation_of(as_dict(done)) == done
    assert {m.name for m in done.unexplained} == {m.name for m in done.mutants if m.status == SURVIVED}


def test_a_sharper_bound_that_is_false_is_refuted_and_never_called_implied(monkeypatch):
    monkeypatch.setitem(HARDER, "quick", TINY)
    (done,) = mutate(claim(q.hessian_norm <= sympy.Rational(1, 5), domain=bandits(policy="interior", max_actions=3)), budget=TINY)
    assert {m.name: m.status for m in done.mutants}["constant 1/5 halved"] == REFUTED


@pytest.mark.parametrize(
    ("bound", "weaker"),
    [
        ("S/((1-gamma)**2*t)", True), ("2/((1-gamma)*t)", True), ("1/((1-gamma)*t) + log(A)/(eta*t)", True), ("mismatch/(c_inf*(1-gamma)*t)", True),
        ("1/t", False), ("S/t", False), ("1/(2*(1-gamma)*t)", False), ("1/((1-gamma)*t) - 1/t", False), ("1/(1-gamma)", False),
        ("eta/((1-gamma)*t)", False), ("1/(eta*(1-gamma)*t)", True), ("1/((1-gamma)**2*t) - gamma/((1-gamma)*t)", True),
        ("1/((1-gamma)*t) + gap_mu/t", True), ("1/((1-gamma)*t) + divergence_drop", False), ("1/((1-gamma)*t) + gap_mu_0 - gap_mu", True),
    ],
)  # fmt: skip
def test_signs_alone_say_which_bound_is_weaker(bound, weaker):
    """1/(1-gamma) speaks at t = 0 too, where the original says nothing; eta is at most 1; a natural gradient step never loses; a divergence may fall."""
    made = claim(gap(q.rho, q.T) <= 1 / ((1 - q.gamma) * q.T), process=NaturalPG(step_size=q.eta), settings={q.eta: Between("1/10", 1)})
    case = the_case(made)
    other = dataclasses.replace(case, statement=case.statement.replace_bound(bound))
    assert follows(case, other) is weaker


@pytest.mark.parametrize(
    ("statement", "silent"),
    [
        (gap(q.rho, q.T) >= -gap(q.mu, q.T) / (1 - q.gamma), True), (gap(q.rho, q.T) >= gap(q.mu, q.T), False),
        (gap(q.rho, q.T) <= 2 / (1 - q.gamma), True), (gap(q.rho, q.T) <= 2, False), (q.divergence_spent >= -1, False),
    ],
)  # fmt: skip
def test_a_bound_beyond_the_trivial_one_is_seen_by_its_sign(statement, silent):
    made = claim(statement, process=NaturalPG(step_size=q.eta), settings={q.eta: 1}, trivial=1 / (1 - q.gamma))
    assert trivially(the_case(made)) is silent


def test_what_is_known_of_two_quantities_at_once_is_used():
    """Ratios of distributions are at least 1, |rho/mu| is at most |1/mu|, the present mismatch at most the largest so far."""
    case = the_case(claim(gap(q.rho, q.T) <= q.rho_over_mu * gap(q.mu, q.T), domain=random_mdps(policy="any")))
    for bound, expected in {
        "rho_over_mu**2*gap_mu": True, "inverse_mu*gap_mu": True, "gap_mu": False, "mismatch*gap_mu": False, "inverse_mu*rho_over_mu*gap_mu": True,
    }.items():  # fmt: skip
        assert follows(case, dataclasses.replace(case, statement=case.statement.replace_bound(bound))) is expected, bound
    assert trivially(dataclasses.replace(case, statement=case.statement.replace_bound("rho_over_mu*gap_rho")))
    assert not trivially(dataclasses.replace(case, statement=case.statement.replace_bound("c_inf*gap_rho")))


def test_powers_in_time_are_compared_for_t_at_least_1():
    original = claim(q.gap_sup <= q.gamma**q.T * q.gap_sup_0, process=PolicyIteration(), where=((0, q.T),))
    case = the_case(original)
    weaker = {"gamma**(t - 1)*gap_sup_0": True, "gamma**t*gap_sup_0*2": True, "gamma**(2*t)*gap_sup_0": False, "gap_sup_0": True}
    for bound, expected in weaker.items():
        assert follows(case, dataclasses.replace(case, statement=case.statement.replace_bound(bound))) is expected, bound


SOME = ["softmax-reverse-lojasiewicz:bandit", "visits-at-least-start:states"]


def test_a_run_that_is_ended_in_the_middle_goes_on_to_the_verdicts_of_one_go(monkeypatch, tmp_path):
    """The store fails after seven verdicts, as a killed process would; nothing that it holds is judged again."""
    from proofs_check.store import Store

    monkeypatch.setitem(HARDER, "quick", TINY)
    whole = mutate(SOME, budget=TINY)
    with Store(tmp_path / "evidence.sqlite") as store:
        kept, put = [], store.put

        def failing(*arguments):
            if len(kept) == 7:
                raise KeyboardInterrupt
            kept.append(arguments[0])
            put(*arguments)

        monkeypatch.setattr(store, "put", failing)
        with pytest.raises(KeyboardInterrupt):
            mutate(SOME, budget=TINY, store=store)
        assert sum(len(one.mutants) + one.same for one in stored(store, SOME)) == 7
        monkeypatch.setattr(store, "put", lambda *arguments: (kept.append(arguments[0]), put(*arguments)))
        resumed = mutate(SOME, budget=TINY, store=store)
        assert len(set(kept)) == len(kept)
        assert _bare(resumed) == _bare(whole) == _bare(stored(store, SOME))


def _bare(done):
    """What does not depend on the clock."""
    return [(one.form, one.same, [dataclasses.replace(m, seconds=0.0, verdict=_example(m)) for m in one.mutants]) for one in done]


def _example(mutant):
    return None if mutant.verdict is None else mutant.verdict["counterexample"]


@pytest.mark.slow
def test_verdicts_do_not_depend_on_the_number_of_workers(monkeypatch, tmp_path):
    from proofs_check.store import Store

    with Store(tmp_path / "evidence.sqlite") as store:
        two = mutate(SOME, budget=TINY, jobs=2, store=store, harder=False)
        assert len(store) == sum(len(one.mutants) + one.same for one in two)
    assert _bare(two) == _bare(mutate(SOME, budget=TINY, harder=False))


@pytest.mark.parametrize(("key", "text"), [(key, text) for key, known in STRONGER.items() for text, *_ in known], ids=str)
def test_a_sharper_statement_speaks_of_its_form_and_survives_a_search(key, text):
    from proofs_check.engine.search import search
    from proofs_check.instances import named

    identifier, form = key.split(":")
    made = claims()[identifier]
    case = made.case(made.form(form))
    sharper = _stronger(case)[OTHERS + text]
    assert str(sharper.statement.left) in {str(case.statement.left), TWINS.get(str(case.statement.left))}
    assert sharper.statement.relation == case.statement.relation
    assert sharper.statement.names() - case.statement.names() <= {"S", "A", "gamma", "t", "eta", "rho_over_mu", "gap_mu"}
    broken = []
    search(sharper, TINY, 0, lambda *candidate: broken.append(candidate), list(named(sharper))[::17])
    assert not broken


def test_every_reason_speaks_of_a_mutant_that_there_is():
    for key, reasons in REASONS.items():
        identifier, form = key.split(":")
        made = claims()[identifier]
        forms = made.forms if form == "*" else [made.form(form)]
        known = [m.name for form in forms for m in mutants(made.case(form))]
        for name, why in reasons.items():
            assert any(one == name or (name.endswith("*") and one.startswith(name[:-1])) for one in known), (key, name)
            assert why


def test_lifted_coordinates_decode_to_copies():
    """Three states from one, four from two: the gap of every state is that of the state it copies."""
    from proofs_check.engine.search import lifted

    domain = random_mdps(policy="interior")
    vector = np.random.default_rng(0).standard_normal(domain.length(2, 2, 0))
    small = domain.decode(vector[None], 2, 2, {})
    large = domain.decode(lifted(vector, 2, 2, 4, 3)[None], 4, 3, {})
    rows, columns = np.arange(4) % 2, np.arange(3) % 2
    np.testing.assert_array_equal(large.rewards[0], small.rewards[0][rows[:, None], columns])
    np.testing.assert_array_equal(large.discount, small.discount)
    moves = large.transitions[0]
    assert np.all(moves[:2, :, 2:] == 0)
    assert np.all(moves[2:, :, :2] == 0)
    np.testing.assert_allclose(moves[2:, :, 2:], small.transitions[0][:, columns], rtol=1e-12)


def test_copies_of_a_model_have_its_values():
    from pgtheory.exact import solve_exactly
    from proofs_check.instances import model_of

    model = model_of("3 * loop(9/10)")
    assert solve_exactly(model).values.tolist() == solve_exactly(model_of("loop(9/10)")).values.tolist() * 3
    assert model.exact.start.sum() == 1


def test_the_one_step_bounds_behind_the_sharper_lower_bounds():
    """Bandits with rewards in [0, 1] and eta <= 1: a step gains at most 2 eta gap^2, and at most 2 eta (1 + 7 eta/40) gap gap_next."""
    rng = np.random.default_rng(5)
    for arms in (2, 3, 6):
        rewards = rng.choice([0.0, 1.0, 0.5], (4000, arms)) * rng.random((4000, arms)) ** rng.choice([0, 1], (4000, 1))
        logits = rng.standard_normal((4000, arms)) * rng.choice([0.3, 1, 3, 8], (4000, 1))
        eta = rng.choice([1.0, 0.3, 0.01], (4000, 1))
        policy = np.exp(logits - logits.max(axis=1, keepdims=True))
        policy /= policy.sum(axis=1, keepdims=True)
        value = (policy * rewards).sum(axis=1, keepdims=True)
        after = policy * np.exp(eta * policy * (rewards - value))
        after /= after.sum(axis=1, keepdims=True)
        gap_now = rewards.max(axis=1) - value[:, 0]
        gap_next = rewards.max(axis=1) - (after * rewards).sum(axis=1)
        rounding = 8 * arms * np.finfo(float).eps
        assert np.all(gap_now - gap_next <= 2 * eta[:, 0] * gap_now**2 + rounding)
        assert np.all(gap_now - gap_next <= 2 * eta[:, 0] * (1 + 7 * eta[:, 0] / 40) * gap_now * gap_next + rounding)


def _softmax_runs(seed, count):
    """Small random MDPs with their visits, advantages and optimal actions along runs of softmax policy gradient, in plain numpy."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        states, actions, discount = rng.integers(1, 4), rng.integers(2, 5), rng.choice([0, 0.1, 0.5, 0.9])
        moves = rng.dirichlet(np.full(states, 0.3), (states, actions))
        rewards, mu = rng.random((states, actions)) ** rng.choice([1, 4]), rng.dirichlet(np.ones(states))
        logits = rng.standard_normal((states, actions)) * rng.choice([0.3, 3])
        yield rng, moves, rewards, discount, mu / 2 + 0.5 / states, logits


def _evaluated(moves, rewards, discount, mu, policy):
    matrix = np.eye(len(mu)) - discount * np.einsum("sa,sat->st", policy, moves)
    values = np.linalg.solve(matrix, (policy * rewards).sum(axis=1))
    return values, np.linalg.solve(matrix.T, mu), rewards + discount * moves @ values - values[:, None]


def _best(moves, rewards, discount, mu):
    choice, before = np.zeros(len(mu), dtype=int), None
    while before is None or (choice != before).any():
        before, advantages = choice, _evaluated(moves, rewards, discount, mu, np.eye(rewards.shape[1])[choice])[2]
        choice = np.where(advantages.max(axis=1) > 1e-12, advantages.argmax(axis=1), choice)
    return choice


@pytest.mark.parametrize("long", [False, True], ids=["first order", "longer step"])
def test_the_gap_shrinks_as_the_sharper_theorems_say(long):
    """eta (1-gamma)^2 c^2/(S D^2) a step up to 2(1-gamma)^2, (1-gamma)^4 c^2/(S D^2) from there on: the reciprocal of the gap grows by that much."""
    for rng, moves, rewards, discount, mu, logits in _softmax_runs(3, 150):
        choice, short = _best(moves, rewards, discount, mu), 1 - discount
        best, visits, _ = _evaluated(moves, rewards, discount, mu, np.eye(rewards.shape[1])[choice])
        spread = len(mu) * (short * visits / mu).max() ** 2
        eta = 2 * short**2 * (rng.choice([1.0, 3.0, 100.0]) if long else rng.random())
        rate, least, first = (short**4 if long else eta * short**2) / spread, 1.0, None
        for t in range(12):
            policy = np.exp(logits - logits.max(axis=1, keepdims=True))
            policy /= policy.sum(axis=1, keepdims=True)
            values, visits, advantages = _evaluated(moves, rewards, discount, mu, policy)
            gap = mu @ (best - values)
            if gap < 1e-6:
                break
            first = first or 1 / gap
            rounding = 64 * np.finfo(float).eps * best.max() / gap**2
            assert 1 / gap >= first + rate * least**2 * t - rounding
            least = min(least, policy[np.arange(len(mu)), choice].min())
            logits = logits + eta * visits[:, None] * policy * advantages


def test_the_soft_hessian_is_below_what_its_mutants_ask():
    """Over all discounts, with t (t+1)/(3t+2), the gradient .457 log A and the Hessian .7214 log A of one state's entropy, attained by two arms."""
    p = np.linspace(1e-6, 0.5, 20001)
    odds = np.log(p / (1 - p))
    assert np.sqrt(2) * (p * (1 - p) * np.abs(odds)).max() < 0.457 * np.log(2)
    assert 2 * np.abs(p * (1 - p) * ((1 - 2 * p) * odds + 1)).max() <= 0.7214 * np.log(2)
    t = np.arange(40_000)
    for gamma in np.concatenate([np.linspace(0, 0.99, 100), [0.995, 0.999]]):
        sums = (gamma**t * (np.where(t == 1, 0.25, t * (t + 1) / (3 * t + 2)) + 0.914 * np.sqrt(t / 2) + 0.7214)).sum() * (1 - gamma) ** 2
        assert sums <= min(1, 2 - 1.5 * gamma)


def test_what_is_refuted_by_hand_in_its_own_figures():
    """exp(42) arms against the entropy's smoothness without log A, and a run of short steps against (log 2)^2 in the natural gradient's rate."""
    q = (3 - np.sqrt(3)) / 6

    def entropy(x, others):
        share = q * np.exp(x) / (1 - q + q * np.exp(x))
        return -share * np.log(share) - (1 - share) * np.log1p(-share) + (1 - share) * others

    def curvature(others):
        return q * (1 - q) * ((1 - 2 * q) * (others - np.log((1 - q) / q)) + 1)

    h = 1e-4
    for others in (2.0, 10.0, 42.0):
        measured = abs(entropy(h, others) - 2 * entropy(0, others) + entropy(-h, others)) / h**2
        assert measured == pytest.approx(curvature(others), rel=1e-4)
    assert curvature(42.0) > 4
    gamma, eta, odds = 0.99, 1e-6, 0.0
    for _ in range(6427):
        stay = 1 / (1 + np.exp(-odds))
        odds += eta / (1 - gamma) / (1 - gamma * stay)
    stay = 1 / (1 + np.exp(-odds))
    gap = 1 / (1 - gamma) - stay / (1 - gamma * stay)
    assert gap * 6427 > 1.15 * (1 / (1 - gamma) ** 2 + np.log(2) ** 2 / eta)


def test_the_inequality_behind_the_lower_bound_without_a_condition():
    """u^2 (exp(eta a u) + 1)(1 + C a) <= 2 q (1 - eta a u (1 - u)) for eta, a in [0, 1] and u <= 1 - a, with q = 1 + 7 eta/40, C = 2 eta q."""
    a, share = np.meshgrid(np.linspace(0, 1, 201), np.linspace(0, 1, 101))
    u = share * (1 - a)
    for eta in np.linspace(0, 1, 51):
        q = 1 + 7 * eta / 40
        assert np.all(u**2 * (np.exp(eta * a * u) + 1) * (1 + 2 * eta * q * a) <= 2 * q * (1 - eta * a * u * (1 - u)) + 8 * np.finfo(float).eps)


def test_mutants_of_a_claim_with_further_arrays_are_refuted_or_implied(monkeypatch):
    """Larger models begin with copies of smaller ones, the vectors that the claim quantifies over included."""
    monkeypatch.setitem(HARDER, "quick", TINY)
    (done,) = mutate("bellman-contraction-and-vi-error:contraction", budget=TINY)
    assert {m.status for m in done.mutants} <= {REFUTED, IMPLIED}
    assert done.count(REFUTED) >= 5


def test_the_standard_selection_is_the_first_ten_their_lemmas_and_at_least_twenty_more():
    assert len(FIRST) == 10
    assert len(VARIED) >= 20
    assert len(set(STANDARD)) == len(STANDARD)
    assert set(STANDARD) <= set(claims())
    relations = {form.statement.relation for name in VARIED for form in claims()[name].forms}
    assert relations == {"<=", ">=", "="}


def test_a_form_named_by_a_star_has_the_reasons_of_all_forms():
    assert reason("pmd-kl-is-npg", "natural gradient", "range of eta: upper end doubled")
    assert reason("occupancy-lp-duality", "strong duality", "assumption dropped: full support of mu")
    assert not reason("pmd-kl-is-npg", "natural gradient", "direction flipped")


def test_a_conjecture_explains_no_mutant():
    """1/(4(1-gamma)^2) for the Hessian is conjectured: half of the theorem's bound would follow from it, and must stay a survivor."""
    from proofs_check.engine.mutate import _siblings

    conjectures = {claim.id for claim in claims().values() if claim.kind == "conjecture"}
    true = [made.case(form) for made in claims().values() for form in made.forms]
    guessed = {case.statement.left for case in true if case.claim in conjectures}
    about = [case for case in true if case.statement.left in guessed]  # siblings measure the same
    assert {case.claim for case in about} > conjectures
    for case in about:
        assert not {name.partition(":")[0] for name, _ in _siblings(case)} & conjectures

"""The table of risk instances, K1 to K20: every answer by two independent ways, and never by the code that states it."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import arb, fmpq
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from mdps import zoo
from mdps.errors import ModelError
from mdps.rational import fraction, rational_array, to_float
from mdps.zoo.risk import RiskCase, layered
from pgtheory import arithmetic, risk, solve_finite_horizon
from pgtheory.risk.ecrm import augmented, tree_value
from pgtheory.risk.entropic_control import solve_entropic
from pgtheory.risk.nested import solve_nested, solve_nested_exactly, solve_nested_horizon
from pgtheory.risk.returns import return_law
from pgtheory.risk.scoring import TailScore, alternate
from pgtheory.risk.static_cvar import best_by_enumeration, decomposition, solve_static
from tests.pgtheory.risk import plain

CASES = zoo.risk_cases()
ROWS = [(name, question) for name, case in CASES.items() for question in case.answers]


def test_the_table_is_complete() -> None:
    assert [f"K{k}" for k in range(1, 21)] == [name for name in CASES if name[-1].isdigit()]
    assert all(case.answers and case.id == name for name, case in CASES.items())
    assert zoo.risk_case("k9").id == "K9"
    with pytest.raises(ModelError, match="no risk case 'K33'"):
        zoo.risk_case("K33")


@pytest.mark.parametrize(("name", "question"), ROWS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(ROWS)])
def test_answer(name: str, question: tuple[str, Any]) -> None:
    case, answer = CASES[name], CASES[name].answers[question]
    _CHECKS[question[0]](case, question[1], answer)


def _exact(value: Any) -> Fraction:
    return fraction(value)


def _law(case: RiskCase, measure: Any, answer: Any) -> None:
    """The sorted tail by hand and the linear program for CVaR; tilting by balls and a scalar search for the irrational ones."""
    assert case.law is not None
    p, x = case.law
    if isinstance(measure, str):
        level = Fraction(measure.partition(":")[2])
        assert _exact(risk.parse(measure).value(p, x)) == answer == plain.lower_tail_mean(plain.fractions(p), plain.fractions(x), level)
        assert abs(plain.cvar_program(to_float(p), to_float(x), float(level)) - float(answer)) < 1e-9
        return
    number, q, y = measure(), arithmetic.balls(p), arithmetic.balls(x)
    truth = (
        arb(answer)
        if isinstance(answer, Fraction) is False and not callable(answer)
        else answer()
        if callable(answer)
        else arb(fmpq(answer.numerator, answer.denominator))
    )
    if callable(answer):  # K3
        assert risk.entropic(q, y, number).overlaps(truth)
        b = float(number.mid())
        assert -math.log(np.exp(-b * to_float(x)) @ to_float(p)) / b == pytest.approx(float(truth.mid()), abs=1e-15)
    else:  # K5
        assert risk.evar(q, y, number).overlaps(truth)
        a = float(number.mid())
        best = minimize_scalar(lambda b: math.log(np.exp(-b * to_float(x)) @ to_float(p)) / b - math.log(a) / b, bounds=(0.01, 20), method="bounded")
        assert -best.fun == pytest.approx(float(answer), abs=1e-9)


def _static(case: RiskCase, measure: str, answer: Fraction) -> None:
    """The augmented state, every deterministic history policy, and the law of the policy that was found."""
    found = solve_static(case.problem, measure)
    assert _exact(found.value) == answer == _exact(found.lower) == _exact(found.upper)
    assert _exact(best_by_enumeration(case.problem, measure, markov=False)[0]) == answer
    level = Fraction(measure.partition(":")[2])
    law = found.law
    assert plain.lower_tail_mean(plain.fractions(law.probabilities), plain.fractions(law.outcomes), level) == answer


def _markov(case: RiskCase, measure: str, answer: Fraction) -> None:
    """Every deterministic Markov policy, and a grid of randomised ones, which are no better."""
    assert _exact(best_by_enumeration(case.problem, measure, markov=True)[0]) == answer
    grid = [return_law(case.problem, lambda h, s, paid, k=k: [f"{20 - k}/20", f"{k}/20"] if h == 2 else 0).risk(measure) for k in range(21)]
    assert max(map(_exact, grid)) == answer


def _nested(case: RiskCase, measure: str, answer: Fraction) -> None:
    """Rationals by backward induction or policy iteration, and floats or plain recursion beside them."""
    level = Fraction(measure.partition(":")[2])
    if case.id == "K14":
        assert _exact(solve_nested_exactly(case.problem, measure).values[0]) == answer
        bounds = solve_nested(case.problem, measure)
        assert bounds.lower[0] <= float(answer) <= bounds.upper[0] and bounds.error < 1e-14
        death = Fraction(1, 10) / level  # the worst kernel, by hand
        assert 1 / (1 - Fraction(1, 2) * (1 - death)) == answer
        return
    values, _ = solve_nested_horizon(case.problem, measure, exact=True)
    assert _exact(values[0][0]) == answer
    exact = case.problem.exact

    def recursion(h: int, s: int) -> Fraction:
        if h == len(exact.stages):
            return fraction(exact.terminal[s])
        stage = exact.stages[h]
        rated = []
        for pair in range(stage.first_pair[s], stage.first_pair[s + 1]):
            after = [(fraction(p), recursion(h + 1, t)) for t, p in enumerate(stage.choices[pair]) if p != 0]
            rated.append(fraction(stage.pair_rewards[pair]) + plain.lower_tail_mean([p for p, _ in after], [v for _, v in after], level))
        return max(rated)

    assert recursion(0, 0) == answer


def _decomposition(case: RiskCase, measure: str, answer: Fraction) -> None:
    """Exact convex functions, and a grid of risk splits; under each fixed policy the programme is the CVaR of that policy."""
    level = Fraction(measure.partition(":")[2])
    assert _exact(decomposition(case.problem, level)) == answer
    stage = case.problem.exact.stages[1]
    laws = [[stage.choices[k] for k in range(stage.first_pair[s], stage.first_pair[s + 1])] for s in (0, 1)]
    ends = plain.fractions(case.problem.exact.terminal)
    promised = []
    for k in range(201):
        first = Fraction(k, 200)
        second = 2 * level - first
        if 0 < first and 0 < second <= 1:
            value = sum(
                y * max(plain.lower_tail_mean(plain.fractions(law), ends, y) for law in options) / 2
                for y, options in zip((first, second), laws, strict=True)
            )
            promised.append(value / level)
    assert min(promised) == answer  # the optimal split (3/4, 9/20) is on the grid
    for a, b in itertools.product((0, 1), repeat=2):
        law = return_law(case.problem, lambda h, s, paid, a=a, b=b: 0 if h == 0 else (a, b)[s])
        assert decomposition(case.problem, level, [[0], [a, b]]) == law.risk(measure)


def _normal(case: RiskCase, measure: str, answer: Any) -> None:
    """Closed form against quadrature or a scalar search."""
    name, _, text = measure.partition(":")
    level = math.exp(-2) if text == "e^-2" else float(Fraction(text))
    truth = float(answer().mid()) if callable(answer) else float(answer)
    if name == "cvar":
        found = quad(lambda u: norm.ppf(u, loc=1), 0, level, epsabs=1e-11)[0] / level
        assert 1 - norm.pdf(norm.ppf(level)) / level == pytest.approx(truth, abs=1e-14)
    else:

        def entropic(b: float) -> float:
            return -math.log(quad(lambda x: math.exp(-b * x) * norm.pdf(x, loc=1), -25, 25, epsabs=1e-12)[0]) / b

        found = entropic(level) if name == "entropic" else -minimize_scalar(lambda b: -entropic(b) + 2 / b, bounds=(0.5, 5), method="bounded").fun
    assert found == pytest.approx(truth, abs=1e-7)


def _schedule(case: RiskCase, beta: int, answer: Fraction) -> None:
    """K11: the variance of the discounted sum, and the same recursion on a grid approximation of the reward's law."""
    gamma = Fraction(1, 2)
    assert 1 / (1 - gamma) - beta * (1 / (1 - gamma**2)) / 2 == answer
    total, level = 0.0, float(beta)
    for t in range(40):
        total += 0.5**t * (1 - level * 0.5**t / 2)
    assert total == pytest.approx(float(answer), abs=1e-10)


def _constant(case: RiskCase, beta: int, answer: Fraction) -> None:
    gamma, step = Fraction(1, 2), 1 - Fraction(beta, 2)
    assert step / (1 - gamma) == answer < CASES["K11"].answers[("entropic", 1)]  # type: ignore[operator]


def _erm(case: RiskCase, beta: int, answer: Any) -> None:
    """The two figures around the safe 3/10; the optimal schedule of the model is safe at t = 0 and risky at t = 1."""
    assert case.law is not None
    p, x = case.law
    assert risk.entropic(arithmetic.balls(p), arithmetic.balls(x), beta).overlaps(answer())
    figure = -math.log((1 + math.exp(-beta)) / 2) / beta
    assert figure == pytest.approx(float(answer().mid()), abs=1e-15)
    assert (figure < 0.3) == (beta == 4)
    found = solve_entropic(case.problem, 16, 1e-10)
    choose = 1
    assert found.actions[0, choose] == 0 and found.actions[1, choose] == 1
    assert found.lower[choose] <= 0.25 * 0.3 <= found.upper[choose]
    waited = 0.25**2 * -math.log((1 + math.exp(-1)) / 2)
    assert found.lower[0] - 1e-10 <= waited <= found.upper[0] + 1e-10


def _var(case: RiskCase, which: str, answer: Fraction) -> None:
    p, x = case.laws[which]
    assert _exact(risk.var(p, x, "1/20")) == answer
    below = sum((q for q, y in zip(plain.fractions(p), plain.fractions(x), strict=True) if y <= answer), Fraction(0))
    assert below >= Fraction(1, 20)
    if which == "both":
        one = plain.fractions(case.laws["one"][0])
        assert plain.fractions(p) == [one[0] ** 2, 2 * one[0] * one[1], one[1] ** 2]


def _policy(case: RiskCase, second: Fraction, answer: Fraction) -> None:
    """J(pi) = max(0, (1/2 - pi_2) / (1/2)), the draw of the action included."""
    law = return_law(case.problem, lambda h, s, paid: [1 - second, second])
    assert _exact(law.risk("cvar:1/2")) == answer == max(Fraction(0), 1 - 2 * second)


def _ecrm(case: RiskCase, setting: tuple[Fraction, Fraction], answer: Fraction) -> None:
    """The augmented problem, solved exactly, and all deterministic policies of the history from the definition."""
    level, weight = setting
    model = augmented(case.problem, level, weight).model
    values = solve_finite_horizon(model, exact=True).values[0]
    assert _exact(sum((p * v for p, v in zip(model.exact.start, values, strict=True)), fmpq(0))) == answer
    assert max(_exact(tree_value(case.problem, rule, level, weight)) for rule in _rules(case, history=True)) == answer


def _ecrm_markov(case: RiskCase, setting: tuple[Fraction, Fraction], answer: Fraction) -> None:
    assert max(_exact(tree_value(case.problem, rule, *setting)) for rule in _rules(case, history=False)) == answer


def _rules(case: RiskCase, history: bool) -> list[Any]:
    """The deterministic rules of the one state of choice, 2: by the state before, or not."""
    if case.id == "K17":
        return [lambda h: 0]
    pairs = itertools.product((0, 1), repeat=2) if history else [(0, 0), (1, 1)]
    return [lambda h, a=a, b=b: (a if h[0] == 0 else b) if h[-1] == 2 else 0 for a, b in pairs]


def _alternating(case: RiskCase, start: Fraction, answer: Fraction) -> None:
    laws = rational_array([["1", "0"], ["1/4", "3/4"]]), rational_array([[3, 0], [4, 0]])
    assert _exact(alternate(TailScore("1/2"), *laws, start)[1][-1]) == answer
    assert start + 2 * max(Fraction(3) - start, Fraction(0)) == 3 < start + 2 * Fraction(1, 4) * (4 - start)  # f_0 = 3 < f_1 = 7/2 at v = 3


def _scoring(case: RiskCase, level: Fraction, answer: Fraction) -> None:
    best = min(_exact(TailScore(level).value(*law)) for law in case.laws.values())
    grid = [Fraction(k, 10) for k in range(-20, 60)]
    f = [v + (4 - v if v < 4 else 0) / (4 * level) + 3 * (-v if v < 0 else 0) / (4 * level) for v in grid]
    assert best == answer == min(f)


def _conditional_mean(case: RiskCase, level: Fraction, answer: Fraction) -> None:
    assert case.law is not None
    p, x = case.law
    below = [(q, y) for q, y in zip(plain.fractions(p), plain.fractions(x), strict=True) if y <= _exact(risk.var(p, x, level))]
    assert sum(q * y for q, y in below) / sum(q for q, _ in below) == answer > _exact(risk.cvar(p, x, level))


_CHECKS: dict[str, Any] = {
    "law": _law, "static": _static, "markov": _markov, "nested": _nested, "decomposition": _decomposition, "normal": _normal, "entropic": _schedule,
    "constant": _constant, "erm": _erm, "var": _var, "policy": _policy, "ecrm": _ecrm, "ecrm-markov": _ecrm_markov, "alternating": _alternating,
    "scoring": _scoring, "conditional mean": _conditional_mean,
}  # fmt: skip


def test_the_best_arm_of_k2_changes_at_five_eighths() -> None:
    problem = CASES["K2"].problem
    for level in ("1/10", "5/8"):
        assert solve_static(problem, f"cvar:{level}").action(0, 0, fmpq(0)) == 0
    for level in ("626/1000", "9/10"):
        assert solve_static(problem, f"cvar:{level}").action(0, 0, fmpq(0)) == 1


def test_layered_trees_check_their_probabilities() -> None:
    with pytest.raises(ModelError, match="sums to"):
        layered([[[({0: Fraction(1, 2)}, 0)]]], [0])

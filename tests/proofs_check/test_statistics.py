"""Statistics: levels that hold, power that is as stated, streams that depend on names only, and statements about sampled quantities."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats

from mdps.errors import ModelError
from proofs_check import quantities as q
from proofs_check import verdict as v
from proofs_check.catalogue import sampled_claims
from proofs_check.engine import budget as budgets
from proofs_check.engine import schedule
from proofs_check.engine.replay import replay
from proofs_check.engine.verify import verify
from proofs_check.expression import ExpressionError
from proofs_check.statistics import betting, examination, samplers
from proofs_check.statistics.betting import Bets, Interval, Range, detectable, log_e_path, needed_successes, sub_gaussian_radius
from proofs_check.statistics.claims import At, Expected, SampledClaim, SampledControl, SampledForm
from proofs_check.statistics.slopes import slope
from proofs_check.statistics.streams import stream

CASES = {f"{case.claim}:{case.name}": case for found in sampled_claims().values() for case in found.cases()}
UNIT = Range.of(0, 1)
FEW = dataclasses.replace(budgets.budget("quick"), name="few", draws=4000)
"""Replications for tests."""


def rng(*names):
    return stream(20, "tests", *names)


def at_most(count, trials, level, risk=1e-6):
    """Whether `count` events in independent trials fit a probability of at most `level`: a correct program fails here once in a million."""
    return count <= stats.binom.isf(risk, trials, level)


# Streams


def test_a_stream_depends_on_its_names_and_on_nothing_else():
    first = stream(0, "claim", "form", 3, stage=1, block=7).random(5)
    assert (stream(0, "claim", "form", 3, stage=1, block=7).random(5) == first).all()
    others = [
        stream(1, "claim", "form", 3, stage=1, block=7), stream(0, "claim", "form", 4, stage=1, block=7), stream(0, "claim", "form", 3, stage=0, block=7),
        stream(0, "claim", "form", 3, stage=1, block=8), stream(0, "claimform", 3, stage=1, block=7),
    ]  # fmt: skip
    assert len({generator.random() for generator in others} | {first[0]}) == 6
    with pytest.raises(ValueError, match="negative"):
        stream(0, "claim", block=-1)


def test_blocks_of_one_stream_do_not_overlap():
    """The counter's low words count draws: a block would have to draw 2^128 times to run into the next."""
    state = stream(0, "claim", stage=2, block=5).bit_generator.state["state"]
    assert state["counter"].tolist() == [0, 0, 5, 2]
    many = np.concatenate([stream(0, "claim", block=k).random(1000) for k in range(20)])
    assert len(np.unique(many)) == many.size


# Levels


NULLS = {
    "two-point": lambda g, n, m: (g.random((n, m)) < 0.3).astype(float),
    "uniform": lambda g, n, m: 0.6 * g.random((n, m)),
    "rare and large": lambda g, n, m: (g.random((n, m)) < 0.002).astype(float),
    "hardly ever zero": lambda g, n, m: (g.random((n, m)) < 0.998).astype(float),
    "dependent": lambda g, n, m: np.repeat(g.random((-(-n // 2), m)) < 0.3, 2, axis=0)[:n] * g.integers(0, 2, (n, m)) * 1.0,
}
MEANS = {"two-point": 0.3, "uniform": 0.3, "rare and large": 0.002, "hardly ever zero": 0.998, "dependent": 0.15}


@pytest.mark.statistical
@pytest.mark.parametrize("name", sorted(NULLS))
def test_false_alarms_stay_below_the_level_whenever_one_looks(name):
    """Ville: over 2,000 runs of 400 looks each, at most a share alpha ever reaches 1/alpha."""
    runs, ever = 250, []
    for part in range(8):
        values = NULLS[name](rng(name, part), 400, runs)
        ever.append(log_e_path(values, MEANS[name], Range.of(np.zeros(runs), np.ones(runs))).max(axis=0))
    for alpha in (0.05, 0.01, 0.001):
        assert at_most(int((np.concatenate(ever) >= math.log(1 / alpha)).sum()), 8 * runs, alpha)


@pytest.mark.statistical
def test_e_values_have_expectation_at_most_one_under_the_null():
    """Of 20 fair coins: the exact expectation over the binomial distribution, no simulation."""
    for p, n in ((0.3, 20), (0.5, 30), (0.01, 50), (0.9, 15)):
        k = np.arange(n + 1)
        with np.errstate(all="ignore"):
            wealth = [
                math.exp(betting.log_wealth(j * np.log1p(betting.SHARES * (1 / p - 1)) + np.where(n == j, 0, (n - j) * np.log1p(-betting.SHARES))))
                for j in k
            ]
        assert stats.binom.pmf(k, n, p) @ wealth == pytest.approx(1, abs=1e-9)


@pytest.mark.statistical
@pytest.mark.parametrize("name", sorted(NULLS))
def test_intervals_miss_their_mean_no_more_often_than_stated(name):
    """At the last look and at every earlier block end, over 1,000 runs at alpha = 0.05."""
    runs, alpha = 1000, 0.05
    interval = Interval(Range.of(np.zeros(runs), np.ones(runs)), alpha, planned=2000)
    missed = np.zeros(runs, dtype=bool)
    for block in range(8):
        interval.add(NULLS[name](stream(20, "intervals", name, block=block), 250, runs))
        low, high = interval.limits()
        missed |= (low > MEANS[name]) | (high < MEANS[name])
    assert at_most(int(missed.sum()), runs, alpha) and interval.count == 2000
    assert (low <= interval.mean()).all() and (interval.mean() <= high).all()


@pytest.mark.statistical
def test_the_normal_mixture_holds_for_ever_and_is_short_where_planned():
    runs, alpha, n = 2000, 0.05, 2000
    values = rng("normal").standard_normal((n, runs))
    path = np.abs(np.cumsum(values, axis=0)) / np.arange(1, n + 1)[:, None]
    radius = sub_gaussian_radius(np.arange(1, n + 1), 1.0, alpha, planned=500)
    assert at_most(int((path > radius[:, None]).any(axis=0).sum()), runs, alpha)
    fixed = stats.norm.isf(alpha / 2) / math.sqrt(500)
    assert fixed < radius[499] < 1.8 * fixed
    assert radius[499] <= min(sub_gaussian_radius(500, 1.0, alpha, planned=p) for p in (50, 5000))


def test_a_narrow_distribution_gets_a_narrow_interval():
    """Empirical Bernstein: the half width follows the variance, not the range."""
    values = 0.5 + 0.01 * (rng("narrow").random((20_000, 1)) - 0.5)
    interval = Interval(UNIT, 1e-3, planned=20_000)
    interval.add(values)
    low, high = interval.limits()
    hoeffding = math.sqrt(math.log(2 / 1e-3) / (2 * 20_000))
    assert low[0] < 0.5 < high[0] and (high - low)[0] / 2 < hoeffding / 10


# Bets


def test_bets_fed_in_blocks_are_the_path_at_its_end():
    values = rng("blocks").random((600, 3))
    within, most = Range.of(np.zeros(3), np.ones(3)), np.array([0.4, 0.5, 0.6])
    bets = Bets(most, within)
    for part in np.split(values, 6):
        bets.add(part)
    np.testing.assert_allclose(bets.log_e(), log_e_path(values, most, within)[-1], rtol=1e-12)
    assert bets.count == 600


def test_bounds_at_and_outside_the_range_are_decided_at_once():
    ones, zeros = np.ones((1, 1)), np.zeros((1, 1))
    assert log_e_path(ones, 0.0, UNIT)[-1] > 2 * np.log(1000)  # nothing above 0 is allowed
    assert log_e_path(zeros, 0.0, UNIT)[-1] <= 0
    assert log_e_path(zeros, -0.1, UNIT)[-1] == np.inf  # impossible
    assert (log_e_path(rng("one").random((50, 1)), 1.0, UNIT) <= 1e-12).all()  # always true
    assert (log_e_path(rng("one").random((50, 1)), 7.0, UNIT) <= 1e-12).all()


def test_rounding_at_the_ends_of_the_range_wins_nothing():
    """A variable that is always at the end of its range, whose value and whose bound were rounded apart."""
    for low, high in ((0.1, 0.7), (-1e6, 3e6), (0.0, 1e-9)):
        within = Range.of(low, high)
        off = np.spacing(max(abs(low), abs(high)))
        for most, value in ((low, low + off), (low + off, low + 5 * off), (low - off, low), (low - off, low + off)):
            assert log_e_path(np.full((100, 1), value), most, within)[-1] <= 1e-12
            mirrored = within.mirrored(np.full((100, 1), high + low - value)), within.mirrored(np.array([high + low - most]))
            assert log_e_path(*mirrored, within)[-1] <= 1e-12
        assert log_e_path(np.full((2, 1), high), low + off, within)[-1] > 30
        assert detectable(low, low, high, ((1000, 7.0),)) <= low + 0.01 * (high - low)


def test_a_value_outside_its_range_is_refused_and_rounding_is_not():
    with pytest.raises(ModelError, match="outside its stated range"):
        Bets(np.array([0.5]), UNIT).add(np.array([[1.01]]))
    Bets(np.array([0.5]), UNIT).add(np.array([[1 + 1e-12]]))
    with pytest.raises(ModelError, match="low < high"):
        Range.of(1, 1)


def test_mirroring_turns_at_least_into_at_most():
    within = Range.of(-2, 3)
    values = np.array([[-2.0], [0.5], [3.0]])
    assert within.mirrored(values).ravel().tolist() == [3.0, 0.5, -2.0]
    assert (within.mirrored(within.mirrored(values)) == values).all()


# Power


@pytest.mark.statistical
@pytest.mark.parametrize(("most", "low", "high"), [(0.1, 0.0, 1.0), (0.5, 0.0, 1.0), (0.02, 0.0, 1.0), (0.0, -1.0, 3.0)])
def test_power_is_as_reported(most, low, high):
    """Two-point data at the reported mean: both stages reject in 90% of 2,000 runs, to within four standard errors."""
    runs, n, stages = 2000, 1500, ((1500, math.log(1000 * 3)), (3000, math.log(1000)))
    mean = detectable(most, low, high, stages)
    assert mean is not None and mean > most
    share = (mean - low) / (high - low)
    within = Range.of(np.full(runs, low), np.full(runs, high))
    rejected = np.ones(runs, dtype=bool)
    for k, (count, threshold) in enumerate(stages):
        bets = Bets(np.full(runs, most), within)
        for block in range(count // 500):
            draws = rng("power", most, k, block).random((500, runs)) < share
            bets.add(low + (high - low) * draws)
        rejected &= bets.log_e() >= threshold
    assert rejected.mean() == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / runs)) and n == stages[0][0]


def test_power_grows_with_replications_and_is_none_where_nothing_can_be_seen():
    means = [detectable(0.05, 0, 1, ((n, math.log(1000)),)) for n in (100, 1000, 10_000)]
    assert means[0] > means[1] > means[2] > 0.05
    assert detectable(0.5, 0, 1, ((3, math.log(1000)),)) is None
    assert detectable(1.0, 0, 1, ((1000, math.log(1000)),)) is None and detectable(-0.1, 0, 1, ((1000, 1.0),)) is None
    assert detectable(0.0, 0, 1, ((1000, 1.0),)) == pytest.approx(1 - 0.1 ** (1 / 1000))  # one success among a thousand is enough
    assert needed_successes(0.5, 3, math.log(1000)) is None
    k = needed_successes(0.1, 200, math.log(1000))
    assert needed_successes(0.1, 200, math.log(1000) + 3) > k > 20


# Slopes


def runs_of(exponent, count, g, spread=1.0, points=20):
    """Runs whose mean is t^exponent, each with one log-normal factor and a little noise: times of a run are strongly dependent."""
    times = np.geomspace(100, 10_000, points)
    factor = np.exp(spread * g.standard_normal((count, 1)) - spread**2 / 2)
    noise = np.exp(0.2 * g.standard_normal((count, points)) - 0.02)
    return times, times**exponent * factor * noise


@pytest.mark.statistical
def test_slopes_cover_the_true_exponent():
    """99% intervals over 600 experiments of 200 runs: at least 97% of them, the approximation's figure for log-normal runs."""
    g, covered = rng("slopes"), 0
    for _ in range(600):
        fitted = slope(*runs_of(-1.0, 200, g), window=(100, 10_000))
        covered += fitted.low <= -1 <= fitted.high
    assert at_most(600 - covered, 600, 0.03)


def test_a_slope_looks_at_its_window_only_and_says_what_it_used():
    times, runs = runs_of(-1.0, 100, rng("window"), spread=0.1)
    runs[:, times < 1000] = 1.0
    fitted = slope(times, runs, window=(1000, 10_000))
    assert fitted.low < -1 < fitted.high and fitted.runs == 100 and fitted.points == int((times >= 1000).sum()) and fitted.window == (1000, 10_000)
    assert slope(times, runs, window=(100, 10_000)).value > fitted.value
    for bad, match in ((dict(window=(5000, 5001)), "three times"), (dict(window=(1000, 10_000), runs=runs[:10]), "60 runs")):
        with pytest.raises(ModelError, match=match):
            slope(times, **{"runs": runs, **bad})


# Samplers: bounded as they say, and with the means that exact arithmetic gives


@pytest.mark.parametrize("name", sorted(CASES))
def test_replications_lie_in_their_range_and_depend_on_names_only(name):
    case = CASES[name]
    for number, at in enumerate(case.instances):
        instance = at.instance().as_float()
        bound = examination.bound_of(case.statement, instance)
        within = examination.range_of(case.statement, instance, bound)
        values = examination.draws(case, instance, number, 3, 0, 2)
        within.checked(values)
        assert (values == examination.draws(case, instance, number, 3, 0, 2)).all()
        assert not case.statement.sampler.event or set(np.unique(values)) <= {0.0, 1.0}


@pytest.mark.statistical
def test_the_walk_follows_transitions_and_policy():
    """Two steps from (0, 0) on a two-state model: the distribution of the pair against P and pi, chi-squared at level 1e-6."""
    instance = At(transitions=((("1/2", "1/2"), ("1", "0")), (("1/4", "3/4"), ("0", "1"))), rewards=(("1", "0"), ("0", "1/2")), discount="1/2", policy=("2/5", "3/5")).instance().as_float()  # fmt: skip
    n = 40_000
    zeros = np.zeros(n, dtype=int)
    states, actions = samplers.walk(instance, rng("walk"), zeros, zeros, np.full(n, 2))
    chain = np.einsum("sa,sat->st", instance.policy, instance.transitions)
    expected = ((instance.transitions[0, 0] @ chain)[:, None] * instance.policy).reshape(-1) * n
    assert stats.chisquare(np.bincount(states * 2 + actions, minlength=4), expected).pvalue > 1e-6
    same = samplers.walk(instance, rng("walk"), zeros, zeros, zeros)
    assert (same[0] == 0).all() and (same[1] == 0).all()


@pytest.mark.exact
def test_the_streak_is_the_product_in_balls():
    """Exact product for two arms at step size 1: sigmoid(0) sigmoid(x_1) ... with 40 pulls; the claims file's figure for 'for ever' is .3908."""
    from pgtheory import arithmetic
    from proofs_check.instance import exact_context

    case = CASES["npg-without-baseline-commits:product"]
    instance = case.instances[0].instance()
    plain = float(examination.bound_of(case.statement, instance.as_float())[0])
    with arithmetic.precision(128):
        context = exact_context(instance, "ball", np.zeros(1, dtype=np.int64), arithmetic.balls(instance.policy)[None], pairs=False)
        enclosed = q.quantity("streak_probability").code(context).reshape(-1)[0]
    assert abs(float(enclosed.mid()) - plain) < 1e-12
    assert 0.3908 - 5e-5 < plain < 0.3908 + 5e-3


def test_the_variance_of_the_next_value_by_hand():
    """LEAVE: V = (1/(1 - .45), 0); the variance of the next value is .9 * .1 * V(0)^2."""
    case = CASES["plug-in-evaluation-mean-square:sup norm"]
    bound = examination.bound_of(case.statement, case.instances[0].instance().as_float())
    assert bound[0] == pytest.approx(0.09 * (1 / 0.55) ** 2 / 2, rel=1e-12)


# Verdicts


@pytest.mark.statistical
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.kind == "statement"])
def test_no_true_statement_about_something_sampled_is_refuted_and_each_states_its_power(name):
    found = schedule.examine(CASES[name], budgets.budget("quick-3"), 0)
    assert found.verdict == v.SUPPORTED and found.expected, found.evidence
    facts = found.statistics
    assert facts["level"] == 1e-6 and facts["replications"] == 10_000 and facts["seen"] <= facts["resolution"]
    for mean in facts["means"]:
        if CASES[name].statement.relation == "=":
            assert (np.array(mean["low"]) <= mean["bound"]).all() and (np.array(mean["high"]) >= mean["bound"]).all()
    assert (found.tightness is None) == (CASES[name].statement.relation == "=")
    json.dumps(v.as_dict(found), allow_nan=False)
    assert v.form_verdict(v.as_dict(found)) == found


@pytest.mark.statistical
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.kind == "control"])
def test_every_sampled_control_is_refuted_on_fresh_replications_and_replays(name, tmp_path):
    found = schedule.examine(CASES[name], FEW, 0)
    assert found.verdict == v.REFUTED and found.because, found.evidence
    data = json.loads(json.dumps(found.counterexample, allow_nan=False))
    assert data["log_e"] >= math.log(1000) and data["level"] == 1e-6
    low, high = data["interval"]
    assert low <= float(data["left"]) <= high and (float(data["left"]) > float(data["right"])) == (data["direction"] == "above")
    path = tmp_path / "counterexample.json"
    path.write_text(json.dumps(data))
    again = replay(path)
    assert again.confirmed and data["left"] in again.text and "level 1e-06" in again.text
    with pytest.raises(ModelError, match="not the one"):
        replay(data | {"instance": {}})
    with pytest.raises(ModelError, match="no sampled form"):
        replay(data | {"form": "another"})


def test_a_replay_with_another_seed_or_fewer_replications_does_not_believe_the_file():
    data = schedule.examine(CASES["npg-without-baseline-commits:first pull forgotten"], FEW, 0).counterexample
    wrong = replay(data | {"direction": "above"})
    assert not wrong.confirmed and "NOT confirmed" in wrong.text


def coin(p):
    """A sampler of coins of probability p that claims nothing about p."""
    return dataclasses.replace(samplers.DEVIATION, name=f"coin {p}", draw=lambda i, g, n: (g.random((n, 1)) < p).astype(float))


def one(sampler, relation, bound, **fields):
    made = SampledClaim("a-coin", "test", forms=[SampledForm("main", Expected(sampler, relation, bound), **fields)], instances=(At("arms([1, 0])"),))
    return examination.verify_sampled(made.cases()[0], FEW, 0)


@pytest.mark.statistical
def test_the_verdict_on_coins():
    assert one(coin(0.5), "<=", "3/5").verdict == v.SUPPORTED
    assert one(coin(0.5), ">=", "2/5").verdict == v.SUPPORTED
    assert one(coin(0.5), "=", "1/2", resolution=0.1).verdict == v.SUPPORTED
    for relation, bound in (("<=", "2/5"), (">=", "3/5"), ("=", "2/5"), ("=", "3/5")):
        assert one(coin(0.5), relation, bound).verdict == v.REFUTED
    assert one(coin(0.5), "<=", "1").verdict == v.VACUOUS and one(coin(0.5), ">=", "0").verdict == v.VACUOUS


@pytest.mark.statistical
def test_without_power_nothing_is_supported():
    weak = one(coin(0.0001), "<=", "1/5000")
    assert weak.verdict == v.UNDECIDED and "too little power" in weak.evidence
    assert one(coin(0.5), "=", "1/2", resolution=1e-4).verdict == v.UNDECIDED


@pytest.mark.statistical
def test_an_interval_that_excludes_the_bound_supports_nothing(monkeypatch):
    """Intervals of a steady variable are shorter than what the bets, made for two-point data, refute."""
    steady = dataclasses.replace(coin(0.5), name="steady", draw=lambda i, g, n: 0.5 + 0.02 * g.random((n, 1)))
    monkeypatch.setattr(examination, "STAGE_LEVEL", 1e-300)
    for relation, bound in (("=", "53/100"), ("=", "49/100"), ("<=", "50/101"), (">=", "52/100")):
        doubted = one(steady, relation, bound, resolution=0.5)
        assert doubted.verdict == v.UNDECIDED and "excludes" in doubted.evidence, relation
    assert one(steady, "=", "51/100", resolution=0.5).verdict == v.SUPPORTED
    still = dataclasses.replace(coin(0.5), name="still", draw=lambda i, g, n: np.ones((n, 1)))
    assert one(still, "=", "1", resolution=0.5).verdict == v.SUPPORTED  # the end of the range is in the interval, rounding included


@pytest.mark.statistical
def test_true_coins_are_never_refuted_and_hardly_ever_doubted():
    """At the edge of the null, 100 seeds: each is doubted (undecided) with probability at most 1e-3 and refuted with at most 1e-6."""
    made = SampledClaim("a-coin", "test", forms=[SampledForm("main", Expected(coin(0.3), "<=", "3/10"))], instances=(At("arms([1, 0])"),))
    verdicts = [examination.verify_sampled(made.cases()[0], dataclasses.replace(FEW, draws=1000), seed).verdict for seed in range(100)]
    assert v.REFUTED not in verdicts and at_most(sum(x != v.SUPPORTED for x in verdicts), 100, 1e-3)


def test_ill_posed_statements_are_refused_with_words():
    with pytest.raises(ExpressionError, match="uses <=, >= or ="):
        Expected(samplers.REGRET, "<", "1")
    with pytest.raises(ExpressionError, match="unknown quantity"):
        Expected(samplers.REGRET, "<=", "regrets")
    with pytest.raises(ExpressionError, match="needs forms"):
        SampledClaim("a-b", "test", forms=[])
    with pytest.raises(ExpressionError, match="same name"):
        SampledClaim("a-b", "test", forms=[SampledForm("x"), SampledControl("x")])
    with pytest.raises(ExpressionError, match="an instance"):
        SampledClaim("a-b", "test", forms=[SampledForm("x", Expected(samplers.REGRET, "<=", "1"))]).cases()
    with pytest.raises(ExpressionError, match="settings do not say"):
        one(coin(0.5), "<=", q.samples)
    with pytest.raises(ModelError, match="entries"):
        one(coin(0.5), "<=", q.softmax_gradient)
    with pytest.raises(ModelError, match="drew an array"):
        one(dataclasses.replace(coin(0.5), draw=lambda i, g, n: g.random(n)), "<=", "1/2")


def test_evidence_depends_on_what_is_drawn_and_where():
    case = CASES["plug-in-evaluation-mean-square:sup norm"]
    assert dataclasses.replace(case, because="other words").digest() == case.digest()
    for change in ({"instances": case.instances[:1]}, {"resolution": 0.5}, {"name": "x"}, {"statement": Expected(samplers.SQUARED_ERROR, "<=", "1")}):
        assert dataclasses.replace(case, **change).digest() != case.digest(), change


def test_sampled_claims_are_verified_listed_and_refused_like_others(capsys):
    run = verify("npg-without-baseline-commits", budget="quick-3", jobs=1)
    assert run.expected and run.verdicts[0].verdict == v.SUPPORTED and len(run.verdicts[0].controls) == 2
    assert run.verdicts[0].family == "sampled" and "at least" in [f.form for f in run.verdicts[0].forms]
    assert [f.form for f in verify("npg-without-baseline-commits:product", budget="quick-3").verdicts[0].forms] == ["product"]
    for options in ({"bound": "1"}, {"settings": {"eta": "1"}}, {"instance": "loop(1/2)"}):
        with pytest.raises(ModelError, match="as it is written"):
            verify("npg-without-baseline-commits", **options)
    from proofs_check.engine.targets import resolve

    with pytest.raises(ModelError, match="sampled quantity"):
        resolve("npg-without-baseline-commits")
    assert not any(claim.family == "sampled" for claim, _ in resolve(None)) and any(c.family == "sampled" for c, _ in resolve(None, sampled=True))

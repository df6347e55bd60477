"""Sweeps: plans and their files, instances, figures against direct runs and exact expectations, what the store spares, files, errors."""

from __future__ import annotations

import csv
import json
import math
import re

import numpy as np
import pytest
from typer.testing import CliRunner

import pgtheory
from mdps.errors import ModelError
from mdps.random import garnet
from mdps.zoo import arms, chain
from pgtheory.policy_gradient import SoftmaxPG
from pgtheory.sampling import Bandit, Fresh, Reinforce, SoftmaxGradient, StochasticPG, expectations, run_sampled
from proofs_check.cli import app
from proofs_check.cli.sampled import effective_horizon
from proofs_check.cli.sampled_methods import LEARNERS
from proofs_check.cli.sweep import SweepProgress
from proofs_check.store import Store
from proofs_check.sweep import Plan, cells, read_plan, sweep
from proofs_check.sweep.figures import rate_of
from proofs_check.sweep.instances import instance_of
from proofs_check.sweep.plan import keys

GRID = Plan(("chain(1)", "bernoulli(3/4, 1/4)"), ("softmax-pg", "reinforce"), ("1/4", "1"), seeds=5, steps=9, samples=2)


class Counted:
    """A progress that remembers which blocks were computed."""

    def __init__(self):
        self.blocks, self.known = [], 0

    def start(self, total, known, ahead):
        self.total, self.known, self.ahead = total, known, [ahead]

    def done(self, block, ahead):
        self.blocks.append(block)
        self.ahead.append(ahead)


def figures(results):
    """Everything that a sweep found, by series, to the last bit."""
    return {(r.series.instance, r.label): (r.gaps.tolist(), None if r.regret is None else r.regret.tolist(), r.drawn(), r.unit) for r in results}


@pytest.fixture(scope="module")
def direct():
    """The grid without a store."""
    return sweep(GRID, jobs=1)


# Figures


def test_figures_are_those_of_direct_runs(direct):
    found = {(r.series.instance, r.label): r for r in direct}
    assert list(found) == [(i, f"{m}, step size {s}") for i in GRID.instances for m in GRID.methods for s in GRID.step_sizes]
    mdp = chain(1)
    sampled = found["chain(1)", "reinforce, step size 1/4"]
    method = StochasticPG(Fresh(Reinforce(effective_horizon(float(mdp.discount))), 2), 0.25)
    runs = run_sampled(mdp, method, 9, 5, seed=0, record=sampled.times)
    np.testing.assert_array_equal(sampled.gaps, runs.gaps())
    assert (sampled.times[0], sampled.times[-1], sampled.drawn(), sampled.unit) == (0, 9, 18.0, "paths")
    exact = found["chain(1)", "softmax-pg, step size 1"]
    np.testing.assert_array_equal(exact.gaps[0], pgtheory.run(mdp, SoftmaxPG(1.0), 9, record=exact.times).gap())


def test_bandits_agree_with_exact_expectations():
    """The mean regret and gap of 40,000 runs against the enumeration of every sequence: five standard errors."""
    bandit, pulls = Bandit.bernoulli([0.75, 0.25]), 6
    (result,) = sweep(Plan(("bernoulli(3/4, 1/4)",), ("reinforce",), ("1/2",), seeds=40_000, steps=pulls), jobs=1)
    exact = expectations(SoftmaxGradient(0.5), bandit, pulls)
    found = result.summary()
    assert found.regret is not None and found.regret[1] < 0.01
    assert abs(found.regret[0] - exact.regret[-1]) < 5 * found.regret[1]
    assert abs(found.mean - exact.policy[-1] @ bandit.gaps) < 5 * found.error
    assert found.low < found.mean < found.high and list(found.quantiles) == sorted(found.quantiles)
    assert result.regret[:, 1].tolist() == [0.25] * 40_000  # the first pull is uniform: half a gap of 1/2


def test_the_gap_of_a_single_exact_run_has_no_error_and_its_regret_sums_the_gaps(direct):
    result = next(r for r in direct if r.series.instance.startswith("bernoulli") and r.label == "softmax-pg, step size 1")
    gaps = pgtheory.run(arms(["3/4", "1/4"]), SoftmaxPG(1.0), 9, record="all").gap()
    assert result.summary().error == 0.0 and result.gaps.shape[0] == 1
    assert math.isclose(result.regret[0, -1], 2 * gaps[:9].sum(), rel_tol=1e-14)  # nine sums of nonnegative floats


def test_the_slope_is_fitted_over_the_last_decade_with_an_interval(direct):
    """Gaps t^-1/2 with independent noise of a tenth: the slope within three of its intervals' halves, which is five standard errors and more."""
    times = cells.recorded(1000)
    noise = np.random.default_rng(1).uniform(0.9, 1.1, (100, times.size))
    words, slope = rate_of(times, noise / np.maximum(times, 1) ** 0.5)
    assert "over t in [100, 1,000]" in words and slope is not None
    assert 0 < slope[2] - slope[1] < 0.05 and abs(slope[0] + 0.5) < 1.5 * (slope[2] - slope[1])
    assert rate_of(times, noise[:10] / np.maximum(times, 1) ** 0.5)[1] is None
    assert direct[0].summary().slope is None


@pytest.mark.parametrize("name", sorted(cells.sampled_names()))
def test_no_sampled_method_depends_on_the_block_of_a_run(name):
    """Three runs at once, and one by one."""
    instance = "arms([1, 1/2])" if name in LEARNERS else "chain(1)"
    series = cells.Series(instance, instance_of(instance, None), name, "1/4" if cells.takes_step(name) else None, 3, 4, 2, 3, 7, "uniform")
    whole, parts = cells.figures(series, 0, 3), [cells.figures(series, k, 1) for k in range(3)]
    np.testing.assert_array_equal(whole.gaps, np.concatenate([part.gaps for part in parts]))
    np.testing.assert_array_equal(whole.drawn, sum(part.drawn for part in parts))
    assert np.isfinite(whole.gaps).all() and whole.gaps.shape == (3, cells.recorded(4).size)


def test_random_starts_tell_exact_runs_apart():
    (result,) = sweep(Plan(("chain(1)",), ("softmax-pg",), ("1",), seeds=3, steps=4, seed=8, start="random"), jobs=1)
    for k in range(3):
        np.testing.assert_array_equal(result.gaps[k], pgtheory.run(chain(1), SoftmaxPG(1.0), 4, result.times, initial=f"random:{8 + k}").gap())


# The store


def test_what_the_store_holds_is_not_computed_again(direct, tmp_path):
    with Store(tmp_path / "evidence.sqlite") as store:
        first, again, more = Counted(), Counted(), Counted()
        assert figures(sweep(GRID, store=store, jobs=1, progress=first)) == figures(direct)
        assert first.known == 0 and first.total == 24 == sum(block.count for block in first.blocks)
        assert first.ahead == sorted(first.ahead, reverse=True) and first.ahead[-1] < 1e-12
        assert figures(sweep(GRID, store=store, jobs=1, progress=again)) == figures(direct)
        assert again.known == 24 and not again.blocks
        longer = sweep(GRID.replace(seeds=8), store=store, jobs=1, progress=more)
        assert {(block.first, block.count) for block in more.blocks} == {(5, 3)} and len(more.blocks) == 4
        assert figures(longer) == figures(sweep(GRID.replace(seeds=8), jobs=1))
        fewer = Counted()
        assert (
            figures(sweep(GRID.replace(seeds=3), store=store, jobs=1, progress=fewer))["chain(1)", "reinforce, step size 1"][0]
            == (figures(direct)["chain(1)", "reinforce, step size 1"][0][:3])
        )
        assert not fewer.blocks


def test_the_block_size_changes_no_figure(direct, monkeypatch):
    monkeypatch.setattr(cells, "SECONDS_A_BLOCK", 1e-9)
    small = Counted()
    assert figures(sweep(GRID, jobs=1, progress=small)) == figures(direct)
    assert len(small.blocks) == 24


def test_the_key_follows_what_the_figures_depend_on():
    def shelf(plan, k=1):
        from proofs_check.sweep.runs import all_series

        return all_series(plan)[k].shelf

    base = Plan(("chain(1)",), ("softmax-pg", "reinforce"), ("1/4",), steps=9)
    changes = [
        {"steps": 10},
        {"samples": 3},
        {"horizon": 4},
        {"seed": 1},
        {"step_sizes": ("1/2",)},
        {"instances": ("chain(2)",)},
        {"discount": "1/2"},
    ]
    assert len({shelf(base), *(shelf(base.replace(**change)) for change in changes)}) == 8
    assert shelf(base) == shelf(base.replace(seeds=99)) == shelf(base.replace(instances=("chain(1, 9/10)",)))
    assert shelf(base, 0) == shelf(base.replace(samples=3, seed=5), 0)  # exact gradients draw nothing


# Plans and instances


@pytest.mark.parametrize("ending", ["toml", "json"])
def test_a_plan_file_reads_back(tmp_path, ending):
    plan = Plan(
        ("chain(5)", "garnet(20, 3)", 'my "own".json'), ("storm-pg:weight=0.2", "npg"), ("1/4", "1"), seeds=7, samples=3, horizon=9, discount="9/10"
    )
    plan.save(tmp_path / f"plan.{ending}")
    assert read_plan(tmp_path / f"plan.{ending}") == plan
    (tmp_path / "by_hand.toml").write_text('instances = ["chain(5)"]\nmethods = ["npg"]\nstep-sizes = [1, 0.5, "1/4"]\nseeds = 3\n')
    assert read_plan(tmp_path / "by_hand.toml") == Plan(("chain(5)",), ("npg",), ("1", "0.5", "1/4"), seeds=3)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", 'instances = ["x"]\nmethods = ["npg"]\nseeds = 0\n', "line 3: seeds is 0; it must be at least 1"),
        ("a.toml", 'instances = ["x"]\n\nmethod = ["npg"]\n', r"line 3: unknown key 'method'.*Did you mean methods"),
        ("a.toml", 'instances = ["x"\nmethods = 3\n', r"is no TOML: .*line 2"),
        ("a.toml", 'instances = "chain(5)"\n', "line 1: instances is 'chain\\(5\\)'; it must be a list"),
        ("a.toml", 'instances = ["x"]\nmethods = ["npg"]\nstep-sizes = ["fast"]', "line 3: step-sizes holds 'fast', which is no number"),
        ("a.json", '{"instances": ["x"],\n "methods": ["npg"],\n "steps": 1.5}', "line 3: steps is 1.5; it must be a whole number"),
        ("a.json", '{"instances": ["x"],,}', "is no JSON: .*line 1, column 21"),
        ("a.json", "[]", "holds list, not keys"),
        ("a.toml", 'instances = ["x"]\nmethods = ["npg"]\nstep-sizes = [1, 0]', "line 3: step-sizes holds 0; a step size must be above 0"),
        ("a.toml", 'instances = ["x"]\nmethods = ["npg"]\ndiscount = 1', "line 3: discount is 1; it must be at least 0 and below 1"),
        ("a.toml", 'instances = ["x"]\nmethods = ["npg"]\nstart = "unifrom"', "line 3: start is 'unifrom'.*Did you mean uniform"),
        ("a.toml", 'instances = ["x"]\nmethods = ["npg"]\nstart = "adversarial:2"', "line 3: start is 'adversarial:2'; the share"),
        ("a.toml", 'instances = ["x"]\n', "the plan has no methods"),
        ("a.yaml", "", r"ends in \.toml or \.json"),
    ],
)
def test_a_bad_plan_file_is_refused_with_line_and_key(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(ModelError, match=f"{name}.*{words}"):
        read_plan(tmp_path / name)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['instances = ["chain(2)"]', 'methods = ["npg", "reinfarce"]'], "line 2, methods: unknown method 'reinfarce'. Did you mean reinforce"),
        (['methods = ["npg"]', 'instances = ["garnat(4, 2)"]', "step-sizes = [1]"], "line 2, instances: instance 'garnat(4, 2)': there is no model"),
        (['instances = ["chain(2)"]', 'methods = ["storm-pg:wieght=1"]', "step-sizes = [1]"], "line 2, methods: storm-pg:wieght=1: storm-pg takes"),
        (['instances = ["chain(2)"]', 'methods = ["npg:step-size=0"]'], "line 2, methods: --step-size is 0; a step size must be above 0"),
        (['instances = ["chain(2)"]', 'methods = ["exp3"]'], "line 2, methods: exp3 learns bandits; chain(2) has 3 states"),
        (
            ['instances = ["chain(2)"]', 'methods = ["reinforce"]', "step-sizes = [1]", 'start = "random"'],
            "line 4, start: start is random: reinforce begins at the uniform policy",
        ),
        (['instances = ["chain(2)"]', 'methods = ["policy-iteration"]', "step-sizes = [1]"], "line 3, step-sizes: no method here has a step size"),
    ],
)
def test_what_models_and_methods_find_wrong_with_a_file_names_its_place(tmp_path, lines, words):
    (tmp_path / "plan.toml").write_text("\n".join(lines))
    plan = read_plan(tmp_path / "plan.toml")
    with pytest.raises(ModelError, match=re.escape(f"{tmp_path / 'plan.toml'}, {words}")):
        sweep(plan)
    with pytest.raises(ModelError) as told:  # the same words of a plan that comes from no file, or whose key was replaced
        sweep(Plan(**{key: getattr(plan, key) for key in keys()}))
    assert str(told.value).startswith(words.split(": ", 1)[1])


def test_a_key_that_the_command_line_replaces_has_no_place_in_the_file(tmp_path):
    (tmp_path / "plan.toml").write_text('instances = ["chain(2)"]\nmethods = ["npg"]\nstep-sizes = [1]\n')
    with pytest.raises(ModelError, match=r"^unknown method 'nqg'"):
        sweep(read_plan(tmp_path / "plan.toml").replace(methods=("nqg",)))


def test_instances():
    assert instance_of("zoo:chain(5)", None).digest() == chain(5).digest()
    assert instance_of("garnet(6, 2, seed=3)", "1/2").digest() == garnet(6, 2, 5, 3, discount=0.5).digest()
    assert instance_of("signs(1/2, 0)", None).means.tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["chain(2)", "--method", "reinfarce", "--step-size", "1"], "unknown method 'reinfarce'. Did you mean reinforce"),
        (["chain(2)", "--method", "reinforce", "--step-size", "1", "--seeds", "0"], "seeds is 0; it must be at least 1"),
        (["chain(2)", "--method", "reinforce"], "reinforce needs --step-size"),
        (["chain(2)", "--method", "reinforce", "--step-size", "0"], "step-sizes holds 0; a step size must be above 0"),
        (["none.json", "--method", "npg", "--step-size", "1"], "instance 'none.json': none.json: there is no such file"),
        (["garnat(4, 2)", "--method", "npg", "--step-size", "1"], "Did you mean garnet"),
        (["garnet(4)", "--method", "npg", "--step-size", "1"], "missing a required argument: 'num_actions'"),
        (["bernoulli(1/2, 2)", "--method", "exp3"], "arm 1 has the mean 2; it must lie in [0, 1]"),
        (["chain(2)", "--method", "exp3"], "exp3 learns bandits; chain(2) has 3 states"),
        (["bernoulli(1, 0)", "--method", "storm-pg", "--step-size", "1"], "storm-pg does not learn bandits whose rewards are drawn"),
        (["chain(2)", "--method", "reinforce", "--step-size", "1", "--start", "random"], "reinforce begins at the uniform policy"),
        (["chain(2)", "--method", "policy-iteration", "--step-size", "1"], "no method here has a step size to vary: policy-iteration"),
        (["chain(2)"], "a sweep needs --method NAMES"),
        (["--method", "npg"], "a sweep needs a MODEL, or --plan FILE"),
        (["--plan", "none.toml"], "cannot read the plan none.toml"),
        (["chain(2)", "chain(2)", "--method", "npg", "--step-size", "1"], "instances names chain(2) twice"),
        (["chain(2)", "--method", "npg", "--step-size", "1", "--csv", "a.txt"], "the ending must be .csv"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["sweep", *arguments])
    assert done.exit_code == 2 and words in " ".join(done.output.split())
    assert not list(tmp_path.iterdir())


# The command line


def test_the_command_prints_and_writes(tmp_path):
    arguments = ["--store", str(tmp_path / "e.sqlite"), "--jobs", "1", "--csv", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "series.json")]
    grid = ["chain(1)", "bernoulli(3/4, 1/4)", "--method", "softmax-pg,reinforce", "--step-size", "1/4,1", "--seeds", "5", "--steps", "9"]
    more = ["--samples", "2", "--save-plan", str(tmp_path / "plan.toml"), "--plot", str(tmp_path / "bands.svg")]
    done = CliRunner().invoke(app, ["sweep", *grid, *more, *arguments])
    assert done.exit_code == 0, done.output
    assert (
        "24 cells, 0 of them from" in done.output
        and "softmax-pg: exact gradients, so every seed would be the same run, and one is done" in done.output
    )
    rows = list(csv.DictReader((tmp_path / "cells.csv").read_text().splitlines()))
    expected = [
        (r.series.instance, r.series.method, r.series.step, str(k), repr(gap))
        for r in sweep(GRID, jobs=1) for k, gap in enumerate(r.gaps[:, -1].tolist())
    ]  # fmt: skip
    assert [(row["instance"], row["method"], row["step size"], row["seed"], row["gap"]) for row in rows] == expected
    assert all((row["regret"] == "") == (row["instance"] == "chain(1)") for row in rows)
    data = json.loads((tmp_path / "series.json").read_text())
    assert len(data["series"]) == 8 and data["plan"]["seeds"] == 5 and data["series"][2]["seeds"] == 5
    picture = (tmp_path / "bands.svg").read_text()
    assert picture.count('id="band-reinforce, step size 1"') == 2 and "band-softmax-pg" not in picture
    again = CliRunner().invoke(app, ["sweep", "--plan", str(tmp_path / "plan.toml"), "--json", *arguments[:4]])
    assert json.loads(again.stdout)["cells from the store"] == 24 and json.loads(again.stdout)["series"] == data["series"]


def test_the_time_left_follows_the_work_that_is_left():
    now = [0.0]
    progress = SweepProgress(lambda: now[0])
    progress.start(10, 2, ahead=8.0)
    assert progress.left(8.0) is None
    now[0] = 3.0
    assert progress.left(6.0) == 9.0 and progress.finished == 2

"""The report: one page a claim, no network, no script, every figure's data beside it, and text from a claim never becomes markup."""

from __future__ import annotations

import csv
import dataclasses
import html.parser
import itertools
import json
import math
import re

import pytest
from sample_run import EXACT, claim, counterexample, curve, form, sample_run

from mdps.errors import ModelError
from proofs_check import plots
from proofs_check.files import plain, write_whole
from proofs_check.report import counterexample_files, read_run, reproduce, summary, write_data, write_report
from proofs_check.report.diagram import diagram
from proofs_check.report.instances import instance_table
from proofs_check.report.words import direction, figure
from proofs_check.verdict import as_dict

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(html.parser.HTMLParser):
    """Collects what a page refers to, and checks that its tags close in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.links, self.ids, self.tags, self.text = [], [], [], set(), []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for key, value in attrs if key in ("href", "src", "xlink:href") and tag != "use"]
        self.ids += [value for key, value in attrs if key == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.text.append(data)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    index = write_report(sample_run(), folder)
    assert index == folder / "index.html"
    return folder


def page(folder, name):
    return Page((folder / name).read_text(encoding="utf-8"))


def words(folder, name):
    return " ".join(" ".join(page(folder, name).text).split())


def test_every_page_is_well_formed_and_every_link_leads_to_a_file(report):
    pages = sorted(report.glob("*.html"))
    assert len(pages) == 1 + len(sample_run().verdicts)
    for path in pages:
        parsed = page(report, path.name)
        for link in parsed.links:
            assert link.startswith(("#", "data:")) or (report / link).is_file(), (path.name, link)


def test_pages_need_no_network_and_no_script(report):
    for path in report.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "script" not in page(report, path.name).tags
        assert not re.search(r'(?:href|src)="(?:https?:)?//|url\(\s*["\']?http|@import', text)


def test_index_names_every_claim_with_its_verdict_and_what_was_not_expected(report):
    text = words(report, "index.html")
    for verdict in sample_run().verdicts:
        assert verdict.id in text
    for name in ("proved", "certified", "supported", "vacuous", "undecided", "refuted", "not applicable"):
        assert name in text
    assert "Not everything came out as expected" in text
    assert "the negative control “half the constant” was not refuted" in text
    assert summary(sample_run()) in text


def test_a_run_as_expected_says_so(tmp_path):
    run = sample_run()
    run = dataclasses.replace(run, verdicts=[verdict for verdict in run.verdicts if verdict.expected])
    write_report(run, tmp_path)
    assert f"All {len(run.verdicts)} claims came out as expected" in words(tmp_path, "index.html")


def test_a_claims_page_holds_statement_evidence_controls_and_command(report):
    text = words(report, "npg-one-over-t.html")
    parts = (
        "2,000",
        "10,000",
        "0.43",
        "the bound times 1/2 was refuted",
        "rewards lie in [0, 1]",
        "second term dropped",
        "as it must be",
        "γ = 9/10",
        "η = 100",
    )
    for part in (
        *parts,
        "measured 0.31, claimed at most 0.00347, at t = 2",
        "pgtheory verify npg-one-over-T --budget quick --seed 7",
        "ball arithmetic at 128 bits",
    ):
        assert part in text
    parsed = page(report, "npg-one-over-t.html")
    assert {"math", "mfrac", "svg", "table"} <= parsed.tags
    assert "start distribution positive everywhere (here it is 0 in 63 of 64 states)" in words(report, "softmax-one-over-t-lower-bound.html")


def test_text_of_a_claim_never_becomes_markup(tmp_path):
    nasty = '<b onclick="x">&'
    verdict = claim(
        nasty, "supported", family=nasty, title=nasty, forms=[form(nasty, "supported", statement=nasty, evidence=nasty, notes=[nasty])], departs=nasty
    )
    write_report(sample_run(verdicts=[verdict], command=nasty), tmp_path)
    for path in tmp_path.glob("*.html"):
        assert "b" not in page(tmp_path, path.name).tags or "<b onclick" not in path.read_text(encoding="utf-8")
        assert nasty in words(tmp_path, path.name)


def test_counterexamples_are_files_of_their_own(report):
    run = sample_run()
    files = counterexample_files(run, report)
    assert len(files) == 3
    for (claim_id, _, name), path in files.items():
        data = json.loads(path.read_text(encoding="utf-8"))
        assert (data["schema"], data["claim"], data["form"]) == ("pgtheory-counterexample-1", claim_id, name)
    assert files["my-npg-bound", "statement", "main"] == report / "my-npg-bound.json"


def test_run_json_reads_back_as_the_run(report, tmp_path):
    run = sample_run()
    assert read_run(report) == read_run(report / "run.json") == run
    assert as_dict(read_run(report)) == json.loads((report / "run.json").read_text(encoding="utf-8"))
    assert write_data(run, tmp_path).read_bytes() == (report / "run.json").read_bytes()
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("{nonsense", "is no JSON"),
        ('{"verdicts": [', "seems cut"),
        ("{}", "is no run"),
        ("[1]", "is no run"),
        ('{"verdicts": [{}]}', "is no run"),
        (None, "there is no such file"),
    ],
)
def test_a_file_that_is_no_run_is_named(tmp_path, content, message):
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelError, match=message):
        read_run(path)


def test_the_data_of_a_picture_is_beside_it_and_is_what_is_drawn(report):
    with (report / "npg-one-over-t.csv").open() as file:
        rows = list(csv.DictReader(file))
    data = curve()
    assert [int(row["t"]) for row in rows] == data["t"]
    assert [float(row["measured"]) for row in rows] == data["measured"]
    ax = plots.plot_curve(data)
    drawn = {artist.get_gid(): artist for artist in ax.lines}
    assert list(drawn["measured"].get_ydata()) == data["measured"]
    assert list(drawn["bound"].get_ydata()) == data["bound"]
    assert drawn["measured"].is_dashed() is False
    assert drawn["bound"].is_dashed()
    assert drawn["measured"].get_color() == drawn["bound"].get_color()
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert {text.get_text() for text in ax.texts} == {"measured", "bound"}


def test_pictures_take_their_colours_from_the_page_and_carry_their_origin(report):
    inline = (report / "npg-one-over-t.html").read_text(encoding="utf-8")
    inline = inline[inline.index("<svg") : inline.index("</svg>")]
    assert "var(--plot-line)" in inline
    assert not re.search(r"(?:fill|stroke): ?#(?!000000)[0-9a-f]{6}", inline)
    file = (report / "npg-one-over-t.svg").read_text(encoding="utf-8")
    assert "pgtheory verify npg-one-over-T" in file
    assert "seed 7" in file


@pytest.mark.parametrize(
    ("data", "sign", "text"),
    [
        (curve(1.0, 3.0), "<=", "measured falls as 1/t; the bound stays a factor of 3 above"),
        (curve(0.5, 3.0), "<=", "measured is above the bound from t = 10, by a factor of up to 33.3"),
        (curve(1.0, 1.0), "<=", "measured falls as 1/t; the bound is attained"),
        (curve(1.0, 0.5), ">=", "measured falls as 1/t; the bound stays a factor of 2 below"),
        (curve(1.0, 1.0), "=", "measured and claimed agree exactly"),
        ({"t": [1, 2], "measured": [None, None], "bound": [1.0, 1.0]}, "<=", "nothing measured"),
        ({"t": [1, 2], "measured": [0.0, 0.0], "bound": [1.0, 1.0]}, "<=", "measured is 0; the bound stays above"),
        ({"t": [0], "measured": [0.5], "bound": [1.0]}, "<=", "measured is 0.5; the bound stays a factor of 2 above"),
    ],
)
def test_the_title_says_the_finding(data, sign, text):
    assert plots.finding(data, sign) == text


def test_odd_curves_are_drawn_without_warnings():
    """One point, zeros, negative figures, gaps, infinite bounds: nothing raises (warnings are errors here)."""
    for measured, bound in [
        ([0.0], [1.0]),
        ([-1.0, 0.5], [0.0, 2.0]),
        ([math.nan, 1.0], [math.inf, 1.0]),
        ([0.0, 0.0], [0.0, 0.0]),
        ([1e-300, 1e300], [1.0, 1.0]),
    ]:
        data = {"t": list(range(len(measured))), "measured": measured, "bound": bound, "label": "x"}
        ax = plots.plot_curve(plain(data))
        ax.figure.canvas.draw()


def test_bands_are_drawn_down_to_their_quantiles_and_rounding_stretches_no_axis():
    np = pytest.importorskip("numpy")
    times = np.array([0, 1, 10, 100])
    mean, low = np.array([5.0, 4.0, 2.0, 1.5]), np.array([5.0, 2.0, 0.3, 0.0])
    exact = np.array([5.0, 3e-15, 3e-15, 3e-15])  # solved after one step: what is left is rounding
    ax = plots.plot_bands({"drawn": (times, mean, low, 1.1 * mean), "planned": (times, exact, exact, exact)})
    bottom, top = ax.get_ylim()
    assert 0.05 < bottom <= 0.15 and top > 5.5
    drawn = ax.collections[0].get_paths()[0].vertices
    lower = {float(t): float(drawn[drawn[:, 0] == t, 1].min()) for t in times}
    assert lower == {0.0: 5.0, 1.0: 2.0, 10.0: 0.3, 100.0: bottom}  # a quantile of 0 leaves through the lower edge
    planned = ax.lines[1].get_ydata()
    assert planned[1] == bottom and np.isnan(planned[2:]).all()
    assert {text.get_text() for text in ax.texts} == {"drawn", "planned"}


def test_plot_run_draws_gap_and_bounds():
    np = pytest.importorskip("numpy")

    class Record:
        times = np.array([1, 10, 100, 1000])
        method = type("Method", (), {"name": "npg"})()

        def gap(self):
            return 1 / self.times

    ax = plots.plot_run(Record(), bounds={"npg-one-over-T": 3 / Record.times})
    assert {text.get_text() for text in ax.texts} == {"gap", "npg-one-over-T"}
    assert ax.get_title(loc="left") == "npg: gap falls from 1 to 0.001; npg-one-over-T stays a factor of 3 above"


def test_an_instance_is_laid_out_as_it_is_written():
    table = instance_table(counterexample("c", "f", "s")["instance"])
    assert (table.size, table.facts) == ("2 states, 2 actions", [("γ", "9/10"), ("η", "100")])
    assert table.columns == ["r", "→ 0", "→ 1", "π"]
    assert table.rows[0] == (0, 0, 2, ["1", "1/2", "1/2", "1/2"])
    assert table.rows[3] == (1, 1, 0, ["1/3", "1", "·", "1/2"])
    assert (table.state_columns, table.state_rows) == (["μ", "ρ"], [["1/2", "1"], ["1/2", "0"]])
    assert instance_table({"states": 64, "actions": 4, "discount": 0.9}).omitted
    assert table.extras == []


def test_further_arrays_stand_where_they_fit():
    """Costs as columns, values as a column for each state, features as text, long ones by their shape, numbers among the facts."""
    features = [[["1", "0", "1/2"], ["0", "1", "0"]], [["0", "0", "1"], ["1", "1", "1"]]]
    extras = {"costs": [["0", "1"], ["2", "3"]], "guess": ["1/7", "0"], "features": features, "long": [["1/3"] * 5] * 40, "level": "1/9"}
    table = instance_table(EXACT | {"extras": extras})
    assert "costs" in table.columns and [row[-1][table.columns.index("costs")] for row in table.rows] == ["0", "1", "2", "3"]
    assert "guess" in table.state_columns and [row[table.state_columns.index("guess")] for row in table.state_rows] == ["1/7", "0"]
    assert ("level", "1/9") in table.facts
    assert table.extras == [("features", "(((1, 0, 1/2), (0, 1, 0)), ((0, 0, 1), (1, 1, 1)))"), ("long", "40 × 5 numbers, in the file")]
    large = instance_table({"states": 64, "actions": 4, "discount": 0.9, "extras": {"features": features}})
    assert large.omitted and [key for key, _ in large.extras] == ["features"]


def test_an_instance_that_is_nothing_has_no_table():
    assert instance_table(None) is None


def test_the_command_repeats_the_runs_own_options():
    run = sample_run(command="pgtheory verify my_theorem.py other --bound 'log(A)/t' --set=eta=1 --budget quick --seed 7 --jobs 2")
    assert reproduce(run, "my-npg-bound") == "pgtheory verify my_theorem.py --bound 'log(A)/t' --set=eta=1 --budget quick --seed 7"
    assert reproduce(run, "other") == "pgtheory verify other --bound 'log(A)/t' --set=eta=1 --budget quick --seed 7"
    assert reproduce(sample_run(command="verify('x')"), "a") == "pgtheory verify a --budget quick --seed 7"


@pytest.mark.parametrize(
    ("value", "text"), [(0.4312, "0.431"), (2400, "2,400"), (3.1e-7, "3.1·10⁻⁷"), (1.0, "1"), ("1/3", "1/3"), (None, "–"), (12345.6, "12,346")]
)
def test_figures_read_well(value, text):
    assert figure(value) == text


def test_direction_of_a_statement():
    assert [direction(s) for s in ("a <= b", "a >= b", "a = b")] == ["<=", ">=", "="]


def test_files_appear_whole_or_not_at_all(tmp_path):
    path = write_whole(tmp_path / "deep" / "a.txt", "first")
    assert path.read_text() == "first"
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    assert path.read_text() == "first"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]
    with pytest.raises(ModelError, match="cannot write"):
        write_whole(path / "below.txt", "x")


def _model(rows, rewards):
    return {"transitions": rows, "rewards": rewards, "discount": "1/2"}


def test_a_small_model_is_drawn_with_its_numbers():
    drawn = diagram(_model([[["1/3", "2/3"], ["1", "0"]], [["0", "1"], ["0", "1"]]], [["1/7", "0"], ["-2", "0.123456789"]]))
    Page(drawn)
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert {"0", "1", "1/3", "2/3", "a: 1/7", "b: 0", "a: -2", "b: 0.123"} == set(shown)
    assert drawn.count("<polygon") == 5  # an arrow for each move that can happen
    centres = {tuple(map(float, found)) for found in re.findall(r'class="act" cx="([-\d.]+)" cy="([-\d.]+)"', drawn)}
    assert len(centres) == 4
    assert all(math.dist(a, b) > 20 for a in centres for b in centres if a != b)


@pytest.mark.parametrize(
    "model",
    [
        None,
        {},
        _model([[["1"], ["1"]]], [["0", "1"]]),
        _model([[["1/2", "1/2"]] * 3, [["1/2", "1/2"]] * 3], [["0"] * 3] * 2),
        _model([[[str(int(s == t)) for t in range(5)]] for s in range(5)], [["0"]] * 5),
    ],
    ids=["nothing", "no model", "one state", "too many chances", "five states"],
)
def test_what_cannot_be_read_is_not_drawn(model):
    assert diagram(model) is None


def _many(count=12):
    verdicts = [
        claim(f"claim-{k}", "certified", family=f"family {k % 3}", forms=[form(f"claim-{k}", "certified", tightness=10.0 ** -(k % 7), instances=9)])
        for k in range(count)
    ]
    return dataclasses.replace(sample_run(), verdicts=verdicts)


def test_a_long_index_can_be_narrowed_without_scripts(tmp_path):
    text = write_report(_many(), tmp_path).read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert {"by-verdict", "by-family", "by-source"} <= set(page.ids)
    for value in ("certified", "family 0", "family 1", "family 2"):
        assert f'<option value="{value}">' in text
        assert f'option[value="{value}"]:checked' in text
    assert text.count('<tr data-verdict="certified" data-family="family 1"') == 4


def test_the_whole_catalogue_is_one_picture(tmp_path):
    run = _many()
    text = write_report(run, tmp_path).read_text()
    drawn = re.search(r'<svg class="landscape".*?</svg>', text, re.DOTALL)[0]
    places = dict(re.findall(r'href="(claim-\d+)\.html"><circle class="certified" cx="([\d.]+)"', drawn))
    assert len(places) == len(run.verdicts)
    x = [float(places[f"claim-{k}"]) for k in range(7)]
    assert all(b < a for a, b in itertools.pairwise(x))  # smaller tightness further left
    steps = [a - b for a, b in itertools.pairwise(x[1:])]
    assert max(steps) - min(steps) < 0.2  # on a logarithmic axis
    assert "landscape" not in write_report(dataclasses.replace(run, verdicts=run.verdicts[:4]), tmp_path / "few").read_text().split("</style>")[1]

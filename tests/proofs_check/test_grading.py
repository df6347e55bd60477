"""Marking: right answers get all points, wrong ones a small counterexample with the likely reason, and bad manners do no harm."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from mdps.errors import ModelError
from proofs_check.cli import app
from proofs_check.grading import Limits, exercises, grade

HEAD = "import numpy as np\n"
EVALUATE = """
def evaluate(P, r, g, pi):
    chain = np.einsum("sa,sat->st", pi, P)
    return np.linalg.solve(np.eye(len(r)) - g * chain, (pi * r).sum(1))
"""
SOLVE = """
def solve(P, r, g):
    chosen = np.zeros(len(r), dtype=int)
    while True:
        rows = np.arange(len(r))
        v = np.linalg.solve(np.eye(len(r)) - g * P[rows, chosen], r[rows, chosen])
        q = r + g * P @ v
        better = q.argmax(1)
        change = q[rows, better] > q[rows, chosen] + 1e-9
        if not change.any():
            return chosen
        chosen = np.where(change, better, chosen)
"""
GRADIENT = """
def softmax(x):
    w = np.exp(x - x.max(1, keepdims=True))
    return w / w.sum(1, keepdims=True)

def parts(P, r, g, mu, pi):
    chain = np.einsum("sa,sat->st", pi, P)
    M = np.eye(len(r)) - g * chain
    v = np.linalg.solve(M, (pi * r).sum(1))
    return np.linalg.solve(M.T, mu), v, r + g * P @ v

def gradient(P, r, g, mu, logits):
    pi = softmax(logits)
    d, v, q = parts(P, r, g, mu, pi)
    return %s
"""
RIGHT_GRADIENT = "d[:, None] * pi * (q - v[:, None])"
RIGHT = {
    "policy-evaluation": EVALUATE,
    "bellman-operator": "def backup(P, r, g, v):\n    return (r + g * P @ v).max(1)\n",
    "value-iteration": """
def solve(P, r, g, tolerance):
    v, change = r.max(1), np.abs(r).max() / (1 - g) + 1
    while change * g > tolerance * (1 - g):
        new = (r + g * P @ v).max(1)
        v, change = new, np.abs(new - v).max()
    return v
""",
    "policy-iteration": SOLVE,
    "value-bounds": """
def bounds(P, r, g, v):
    new = (r + g * P @ v).max(1)
    gap = new - v
    return new + g / (1 - g) * gap.min(), new + g / (1 - g) * gap.max()
""",
    "occupancy": """
def occupancy(P, mu, g, pi):
    chain = np.einsum("sa,sat->st", pi, P)
    return (1 - g) * np.linalg.solve((np.eye(len(mu)) - g * chain).T, mu)[:, None] * pi
""",
    "softmax-gradient": GRADIENT % RIGHT_GRADIENT,
    "projection": """
def project(x):
    u = np.sort(x)[::-1]
    level = (np.cumsum(u) - 1) / np.arange(1, len(x) + 1)
    return np.maximum(x - level[np.flatnonzero(u > level)[-1]], 0)
""",
    "natural-step": """
def step(P, r, g, pi, eta):
    chain = np.einsum("sa,sat->st", pi, P)
    v = np.linalg.solve(np.eye(len(r)) - g * chain, (pi * r).sum(1))
    q = r + g * P @ v
    x = np.log(pi) + eta / (1 - g) * (q - v[:, None])
    w = np.exp(x - x.max(1, keepdims=True))
    return w / w.sum(1, keepdims=True)
""",
    "soft-values": """
def evaluate(P, r, g, pi, tau):
    chain = np.einsum("sa,sat->st", pi, P)
    return np.linalg.solve(np.eye(len(r)) - g * chain, (pi * (r - tau * np.log(pi))).sum(1))
""",
    "soft-optimum": """
def solve(P, r, g, tau):
    v = np.zeros(len(r))
    for _ in range(400):
        q = r + g * P @ v
        v = tau * np.logaddexp.reduce(q / tau, axis=1)
    w = np.exp((q - q.max(1, keepdims=True)) / tau)
    return w / w.sum(1, keepdims=True)
""",
    "counterexample": """
def counterexample():
    P = np.zeros((2, 2, 2))
    P[0, 0, 0] = P[0, 1, 1] = P[1, :, 1] = 1
    return P, np.array([[0.7, 0.0], [1.0, 0.0]]), 0.9, np.array([1.0, 0.0]), 1000.0, 1
""",
    "worst-model": """
def worst(p, v, radius):
    q, low = p.copy(), int(np.argmin(v))
    left = min(radius / 2, 1 - p[low])
    q[low] += left
    for k in np.argsort(-v, kind="stable"):
        if k != low:
            taken = min(left, q[k])
            q[k] -= taken
            left -= taken
    return q
""",
    "cvar": """
def cvar(p, x, level):
    order = np.argsort(x)
    total, left = 0.0, level
    for k in order:
        taken = min(p[k], left)
        total, left = total + taken * x[k], left - taken
    return total / level
""",
    "budget": """
def mixture(r, c, budget):
    best, answer = -1.0, None
    for i in range(len(r)):
        for j in range(len(r)):
            for share in {0.0, 1.0, (budget - c[j]) / (c[i] - c[j]) if c[i] != c[j] else 0.0}:
                if 0 <= share <= 1 and share * c[i] + (1 - share) * c[j] <= budget + 1e-9:
                    if share * r[i] + (1 - share) * r[j] > best:
                        best = share * r[i] + (1 - share) * r[j]
                        answer = np.zeros(len(r))
                        answer[i] += share
                        answer[j] += 1 - share
    return answer
""",
}


@pytest.fixture
def marked(tmp_path):
    def run(name, source, **limits):
        path = tmp_path / "submission.py"
        path.write_text(HEAD + source)
        return grade(name, path, Limits(**limits) if limits else None)

    return run


def test_every_exercise_has_a_right_answer_here():
    assert set(RIGHT) == set(exercises())


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_a_right_answer_gets_all_points(name, marked):
    result = marked(name, RIGHT[name])
    assert [check.message for check in result.checks] == [""] * len(result.checks)
    assert result.points == result.total == exercises()[name].points > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RIGHT))
def test_the_starter_loads_and_gets_no_points(name, marked):
    result = marked(name, exercises()[name].starter)
    assert {check.status for check in result.checks} == {"wrong"}
    assert result.points == 0


@pytest.mark.parametrize(
    ("name", "wrong", "reason"),
    [
        ("softmax-gradient", GRADIENT % "(1 - g) * d[:, None] * pi * (q - v[:, None])", "1 / (1 - discount) is missing"),
        ("softmax-gradient", GRADIENT % "d[:, None] * pi * q", "action values stand where advantages belong"),
        ("softmax-gradient", GRADIENT % "mu[:, None] * pi * (q - v[:, None])", "only the first state is counted"),
        ("softmax-gradient", GRADIENT % ("-" + RIGHT_GRADIENT), "the sign is flipped"),
        ("bellman-operator", "def backup(P, r, g, v):\n    return (r + P @ v).max(1)\n", "the future is not discounted"),
        ("projection", "def project(x):\n    y = np.maximum(x, 0)\n    return y / max(y.sum(), 1e-12)\n", "cut off"),
        (
            "cvar",
            "def cvar(p, x, level):\n    o = np.argsort(x)\n    return x[o][np.searchsorted(p[o].cumsum(), level - 1e-12)]\n",
            "quantile itself",
        ),
        ("natural-step", RIGHT["natural-step"].replace("eta / (1 - g)", "eta"), "1 / (1 - discount) is missing"),
        ("value-iteration", RIGHT["value-iteration"].replace("change * g > tolerance * (1 - g)", "change > tolerance"), "a small change"),
    ],
)
def test_a_known_mistake_is_named_on_a_small_instance(name, wrong, reason, marked):
    (check,) = marked(name, wrong).checks
    assert (check.status, check.points) == ("wrong", 0)
    assert reason in check.message
    assert 0 < len(check.counterexample) <= 9  # two states and two actions, at the most, with the further arguments


def test_the_same_file_gets_the_same_answer(marked):
    first, second = (marked("softmax-gradient", GRADIENT % "pi * q") for _ in range(2))
    assert first.checks == second.checks


HOSTILE = {
    "an endless loop": ("def backup(P, r, g, v):\n    while True:\n        pass\n", "timeout", "more than 0.5 s"),
    "an endless loop on loading": ("while True:\n    pass\n", "timeout", "more than 1 s"),
    "an exception": ("def backup(P, r, g, v):\n    return v[99]\n", "error", "IndexError: index 99 is out of bounds"),
    "exit": ("def backup(P, r, g, v):\n    raise SystemExit(0)\n", "error", "SystemExit"),
    "endless recursion": ("def backup(P, r, g, v):\n    return backup(P, r, g, v)\n", "error", "RecursionError"),
    "memory": ("def backup(P, r, g, v):\n    return np.ones(10**11).sum() * v\n", "error", "MemoryError"),
    "a forbidden module": ("import subprocess\ndef backup(P, r, g, v):\n    return v\n", "error", "line 2: import of 'subprocess'"),
    "a forbidden module later": ("def backup(P, r, g, v):\n    return __import__('os').getcwd()\n", "error", "import of 'os'"),
    "this library": ("import pgtheory\ndef backup(P, r, g, v):\n    return v\n", "error", "import of 'pgtheory'"),
    "a file": ("def backup(P, r, g, v):\n    open('x', 'w')\n    return v\n", "error", "open() is not available"),
    "a syntax error": ("def backup(P, r, g, v)\n    return v\n", "error", "SyntaxError: expected ':' (line 2)"),
    "no function": ("def back_up(P, r, g, v):\n    return v\n", "missing", "no function 'backup'"),
    "text": ("def backup(P, r, g, v):\n    return 'yes'\n", "error", "ValueError"),
    "nothing": ("def backup(P, r, g, v):\n    pass\n", "error", "the function returned nothing"),
    "the wrong shape": ("def backup(P, r, g, v):\n    return np.zeros((3, 3))\n", "wrong", "the answer has shape (3, 3); (1,) was asked for"),
    "not a number": ("def backup(P, r, g, v):\n    return v * np.nan\n", "wrong", "must be finite"),
    "a giant": ("def backup(P, r, g, v):\n    return np.zeros(10**6)\n", "error", "the answer has 1000000 entries"),
}


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_bad_manners_cost_points_and_nothing_else(what, marked):
    source, status, message = HOSTILE[what]
    begun = time.monotonic()
    (check,) = marked("bellman-operator", source, call=0.5, start=1.0 if "loading" in what else 10.0).checks
    assert (check.status, check.points) == (status, 0)
    assert message in check.message
    assert time.monotonic() - begun < 60  # ended by its own clock, not by ours


def test_a_flood_of_output_is_cut(marked):
    result = marked("bellman-operator", "def backup(P, r, g, v):\n    print('x' * 10**7)\n    return (r + g * P @ v).max(1)\n")
    assert result.points == result.total
    assert result.printed == "x" * 400


def test_an_answer_that_changes_from_call_to_call_is_wrong(marked):
    source = "import itertools\nC = itertools.count()\ndef backup(P, r, g, v):\n    return (r + g * P @ v).max(1) + (next(C) % 2)\n"
    (check,) = marked("bellman-operator", source).checks
    assert check.points == 0
    assert check.status == "wrong"


def test_bad_calls(tmp_path):
    path = tmp_path / "submission.py"
    path.write_text("")
    with pytest.raises(ModelError, match=r"no exercise 'policy-iteratoin'.*policy-iteration"):
        grade("policy-iteratoin", path)
    with pytest.raises(ModelError, match=r"none\.py is no file"):
        grade("cvar", tmp_path / "none.py")
    with pytest.raises(ModelError, match="the limit call is 0"):
        Limits(call=0)


def test_the_command_line(tmp_path):
    run = CliRunner().invoke
    listed = run(app, ["grade", "--list"])
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in exercises())
    starter = run(app, ["grade", "cvar", "--starter"]).stdout
    assert starter == exercises()["cvar"].starter
    path = tmp_path / "mine.py"
    path.write_text(HEAD + RIGHT["cvar"])
    done = run(app, ["grade", "cvar", str(path), "--json"])
    assert done.exit_code == 0
    data = json.loads(done.stdout)
    assert (data["schema"], data["points"], data["total"]) == ("pgtheory-grade-1", 4, 4)
    assert np.isclose(sum(check["of"] for check in data["checks"]), 4)
    path.write_text(starter)
    shown = run(app, ["grade", "cvar", str(path)])
    assert shown.exit_code == 1
    assert "0 of 4 points for cvar" in shown.stdout

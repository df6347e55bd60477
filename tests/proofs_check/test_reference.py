"""Reference values: the committed files are what the library computes, and satisfy their definitions in plain fractions."""

from __future__ import annotations

import json
import pathlib
from fractions import Fraction

import numpy as np
import pytest

from mdps import ModelError, zoo
from proofs_check import reference
from proofs_check.reference import files

NAMES = reference.names()
SOLVED_BY_FLOATS_FIRST = ("contamination:1/10", "l1:1/5")


@pytest.fixture(params=NAMES)
def case(request):
    return reference.load(request.param)


def _without_robust_policies(data):
    """Of equally good robust actions the solver keeps the one that floats found first; `test_robust_values` checks the policies themselves."""
    robust = {text: {key: value for key, value in found.items() if key != "policy"} for text, found in data["robust"].items()}
    assert set(robust) == set(SOLVED_BY_FLOATS_FIRST)
    return data | {"robust": robust}


def test_the_files_are_what_the_library_computes(case):
    """`pgtheory reference --rebuild` writes them again."""
    assert _without_robust_policies(case.data) == _without_robust_policies(json.loads(json.dumps(reference.compute(case.name))))


def test_every_model_has_a_file_and_no_file_is_left_over():
    paths = [reference.path(name) for name in NAMES]
    assert len(set(paths)) == len(NAMES) >= 20
    assert set(paths) == set(paths[0].parent.glob("*.json"))
    assert all(files.written(json.loads(path.read_text())) == path.read_text() for path in paths)


def test_the_model_is_the_zoos(case):
    theirs, ours = case.mdp().exact, zoo.load(case.name).exact
    assert (theirs.transitions == ours.transitions).all()
    assert (theirs.rewards == ours.rewards).all()
    assert (theirs.start == ours.start).all()
    assert theirs.discount == ours.discount
    assert case.mdp().name == case.name


def _model(case):
    """(P (S, A, S'), r (S, A), gamma, start, pairs that exist), as fractions."""
    return (*(case.exact(key) for key in ("transitions", "rewards", "discount", "start")), np.array(case.data["exists"]))


def _greedy(worth, exists):
    return np.array([max(worth[s, a] for a in np.flatnonzero(exists[s])) for s in range(len(worth))], dtype=object)


@pytest.mark.exact
def test_optimal_values(case):
    P, r, gamma, start, exists = _model(case)
    values = case.exact("optimal", "values")
    action_values = r + gamma * P.dot(values)
    assert (case.exact("optimal", "action_values")[exists] == action_values[exists]).all()
    assert (_greedy(action_values, exists) == values).all()
    best = [[a for a in np.flatnonzero(exists[s]) if action_values[s, a] == values[s]] for s in range(len(values))]
    assert case.data["optimal"]["all_actions"] == best
    assert case.data["optimal"]["policy"] == [actions[0] for actions in best]
    assert case.exact("optimal", "value") == start.dot(values)
    closed = zoo.optimum(case.name)
    assert closed is None or [str(x) for x in closed] == case.data["optimal"]["values"]


@pytest.mark.exact
def test_the_uniform_policy(case):
    """The defining equations: V = r_pi + gamma P_pi V, d = (1 - gamma) rho + gamma d P_pi, and the gradient theorem."""
    P, r, gamma, start, exists = _model(case)
    policy, values, action_values = (case.exact("uniform", key) for key in ("policy", "values", "action_values"))
    assert (policy == exists * np.array([[Fraction(1, int(row.sum()))] for row in exists], dtype=object)).all()
    assert (action_values[exists] == (r + gamma * P.dot(values))[exists]).all()
    assert ((policy * action_values).sum(axis=1) == values).all()
    advantages, occupancy = case.exact("uniform", "advantages"), case.exact("uniform", "occupancy")
    assert (advantages[exists] == (action_values - values[:, None])[exists]).all()
    visits = occupancy.sum(axis=1)
    assert (visits == (1 - gamma) * start + gamma * np.einsum("sa,sat->t", occupancy, P)).all()
    assert (occupancy == visits[:, None] * policy).all()
    assert case.exact("uniform", "value") == start.dot(values)
    assert (case.exact("uniform", "softmax_gradient") == occupancy * advantages / (1 - gamma)).all()
    assert (case.exact("uniform", "direct_gradient") == visits[:, None] * action_values / (1 - gamma)).all()


@pytest.mark.parametrize("name", ["chain(3)", "machine_replacement", "two_state"])
def test_the_gradient_is_a_difference_quotient(name):
    """Independent of the gradient theorem: the central difference of E_rho V in every logit, by solving the moved policy."""
    case = reference.load(name)
    P, r, start, gamma = (case.floats(key) for key in ("transitions", "rewards", "start", "discount"))
    step = 1e-5  # error ~ step^2 |third derivative| / 6 + cond eps |V| / step: below 1e-6 of the largest entry on these models

    def value(logits):
        weights = np.exp(logits)
        policy = weights / weights.sum(axis=1, keepdims=True)
        chain = np.einsum("sa,sat->st", policy, P)
        return start @ np.linalg.solve(np.eye(len(P)) - gamma * chain, (policy * r).sum(axis=1))

    expected = case.floats("uniform", "softmax_gradient")
    quotients = np.empty(expected.shape)
    for s, a in np.ndindex(*expected.shape):
        moved = np.zeros(expected.shape)
        moved[s, a] = step
        quotients[s, a] = (value(moved) - value(-moved)) / (2 * step)
    assert np.abs(quotients - expected).max() <= 1e-6 * np.abs(expected).max()


def _worst_l1(row, values, budget):
    """min q . v with |q - p|_1 <= budget: half of it moves from the best states to the worst one."""
    q, left = list(row), budget / 2
    worst = min(range(len(values)), key=values.__getitem__)
    for state in sorted(range(len(values)), key=values.__getitem__, reverse=True):
        if state != worst:
            moved = min(left, q[state])
            q[state], q[worst], left = q[state] - moved, q[worst] + moved, left - moved
    return sum(x * v for x, v in zip(q, values))


def _contaminated(row, values, share):
    return (1 - share) * sum(x * v for x, v in zip(row, values)) + share * min(values)


@pytest.mark.exact
@pytest.mark.parametrize(("text", "worst", "size"), [("l1:1/5", _worst_l1, Fraction(1, 5)), ("contamination:1/10", _contaminated, Fraction(1, 10))])
def test_robust_values(case, text, worst, size):
    """The fixed point of the robust Bellman operator, and a policy that attains it."""
    P, r, gamma, start, exists = _model(case)
    values, policy = case.exact("robust", text, "values"), case.exact("robust", text, "policy")
    worth = np.array([[r[s, a] + gamma * worst(P[s, a], list(values), size) for a in range(r.shape[1])] for s in range(len(r))], dtype=object)
    assert (_greedy(worth, exists) == values).all()
    assert ((policy * worth).sum(axis=1) == values).all()
    assert (policy[~exists] == 0).all()
    assert (policy.sum(axis=1) == 1).all()
    assert case.exact("robust", text, "value") == start.dot(values)


def _cvar(row, values, level):
    """The mean of the worst fraction `level`."""
    left, total = level, Fraction(0)
    for state in sorted(range(len(values)), key=values.__getitem__):
        taken = min(left, row[state])
        total, left = total + taken * values[state], left - taken
    return total / level


@pytest.mark.exact
def test_nested_cvar(case):
    P, r, gamma, start, exists = _model(case)
    values = case.exact("nested", "cvar:1/2", "values")
    worth = np.array(
        [[r[s, a] + gamma * _cvar(P[s, a], list(values), Fraction(1, 2)) for a in range(r.shape[1])] for s in range(len(r))], dtype=object
    )
    assert (_greedy(worth, exists) == values).all()
    assert [worth[s, a] for s, a in enumerate(case.data["nested"]["cvar:1/2"]["policy"])] == list(values)
    assert case.exact("nested", "cvar:1/2", "value") == start.dot(values)


@pytest.mark.exact
def test_static_cvar_where_it_is_closed():
    """gamble_on_luck: 3/2 by the table of risk instances (K9); an arm's reward is certain, so the best of 1, 1/2, 0 is 1."""
    assert reference.load("gamble_on_luck").exact("static", "cvar:1/2", "value") == Fraction(3, 2)
    assert reference.load("arms([1, 1/2, 0])").exact("static", "cvar:1/2", "value") == 1
    with pytest.raises(ModelError, match="no figure"):
        reference.load("chain(3)").exact("static", "cvar:1/2", "value")


def test_reading():
    case = reference.load("two_state(ragged=True)")
    assert case.floats("transitions").shape == (2, 2, 2)
    assert case.floats("transitions").dtype == np.float64
    assert case.exact("discount") == Fraction(19, 20)
    assert case.floats("discount") == 0.95
    assert isinstance(case.exact("uniform", "values")[0], Fraction)
    with pytest.raises(ModelError, match="two_state"):
        reference.load("two_states")
    for keys in ((), ("optimal",), ("model",), ("optimal", "nothing"), ("discount", "x")):
        with pytest.raises(ModelError):
            case.exact(*keys)
    with pytest.raises(ModelError, match="different lengths"):
        reference.Reference("two lengths", {"actions": [[0, 1], [0]]}).exact("actions")


def test_any_model_by_its_object():
    figures = reference.compute(zoo.chain(1, "1/2"))
    assert figures["discount"] == "1/2"
    assert figures["optimal"]["values"] == [str(x) for x in zoo.optimum("chain(1, 1/2)")]
    with pytest.raises(ModelError, match="up to 64"):
        reference.compute("taxi")


def test_command(tmp_path, capsys):
    from proofs_check.cli import app

    def run(*words):
        with pytest.raises(SystemExit) as end:
            app(list(words))
        return end.value.code, capsys.readouterr().out

    status, text = run("reference")
    assert status == 0
    assert all(name in text for name in NAMES)
    status, text = run("reference", "chain(3)", "--json", "--out", str(tmp_path / "chain.json"))
    assert status == 0
    assert text == reference.path("chain(3)").read_text() == (tmp_path / "chain.json").read_text()
    status, text = run("reference", "chain(2)")
    assert status == 0
    assert "V uniform" in text
    assert run("reference", "chainn")[0] == 2
    assert run("reference", "--out", str(tmp_path / "x.json"))[0] == 2
    status, text = run("reference", "--json")
    assert {pathlib.Path(entry["file"]).name for entry in json.loads(text)} == {reference.path(name).name for name in NAMES}

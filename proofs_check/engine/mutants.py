"""Systematic false candidates of a statement: what a slip of the pen would have made of it.

Every change is made at one *position* of the expression tree, never at every place that holds the same value: halving the number -1 would turn
1/t into 1/sqrt(t) and 1 - gamma into 1 - gamma/2 at once.  `1 - gamma` is one node, a number in an exponent is no constant.  Where the same
node is found in several places, one more mutant changes all of them, the conditions included.

    in the bound      exponents off by one, factors dropped or squared, terms dropped, halved, doubled or with the other sign, constants halved
                      and doubled, 1 - gamma or its reciprocal added, gamma and 1 - gamma swapped, S and A swapped, max and min swapped, a
                      quantity replaced by its twin (rho and mu, the run so far and now, the visits of the other policy)
    around it         direction flipped, step size and temperature doubled, rules and ranges of settings changed, conditions and assumptions dropped
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import sympy

from proofs_check.claim import Case
from proofs_check.domains import Between, Domain, is_free
from proofs_check.expression import text
from proofs_check.quantities import parse, quantities, quantity
from proofs_check.statement import Statement

Path = tuple[int, ...]
GAMMA, STATES, ACTIONS = (sympy.Symbol(name) for name in ("gamma", "S", "A"))
COMPLEMENT = 1 - GAMMA
TWINS = {
    "gap_rho": "gap_mu", "gap_mu": "gap_rho", "gap_mu_0": "gap_mu", "gap_sup_0": "gap_sup", "gap_sup": "gap_mu",
    "mismatch": "rho_over_mu", "rho_over_mu": "mismatch", "inverse_mu": "mismatch", "largest_mismatch": "mismatch",
    "mismatch_rho_policy": "rho_over_mu", "c_inf": "min_optimal_probability", "min_optimal_probability": "c_inf",
    "advantage_under_other_visits": "advantage_under_own_visits", "policy_change_under_other_values": "advantage_under_own_visits",
    "direct_gradient": "direct_gradient_with_advantages", "softmax_gradient": "direct_gradient",
    "direct_derivative": "softmax_derivative", "softmax_derivative": "direct_derivative", "softmax_gradient_sums": "softmax_derivative",
    "bellman_values": "next_state_values", "next_state_values": "bellman_values", "state_values": "bellman_values",
    "soft_q_gap": "log_policy_gap", "log_policy_gap": "soft_q_gap", "next_action_values": "action_values",
}  # fmt: skip
"""The quantity that one could mistake another for: the other start distribution, the present for the whole run, the visits of the other policy."""
SEES_RHO = {"gap_rho", "value_increase_rho", "rho_over_mu", "mismatch_rho_policy", "log_normaliser"}
"""Quantities that depend on rho: without one of them a statement cannot tell whether rho is mu."""
FIELDS = {"step_size": "step size", "temperature": "temperature"}
LONG = 48
"""Characters of an expression that a name quotes."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A changed case with the change in words; `same_run` where it only judges the same runs by another statement."""

    name: str
    case: Case
    same_run: bool


@dataclasses.dataclass(frozen=True)
class Change:
    """What becomes of the node at one place of one tree ("bound", "measured", or the side of a condition)."""

    tree: str
    path: Path
    node: sympy.Expr
    words: str
    new: sympy.Expr
    around: sympy.Expr  # the term that the node stands in


def mutants(case: Case) -> list[Mutant]:
    """All mutants of a case, without those whose text is the original's or another one's; names are unique."""
    out: list[Mutant] = []
    known = {_content(case)}
    for name, changed, same_run in (*_of_statement(case), *_of_surroundings(case)):
        content = _content(changed)
        if content in known:
            continue
        known.add(content)
        taken = sum(other.name == name or other.name.startswith(f"{name} (place ") for other in out)
        name = name if not taken else f"{name} (place {taken + 1})"
        unproved: dict[str, Any] = {"symbolic": (), "boxes": (), "polynomial": (), "chain": (), "conjecture": False}
        control = dataclasses.replace(changed, name=f"{case.name}, {name}", kind="control", because="", **unproved)
        out.append(Mutant(name, control, same_run))
    return out


def _content(case: Case) -> tuple[Any, ...]:
    """What two mutants must differ in: compared as trees, for writing them as text takes a hundred times as long."""
    settings = tuple((name, rule if isinstance(rule, Between) else str(rule)) for name, rule in case.settings.items())
    return (
        case.statement,
        case.where,
        case.domain,
        case.process if case.process is None else repr(case.process),
        settings,
        case.trivial,
        case.horizon,
    )


# Changes of the statement


def _of_statement(case: Case) -> Iterator[tuple[str, Case, bool]]:
    trees = _trees(case)
    changes = [
        change for label, tree in trees.items() for change in _changes(label, tree) if label != "measured" or not isinstance(tree, sympy.Symbol)
    ]
    alone = [(change.tree, change.node, change.words) for change in changes]
    repeated = {(change.node, change.words) for change in changes if sum(c.node == change.node and c.words == change.words for c in changes) > 1}
    for change in changes:
        rebuilt = _replaced(trees[change.tree], {change.path: change.new})
        where = "" if change.tree == "bound" else f" in the {change.tree}"
        inside = f", in {_short(change.around)}" if alone.count((change.tree, change.node, change.words)) > 1 and not where else ""
        yield from _if_sound(f"{change.words}{inside}{where}", case, trees | {change.tree: rebuilt})
    for node, words in sorted(repeated, key=lambda pair: (str(pair[0]), pair[1])):
        rebuilt_all = dict(trees)
        for label, tree in trees.items():
            rebuilt_all[label] = _replaced(tree, {c.path: c.new for c in changes if c.tree == label and c.node == node and c.words == words})
        yield from _if_sound(f"{words}, everywhere", case, rebuilt_all)
    yield from _of_whole(case, trees)


def _of_whole(case: Case, trees: dict[str, sympy.Expr]) -> Iterator[tuple[str, Case, bool]]:
    bound = sympy.Integer(0) if trees["bound"] == sympy.Symbol("zero") else trees["bound"]
    if bound != 0 and not bound.is_Rational:
        for words, factor in (("bound halved", sympy.Rational(1, 2)), ("bound doubled", sympy.Integer(2))):
            yield from _if_sound(words, case, trees | {"bound": bound * factor})
    if bound != 0:
        for words, factor in (("factor 1-gamma added", COMPLEMENT), ("factor 1/(1-gamma) added", 1 / COMPLEMENT)):
            yield from _if_sound(words, case, trees | {"bound": bound * factor})
    if bound.has(STATES) and bound.has(ACTIONS):
        yield from _if_sound("S and A swapped", case, trees | {"bound": bound.subs({STATES: ACTIONS, ACTIONS: STATES}, simultaneous=True)})
    if isinstance(trees["measured"], sympy.Symbol) and trees["measured"].name in TWINS:
        twin = TWINS[trees["measured"].name]
        yield from _if_sound(f"{twin} measured, not {trees['measured']}", case, trees | {"measured": sympy.Symbol(twin)})
    if case.statement.relation != "=":
        turned = dataclasses.replace(case.statement, relation={"<=": ">=", ">=": "<="}[case.statement.relation])
        yield "direction flipped", dataclasses.replace(case, statement=turned, trivial=None), True


def _trees(case: Case) -> dict[str, sympy.Expr]:
    trees = {"measured": case.statement.left, "bound": case.statement.right}
    for k, (small, large) in enumerate(case.where):
        number = "" if len(case.where) == 1 else f" {k + 1}"
        trees |= {f"condition{number}'s left side": small, f"condition{number}'s right side": large}
    return trees


def _if_sound(name: str, case: Case, trees: dict[str, sympy.Expr]) -> Iterator[tuple[str, Case, bool]]:
    """The case with these trees, unless a tree became infinite or imaginary, the statement empty, or its quantities unfit for the case."""
    if any(tree.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I) for tree in trees.values()):
        return
    sides = list(trees.values())
    statement = Statement(sides[0], case.statement.relation, sides[1])
    if statement.left == statement.right or (statement.over == "pair" != case.statement.over and case.process is None):
        return
    where = tuple(zip(sides[2::2], sides[3::2], strict=True))
    yield name, dataclasses.replace(case, statement=statement, where=where), statement.over == case.statement.over


def _changes(label: str, tree: sympy.Expr) -> Iterator[Change]:
    """Every change of every node of a tree."""

    def walk(node: sympy.Expr, path: Path, parent: Any, around: sympy.Expr) -> Iterator[Change]:
        for words, new in _of_node(node, parent):
            if new != node:
                yield Change(label, path, node, words, new, around)
        if _is_leaf(node):
            return
        for k, child in enumerate(node.args):
            if not (isinstance(node, sympy.Pow) and k == 1):
                yield from walk(child, (*path, k), node, child if isinstance(node, sympy.Add) else around)

    yield from walk(tree, (), None, tree)


def _is_leaf(node: sympy.Expr) -> bool:
    return node.is_Atom or node == COMPLEMENT or node.is_number


def _of_node(node: sympy.Expr, parent: Any) -> Iterator[tuple[str, sympy.Expr]]:
    """(words, replacement) for one node."""
    one = sympy.Integer(1)
    a_factor = parent is None or isinstance(parent, sympy.Mul)
    if node == sympy.Symbol("zero"):
        return
    if node.is_Rational:
        if node != 0 and not (node == -1 and isinstance(parent, sympy.Mul)):  # a sign is no constant
            yield f"constant {node} halved", node / 2
            yield f"constant {node} doubled", node * 2
        return
    if isinstance(node, sympy.Pow) and node.exp.is_Rational:
        shown, size = (_named(node.base), node.exp) if node.exp > 0 else (f"1/{_named(node.base)}", -node.exp)
        step = one if size.is_Integer else sympy.Rational(1, 2)
        sign = 1 if node.exp > 0 else -1
        if node.base.is_number:
            yield f"factor {_short(node)} dropped", one
        else:
            yield f"exponent of {shown}: {size} -> {size + step}", node.base ** (sign * (size + step))
            if size != step:
                yield f"exponent of {shown}: {size} -> {size - step}", node.base ** (sign * (size - step))
            yield f"factor {_short(node)} dropped", one
    elif isinstance(node, sympy.Pow):
        for words, new in (("one more", node.exp + 1), ("one less", node.exp - 1), ("doubled", 2 * node.exp), ("halved", node.exp / 2)):
            yield f"exponent of {_named(node.base)} ({_short(node.exp)}): {words}", node.base**new
        if a_factor:
            yield f"factor {_short(node)} dropped", one
    elif node == COMPLEMENT or not isinstance(node, sympy.Mul | sympy.Add | sympy.Max | sympy.Min):
        if a_factor and _is_number(node):
            if parent is not None:
                yield f"factor {_named(node)} dropped", one
            yield f"exponent of {_named(node)}: 1 -> 2", node**2
    elif isinstance(node, sympy.Add):
        for term in node.args:
            rest = node - term
            if rest != 0:
                yield f"term {_short(term)} dropped", rest
            if len(node.args) > 1:
                yield f"sign of the term {_short(term)} flipped", rest - term
            if term.as_coeff_Mul()[0] in (1, -1) and not term.is_number:  # else the constant is halved
                yield f"term {_short(term)} halved", rest + term / 2
                yield f"term {_short(term)} doubled", rest + 2 * term
    yield from _swaps(node)


def _swaps(node: sympy.Expr) -> Iterator[tuple[str, sympy.Expr]]:
    if node == COMPLEMENT:
        yield "gamma for 1-gamma", GAMMA
    elif node == GAMMA:
        yield "1-gamma for gamma", COMPLEMENT
    elif node == STATES:
        yield "A for S", ACTIONS
    elif node == ACTIONS:
        yield "S for A", STATES
    elif isinstance(node, sympy.Max):
        yield "min for max", sympy.Min(*node.args)
    elif isinstance(node, sympy.Min):
        yield "max for min", sympy.Max(*node.args)
    elif isinstance(node, sympy.Symbol) and node.name in TWINS and TWINS[node.name] in quantities():
        yield f"{TWINS[node.name]} for {node.name}", sympy.Symbol(TWINS[node.name])


def _replaced(tree: sympy.Expr, new: dict[Path, sympy.Expr], path: Path = ()) -> sympy.Expr:
    if path in new:
        return new[path]
    if tree.is_Atom or not any(place[: len(path)] == path for place in new):
        return tree
    return tree.func(*(_replaced(child, new, (*path, k)) for k, child in enumerate(tree.args)))


def _is_number(node: sympy.Expr) -> bool:
    return all(quantity(symbol.name).entries == "number" for symbol in node.free_symbols)


def _named(node: sympy.Expr) -> str:
    if node == COMPLEMENT:
        return "(1-gamma)"
    shown = _short(node)
    return shown if node.is_Atom or node.is_Function else f"({shown})"


def _short(node: sympy.Expr) -> str:
    shown = text(node).replace("1 - gamma", "1-gamma")
    return shown if len(shown) <= LONG else shown[: LONG - 3] + "..."


# Changes around the statement


def _of_surroundings(case: Case) -> Iterator[tuple[str, Case, bool]]:
    if case.process is not None and dataclasses.is_dataclass(case.process):
        for field, words in FIELDS.items():
            value = getattr(case.process, field, None)
            if value is not None and not callable(value):
                yield f"{words} doubled", dataclasses.replace(case, process=dataclasses.replace(case.process, **{field: 2 * value})), False  # type: ignore[type-var]
    for name, rule in case.settings.items():
        if isinstance(rule, Between):
            if any(sympy.Symbol(name) in _ends(other) for other in case.settings.values()):
                continue  # another setting's range begins or ends at this one: doubled, it might leave none
            high = 2 * (parse(rule.high) if isinstance(rule.high, str) else rule.high)
            yield f"range of {name}: upper end doubled", _with_setting(case, name, Between(rule.low, high)), False
        elif not is_free(rule):
            written = parse(rule) if isinstance(rule, str) else sympy.sympify(rule)
            for change in _changes("bound", written):
                tree = _replaced(written, {change.path: change.new})
                if not tree.has(sympy.zoo, sympy.nan):
                    yield f"rule of {name}: {change.words}", _with_setting(case, name, tree), False
    for k, (small, large) in enumerate(case.where):
        rest = case.where[:k] + case.where[k + 1 :]
        yield f"condition {_short(small)} < {_short(large)} dropped", dataclasses.replace(case, where=rest), True
    names = case.statement.names() | {symbol.name for pair in case.where for side in pair for symbol in side.free_symbols}
    for name, domain in weaker_domains(case.domain, case.process):
        if name == "rho = mu" and not names & SEES_RHO:
            continue
        yield f"assumption dropped: {name}", dataclasses.replace(case, domain=domain), False


def _ends(rule: Any) -> set[sympy.Symbol]:
    """Symbols in the ends of a range."""
    if not isinstance(rule, Between):
        return set()
    return {symbol for end in (rule.low, rule.high) for symbol in (parse(end) if isinstance(end, str) else sympy.sympify(end)).free_symbols}


def _with_setting(case: Case, name: str, rule: Any) -> Case:
    return dataclasses.replace(case, settings=case.settings | {name: rule})


def weaker_domains(domain: Domain, process: Any = None) -> Iterator[tuple[str, Domain]]:
    """The domain with one assumption fewer.  A softmax policy is interior by construction, so that cannot be dropped for a method on logits."""
    if domain.bandit:
        yield "bandit", domain.replace(bandit=False, max_states=3, max_actions=3)
    if domain.rewards is not None:
        yield f"rewards in [{domain.rewards[0]}, {domain.rewards[1]}]", domain.replace(rewards=None)
    if domain.mu == "positive" and not domain.bandit:
        yield "full support of mu", domain.replace(mu="any")
    if domain.rho == "mu" and not domain.bandit:
        yield "rho = mu", domain.replace(rho="any")
    on_logits = getattr(process, "parameters", "policy") == "logits"
    if domain.policy == "uniform":
        yield "uniform start", domain.replace(policy="interior")
    elif domain.policy == "interior" and not on_logits:
        yield "interior policy", domain.replace(policy="any")
    elif domain.policy == "deterministic":
        yield "deterministic start", domain.replace(policy="any")

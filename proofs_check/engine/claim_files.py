"""Files with claims: what they define, and what is wrong in them, with file and line.

A mistake while the file runs has the line on which Python was.  A claim that can be written down but cannot be judged is refused as it is read, at
the line of the argument that is to blame:

    a setting that the method or the statement needs and `settings` does not give;  a class in place of a method
    a step size that is not above 0, a temperature below 0: the theorem is about no such run
    a bound that is the measured quantity itself, or a multiple of it: gap <= 2 gap says nothing about a method
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib.util
import inspect
import pathlib
import re
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import sympy

from mdps.errors import ModelError, nearest
from mdps.rational import fraction
from proofs_check import expression
from proofs_check.claim import Case, Claim
from proofs_check.domains import Between
from proofs_check.engine.measure import ROLES, needed
from proofs_check.quantities import parse
from proofs_check.quantities.registry import is_setting
from proofs_check.statistics.claims import SampledClaim

PROBLEM = {"gamma": Fraction(1, 2), "S": Fraction(2), "A": Fraction(2)}
"""What rules of settings may speak of, with a value at which their sign is looked at."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong with a form of a claim, and in which of its arguments."""

    form: str
    argument: str  # "settings", "process" or "statement"
    text: str


def claims_of_file(path: pathlib.Path) -> list[Any]:
    """The claims that a Python file defines; raises ModelError where there is no such file, none in it, or one that cannot be judged."""
    if not path.exists():
        raise ModelError(f"no file {path}")
    name = f"claim_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path} cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        line = getattr(error, "lineno", None) or _line_in(error, path)
        raise ModelError(f"{path}{f', line {line}' if line else ''}: {_in_words(error, vars(module))}") from error
    found = [value for value in vars(module).values() if isinstance(value, Claim | SampledClaim)]
    if not found:
        raise ModelError(f"{path} defines no Claim; write `claim = Claim(id=..., ...)`")
    for claim in found:
        for fault in faults(claim):
            raise ModelError(f"{place(path, claim, fault)}: {fault.text}")
    return found


def checked(claim: Any) -> Any:
    """The claim; raises ModelError with its first fault."""
    for fault in faults(claim):
        raise ModelError(f"{claim.id} ({fault.form}): {fault.text}")
    return claim


def faults(claim: Any) -> Iterator[Fault]:
    """What keeps the forms of a claim from being judged; nothing for a claim about something sampled, which is checked as it is written."""
    for case in claim.cases() if isinstance(claim, Claim) else ():
        for argument, texts in (
            ("process", _no_method(case)),
            ("settings", _missing(case)),
            ("settings", _signs(case)),
            ("process", _own_signs(case)),
            ("statement", _itself(case)),
        ):
            yield from (Fault(case.name, argument, text) for text in texts)


def _no_method(case: Case) -> Iterator[str]:
    made = case.process
    if inspect.isclass(made) and hasattr(made, "run_arrays"):
        needs = ", ".join(f"{n}={'q.' + s if (s := _symbol(n)) else '...'}" for n in _parameters(made, needed_only=True))
        yield f"process={made.__name__} is the class; a method is {made.__name__}({needs})"


def _symbol(field: str) -> str:
    return {role: name for name, role in ROLES.items()}.get(field, "")


def _missing(case: Case) -> Iterator[str]:
    """Settings that are spoken of and not given."""
    spoken: dict[str, str] = {}
    for field, tree in _fields(case):
        spoken |= {symbol.name: f"the method's {field}" for symbol in getattr(tree, "free_symbols", ())}
    spoken |= {name: "the statement" for name in needed(case) if is_setting(name)}
    for name, where in spoken.items():
        if name not in case.settings and name not in PROBLEM and name not in dict(case.domain.extras):
            given = ", ".join(case.settings) or "none"
            close = difflib.get_close_matches(name, list(case.settings), n=1)
            hint = f". Is {close[0]} a misspelt {name}?" if close else f": settings={{q.{name}: ...}}"
            yield f"{where} speaks of {name}, and settings does not say what it is (it has {given}){hint}"


def _signs(case: Case) -> Iterator[str]:
    """Settings with a value that no theorem is about."""
    for name, rule in case.settings.items():
        if isinstance(rule, Between):
            low, high = _value(rule.low), _value(rule.high)
            if low is not None and high is not None and not 0 < low <= high:
                yield f"{name} lies between {rule.low} and {rule.high}: the ends must be above 0 and in order"
        elif name in ROLES:
            yield from (said for option in _options(rule) if (said := _refused(name, ROLES[name], option)))


def _own_signs(case: Case) -> Iterator[str]:
    """The same for what is written at the method."""
    for field, tree in _fields(case):
        said = _refused(field, field, tree)
        if said:
            yield said


def _fields(case: Case) -> list[tuple[str, Any]]:
    """The settings of one of our methods, by the names of its fields."""
    made = case.process
    return [] if inspect.isclass(made) or not hasattr(made, "run_arrays") else [(name, getattr(made, name)) for name in made.setting_names]


def _refused(name: str, role: str, rule: Any) -> str:
    """Why a value is refused as step size or temperature; nothing for what is in order, or has a sign that depends."""
    value = _value(rule)
    if value is None or value > 0 or role not in ROLES.values() or (value == 0 and role != "step_size"):
        return ""
    at = "" if str(value) == str(rule) else f", which is {value} at gamma = 1/2, S = A = 2"
    return f"{name} is {rule}{at}; a {role.replace('_', ' ')} must be {'above 0' if role == 'step_size' else '0 or above'}"


def _options(rule: Any) -> tuple[Any, ...]:
    return rule if isinstance(rule, tuple) else (rule,)


def _value(rule: Any) -> Fraction | None:
    """A rule's value at gamma = 1/2, S = A = 2; None where it depends on other settings, or is no rational there."""
    try:
        tree = parse(rule) if isinstance(rule, str) else rule if isinstance(rule, sympy.Basic) else None
        if tree is None:
            return Fraction(str(fraction(rule)))
        return Fraction(str(expression.evaluate(tree, dict(PROBLEM), Fraction)))
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        return None


def _itself(case: Case) -> Iterator[str]:
    """Whether both sides are the same, up to a factor."""
    left, right = case.statement.left, case.statement.right
    if case.kind != "statement" or not left.free_symbols or left.free_symbols != right.free_symbols:
        return
    factor = sympy.cancel(right / left)
    if factor.is_number:
        times = "" if factor == 1 else f", times {factor}"
        said = f"{case.statement.text()} says nothing about a method. A bound speaks of what is known before the run"
        yield f"the bound is the measured quantity itself{times}: {said}"


def place(path: pathlib.Path, claim: Any, fault: Fault | None = None) -> str:
    """'FILE, line N': the argument that is to blame, else the claim; the file alone where the claim is not written out in it."""
    made = _call(ast.walk(ast.parse(path.read_text(encoding="utf-8"))), "id", claim.id)
    if made is None:
        return str(path)
    inside = None if fault is None else _call(ast.walk(made), "name", fault.form)
    wanted = () if fault is None else (fault.argument, "process")  # settings that are not there are missed by the method
    for argument in wanted:
        for call in (inside, made):
            for keyword in call.keywords if call is not None else ():
                if keyword.arg == argument:
                    return f"{path}, line {keyword.value.lineno}"
    return f"{path}, line {made.lineno}"


def _call(nodes: Iterator[ast.AST], argument: str, value: str) -> ast.Call | None:
    """The call that has the text `value` as its first argument, or as the named one."""
    for node in nodes:
        if isinstance(node, ast.Call):
            given = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == argument)]
            if any(isinstance(one, ast.Constant) and one.value == value for one in given):
                return node
    return None


def _line_in(error: BaseException, path: pathlib.Path) -> int | None:
    import traceback

    here = path.resolve()
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if pathlib.Path(frame.filename).resolve() == here]
    return lines[-1] if lines else None


def _in_words(error: Exception, names: dict[str, Any]) -> str:
    """The error as a sentence: Python's own about arguments say what the class takes instead."""
    text = str(error)
    unexpected = re.fullmatch(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'(?:\. Did you mean .*)?", text)
    if isinstance(error, TypeError) and unexpected:
        made, word = unexpected.groups()
        known = _parameters(names.get(made))
        return f"{made} has no {word!r}.{nearest(word, known)}" + (f" It takes {', '.join(known)}" if known else "")
    missing = re.fullmatch(r"(\w+)(?:\.__init__)?\(\) missing \d+ required (?:positional|keyword-only) arguments?: (.*)", text)
    if isinstance(error, TypeError) and missing:
        made, word = missing.groups()
        hint = ": write step_size=q.eta, and what eta is in settings={q.eta: ...}" if word == "'step_size'" else ""
        return f"{made} needs {word.replace(chr(39), '')}{hint}"
    return text if isinstance(error, ModelError) else f"{type(error).__name__}: {text}"


def _parameters(made: Any, *, needed_only: bool = False) -> list[str]:
    """Names that a class or function takes."""
    if not callable(made):
        return []
    taken = inspect.signature(made).parameters.values()
    return [p.name for p in taken if not needed_only or p.default is inspect.Parameter.empty]

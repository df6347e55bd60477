"""The process in which a submission runs.  It is started as a script, reads calls from its standard input and writes answers to its old standard
output, one JSON text a line; what the submission prints goes nowhere but for its first lines, which are sent with an answer.

It imports nothing of this library: the answers are not here.
"""

from __future__ import annotations

import ast
import builtins
import io
import json
import os
import sys
import traceback
from typing import Any

ALLOWED = frozenset(
    "__future__ abc bisect cmath collections copy dataclasses decimal enum fractions functools heapq itertools math numbers numpy operator random "
    "scipy statistics string typing".split()
)
WITHHELD = ("open", "input", "exec", "eval", "compile", "breakpoint")
MOST_PRINTED = 400
LARGEST_ANSWER = 2**20


class Refused(Exception):
    """The submission does what no exercise needs."""


class _Printed(io.TextIOBase):
    """Keeps the first characters of what is printed and forgets the rest."""

    def __init__(self) -> None:
        self.kept = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if len(self.kept) < MOST_PRINTED:
            self.kept += text[: MOST_PRINTED - len(self.kept)]
        return len(text)


def check_imports(tree: ast.AST) -> None:
    """Refuses imports outside the list, naming the line."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "." * node.level]
        for name in names:
            if name.split(".")[0] not in ALLOWED:
                raise Refused(f"line {node.lineno}: import of {name!r}; an exercise may use {', '.join(sorted(ALLOWED))}")  # type: ignore[attr-defined]


def guarded_builtins() -> dict[str, Any]:
    """The builtins of a submission: no files, no code from text, and imports from the list only."""
    real = builtins.__import__

    def imported(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if name.split(".")[0] not in ALLOWED:
            raise Refused(f"import of {name!r}; an exercise may use {', '.join(sorted(ALLOWED))}")
        return real(name, globals, locals, fromlist, level)

    def withheld(name: str) -> Any:
        def refuse(*_: Any, **__: Any) -> Any:
            raise Refused(f"{name}() is not available to a submission")

        return refuse

    return {**vars(builtins), "__import__": imported, **{name: withheld(name) for name in WITHHELD}}


def limit(memory: int, seconds: int) -> None:
    """Bounds memory (bytes), processor time (seconds), files and processes, where the system can."""
    try:
        import resource
    except ImportError:  # no such limits on this system: the caller's clock remains
        return
    for name, most in (("RLIMIT_AS", memory), ("RLIMIT_CPU", seconds), ("RLIMIT_FSIZE", 0), ("RLIMIT_NPROC", 0), ("RLIMIT_CORE", 0)):
        if hasattr(resource, name):
            hard = resource.getrlimit(getattr(resource, name))[1]
            allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
            try:
                resource.setrlimit(getattr(resource, name), (allowed, allowed))
            except (OSError, ValueError):
                continue


def load(path: str) -> dict[str, Any]:
    """Runs the submission's file; returns its names."""
    with open(path, encoding="utf-8") as file:
        source = file.read()
    tree = ast.parse(source, path)
    check_imports(tree)
    names = {"__name__": "submission", "__file__": path, "__builtins__": guarded_builtins()}
    exec(compile(tree, path, "exec"), names)
    return names


def plain(value: Any) -> Any:
    """An answer as JSON: a number or array as {"array": ..}, a tuple of them as {"parts": [..]}."""
    import numpy as np

    if value is None:
        raise Refused("the function returned nothing")
    if isinstance(value, tuple):
        return {"parts": [plain(part) for part in value[:8]]}
    array = np.asarray(value, dtype=np.float64)
    if array.size * 8 > LARGEST_ANSWER:
        raise Refused(f"the answer has {array.size} entries")
    return {"array": array.tolist()}


def argument(value: Any) -> Any:
    """An argument as it was before JSON."""
    import numpy as np

    return np.array(value["array"], dtype=value["dtype"]) if isinstance(value, dict) else value


def place(path: str, error: BaseException) -> str:
    """'TypeError: ... (line 7)': the last line of the submission that took part."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines = [error.lineno]
    said = str(error.msg if isinstance(error, SyntaxError) else error)
    text = " ".join(f"{type(error).__name__}{': ' if said.strip() else ''}{said}".split())
    if isinstance(error, Refused):
        text = str(error)
    return f"{text[:400]}" + (f" (line {lines[-1]})" if lines and not isinstance(error, Refused) else "")


def main() -> None:
    path, memory, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    calls, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    printed = _Printed()
    sys.stdout = sys.stderr = printed  # type: ignore[assignment]
    import numpy as np
    import numpy.linalg

    limit(memory, seconds)
    np.seterr(all="ignore")

    def answer(data: dict[str, Any]) -> None:
        answers.write(json.dumps({**data, "printed": printed.kept}) + "\n")
        answers.flush()

    try:
        names = load(path)
    except BaseException as error:
        answer({"failed": place(path, error)})
        return
    answer({"functions": sorted(name for name, value in names.items() if callable(value) and not name.startswith("_"))})
    for line in calls:
        call = json.loads(line)
        try:
            value = plain(names[call["function"]](*(argument(x) for x in call["arguments"])))
        except BaseException as error:
            answer({"error": place(path, error)})
        else:
            answer({"value": value})


if __name__ == "__main__":
    main()

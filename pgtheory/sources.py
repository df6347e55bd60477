"""Which source files a piece of code depends on, and their digest: what machine code on disk and evidence in the store are keyed by.

The closure of a module is itself and every module of these packages that it imports, anywhere in its text, transitively.  A name imported from a
package (`from pgtheory.exact import solve`) leads to the module that the package's `_HOME` table or its own imports say it comes from, so that a
new method does not touch what the others depend on.

To read the imports of six hundred files takes seconds, to digest their bytes hundredths of one: what a text imports is kept on disk under the digest
of the text, beside the machine code.  A file that changed has another digest, so nothing that is kept can be stale.
"""

from __future__ import annotations

import ast
import atexit
import functools
import hashlib
import importlib.util
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

PACKAGES = ("mdps", "pgtheory", "proofs_check")
MOST_KEPT = 10_000
"""Texts whose imports are kept on disk; beyond that, those of this process only."""
SAVE_AFTER = 100
"""Texts read anew after which they are kept at once: a process that is killed loses fewer."""


def cache_base() -> pathlib.Path:
    """The folder for what can be made again: `$PGTHEORY_CACHE`, else the user's cache directory."""
    return pathlib.Path(
        os.environ.get("PGTHEORY_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pgtheory")
    )


@functools.cache
def compiler() -> str:
    """The versions that machine code depends on."""
    return " ".join([f"python {sys.version_info[0]}.{sys.version_info[1]}", *(f"{name} {version(name)}" for name in ("numba", "numpy"))])


@functools.cache
def judges() -> str:
    """The versions that a verdict depends on, and the stored certificates of proofs."""
    proofs = pathlib.Path(_folder_of("proofs_check") or "") / "engine" / "certificates.json"
    stored = hashlib.sha256(proofs.read_bytes()).hexdigest()[:16] if proofs.exists() else ""
    return " ".join([compiler(), *(f"{name} {version(name)}" for name in ("python-flint", "sympy", "scipy")), stored])


@functools.cache
def zoo_modules() -> tuple[str, ...]:
    """The modules of the named models."""
    import mdps

    return tuple(sorted(f"mdps.zoo.{path.stem}" for path in (pathlib.Path(mdps.__file__).parent / "zoo").glob("*.py") if path.stem != "__init__"))


@functools.cache
def _folder_of(package: str) -> str | None:
    spec = importlib.util.find_spec(package)
    return None if spec is None or spec.origin is None else os.path.dirname(spec.origin)


@functools.cache
def _file_of(module: str) -> str | None:
    """The file of a module of these packages, None where there is no such module; nothing is imported but the top package."""
    top, *rest = module.split(".")
    folder = _folder_of(top) if top in PACKAGES else None
    if folder is None:
        return None
    base = os.path.join(folder, *rest)
    for path in (os.path.join(base, "__init__.py"), f"{base}.py") if rest else (os.path.join(base, "__init__.py"),):
        if os.path.exists(path):
            return path
    return None


@functools.cache
def _text(module: str) -> bytes:
    path = _file_of(module)
    assert path is not None
    return pathlib.Path(path).read_bytes()


@functools.cache
def _digest(module: str) -> bytes:
    return hashlib.sha256(_text(module)).digest()


@functools.cache
def _said(module: str) -> list[list[Any]]:
    """What the module's text says about imports (`read_imports`), from disk where it is known."""
    known, key = _kept(), _digest(module).hex()
    if key not in known:
        known[key] = _NEW[key] = read_imports(_text(module).decode())
        if len(_NEW) % SAVE_AFTER == 0:
            _keep()
        elif len(_NEW) == 1:
            atexit.register(_keep)
    _USED.add(key)
    return known[key]


def read_imports(text: str) -> list[list[Any]]:
    """The import statements of a module, inside functions too, and its `_HOME` tables, outer ones first:
    ["import", [module, ...]], ["from", module, level, [[name, its name here], ...]] and ["home", {name: module}].

    raises  ValueError: a `_HOME` table that cannot be read without running it"""
    said: list[list[Any]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            said.append(["import", [name.name for name in node.names]])
        elif isinstance(node, ast.ImportFrom) and node.module:
            said.append(["from", node.module, node.level, [[name.name, name.asname or name.name] for name in node.names]])
        elif isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "_HOME" for target in node.targets):
            said.append(["home", _table(node.value)])
    return said


def _table(node: ast.expr) -> dict[str, str]:
    """A dictionary of literals, in which `**dict.fromkeys(names, module)` may stand."""
    match node:
        case ast.Dict(keys=keys, values=values):
            out: dict[str, str] = {}
            for key, value in zip(keys, values, strict=True):
                out |= _table(value) if key is None else {ast.literal_eval(key): ast.literal_eval(value)}
            return out
        case ast.Call(func=ast.Attribute(value=ast.Name(id="dict"), attr="fromkeys"), args=[names, module], keywords=[]):
            return dict.fromkeys(_names(names), ast.literal_eval(module))
    raise ValueError(f"line {node.lineno}: a _HOME table is a dictionary of literals, or of **dict.fromkeys(names, module)")


def _names(node: ast.expr) -> list[str]:
    """A tuple or list of literals, in which `*(...)` may stand."""
    if isinstance(node, ast.Tuple | ast.List):
        return [name for item in node.elts for name in (_names(item.value) if isinstance(item, ast.Starred) else [ast.literal_eval(item)])]
    return list(ast.literal_eval(node))


_NEW: dict[str, list[list[Any]]] = {}
_USED: set[str] = set()


def _shelf() -> pathlib.Path:
    return cache_base() / f"imports-1-python{sys.version_info[0]}.{sys.version_info[1]}.json"


@functools.cache
def _kept() -> dict[str, list[list[Any]]]:
    """Digest of a text -> its imports, as earlier processes left them; nothing where the file is missing or damaged."""
    try:
        known = json.loads(_shelf().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _keep() -> None:
    """Writes what is known to disk.  Of two processes that write at once one is lost, and read again by the next; a disk that cannot be written
    costs the time only."""
    known = _kept() if len(_kept()) <= MOST_KEPT else {key: _kept()[key] for key in _USED}
    temporary = None
    try:
        _shelf().parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=_shelf().parent, prefix=".imports.", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(known, file, separators=(",", ":"))
        os.replace(temporary, _shelf())
    except OSError:
        if temporary is not None:
            pathlib.Path(temporary).unlink(missing_ok=True)


@functools.cache
def _imports(module: str) -> frozenset[str]:
    """The modules that `module` names in its import statements."""
    found: set[str] = set()
    for kind, *what in _said(module):
        if kind == "import":
            found.update(what[0])
        elif kind == "from" and not what[1]:
            found.update(_home(what[0], name) for name, _ in what[2])
    return frozenset(name for name in found if _file_of(name) is not None)


@functools.cache
def _home(package: str, name: str) -> str:
    """The module that `from package import name` takes it from, as far as the package's text says."""
    if _file_of(f"{package}.{name}") is not None:
        return f"{package}.{name}"
    path = _file_of(package)
    if path is None or os.path.basename(path) != "__init__.py":
        return package
    for kind, *what in _said(package):
        if kind == "from" and any(here == name for _, here in what[2]):
            return _home(what[0], name)
        home = what[0].get(name) if kind == "home" else None
        if home is not None:
            return home if home.split(".")[0] in PACKAGES else f"{package}.{home}"
    return package


@functools.cache
def closure(modules: tuple[str, ...], without: tuple[str, ...] = ()) -> tuple[str, ...]:
    """`modules` and everything of these packages that they import, sorted.

    without   modules that are not entered when something imports them; "mdps.*" stands for a package with all that is in it"""
    seen: set[str] = set()
    waiting = [module for module in modules if _file_of(module) is not None]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(name for name in _imports(module) if not any(_matches(name, pattern) for pattern in without))
    return tuple(sorted(seen))


def _matches(module: str, pattern: str) -> bool:
    package = pattern.removesuffix(".*")
    return module == package or (package != pattern and module.startswith(package + "."))


@functools.cache
def digest_of(modules: tuple[str, ...], salt: str = "", without: tuple[str, ...] = ()) -> str:
    """Digest of the sources of the closure of `modules`, and of `salt`."""
    h = hashlib.sha256(salt.encode())
    for module in closure(modules, without):
        h.update(module.encode() + _digest(module))
    return h.hexdigest()[:16]


def digest_of_packages(packages: Iterable[str], salt: str = "") -> str:
    """Digest of every source file of whole packages."""
    h = hashlib.sha256(salt.encode())
    for package in packages:
        place = _folder_of(package)
        assert place is not None
        folder = pathlib.Path(place)
        for file in sorted(folder.rglob("*.py")):
            h.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return h.hexdigest()[:16]

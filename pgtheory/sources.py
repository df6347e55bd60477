"""Which source files a piece of code depends on, and their digest: what machine code on disk and evidence in the store are keyed by.

The closure of a module is itself and every module of these packages that it imports, anywhere in its text, transitively.  A name imported from a
package (`from pgtheory.exact import solve`) leads to the module that the package's `_HOME` table or its own imports say it comes from, so that a
new method does not touch what the others depend on.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import pathlib
import sys
from collections.abc import Iterable
from importlib.metadata import version

PACKAGES = ("mdps", "pgtheory", "proofs_check")


@functools.cache
def compiler() -> str:
    """The versions that machine code depends on."""
    return " ".join([f"python {sys.version_info[0]}.{sys.version_info[1]}", *(f"{name} {version(name)}" for name in ("numba", "numpy"))])


@functools.cache
def judges() -> str:
    """The versions that a verdict depends on, and the stored certificates of proofs."""
    base = importlib.util.find_spec("proofs_check")
    folder = pathlib.Path(base.origin).parent if base is not None and base.origin is not None else pathlib.Path()
    proofs = folder / "engine" / "certificates.json"
    stored = hashlib.sha256(proofs.read_bytes()).hexdigest()[:16] if proofs.exists() else ""
    return " ".join([compiler(), *(f"{name} {version(name)}" for name in ("python-flint", "sympy", "scipy")), stored])


@functools.cache
def zoo_modules() -> tuple[str, ...]:
    """The modules of the named models."""
    import mdps

    return tuple(sorted(f"mdps.zoo.{path.stem}" for path in (pathlib.Path(mdps.__file__).parent / "zoo").glob("*.py") if path.stem != "__init__"))


@functools.cache
def _file_of(module: str) -> pathlib.Path | None:
    """The file of a module of these packages, None where there is no such module; nothing is imported but the top package."""
    top, *rest = module.split(".")
    if top not in PACKAGES:
        return None
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        return None
    base = pathlib.Path(spec.origin).parent.joinpath(*rest)
    for path in (base / "__init__.py", base.with_suffix(".py")) if rest else (base / "__init__.py",):
        if path.exists():
            return path
    return None


@functools.cache
def _tree(module: str) -> ast.Module:
    path = _file_of(module)
    assert path is not None
    return ast.parse(path.read_text())


@functools.cache
def _imports(module: str) -> frozenset[str]:
    """The modules that `module` names in its import statements, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                found.add(_home(node.module, name.name))
    return frozenset(name for name in found if _file_of(name) is not None)


@functools.cache
def _home(package: str, name: str) -> str:
    """The module that `from package import name` takes it from, as far as the package's text says."""
    if _file_of(f"{package}.{name}") is not None:
        return f"{package}.{name}"
    path = _file_of(package)
    if path is None or path.name != "__init__.py":
        return package
    for node in ast.walk(_tree(package)):
        if isinstance(node, ast.ImportFrom) and node.module and any((alias.asname or alias.name) == name for alias in node.names):
            return _home(node.module, name)
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "_HOME" for target in node.targets):
            home = ast.literal_eval(node.value).get(name)
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
        path = _file_of(module)
        assert path is not None
        h.update(module.encode() + path.read_bytes())
    return h.hexdigest()[:16]


def digest_of_packages(packages: Iterable[str], salt: str = "") -> str:
    """Digest of every source file of whole packages."""
    h = hashlib.sha256(salt.encode())
    for package in packages:
        path = _file_of(package)
        assert path is not None
        for file in sorted(path.parent.rglob("*.py")):
            h.update(file.relative_to(path.parent).as_posix().encode() + file.read_bytes())
    return h.hexdigest()[:16]

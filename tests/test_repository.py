"""The repository itself: floors, lazy imports, names, annotations, what the wheel holds."""

from __future__ import annotations

import ast
import importlib
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import types
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FLOORS = ("mdps", "pgtheory", "proofs_check", "experiments")
PACKAGES = FLOORS[:3]
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _relative(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _run(*command: str, cwd: pathlib.Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def _loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `code`."""
    done = _run(sys.executable, "-c", f"{code}\nimport sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def remarks() -> dict[str, list[str]]:
    """What is wrong with the sources, by the name of the check: each of hundreds of files is parsed once for all of them."""
    found: dict[str, list[str]] = {"climbing": [], "eager": [], "bare": [], "silent": []}
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        found["silent"] += [] if ast.get_docstring(tree) else [_relative(path)]
        found["bare"] += _bare(path, tree)
        for node in ast.walk(tree):
            found["climbing"] += _climbing(path, node)
            found["eager"] += _eager(path, node)
    return found


# Floors


def test_no_file_imports_from_a_floor_above(remarks):
    """Imports inside functions and under TYPE_CHECKING count as well."""
    assert not remarks["climbing"]


def test_the_checks_of_the_sources_see_what_they_look_for():
    path = ROOT / "mdps" / "example.py"
    tree = ast.parse("import pgtheory.run\nfast = njit(['f8(f8)'])(slow)\ndef slow(x): return x\nfrom pgtheory import run\n")
    assert [len(_climbing(path, node)) for node in tree.body] == [1, 0, 0, 1]
    assert sum(len(_eager(path, node)) for node in ast.walk(tree)) == 1
    assert _bare(path, tree) == ["mdps/example.py:3 slow"] and not ast.get_docstring(tree)


def _climbing(path: pathlib.Path, node: ast.AST) -> list[str]:
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return []
    own = FLOORS.index(path.relative_to(ROOT).parts[0])
    above = {name.partition(".")[0] for name in _imported(node)} & {*FLOORS[own + 1 :], "tests"}
    return [f"{_relative(path)}:{node.lineno} imports {name}" for name in sorted(above)]


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_import_linter_contract_is_kept():
    linter = shutil.which("lint-imports", path=str(pathlib.Path(sys.executable).parent))
    if linter is None:
        pytest.importorskip("importlinter")
    done = _run(str(linter), "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


# Lazy imports

HEAVY = {"scipy", "sympy", "cvxpy", "matplotlib", "hypothesis", "gymnasium", "dask", "distributed", "jinja2", "IPython", "pandas", "jax", "torch"}


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_nothing_heavy(package):
    loaded = _loaded_by(f"import {package}")
    assert not loaded & (HEAVY | {"numba", "flint"})
    assert not loaded & (set(PACKAGES) - set(PACKAGES[: PACKAGES.index(package) + 1]))


def test_help_loads_neither_numbers_nor_symbols():
    """`pgtheory --help` is answered by typer alone: no numpy, nothing that compiles, in well under a second."""
    show = "import sys\nsys.argv = ['pgtheory', '--help']\nfrom proofs_check.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass"
    loaded = _loaded_by(show)
    assert not loaded & (HEAVY | {"numba", "flint", "numpy"})


def test_nothing_is_compiled_at_import(remarks):
    """No `@njit` with an explicit signature, which would compile when the module is imported."""
    assert not remarks["eager"]


def _eager(path: pathlib.Path, node: ast.AST) -> list[str]:
    if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in {"njit", "jit", "vectorize", "guvectorize"}:
        return [f"{_relative(path)}:{node.lineno}" for argument in node.args if isinstance(argument, ast.Constant | ast.List)]
    return []


# Names


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_that_is_imported_is_ours(package):
    """Generic top-level names could be overwritten by another distribution."""
    assert pathlib.Path(importlib.import_module(package).__file__).is_relative_to(ROOT)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_resolves(package):
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize("package", PACKAGES)
def test_a_submodule_never_hides_a_public_name(package):
    """Importing the submodule `run` sets `package.run`; whoever imports it first, the public name must still do its work."""
    submodules = {path.stem for path in (ROOT / package).glob("*.py")} | {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    names = sorted(set(importlib.import_module(package).__all__) & submodules)
    done = _run(sys.executable, "-c", IN_BOTH_ORDERS, package, *names)
    assert done.returncode == 0, done.stderr
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert set(found) == set(names)
    for name, orders in found.items():
        first, second = orders.split()
        assert first == second and first in ("True", "False"), f"{package}.{name}: the order of imports matters"


IN_BOTH_ORDERS = """
import importlib, os, sys
package, *names = sys.argv[1:]
if package != "mdps":
    import numba, scipy.linalg, sympy  # what the modules load takes seconds; each order has a process of its own, forked off here
module = importlib.import_module(package)

def asked(name, submodule_first):
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            if submodule_first:
                importlib.import_module(f"{package}.{name}")
            said = str(callable(getattr(module, name)))
        except BaseException as error:
            said = type(error).__name__
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    return os.read(reader, 100).decode()

for name in names:
    print(name, asked(name, False), asked(name, True))
"""
"""Whether each public name that is a submodule too can be called: asked for at once, and after its submodule was imported."""


def _public_functions(tree: ast.Module):
    """Public functions of the module, and public methods of its public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node, 0
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and (not inner.name.startswith("_") or inner.name == "__init__"):
                    static = any(getattr(d, "id", "") == "staticmethod" for d in inner.decorator_list)
                    yield inner, 0 if static else 1


def _decorators(node: ast.FunctionDef) -> set[str]:
    heads = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return {getattr(head, "attr", getattr(head, "id", "")) for head in heads}


COMPILED = {"kernel", "fast_kernel", "inlined", "lean", "numeric", "njit", "jit", "overload", "register_jitable", "intrinsic"}
"""Compiled code is untyped by nature: its types are those of the call."""


def test_public_functions_are_annotated(remarks):
    assert not remarks["bare"]


def _bare(path: pathlib.Path, tree: ast.Module) -> list[str]:
    if any(part.startswith("_") and part != "__init__.py" for part in path.relative_to(ROOT).parts):
        return []
    bare = []
    for node, skip in _public_functions(tree):
        if _decorators(node) & COMPILED:
            continue
        named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs][skip:]
        arguments = [*named, *filter(None, (node.args.vararg, node.args.kwarg))]
        if any(a.annotation is None for a in arguments) or (node.returns is None and node.name != "__init__"):
            bare.append(f"{_relative(path)}:{node.lineno} {node.name}")
    return bare


# Files


def test_every_module_states_its_theory(remarks):
    assert not remarks["silent"]


def test_nothing_is_left_unfinished():
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b|pytest\.skip\(|mark\.xfail")
    files = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))]
    texts = {path: path.read_text().splitlines() for path in files if path != pathlib.Path(__file__)}
    found = [f"{_relative(path)}:{number}" for path, lines in texts.items() for number, line in enumerate(lines, 1) if marks.search(line)]
    assert not found


def test_markers_in_use_are_declared():
    declared = {line.partition(":")[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    assert declared == {"browser", "catalogue", "slow", "exact", "statistical", "peer"}


def test_the_lock_file_fixes_every_dependency():
    lock = {}
    for line in (ROOT / "requirements-dev.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            lock[_canonical(name)] = version
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *(item for extra in ("gym", "docs", "dev") for item in project["optional-dependencies"][extra])]
    names = {_canonical(re.match(r"[\w.-]+", item).group()) for item in wanted} - {"pgtheory"}
    assert names <= set(lock)
    assert "pgtheory" not in lock


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_one_version_everywhere():
    version = PROJECT["project"]["version"]
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text()
    assert f'"{version}"' in (ROOT / "docs" / "conf.py").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The wheel, built offline from a copy of the checkout."""
    pytest.importorskip("hatchling")
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__", "runs", "_build")
    for entry in ("mdps", "pgtheory", "proofs_check", "tests", "docs", "experiments"):
        if (ROOT / entry).exists():
            shutil.copytree(ROOT / entry, copy / entry, ignore=ignore)
    for entry in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"):
        shutil.copy(ROOT / entry, copy / entry)
    done = _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out), cwd=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def wheel(built: pathlib.Path) -> list[str]:
    """The names in the wheel."""
    return zipfile.ZipFile(built).namelist()


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel):
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    """Templates, style sheets and JSON files are read at run time."""
    wanted = {_relative(path) for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert wanted <= set(wheel)


COMMANDS = (["claims"], ["grade", "--list"], ["grade", "policy-evaluation", "--starter"], ["reference", "chain(3)", "--json"], ["solve", "loop"])


def test_commands_work_from_the_wheel_alone(built, tmp_path):
    """Unpacked in an empty folder, away from the checkout: claims, exercises, reference files."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    zipfile.ZipFile(built).extractall(home)
    code = f"""
import sys
sys.path[:] = [{str(home)!r}, *(place for place in sys.path if place not in ("", {str(ROOT)!r}))]
import mdps, pgtheory, proofs_check
assert all(package.__file__.startswith({str(home)!r}) for package in (mdps, pgtheory, proofs_check))
from proofs_check.cli import app
for words in {COMMANDS!r}:
    try:
        app(words)
    except SystemExit as end:
        assert end.code == 0, words
"""
    done = _run(sys.executable, "-c", code, cwd=elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in ("npg-potential", "value-iteration", "def ", '"729/476"', "V*"):
        assert expected in done.stdout


def test_the_console_script_is_declared(wheel):
    assert any(name.endswith("entry_points.txt") for name in wheel)
    module, _, function = PROJECT["project"]["scripts"]["pgtheory"].partition(":")
    assert isinstance(getattr(importlib.import_module(module), function), types.FunctionType)

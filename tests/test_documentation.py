"""What the README and the guide show runs as it is shown: Python blocks, command lines, links."""

from __future__ import annotations

import pathlib
import re
import shlex
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
LESSONS = sorted((ROOT / "docs" / "course").glob("*.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md")), *LESSONS]
DOCS = ROOT / "docs"
ALL_PAGES = [*PAGES, ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")), *sorted((DOCS / "theory").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _name(page: pathlib.Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _blocks(page: pathlib.Path, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(page.read_text()) if kind == language]


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "python")], ids=_name)
def test_python_blocks_run(page, tmp_path, monkeypatch, capsys):
    """Blocks of a page share their names; a block that begins with `# file.py` must hold a claim; tests defined in a block are called."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for body in _blocks(page, "python"):
        before = dict(names)
        monkeypatch.setitem(sys.modules, "page", sys.modules[__name__])
        exec(compile(body, f"<{_name(page)}>", "exec"), names)
        if re.match(r"# \w+\.py\n", body):
            assert names["claim"] is not before.get("claim")
        for name, value in names.items():
            if name.startswith("test_") and before.get(name) is not value:
                value()


def _commands(page: pathlib.Path) -> list[list[str]]:
    lines = [line[2:] for body in _blocks(page, "console") for line in body.splitlines() if line.startswith("$ ")]
    return [words for line in lines if (words := shlex.split(line, comments=True))[0] == "pgtheory"]


@pytest.mark.parametrize("page", [page for page in PAGES if _commands(page)], ids=_name)
def test_command_lines_exist(page):
    """Every command and option shown is one that the program knows."""
    import typer.main

    from proofs_check.cli import app

    for words in _commands(page):
        command = typer.main.get_command(app)
        rest = words[1:]
        while hasattr(command, "commands") and rest and rest[0] in command.commands:
            command, rest = command.commands[rest[0]], rest[1:]
        assert not hasattr(command, "commands") or getattr(command, "invoke_without_command", False), f"{words} is no command"
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known, words


@pytest.mark.parametrize("page", ALL_PAGES, ids=_name)
def test_links_lead_somewhere(page):
    text = re.sub(r"`[^`\n]*`|\$[^$]*\$", "", BLOCK.sub("", page.read_text()))
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    missing = [target for target in targets if target and not (page.parent / target).exists()]
    assert not missing


def test_every_claim_is_derived_on_a_theory_page():
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "theory").glob("*.md"))
    printed = re.findall(r"```\{claim\} (\S+)", pages)
    from proofs_check.catalogue import all_claims

    assert sorted(printed) == sorted(all_claims())


def test_every_source_is_in_the_references():
    import proofs_check

    entries = set(re.findall(r"^\((\w+)\)=$", (ROOT / "docs" / "references.md").read_text(), re.MULTILINE))
    assert {claim.source.key for claim in proofs_check.claims().values()} <= entries | {"unpublished"}


def test_readme_shows_the_guides_examples():
    """One text for each example: the method of the README is the one that the guide explains."""
    (readme,) = [body for body in _blocks(ROOT / "README.md", "python") if body.startswith("# my_method.py")]
    (guide,) = [body for body in _blocks(ROOT / "docs" / "guide" / "own_theorem.md", "python") if body.startswith("# my_method.py")]
    assert readme == guide


@pytest.mark.parametrize("page", LESSONS, ids=_name)
def test_notebooks_are_their_lessons(page, monkeypatch):
    """The notebook beside a lesson holds the same text and the same code; `python docs/_ext/notebooks.py` writes it again."""
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    import notebooks

    assert page.with_suffix(".ipynb").read_text() == notebooks.written(page)
    cells = notebooks.notebook(page.read_text())["cells"]
    assert ["".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code"] == _blocks(page, "python")

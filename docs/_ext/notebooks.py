"""The lessons of docs/course as Jupyter notebooks: text and ```python blocks become cells, nothing is run.

python docs/_ext/notebooks.py        writes docs/course/*.ipynb from docs/course/*.md
"""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

COURSE = pathlib.Path(__file__).parent.parent / "course"
BLOCK = re.compile(r"^```python\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)


def notebook(text: str) -> dict[str, Any]:
    """A lesson in nbformat 4.5."""
    cells: list[dict[str, Any]] = []

    def add(kind: str, source: str) -> None:
        source = source.strip("\n")
        if not source.strip():
            return
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{len(cells)}", "metadata": {}, "source": source.splitlines(keepends=True)}
        cells.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))

    end = 0
    for block in BLOCK.finditer(text):
        add("markdown", text[end : block.start()])
        add("code", block.group(1))
        end = block.end()
    add("markdown", text[end:])
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}


def written(page: pathlib.Path) -> str:
    """The notebook of a page as the text of its file."""
    return json.dumps(notebook(page.read_text(encoding="utf-8")), indent=1, ensure_ascii=False) + "\n"


def lessons() -> list[pathlib.Path]:
    return [page for page in sorted(COURSE.glob("*.md")) if page.name[0].isdigit()]


if __name__ == "__main__":
    for page in lessons():
        page.with_suffix(".ipynb").write_text(written(page), encoding="utf-8")
        print(page.with_suffix(".ipynb").name)

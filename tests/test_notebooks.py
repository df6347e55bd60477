"""The notebooks of the course, as they lie in docs/course, run from top to bottom in a kernel of their own."""

from __future__ import annotations

import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parent.parent / "docs" / "course"
ALWAYS = "2_policy_gradient_theorem"
"""The quickest one; the cells of all are run by test_documentation.py too, without a kernel."""
NOTEBOOKS = [pytest.param(path, id=path.stem, marks=[] if path.stem == ALWAYS else pytest.mark.slow) for path in sorted(FOLDER.glob("*.ipynb"))]
PATIENCE = 600
"""Seconds for one cell: it may compile."""


@pytest.mark.filterwarnings("ignore")  # of the kernel's own packages
@pytest.mark.parametrize("path", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    NotebookClient(notebook, timeout=PATIENCE, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in ran] == list(range(1, len(ran) + 1))
    assert not [output for cell in ran for output in cell.outputs if output.output_type == "error"]
    assert any(output for cell in ran for output in cell.outputs)

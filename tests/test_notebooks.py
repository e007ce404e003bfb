"""The notebooks run from top to bottom in a kernel, warn of nothing and draw; each sees life itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from interpreter import prefer_numpy

FOLDER = Path(__file__).parent.parent / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
nbformat = pytest.importorskip("nbformat", reason="pip install 'neurosnn[notebook]'")
nbclient = pytest.importorskip("nbclient", reason="pip install 'neurosnn[notebook]'")
pytest.importorskip("ipykernel", reason="pip install 'neurosnn[notebook]'")


def read(path):
    return nbformat.read(path, as_version=4)


def test_there_are_six(project_root):
    assert len(NOTEBOOKS) == 6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_text_and_steps_without_outputs(path):
    cells = read(path).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert cells[0].source.startswith("# ")
    assert len(cells) - len(code) >= 0.6 * len(code)
    for cell in code:
        assert not cell.outputs
        assert cell.execution_count is None
        assert len(cell.source.splitlines()) <= 30
    assert any("assert " in cell.source for cell in code)


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    notebook = read(path)
    # Agg of the tests would draw nothing into the notebook. What is quick here is not quick for users:
    # their compilers optimize, and Cython compiles what Brian2 runs.
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    prefer_numpy(tmp_path)
    nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute(env=environment)
    outputs = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    said = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not said
    drawn = sum("image/png" in output.get("data", {}) for output in outputs)
    assert drawn >= (0 if path.stem.endswith("export") else 1)

"""The notebook for newcomers: it is valid, stored without outputs, complete, and runs from top to bottom."""

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests import ROOT

NOTEBOOK = ROOT / "docs" / "notebooks" / "crackscan.ipynb"

STAGES = ("Data", "A pre-trained network", "Fine-tuning", "Training and evaluation", "Looking at predictions",
          "Going further", "Troubleshooting")  # fmt: skip


@pytest.fixture
def notebook() -> Any:  # noqa: ANN401 - nbformat ships no types
    """The notebook as it is stored."""
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]


def test_it_is_valid_and_stored_without_outputs(notebook: Any) -> None:  # noqa: ANN401
    """The file has no outputs, so that a review sees only the source."""
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert {(len(cell.outputs), cell.execution_count) for cell in cells} == {(0, None)}
    assert {key for cell in notebook.cells for key in cell.metadata} == set()
    assert notebook.metadata.kernelspec.name == "python3"


def test_it_has_the_seven_stages_and_its_links_lead_to_them(notebook: Any) -> None:  # noqa: ANN401
    """The headings are numbered and in order, and each link is one of them."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == [f"{number} {stage}" for number, stage in enumerate(STAGES, start=1)]
    assert re.findall(r"\]\(#(.+?)\)", text) == [heading.replace(" ", "-") for heading in headings]


def test_its_cells_are_short_and_explained(notebook: Any) -> None:  # noqa: ANN401
    """No cell is longer than a screen, and about every second cell explains."""
    assert max(cell.source.count("\n") + 1 for cell in notebook.cells if cell.cell_type == "code") <= 26
    assert sum(cell.cell_type == "markdown" for cell in notebook.cells) >= len(notebook.cells) / 2 - 1


def test_its_cells_before_the_training_run(notebook: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """They need no Ray, so that every run of the tests finds a cell that has not followed a change of the code."""
    training = next(number for number, cell in enumerate(notebook.cells) if cell.source.startswith("## 4"))
    notebook.cells = notebook.cells[:training]
    run(notebook, tmp_path, timeout_s=120)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4


def run(notebook: Any, folder: Path, timeout_s: int) -> None:  # noqa: ANN401
    """Run all cells of a notebook in a folder."""
    from nbclient import NotebookClient

    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    client = NotebookClient(notebook, timeout=timeout_s, resources={"metadata": {"path": str(folder)}})
    client.execute(env=os.environ | {"PYTHONPATH": path})


@pytest.mark.ray
@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_it_runs_from_top_to_bottom(notebook: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """It raises no error, installs nothing here, draws its figures, and trains a model that is better than chance."""
    run(notebook, tmp_path, timeout_s=1200)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert notebook.cells[1].outputs == []
    assert len(pictures) >= 7
    assert "6 photos, 72 tiles, 0 failed" in printed
    figures = re.search(r"^AUC (\d\.\d+); at threshold", printed, re.MULTILINE)
    assert figures is not None
    assert float(figures[1]) > 0.6

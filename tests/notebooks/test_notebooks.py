"""The notebooks run from top to bottom, on drawn pictures and on others; what is committed of them has no outputs."""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from maskrcnn.data.synth import synthesise

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SMALL = {  # what makes a notebook quick
    "inspect_data": "DRAWN = 4; SHOWN = 3",
    "inspect_model": "DRAWN = 8; EPOCHS = 1",
    "inspect_results": "DRAWN = 8; EPOCHS = 1; TESTED = 3",
    "train_your_own": "DRAWN = 10; EPOCHS = 1; SIZE = 64",
}


def _read(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def _code(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in _read(path)["cells"] if cell["cell_type"] == "code"]


def _run(path: Path, parameters: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a notebook with other parameters; return what it printed."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient, which runs notebooks, is not here")
    nbformat = pytest.importorskip("nbformat", reason="nbformat, which reads notebooks, is not here")
    pytest.importorskip("ipykernel", reason="ipykernel, which notebooks run in, is not here")
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    monkeypatch.setenv("TMPDIR", str(folder))  # a notebook leaves its work where temporary files are
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    notebook = nbformat.read(path, 4)
    top = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    notebook.cells.insert(top + 1, nbformat.v4.new_code_cell(parameters))
    place = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=600, resources=place).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def test_every_notebook_is_tested() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(SMALL)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_on_drawn_pictures(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(path, SMALL[path.stem], tmp_path, monkeypatch)


def test_it_looks_at_data_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synthesise("shapes", tmp_path / "own", 3, seed=1, size_hw=(80, 64))
    said = _run(FOLDER / "inspect_data.ipynb", "DATA = 'own'; SHOWN = 3", tmp_path, monkeypatch)
    assert "3 pictures (coco), 3 classes" in said


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_but_source_is_kept(path: Path) -> None:
    for cell in _read(path)["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_calls_public_names_only(path: Path) -> None:
    """Every module and name is there and has no underscore, and nothing is defined that hides what is done."""
    for code in _code(path):
        for node in ast.walk(ast.parse(code)):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef)
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("maskrcnn"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert not alias.name.startswith("_")
                    assert hasattr(module, alias.name) or importlib.import_module(f"{node.module}.{alias.name}")
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                assert node.attr == "_asdict"  # of named tuples, where it is public


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_begins_with_what_it_is_about(path: Path) -> None:
    first = _read(path)["cells"][0]
    assert first["cell_type"] == "markdown"
    assert first["source"][0].startswith("# ")

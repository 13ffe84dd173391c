from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from maskrcnn.cli import app
from maskrcnn.data.synth import synthesise


def test_a_set_is_cut_and_what_came_out_is_said(tmp_path: Path) -> None:
    synthesise("shapes", tmp_path / "in", 2, seed=5, size_hw=(64, 96))
    words = ["data", "crop", str(tmp_path / "in"), str(tmp_path / "out"), "--size", "48x48", "--overlap", "8"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "2 pictures (coco), 3 classes" in result.stderr
    assert f"12 tiles in {tmp_path / 'out'}; " in result.stderr
    assert "only mark regions to ignore" in result.stderr
    assert len(list((tmp_path / "out/images").iterdir())) == 12


@pytest.mark.parametrize(
    ("size", "why"), [("48", "--size: expected height x width"), ("48x32", "overlap: expected 0 to")]
)
def test_mistakes_are_named(size: str, why: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["data", "crop", str(tmp_path), "out", "--size", size])
    assert result.exit_code != 0
    assert why in str(result.exception)

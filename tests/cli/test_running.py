"""What runs a network for a command, and what is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskrcnn.cli import running
from maskrcnn.cli.running import MALLOC, Running
from maskrcnn.config import ModelConfig
from maskrcnn.engines import compiled
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save


@pytest.fixture
def model(tiny: ModelConfig, tmp_path: Path) -> str:
    save(build(tiny), tmp_path / "m.safetensors")
    return str(tmp_path / "m.safetensors")


def test_what_was_picked_is_said_where_nothing_was_named(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    Running("cpu", "auto").load(model)
    assert "fp32, on cpu: the fastest here for cpu" in capsys.readouterr().err
    Running("cpu", "torch", "fp32").load(model)
    assert capsys.readouterr().err == ""


def test_memory_is_kept_with_a_word_and_not_where_the_environment_says_so(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []
    monkeypatch.setattr(running, "keep_memory", lambda: calls.append(True) or True)
    Running("cpu").load(model)
    assert (calls, capsys.readouterr().err) == ([], "")
    monkeypatch.delenv(MALLOC)
    Running("cpu").load(model)
    assert calls == [True]
    assert f"{MALLOC}=system gives it back" in capsys.readouterr().err


def test_compiling_is_announced_and_timed(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "COMPILER", "eager")
    monkeypatch.setattr(compiled, "missing", lambda: None)
    Running("cpu", "compile").load(model)
    said = capsys.readouterr().err
    assert said.startswith("compiling, which can take a minute\ncompiled in ")


def test_threads_hold_for_the_process(model: str) -> None:
    before = torch.get_num_threads()
    try:
        Running("cpu", threads=before + 1).load(model)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)

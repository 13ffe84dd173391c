"""The cache of graphs, and what whole-picture files have for good."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
import torch

from maskrcnn.config import ModelConfig
from maskrcnn.engines.graphs import running
from maskrcnn.engines.graphs.metadata import About
from maskrcnn.engines.graphs.running import Graph, cached, cached_onnx, engine_of
from maskrcnn.errors import InputError
from maskrcnn.model.mask_rcnn import build
from maskrcnn.prediction import load


def test_graphs_that_were_not_used_for_longest_leave_the_cache(
    tiny: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("a graph")

    monkeypatch.setenv("MASKRCNN_CACHE", str(tmp_path))
    monkeypatch.setattr(running, "KEPT", 2)
    model = build(tiny)
    first, second, third = (partial(cached, model, name, ".onnx", write) for name in ("a", "b", "c"))
    for age, make in ((300, first), (200, second)):
        then = make().stat().st_mtime - age
        os.utime(make(), (then, then))
    used = first()  # is now the youngest
    new = third()
    assert sorted((tmp_path / "graphs").iterdir()) == sorted([used, new])


def test_8_bits_need_pictures_to_measure_on(tiny: ModelConfig) -> None:
    with pytest.raises(InputError, match="got int8; maskrcnn export MODEL --to onnx --int8 --calibrate DATA"):
        cached_onnx(build(tiny), "onnx", "int8")


def test_a_file_of_whole_pictures_has_its_size_for_good(tiny: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return inputs

    engine = engine_of(Graph("onnx", About(tiny, "uint8"), torch.device("cpu"), run))
    monkeypatch.setattr("maskrcnn.prediction.loading.open_exported", lambda *_: engine)
    with pytest.raises(InputError, match=r"m\.onnx: expected no min_size or max_size beside an exported file"):
        load("m.onnx", min_size=300, max_size=400)

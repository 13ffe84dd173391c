"""The page holds those anchors against the objects that training would choose."""

from __future__ import annotations

from pathlib import Path

import torch

from maskrcnn.config import AnchorConfig, InputConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.inspection.anchors import settings
from maskrcnn.training.setup import choose_preset, fitting_config, seen_objects


def test_settings_are_those_that_train_would_choose(tmp_path: Path) -> None:
    synthesise("shapes", tmp_path, 8, seed=1, size_hw=(64, 96))
    dataset = open_dataset(tmp_path)
    fitted, usual = settings(dataset)
    preset = choose_preset("gpu" if torch.cuda.is_available() else "cpu")
    chosen = fitting_config(dataset, preset)
    assert (fitted.input, fitted.anchors, fitted.rpn) == (chosen.input, chosen.anchors, chosen.rpn)
    assert preset in fitted.name
    assert (usual.input, usual.anchors) == (InputConfig(), AnchorConfig())
    assert len(seen_objects(dataset, fitted.input).boxes) > 0

"""The best anchor of an object: by hand, and against all anchors laid out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskrcnn.config import AnchorConfig, InputConfig, RPNConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.inspection.anchors import fit, seen_boxes, settings
from maskrcnn.inspection.survey import survey
from maskrcnn.model.anchors import Anchors
from maskrcnn.model.fpn import STRIDES
from maskrcnn.ops.boxes import iou
from maskrcnn.ops.resize import target_size
from maskrcnn.training.anchors import shape_iou
from maskrcnn.training.setup import choose_preset, fitting_config, object_sides

SMALL = AnchorConfig(sizes=((8.0,), (16.0,), (32.0,), (64.0,), (128.0,)))
PADDED = (96, 160)


def as_boxes(*boxes: tuple[float, ...]) -> np.ndarray:
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def padded(count: int, size_hw: tuple[int, int] = PADDED) -> np.ndarray:
    return np.tile(np.array(size_hw), (count, 1))


@pytest.mark.parametrize(
    ("box", "expected", "level"),
    [
        ((4, 4, 12, 12), 1.0, 0),  # side 8 centred on (8, 8), where P2 has an anchor
        ((6, 4, 14, 12), 0.6, 0),  # 2 px from the nearest of P2: 48 of 80
        ((16, 32, 48, 64), 1.0, 2),  # side 32 centred on (32, 48), a place of P4
        ((24, 32, 56, 64), 0.6, 2),  # 8 px from it: 768 of 1280
        ((0, 0, 4, 4), 0.25, 0),  # the anchor (-4, -4, 4, 4) holds it whole: 16 of 64
        ((150, 80, 158, 88), 8 * 6 / (128 - 48), 0),  # (154, 84) is 2 px from (152, 84) and from (156, 84)
        ((300, 40, 308, 48), 0.0, 0),  # far from every anchor of the padded picture
    ],
)
def test_by_hand(box: tuple[float, ...], expected: float, level: int) -> None:
    found = fit(as_boxes(box), padded(1), AnchorConfig(sizes=SMALL.sizes, ratios=(1.0,)), RPNConfig())
    assert found.iou.tolist() == pytest.approx([expected])
    assert found.level.tolist() == [level]


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("anchors", [SMALL, AnchorConfig(), AnchorConfig(sizes=((5.0, 9.0),) * 5, ratios=(0.3, 1.0))])
def test_as_with_all_anchors_laid_out(anchors: AnchorConfig, every: int) -> None:
    rng = np.random.default_rng(2)
    corner = rng.uniform(-10, 150, (300, 2)) * np.array([1, 0.6])
    boxes = np.hstack([corner, corner + rng.lognormal(3, 1, (300, 2))])
    found = fit(boxes, padded(300), anchors, RPNConfig(stride=every))
    shapes = [(-(-PADDED[0] // stride), -(-PADDED[1] // stride)) for stride in STRIDES]
    laid = Anchors(anchors, STRIDES, every)(shapes)
    best = torch.stack([iou(torch.tensor(boxes), level.double()).amax(dim=1) for level in laid], dim=1)
    assert np.allclose(found.iou, best.amax(dim=1).numpy(), atol=1e-5)
    assert np.allclose(found.iou, best[torch.arange(300), torch.tensor(found.level)].numpy(), atol=1e-5)
    assert len(set(found.level.tolist())) > 2 or anchors.sizes[0] == anchors.sizes[1]


def test_no_anchor_lies_better_than_on_the_centre() -> None:
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 80, (200, 2))
    sides = rng.lognormal(3, 0.7, (200, 2))
    found = fit(np.hstack([corner, corner + sides]), padded(200, (320, 320)), SMALL, RPNConfig())
    assert (found.iou <= shape_iou(sides, SMALL) + 1e-9).all()


def test_nothing_fits_nothing() -> None:
    found = fit(as_boxes(), padded(0), SMALL, RPNConfig())
    assert (found.iou.shape, found.level.shape) == ((0,), (0,))


def test_boxes_are_seen_at_the_size_of_the_network(tmp_path: Path) -> None:
    synthesise("shapes", tmp_path, 6, seed=1, size_hw=(64, 96))
    dataset = open_dataset(tmp_path)
    found = survey(dataset, lambda: None)
    picture = InputConfig(min_size=128, max_size=160)
    boxes, padded_hw = seen_boxes(found, picture)
    h, w = target_size((64, 96), picture)
    assert (h, w) == (107, 160)
    assert np.allclose(boxes, found.boxes * np.array([w / 96, h / 64, w / 96, h / 64]))
    assert padded_hw.tolist() == [[128, 160]] * len(boxes)


def test_settings_are_those_that_train_would_choose(tmp_path: Path) -> None:
    synthesise("shapes", tmp_path, 8, seed=1, size_hw=(64, 96))
    dataset = open_dataset(tmp_path)
    fitted, usual = settings(dataset)
    preset = choose_preset("gpu" if torch.cuda.is_available() else "cpu")
    chosen = fitting_config(dataset, preset)
    assert (fitted.input, fitted.anchors) == (chosen.input, chosen.anchors)
    assert (fitted.rpn.positive_iou, fitted.rpn.negative_iou) == (chosen.rpn.positive_iou, chosen.rpn.negative_iou)
    assert preset in fitted.name
    assert (usual.input, usual.anchors) == (InputConfig(), AnchorConfig())
    assert len(object_sides(dataset, fitted.input)) > 0

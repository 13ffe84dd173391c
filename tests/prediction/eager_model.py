"""A small model that finds many cats in any picture, pictures for it, and what it finds compared."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from maskrcnn.config import ModelConfig
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.structures import Instances


@cache
def eager(config: ModelConfig) -> MaskRCNN:
    """Build a model with random weights that gives its first class a probability of about 0.9 everywhere."""
    torch.manual_seed(1)
    model = build(config)
    with torch.no_grad():
        model.box_head.logits.bias[0] = 4.0
    return model.eval()


def picture(seed: int = 0, size_hw: tuple[int, int] = (64, 96), bands: int = 3) -> NDArray[np.uint8]:
    """Make coarse noise: large blocks of colour, so that resizing keeps them."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, bands), dtype=np.uint8)
    h, w = size_hw
    return blocks[np.arange(h) * 8 // h][:, np.arange(w) * 8 // w]


def assert_same(found: Instances, expected: Instances) -> None:
    assert found.size_hw == expected.size_hw
    assert len(found) == len(expected) > 0
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    assert found.masks is not None
    assert expected.masks is not None
    np.testing.assert_allclose(found.masks.probabilities, expected.masks.probabilities, atol=1e-4)  # type: ignore[attr-defined]

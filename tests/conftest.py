"""Small models and batches that every test can have."""

from __future__ import annotations

import signal
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import settings

from maskrcnn.config import (
    AnchorConfig,
    BackboneConfig,
    BoxHeadConfig,
    InputConfig,
    MaskHeadConfig,
    ModelConfig,
    PyramidConfig,
    RPNConfig,
)
from maskrcnn.data.batches import mask_table
from maskrcnn.structures import Batch, Bitmap

# laws on tensors take their time on a busy machine; the number of examples bounds it
settings.register_profile("repository", deadline=None, derandomize=True)
settings.load_profile("repository")

# what is started in the background ignores interrupts, and so would the commands that tests interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

TINY = ModelConfig(
    classes=("cat", "dog", "horse"),
    input=InputConfig(min_size=64, max_size=96),
    backbone=BackboneConfig(depth="resnet18", norm="group"),
    pyramid=PyramidConfig(channels=16, norm="group"),
    anchors=AnchorConfig(sizes=((8.0,), (16.0,), (32.0,), (64.0,), (128.0,))),
    rpn=RPNConfig(pre_nms_train=60, proposals_train=40, pre_nms=50, proposals=20, samples=32),
    box_head=BoxHeadConfig(channels=32, samples=16),
    mask_head=MaskHeadConfig(channels=16, convs=1),
)


@pytest.fixture
def tiny() -> ModelConfig:
    """The settings of a model small enough for a test, for three classes and pictures of 64x96."""
    return TINY


Boxes = list[tuple[int, int, int, int, int]]  # x, y, w, h, label


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Make a batch of 64x96 pictures with full rectangles for masks."""

    def make(objects: list[Boxes], slots: int = 4, ignored: int = 0) -> Batch:
        B = len(objects)
        generator = torch.Generator().manual_seed(0)
        boxes, labels = torch.zeros(B, slots, 4), torch.full((B, slots), -1)
        masks = []
        for b, picture in enumerate(objects):
            for g, (x, y, w, h, label) in enumerate(picture):
                boxes[b, g] = torch.tensor([x, y, x + w, y + h], dtype=torch.float32)
                labels[b, g] = label
            masks.append([Bitmap(x, y, np.ones((h, w), dtype=np.bool_)) for x, y, w, h, _ in picture])
        return Batch(
            torch.randint(0, 256, (B, 3, 64, 96), dtype=torch.uint8, generator=generator),
            torch.tensor([[64, 96]] * B),
            boxes,
            labels,
            torch.zeros(B, ignored, 4),
            mask_table(masks, slots),
            torch.arange(B) + 1000,
        )

    return make

"""Comparing a model with golden outputs, at the tolerances of their README."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.rpn import Proposals
from maskrcnn.structures import Instances

FEATURES, PIXELS, SCORES, MASKS, TIES = 1e-3, 0.05, 1e-4, 1e-3, 1e-5
Floats = NDArray[np.floating]


def load_module(path: Path) -> Any:
    """Import a file that lies outside of everything."""
    description = importlib.util.spec_from_file_location(path.stem, path)
    assert description is not None
    assert description.loader is not None
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


def assert_close(found: Tensor, expected: Floats, std: float | None = None) -> None:
    """Compare features, logits or deltas by the expected numbers' standard deviation."""
    assert tuple(found.shape) == expected.shape
    assert np.abs(found.numpy() - expected).max() <= FEATURES * (expected.std() if std is None else std)


def order_of(boxes: Floats, scores: Floats, expected: Floats, pixels: float = PIXELS) -> NDArray[np.int64]:
    """Match boxes with the expected ones in order; only those of about the same score may have changed places."""
    assert boxes.shape == expected.shape
    near = np.abs(boxes[:, None] - expected[None]).max(axis=2) <= pixels
    near &= np.abs(scores[:, None] - scores[None]) < TIES
    places = np.arange(len(boxes))
    order = np.where(near[places, places], places, near.argmax(axis=0))
    assert near[order, places].all(), f"{(~near[order, places]).sum()} of {len(boxes)} boxes are not there"
    assert len(set(order.tolist())) == len(boxes)
    return order


def assert_same_instances(
    found: Instances,
    boxes: Floats,
    scores: Floats,
    labels: NDArray[np.integer],
    masks: NDArray[np.bool_],
    score_tolerance: float = SCORES,
) -> None:
    """Compare results in the picture that came in."""
    found = found[order_of(found.boxes, found.scores, boxes)]
    assert np.abs(found.scores - scores).max() <= score_tolerance
    assert np.array_equal(found.labels, labels)
    assert found.masks is not None
    differing = (found.masks.dense() != masks).sum()
    assert differing <= MASKS * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1).sum()


def pad(pictures: Sequence[Tensor], padded_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Put pictures into the upper left corners of a batch: images and sizes."""
    images = pictures[0].new_zeros(len(pictures), pictures[0].shape[0], *padded_hw)
    for room, picture in zip(images, pictures, strict=True):
        room[:, : picture.shape[1], : picture.shape[2]] = picture
    return images, torch.tensor([picture.shape[1:] for picture in pictures])


def head_outputs(model: MaskRCNN, features: list[Tensor], boxes: Sequence[Floats]) -> tuple[Tensor, Tensor, Tensor]:
    """Pool and score given regions of each picture: pooled, class logits and deltas of all, one behind the other."""
    most = max(map(len, boxes))
    given = torch.zeros(len(boxes), most, 4)
    for room, own in zip(given, boxes, strict=True):
        room[: len(own)] = torch.from_numpy(own)
    table = model.table(features)
    there = torch.cat([torch.arange(most) < len(own) for own in boxes])
    pooled = model.pool(table, given, model.config.box_head.pool, model.config.box_head.sampling_ratio)[there]
    scores = model.box_head(pooled)
    return pooled, scores.logits, scores.deltas


def assert_same_proposals(found: Proposals, expected: Sequence[Floats]) -> None:
    """Compare the proposals of each picture."""
    for boxes, logits, valid, own in zip(*found, expected, strict=True):
        order_of(boxes[valid].numpy(), logits[valid].sigmoid().numpy(), own)

"""Which box learns from which object, and which boxes the losses look at; fixed shapes, no loop over pictures.

References: Faster R-CNN (1506.01497), section 3.1.2. Mask R-CNN (1703.06870), section 3.1.
Letters: B pictures, N boxes a picture, G ground-truth slots, I slots for ignored regions, S samples a picture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from maskrcnn.ops.boxes import covered_share, iou
from maskrcnn.ops.priorities import priorities

_PAIRS_AT_ONCE = 1 << 23  # bounds the memory of the overlaps, however many objects there are


class Match(NamedTuple):
    """What each box overlaps.

    Attributes:
        target: (B, N) int64 in [0, G). The object it overlaps most.
        iou: (B, N) float32. By how much.
        positive: (B, N) bool. True where the box learns that object.
        negative: (B, N) bool. True where it learns background; False for both is ignored.
    """

    target: Tensor
    iou: Tensor
    positive: Tensor
    negative: Tensor


class Samples(NamedTuple):
    """The boxes that a loss looks at, positives first.

    Attributes:
        indices: (B, S) int64 in [0, N).
        positive: (B, S) bool.
        valid: (B, S) bool. False for a slot that nothing fills.
    """

    indices: Tensor
    positive: Tensor
    valid: Tensor


def _overlaps(boxes: Tensor, objects: Tensor, present: Tensor) -> list[tuple[int, Tensor]]:
    """Split the objects so that the pairs fit in bounded memory: first slot and objects of each part."""
    step = max(1, _PAIRS_AT_ONCE // max(1, objects.shape[0] * boxes.shape[1]))
    objects = torch.where(present[..., None], objects, 0)
    return [(g, objects[:, g : g + step]) for g in range(0, objects.shape[1], step)]


def match(
    boxes: Tensor,
    objects: Tensor,
    labels: Tensor,
    ignored: Tensor,
    *,
    positive_iou: float,
    negative_iou: float,
    ignored_overlap: float,
) -> Match:
    """Match each box with the object it overlaps most.

    Args:
        boxes: (1 or B, N, 4) float32. The same for all pictures (anchors), or of each (proposals).
        objects: (B, G, 4) float32.
        labels: (B, G) int64. -1 for an empty slot.
        ignored: (B, I, 4) float32. Regions that are neither object nor background.
        positive_iou: At least this much is positive.
        negative_iou: Less than this is negative.
        ignored_overlap: A box of which more than this share lies in an ignored region is not negative.
    """
    B, N = labels.shape[0], boxes.shape[1]
    best = boxes.new_zeros(B, N)
    target = labels.new_zeros(B, N)
    for first, part in _overlaps(boxes, objects, labels >= 0):
        value, index = iou(part, boxes).max(dim=1)
        better = value > best
        best = torch.where(better, value, best)
        target = torch.where(better, index + first, target)
    negative = best < negative_iou
    if ignored.shape[1]:
        negative = negative & (covered_share(boxes, ignored) <= ignored_overlap)
    return Match(target, best, (best >= positive_iou) & (best > 0), negative)


def adopt_orphans(matched: Match, boxes: Tensor, objects: Tensor, labels: Tensor) -> Match:
    """Make positive, for every object, the boxes that overlap it most, however little.

    The boxes keep learning the object that they themselves overlap most.

    Args:
        matched: From `match`.
        boxes: (1 or B, N, 4) float32.
        objects: (B, G, 4) float32.
        labels: (B, G) int64. -1 for an empty slot.
    """
    positive = matched.positive
    for _, part in _overlaps(boxes, objects, labels >= 0):
        overlap = iou(part, boxes)  # (B, part of G, N)
        best = overlap.amax(dim=2, keepdim=True)
        positive = positive | ((overlap == best) & (best > 0)).any(dim=1)
    return matched._replace(positive=positive, negative=matched.negative & ~positive)


def sample(matched: Match, keys: Tensor, stream: int, count: int, positive_fraction: float) -> Samples:
    """Choose boxes at random: positives up to their share, then negatives to fill up.

    Args:
        matched: From `match`.
        keys: (B) int64. What the choice follows from.
        stream: Different choices of one step take different streams.
        count: S.
        positive_fraction: Largest share of positives.
    """
    N = matched.positive.shape[1]
    count = min(count, N)
    draw = priorities(keys, N, stream)
    most = min(int(count * positive_fraction), N)
    chosen = torch.where(matched.positive, draw, -1.0).topk(most, dim=1)
    priority = torch.where(matched.negative, draw, -1.0)
    lifted = torch.where(chosen.values >= 0, chosen.values + 2, -1.0)
    top = priority.scatter_reduce(1, chosen.indices, lifted, "amax").topk(count, dim=1)
    return Samples(top.indices, top.values >= 2, top.values >= 0)

"""From scores of regions to detections.

References: Fast R-CNN (1504.08083), section 2.3. Mask R-CNN (1703.06870), section 3.1, inference.
Letters: B pictures, P proposals, K classes, N candidates, D detections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from maskrcnn.config import DetectConfig
from maskrcnn.model.rpn import Proposals
from maskrcnn.ops.boxes import clip, decode
from maskrcnn.ops.nms import NMS, Kept


class Detections(NamedTuple):
    """The objects found, best first.

    Attributes:
        boxes: (B, D, 4) float32 x1, y1, x2, y2. Pixels of the resized picture without padding, inside it.
        scores: (B, D) float32 in [0, 1]. 0 in an empty slot.
        labels: (B, D) int64. -1 for an empty slot.
        masks: (B, D, M, M) float32 in [0, 1]. Probabilities over the box, rows from the top; 0 in an empty slot.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor


def _best_class(probabilities: Tensor) -> Tensor:
    best = probabilities.amax(dim=-1, keepdim=True)
    return torch.where(probabilities == best, probabilities, 0.0)[..., :-1]


# a value of `DetectConfig.choice`: from (..., K + 1) probabilities, background last, to those that compete, (..., K)
CHOICES: dict[str, Callable[[Tensor], Tensor]] = {"every": lambda each: each[..., :-1], "best": _best_class}


class Decoder(NamedTuple):
    """How deltas become boxes: `std` (4) float32 their unit, `clamp` the largest dw and dh, if any."""

    std: Tensor
    clamp: float | None


def class_boxes(proposals: Proposals, deltas: Tensor, window: Tensor, decoder: Decoder) -> Tensor:
    """Move every proposal by the deltas of every class.

    Args:
        proposals: P boxes a picture.
        deltas: (B, P, K or 1, 4) float.
        window: (B, 4) float32. What boxes are clipped to.
        decoder: Unit and clamp of the deltas.

    Returns:
        (B, P, K or 1, 4) float32.
    """
    boxes = decode(deltas, proposals.boxes[:, :, None], decoder.std, decoder.clamp)
    return clip(boxes.flatten(1, 2), window).view_as(boxes)


class Candidates(NamedTuple):
    """Pairs of proposal and class that may become detections, the best first.

    Attributes:
        boxes: (B, N, 4) float32.
        scores: (B, N) float32 in [0, 1]. -1 for a pair that can't become one.
        labels: (B, N) int64 in [0, K).
        proposals: (B, N) int64 in [0, P).
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    proposals: Tensor


def rank(probabilities: Tensor, boxes: Tensor, valid: Tensor, config: DetectConfig) -> Candidates:
    """Choose the best of all pairs of proposal and class by score and size.

    Args:
        probabilities: (B, P, K) float32 in [0, 1]. Of the foreground classes.
        boxes: (B, P, K or 1, 4) float32.
        valid: (B, P) bool. Proposals that exist.
        config: Thresholds and counts.
    """
    P, K = probabilities.shape[1:]
    side = boxes[..., 2:] - boxes[..., :2]
    sound = boxes.isfinite().all(dim=-1) & (side >= config.min_side).all(dim=-1)
    wanted = (probabilities > config.score_threshold) & sound & valid[..., None]
    score = torch.where(wanted, probabilities, -1.0).flatten(1)
    top = score.topk(min(config.candidates, P * K), dim=1)
    label, proposal = top.indices % K, top.indices // K
    place = top.indices if boxes.shape[2] == K else proposal
    candidate = boxes.flatten(1, 2).gather(1, place[..., None].expand(-1, -1, 4))
    return Candidates(candidate, top.values, label, proposal)


def suppress(candidates: Candidates, config: DetectConfig, nms: NMS) -> Kept:
    """Drop candidates that better ones of their class overlap, and keep the best of all: D places among the N."""
    return nms(
        candidates.boxes,
        candidates.scores,
        config.nms_iou,
        valid=candidates.scores >= 0,
        limit=min(config.detections, candidates.boxes.shape[1]),
        groups=candidates.labels,
    )


def take(candidates: Candidates, kept: Kept) -> tuple[Tensor, Tensor, Tensor]:
    """Make detections of the candidates that are kept.

    Returns:
        boxes (B, D, 4), scores (B, D), labels (B, D), as in `Detections`; boxes where they were.
    """
    found = candidates.boxes.gather(1, kept.indices[..., None].expand(-1, -1, 4))
    return (
        torch.where(kept.valid[..., None], found, 0.0),
        torch.where(kept.valid, candidates.scores.gather(1, kept.indices), 0.0),
        torch.where(kept.valid, candidates.labels.gather(1, kept.indices), -1),
    )

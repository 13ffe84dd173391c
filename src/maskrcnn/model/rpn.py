"""The region proposal network: where might something be?

References: Faster R-CNN (1506.01497), section 3.1. On a pyramid: FPN (1612.03144), section 4.1. A fresh model's bias:
RetinaNet (1708.02002), section 4.1.
Letters: B pictures, L levels, N anchors of all levels, K the best of a level, P proposals, S samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskrcnn.config import ModelConfig, RPNConfig
from maskrcnn.model.losses import Losses, box_loss, objectness_loss
from maskrcnn.model.matching import Match, Samples, adopt_orphans, match, sample
from maskrcnn.ops.boxes import clip, decode, encode
from maskrcnn.ops.nms import NMS, Kept
from maskrcnn.structures import Batch

ANCHOR_STREAM = 0  # of the random numbers of a step
FIRST_OBJECTNESS = 0.05  # of every anchor of a fresh model; at 0.5 the first steps would only learn that most are empty


class AnchorScores(NamedTuple):
    """What the head says of every anchor.

    Attributes:
        logits: L of (B, H·W·A) float. Objectness before the sigmoid.
        deltas: L of (B, H·W·A, 4) float dx, dy, dw, dh.
    """

    logits: list[Tensor]
    deltas: list[Tensor]


class Proposals(NamedTuple):
    """Boxes that may hold an object, best first.

    Attributes:
        boxes: (B, P, 4) float32 x1, y1, x2, y2. Inside what the network sees.
        logits: (B, P) float32. Objectness.
        valid: (B, P) bool. False for a slot that nothing fills.
    """

    boxes: Tensor
    logits: Tensor
    valid: Tensor


class Candidates(NamedTuple):
    """The best anchors of each level, moved; of `RPNConfig.ranking` "all" the best of all as one level.

    Attributes:
        boxes: (B, L, K, 4) float32 x1, y1, x2, y2. Inside what the network sees.
        logits: (B, L, K) float32. Objectness.
        valid: (B, L, K) bool. False for a box that is too small or not finite, and where a level has fewer.
        anchors: L of (B, up to K) int64. Which anchor of its level each comes from.
    """

    boxes: Tensor
    logits: Tensor
    valid: Tensor
    anchors: tuple[Tensor, ...]


class Moved(NamedTuple):
    """Of one level what `Candidates` has of all: boxes (B, K, 4), logits, valid and anchors (B, K)."""

    boxes: Tensor
    logits: Tensor
    valid: Tensor
    anchors: Tensor


class SparseConv(nn.Conv2d):
    """A 3x3 convolution at every so many cells: the first window begins at, or half the excess before, the first."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, channels, H / stride, W / stride), sides rounded up."""
        padding = []
        for side, stride in zip(x.shape[:1:-1], self.stride, strict=True):  # the last axis comes first
            excess = max(0, (side - 1) // stride * stride + 3 - side)
            padding += [excess // 2, excess - excess // 2]
        return super().forward(F.pad(x, padding))


def _conv(in_channels: int, channels: int, stride: int) -> nn.Conv2d:
    if stride == 1:
        return nn.Conv2d(in_channels, channels, 3, padding=1)
    return SparseConv(in_channels, channels, 3, stride)


class RPNHead(nn.Module):
    """3x3 convolutions shared by all levels, then objectness and box deltas of each anchor.

    Args:
        in_channels: Channels of the pyramid.
        anchors: A, anchors a cell.
        config: Width and depth.
    """

    def __init__(self, in_channels: int, anchors: int, config: RPNConfig) -> None:
        super().__init__()
        width = config.channels or in_channels
        widths = [in_channels, *[width] * config.depth]
        strides = [config.stride, *[1] * (config.depth - 1)]
        self.convs = nn.ModuleList(_conv(*each) for each in zip(widths, widths[1:], strides, strict=False))
        self.objectness = nn.Conv2d(width, anchors, 1)
        self.deltas = nn.Conv2d(width, anchors * 4, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # every convolution here has one
        nn.init.constant_(self.objectness.bias, -math.log((1 - FIRST_OBJECTNESS) / FIRST_OBJECTNESS))  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> AnchorScores:
        """Score the anchors of every cell, or every `stride` cells, of P2 to P6, (B, C, H, W) float each."""
        logits, deltas = [], []
        for x in features:
            for conv in self.convs:
                x = F.relu(conv(x), inplace=True)
            logits.append(self.objectness(x).permute(0, 2, 3, 1).flatten(1))
            deltas.append(self.deltas(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4))
        return AnchorScores(logits, deltas)


class Ranking(NamedTuple):
    """A value of `RPNConfig.ranking`.

    Attributes:
        group: Levels to the groups of anchors that are ranked, each by itself.
        complete: Proposals of inference to so many slots, if all are to be filled.
    """

    group: Callable[[AnchorScores, Sequence[Tensor]], tuple[AnchorScores, Sequence[Tensor]]]
    complete: Callable[[Proposals, int], Proposals]


def _joined(scores: AnchorScores, anchors: Sequence[Tensor]) -> tuple[AnchorScores, Sequence[Tensor]]:
    logits, deltas = (torch.cat(levels, dim=1) for levels in scores)
    return AnchorScores([logits], [deltas]), [torch.cat(list(anchors))]


def _with_empty_boxes(found: Proposals, count: int) -> Proposals:
    boxes, logits, valid = (_pad(values, count) for values in found)
    return Proposals(boxes, logits, torch.ones_like(valid))


RANKINGS = {
    "level": Ranking(lambda scores, anchors: (scores, anchors), lambda found, count: found),  # noqa: ARG005  # as every
    "all": Ranking(_joined, _with_empty_boxes),
}


class RPN(nn.Module):
    """The head, the choice of proposals, and the training of both.

    Args:
        head: Scores of the anchors.
        config: The model's settings.
    """

    unit: Tensor

    def __init__(self, head: RPNHead, config: ModelConfig) -> None:
        super().__init__()
        self.head = head
        self.config = config.rpn
        self.ranking = RANKINGS[config.rpn.ranking]
        self.delta_clamp = config.delta_clamp
        self.ignored_overlap = config.ignored_overlap
        self.register_buffer("unit", torch.ones(4), persistent=False)

    def forward(self, features: Sequence[Tensor]) -> AnchorScores:
        """Score every anchor; see `RPNHead`."""
        scores: AnchorScores = self.head(features)
        return scores

    @torch.no_grad()
    def propose(self, scores: AnchorScores, anchors: Sequence[Tensor], window: Tensor, nms: NMS) -> Proposals:
        """Take the best anchors of each level, move them, and drop those that better ones overlap.

        Args:
            scores: From `forward`.
            anchors: L of (H·W·A, 4) float32.
            window: (B, 4) float32. What proposals are clipped to.
            nms: Which way to suppress.
        """
        candidates = self.rank(scores, anchors, window)
        return self.take(candidates, self.suppress(candidates, nms))

    def rank(self, scores: AnchorScores, anchors: Sequence[Tensor], window: Tensor) -> Candidates:
        """Take the best anchors of each level and move them; arguments as of `propose`."""
        scores, anchors = self.ranking.group(scores, anchors)
        before = self.config.pre_nms_train if self.training else self.config.pre_nms
        best = [
            self._best(logits.float(), deltas.float(), level, window, before)
            for logits, deltas, level in zip(*scores, anchors, strict=True)
        ]
        width = max(level.boxes.shape[1] for level in best)
        return Candidates(
            torch.stack([_pad(level.boxes, width) for level in best], dim=1),
            torch.stack([_pad(level.logits, width) for level in best], dim=1),
            torch.stack([_pad(level.valid, width) for level in best], dim=1),
            tuple(level.anchors for level in best),
        )

    def suppress(self, candidates: Candidates, nms: NMS) -> Kept:
        """Drop candidates that better ones of their level overlap: the best of all, by place among L·K."""
        boxes, logits, valid, _ = candidates
        B, L, width = logits.shape
        after = self._wanted
        kept = nms(
            boxes.flatten(0, 1),
            logits.flatten(0, 1),
            self.config.nms_iou,
            valid=valid.flatten(0, 1),
            limit=min(after, width),
        )
        offset = torch.arange(L, device=boxes.device)[:, None] * width
        index = (kept.indices.view(B, L, -1) + offset).flatten(1)
        there = kept.valid.view(B, -1)
        score = logits.flatten(1).gather(1, index).masked_fill(~there, -torch.inf)
        top = score.topk(min(after, score.shape[1]), dim=1)
        return Kept(index.gather(1, top.indices), there.gather(1, top.indices))

    def take(self, candidates: Candidates, kept: Kept) -> Proposals:
        """Make proposals of the candidates that are kept."""
        boxes = candidates.boxes.flatten(1, 2).gather(1, kept.indices[..., None].expand(-1, -1, 4))
        logits = candidates.logits.flatten(1).gather(1, kept.indices)
        found = Proposals(
            torch.where(kept.valid[..., None], boxes, 0.0), torch.where(kept.valid, logits, 0.0), kept.valid
        )
        return found if self.training else self.ranking.complete(found, self._wanted)

    @property
    def _wanted(self) -> int:
        return self.config.proposals_train if self.training else self.config.proposals

    def _best(self, logits: Tensor, deltas: Tensor, anchors: Tensor, window: Tensor, count: int) -> Moved:
        """Decode the best anchors of one level."""
        top = logits.topk(self._most(count, logits.shape[1]), dim=1)
        chosen = deltas.gather(1, top.indices[..., None].expand(-1, -1, 4))
        boxes = clip(decode(chosen, anchors[top.indices], self.unit, self.delta_clamp), window)
        side = boxes[..., 2:] - boxes[..., :2]
        large = (side >= self.config.min_side).all(dim=-1)
        valid = large & boxes.isfinite().all(dim=-1) & top.values.isfinite()
        return Moved(boxes, top.values, valid, top.indices)

    def _most(self, wanted: int, there: int) -> int:
        """Return how many anchors of a level are taken."""
        return min(wanted, there)

    def losses(self, scores: AnchorScores, anchors: Sequence[Tensor], batch: Batch) -> Losses:
        """Compare the scores of sampled anchors with the objects they overlap.

        Anchors on nothing are background, also in a picture where not every class was looked for: objectness knows no
        classes, so which of them lie on an object without annotation can't be told. The pictures where that class
        was looked for teach otherwise.

        Args:
            scores: From `forward`.
            anchors: L of (H·W·A, 4) float32.
            batch: The pictures with their objects.
        """
        logits = torch.cat([level.float() for level in scores.logits], dim=1)
        deltas = torch.cat([level.float() for level in scores.deltas], dim=1)
        matched, samples = self.sample_anchors(anchors, batch)
        target = matched.target.gather(1, samples.indices)
        objects = batch.boxes.gather(1, target[..., None].expand(-1, -1, 4))
        targets = encode(objects, torch.cat(list(anchors))[samples.indices], self.unit)
        sampled = deltas.gather(1, samples.indices[..., None].expand(-1, -1, 4))
        return {
            "objectness": objectness_loss(logits.gather(1, samples.indices), samples.positive, samples.valid),
            "proposal_box": box_loss(sampled, targets, samples.positive, samples.valid, self.config.beta),
        }

    @torch.no_grad()
    def sample_anchors(self, anchors: Sequence[Tensor], batch: Batch) -> tuple[Match, Samples]:
        """Choose the anchors to learn from: what each of all N overlaps, and the chosen S of them."""
        config = self.config
        boxes = torch.cat(list(anchors))[None]
        matched = match(
            boxes,
            batch.boxes,
            batch.labels,
            batch.ignored,
            positive_iou=config.positive_iou,
            negative_iou=config.negative_iou,
            ignored_overlap=self.ignored_overlap,
        )
        matched = adopt_orphans(matched, boxes, batch.boxes, batch.labels)
        return matched, sample(matched, batch.keys, ANCHOR_STREAM, config.samples, config.positive_fraction)


def _pad(values: Tensor, width: int) -> Tensor:
    """Lengthen the second dimension with zeros (False)."""
    missing = width - values.shape[1]
    return torch.cat([values, values.new_zeros(values.shape[0], missing, *values.shape[2:])], dim=1)

"""Mask R-CNN: backbone, pyramid, proposals, heads; every stage can be called alone.

References: Mask R-CNN (1703.06870), with the pyramid of FPN (1612.03144).
Letters: B pictures, L levels, P proposals, D detections, R regions, S samples, K classes, G ground-truth slots.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maskrcnn.config import InputConfig, ModelConfig
from maskrcnn.model.anchors import Anchors
from maskrcnn.model.backbone import Backbone, build_backbone
from maskrcnn.model.fpn import STRIDES, Pyramid
from maskrcnn.model.frame import Frame
from maskrcnn.model.losses import Loss, Losses, box_loss, class_loss, mask_loss
from maskrcnn.model.mask_targets import covered_cells
from maskrcnn.model.matching import Match, Samples, match, sample
from maskrcnn.model.postprocess import CHOICES, Candidates, Decoder, Detections, class_boxes, rank, suppress, take
from maskrcnn.model.roi_heads import BODIES, BoxHead, BoxScores, MaskHead
from maskrcnn.model.rpn import RPN, AnchorScores, Proposals, RPNHead
from maskrcnn.ops.boxes import encode
from maskrcnn.ops.nms import NMS, Kept, nms, nms_static
from maskrcnn.ops.resize import WAYS
from maskrcnn.ops.roi_align import LEVEL_RULES, SAMPLERS, Table, assign_levels, build_table, roi_align
from maskrcnn.structures import Batch

ROI_LEVELS = 4  # P2 to P5
REGION_STREAM = 1  # of the random numbers of a step


class Normalise(nn.Module):
    """Pixel values as they are read to what the network sees; padding that it does not see becomes zero.

    Args:
        config: Mean and std of each band, and whether padding is seen.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: InputConfig) -> None:
        super().__init__()
        self.way = WAYS[config.resize]
        self.register_buffer("mean", torch.tensor(config.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(config.std)[:, None, None], persistent=False)

    def forward(self, images: Tensor, size_hw: Tensor) -> Tensor:
        """Normalise a batch.

        Args:
            images: (B, bands, H, W) uint8 or float32.
            size_hw: (B, 2) int64. Size of each picture without padding.

        Returns:
            (B, bands, H, W) float32, channels-last in memory.
        """
        H, W = images.shape[-2:]
        h, w = size_hw[:, :1], size_hw[:, 1:]
        rows = torch.arange(H, device=images.device) < h + self.way.shown(H - h)
        columns = torch.arange(W, device=images.device) < w + self.way.shown(W - w)
        inside = rows[:, None, :, None] & columns[:, None, None, :]
        values = (images.float() - self.mean) / self.std
        return torch.where(inside, values, 0.0).contiguous(memory_format=torch.channels_last)


class MaskRCNN(nn.Module):
    """The network: pictures in, detections or losses out.

    Args:
        config: The settings that the parts were built from.
        backbone: C2 to C5.
        pyramid: P2 to P6.
        rpn: Proposals.
        box_head: Class and box of a region.
        mask_head: Mask of a region.
    """

    def __init__(
        self,
        config: ModelConfig,
        backbone: Backbone,
        pyramid: Pyramid,
        rpn: RPN,
        box_head: BoxHead,
        mask_head: MaskHead,
    ) -> None:
        super().__init__()
        self.config = config
        self.normalise = Normalise(config.input)
        self.frame = Frame(config)
        self.anchors = Anchors(config.anchors, STRIDES, config.rpn.stride)
        self.level_rule = LEVEL_RULES[config.regions.level]
        self.sampler = SAMPLERS[config.regions.sampler]
        self.choice = CHOICES[config.detect.choice]
        self.backbone = backbone
        self.pyramid = pyramid
        self.rpn = rpn
        self.box_head = box_head
        self.mask_head = mask_head

    def forward(self, images: Tensor, size_hw: Tensor) -> Detections:
        """Find the objects of each picture.

        Args:
            images: (B, bands, H, W) uint8 or float32. As read; H and W multiples of 32, padded as `input.resize` says.
            size_hw: (B, 2) int64. Size of each picture without padding.
        """
        return self.both_stages(images, size_hw)[1]

    def both_stages(self, images: Tensor, size_hw: Tensor) -> tuple[Proposals, Detections]:
        """Find the objects of each picture, and give what the first stage proposed too; arguments as in `forward`."""
        features = self.features(images, size_hw)
        proposals = self.propose(features, size_hw)
        table = self.table(features)
        return proposals, self.complete(table, self.detect(table, proposals, size_hw), size_hw)

    def features(self, images: Tensor, size_hw: Tensor) -> list[Tensor]:
        """Compute P2 to P6, five of (B, C, H/4, W/4) to (B, C, H/64, W/64) float; arguments as in `forward`."""
        levels: list[Tensor] = self.pyramid(self.backbone(self.normalise(images, size_hw)))
        return levels

    def table(self, features: Sequence[Tensor]) -> Table:
        """Lay P2 to P5 out for RoIAlign."""
        return build_table(features[:ROI_LEVELS], STRIDES[:ROI_LEVELS])

    def propose(self, features: Sequence[Tensor], size_hw: Tensor) -> Proposals:
        """Find boxes that may hold an object in P2 to P6; they and all that follow are boxes of `frame`."""
        return self._proposals(self.rpn(features), self.lay_anchors(features), features, size_hw)

    def pool(self, table: Table, boxes: Tensor, bins: int, sampling_ratio: int) -> Tensor:
        """Pool the regions of each picture, (B, R, 4) float, each on its level: (B·R, C, bins, bins) float."""
        B, R = boxes.shape[:2]
        flat = boxes.flatten(0, 1)
        picture = torch.arange(B, device=boxes.device).repeat_interleave(R)
        return self._align(table, flat, picture, bins, sampling_ratio)

    def score(self, table: Table, boxes: Tensor) -> BoxScores:
        """Score the regions of each picture, (B, R, 4) float, flattened to B·R."""
        head = self.config.box_head
        scores: BoxScores = self.box_head(self.pool(table, boxes, head.pool, head.sampling_ratio))
        return scores

    def detect(self, table: Table, proposals: Proposals, size_hw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn proposals into boxes (B, D, 4), scores (B, D) and labels (B, D) as in `Detections`, in `frame`."""
        window = self.frame.limits(size_hw, table.padded_hw).picture
        candidates = self.rank(self.score(table, proposals.boxes), proposals, window)
        return take(candidates, self.suppress(candidates))

    def rank(self, scores: BoxScores, proposals: Proposals, window: Tensor) -> Candidates:
        """Choose pairs of proposal and class that may become detections; their boxes are clipped to (B, 4) windows."""
        B = window.shape[0]
        probabilities = self.choice(scores.logits.softmax(dim=1)).reshape(B, -1, len(self.config.classes))
        boxes = self.move(scores, proposals, window)
        return rank(probabilities, boxes, proposals.valid, self.config.detect)

    def move(self, scores: BoxScores, proposals: Proposals, window: Tensor) -> Tensor:
        """Move every proposal as the box head says and clip it: (B, P, K or 1, 4) float32."""
        decoder = Decoder(self.box_head.std, self.config.delta_clamp)
        deltas = scores.deltas.reshape(window.shape[0], -1, *scores.deltas.shape[1:])
        return class_boxes(proposals, deltas, window, decoder)

    def suppress(self, candidates: Candidates) -> Kept:
        """Keep the best candidates that no better one of their class overlaps."""
        return suppress(candidates, self.config.detect, self._nms(candidates.boxes))

    def complete(self, table: Table, found: tuple[Tensor, Tensor, Tensor], size_hw: Tensor) -> Detections:
        """Draw the masks of what `detect` found and bring its boxes into the pixels of the pictures."""
        boxes, scores, labels = found
        outside = self.frame.leave(boxes, self.frame.limits(size_hw, table.padded_hw))
        outside = torch.where(labels[..., None] >= 0, outside, 0.0)
        return Detections(outside, scores, labels, self.masks(table, boxes, labels))

    def masks(self, table: Table, boxes: Tensor, labels: Tensor) -> Tensor:
        """Draw the mask of each detection: (B, D, M, M) float32 probabilities, 0 in an empty slot.

        Empty slots cost nothing on a CPU, where they are left out before the head and filled in after it.
        """
        side = 2 * self.config.mask_head.pool
        slots = self._slots(labels >= 0)
        logits = self._mask_logits(table, boxes, labels, slots)
        patches = logits.new_zeros(labels.numel(), side, side)
        patches[slots] = torch.where(labels.flatten()[slots][:, None, None] >= 0, logits.sigmoid(), 0.0)
        return patches.view(*labels.shape, side, side)

    def losses(self, batch: Batch) -> Losses:
        """Compute the five losses of a training step.

        Returns:
            `objectness`, `proposal_box`, `class`, `box`, `mask`, each a sum and a count.
        """
        features = self.features(batch.images, batch.size_hw)
        anchors = self.lay_anchors(features)
        scores: AnchorScores = self.rpn(features)
        proposals = self._proposals(scores, anchors, features, batch.size_hw)
        table = self.table(features)
        return {**self.rpn.losses(scores, anchors, batch), **self.region_losses(table, proposals, batch)}

    def region_losses(self, table: Table, proposals: Proposals, batch: Batch) -> Losses:
        """Compute the losses of the second stage on sampled regions: `class`, `box`, `mask`."""
        boxes, matched, samples = self.sample_regions(proposals, batch)
        regions = boxes.gather(1, samples.indices[..., None].expand(-1, -1, 4))
        target = matched.target.gather(1, samples.indices)
        labels = torch.where(samples.positive, batch.labels.gather(1, target), len(self.config.classes))
        scores = self.score(table, regions)
        objects = self.frame.enter(batch.boxes).gather(1, target[..., None].expand(-1, -1, 4))
        targets = encode(objects, regions, self.box_head.std).flatten(0, 1)
        positive, valid, label = samples.positive.flatten(), samples.valid.flatten(), labels.flatten()
        labelled = batch.labelled[:, None].expand(-1, labels.shape[1], -1).flatten(0, 1)
        return {
            "class": class_loss(scores.logits, label, valid, labelled),
            "box": box_loss(_of_class(scores.deltas, label), targets, positive, valid, self.config.box_head.beta),
            "mask": self._mask_loss(table, regions, target, labels, samples.positive, batch),
        }

    @torch.no_grad()
    def sample_regions(self, proposals: Proposals, batch: Batch) -> tuple[Tensor, Match, Samples]:
        """Choose the regions to learn from among the proposals and the objects themselves.

        Returns:
            boxes (B, P + G, 4) float32 of `frame`, their match, and the chosen S of them.
        """
        head = self.config.box_head
        objects, ignored = self.frame.enter(batch.boxes), self.frame.enter(batch.ignored)
        boxes = torch.cat([proposals.boxes, objects], dim=1)
        present = torch.cat([proposals.valid, batch.labels >= 0], dim=1)
        matched = match(
            boxes,
            objects,
            batch.labels,
            ignored,
            positive_iou=head.positive_iou,
            negative_iou=head.positive_iou,
            ignored_overlap=self.config.ignored_overlap,
        )
        matched = matched._replace(positive=matched.positive & present, negative=matched.negative & present)
        return boxes, matched, sample(matched, batch.keys, REGION_STREAM, head.samples, head.positive_fraction)

    def _mask_loss(
        self, table: Table, regions: Tensor, target: Tensor, labels: Tensor, positive: Tensor, batch: Batch
    ) -> Loss:
        head = self.config.box_head
        positives = min(int(head.samples * head.positive_fraction), self.config.mask_head.samples)
        most = min(positives, regions.shape[1])  # positives come first, in random order
        regions, target, labels, positive = (t[:, :most] for t in (regions, target, labels, positive))
        known = positive & batch.masks.known.gather(1, target)
        slots = filled_slots(known)
        picture = torch.arange(len(regions), device=regions.device).repeat_interleave(most)[slots]
        side = 2 * self.config.mask_head.pool
        wanted = covered_cells(batch.masks, picture, target.flatten()[slots], regions.flatten(0, 1)[slots], side)
        logits = self._mask_logits(table, regions, labels, slots)
        return mask_loss(logits, wanted, known.flatten()[slots])

    def _mask_logits(self, table: Table, boxes: Tensor, labels: Tensor, slots: Tensor) -> Tensor:
        """Run the mask head on chosen slots of (B, R) regions: (chosen, M, M) float."""
        head = self.config.mask_head
        B, R = labels.shape
        flat = boxes.flatten(0, 1)[slots]
        picture = torch.arange(B, device=boxes.device).repeat_interleave(R)[slots]
        pooled = self._align(table, flat, picture, head.pool, head.sampling_ratio)
        logits: Tensor = self.mask_head(pooled, labels.flatten()[slots])
        return logits

    def _align(self, table: Table, boxes: Tensor, picture: Tensor, bins: int, sampling_ratio: int) -> Tensor:
        """Pool regions, (R, 4) float, each on its level: (R, C, bins, bins) float."""
        level = assign_levels(boxes, table, self.level_rule)
        return roi_align(table, boxes, picture, level, bins, sampling_ratio, self.sampler)

    def _proposals(
        self, scores: AnchorScores, anchors: Sequence[Tensor], features: Sequence[Tensor], size_hw: Tensor
    ) -> Proposals:
        H, W = (side * STRIDES[0] for side in features[0].shape[2:])
        inner = [self.frame.enter(level) for level in anchors]
        return self.rpn.propose(scores, inner, self.frame.limits(size_hw, (H, W)).seen, self._nms(features[0]))

    def lay_anchors(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Lay the anchors over P2 to P6: five of (H·W·A, 4) float32, in pixels of the padded picture."""
        anchors: list[Tensor] = self.anchors([(level.shape[2], level.shape[3]) for level in features])
        return anchors

    def _slots(self, valid: Tensor) -> Tensor:
        """Choose the slots whose masks are drawn, from (B, R) bool: (n) int64, flat."""
        return filled_slots(valid)

    def _nms(self, like: Tensor) -> NMS:
        """Choose the way of suppression: in training an accelerator must not wait for values."""
        return nms_static if self.training and like.device.type != "cpu" else nms


def filled_slots(valid: Tensor) -> Tensor:
    """Return the flat positions of slots worth computing: the filled ones on a CPU, all on an accelerator.

    Args:
        valid: (B, R) bool.

    Returns:
        (n) int64.
    """
    if valid.device.type == "cpu":
        return valid.flatten().nonzero()[:, 0]
    return torch.arange(valid.numel(), device=valid.device)


def _of_class(deltas: Tensor, labels: Tensor) -> Tensor:
    """Pick the deltas of each region's own class from (R, K or 1, 4): (R, 4); background picks any."""
    choice = labels.clamp(max=deltas.shape[1] - 1)[:, None, None].expand(-1, 1, 4)
    return deltas.gather(1, choice)[:, 0]


def build(config: ModelConfig) -> MaskRCNN:
    """Make the model that the settings describe, with fresh weights."""
    backbone = build_backbone(config.backbone, config.input.bands)
    channels, classes = config.pyramid.channels, len(config.classes)
    return MaskRCNN(
        config,
        backbone,
        Pyramid(backbone.channels, config.pyramid),
        RPN(RPNHead(channels, config.anchors.per_cell, config.rpn), config),
        BoxHead(BODIES[config.box_head.kind](channels, config.box_head), classes, config.box_head),
        MaskHead(channels, classes, config.mask_head),
    )

"""What a training step would make of one picture: which boxes learn from which object, what from, and each loss.

The weights stay as they are, and so do the statistics of norms: what a step of training with batch norms would see
differs in them.

Letters: G objects, S sampled regions, T regions whose masks are shown, M side of a mask.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskrcnn.data.batches import collate
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.geometry import resize
from maskrcnn.evaluation.run import matching_categories
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.mask_targets import covered_cells
from maskrcnn.model.matching import Match, Samples
from maskrcnn.ops.nms import nms
from maskrcnn.ops.roi_align import Table
from maskrcnn.prediction.tracing import LEVELS, Trace
from maskrcnn.structures import Batch, Sample

MOST_MASKS = 8
KEY = 0  # what the choice of samples follows from

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Chosen(NamedTuple):
    """Boxes that a loss looks at; what they have learnt from an object counts only where they are positive.

    Attributes:
        boxes: (S, 4) float32. In the coordinates of the trace.
        positive: (S) bool. They learn an object; the others learn background.
        target: (S) int64 in [0, G). The object that each overlaps most.
        iou: (S) float32. By how much.
        counts: How many of all boxes are positive, negative, and neither.
    """

    boxes: Floats
    positive: Flags
    target: Whole
    iou: Floats
    counts: tuple[int, int, int]


class MaskTargets(NamedTuple):
    """What the mask head should say of T sampled regions, and what it says.

    Attributes:
        boxes: (T, 4) float32.
        target: (T) int64 in [0, G).
        wanted: (T, M, M) float32 in [0, 1]. Share of each cell that the object covers.
        drawn: (T, M, M) float32 in [0, 1]. Probability.
    """

    boxes: Floats
    target: Whole
    wanted: Floats
    drawn: Floats


class Lesson(NamedTuple):
    """A step's view of one picture.

    Attributes:
        objects: (G, 4) float32. Boxes of the objects in pixels of the padded picture.
        anchors: Those that the first stage learns from.
        regions: Those that the second stage learns from.
        masks: What some positive ones of them learn.
        losses: Each term by its name: its mean, and how many samples it is of.
    """

    objects: Floats
    anchors: Chosen
    regions: Chosen
    masks: MaskTargets
    losses: Mapping[str, tuple[float, int]]


def labelled_sample(dataset: Dataset, i: int, class_names: tuple[str, ...]) -> Sample:
    """Read picture i with the labels of a model, whose classes are matched by name.

    Raises:
        InputError: The picture shows a class that the model does not know.
        MaskRCNNError: The picture can't be read.
    """
    ids = matching_categories(class_names, dataset.select([i]))
    label_of = {category_id: label for label, category_id in enumerate(ids)}
    sample = dataset[i]
    labels = [label_of[dataset.category_ids[label]] for label in sample.instances.labels.tolist()]
    instances = replace(sample.instances, labels=np.array(labels, dtype=np.int64), class_names=class_names)
    looked = sample.labelled
    if looked is not None:
        looked = frozenset(
            label_of[each] for each in (dataset.category_ids[label] for label in looked) if each in label_of
        )
    return replace(sample, instances=instances, labelled=looked)


@torch.inference_mode()
def learn(model: MaskRCNN, trace: Trace, sample: Sample) -> Lesson:
    """Do what a training step does with a picture, but for learning from it.

    Args:
        model: In evaluation mode, on the CPU.
        trace: Of the same picture through the same network.
        sample: The picture with its objects, whose labels are those of the model.
    """
    batch = _batch(model, trace, sample)
    features = [torch.from_numpy(trace["pyramid"][name])[None] for name in LEVELS]
    anchors, scores = model.lay_anchors(features), model.rpn(features)
    rpn = copy.copy(model.rpn)
    rpn.training = True  # which decides how many proposals there are, and nothing else
    limits = model.frame.limits(batch.size_hw, trace.padded_hw)
    proposals = rpn.propose(scores, [model.frame.enter(each) for each in anchors], limits.seen, nms)
    table = model.table(features)
    losses = {**model.rpn.losses(scores, anchors, batch), **model.region_losses(table, proposals, batch)}
    boxes, matched, samples = model.sample_regions(proposals, batch)
    regions = _chosen(boxes[0], matched, samples)
    return Lesson(
        batch.boxes[0][batch.labels[0] >= 0].numpy(),
        _chosen(model.frame.enter(torch.cat(anchors)), *model.rpn.sample_anchors(anchors, batch)),
        regions,
        _mask_targets(model, table, regions, batch),
        {name: (loss.mean.item(), int(loss.samples)) for name, loss in losses.items()},
    )


def _batch(model: MaskRCNN, trace: Trace, sample: Sample) -> Batch:
    config = model.config.input
    return collate([resize(sample, trace.size_hw, config.sampling)], [KEY], trace.padded_hw, config.resize)


def _chosen(boxes: Tensor, matched: Match, samples: Samples) -> Chosen:
    index = samples.indices[0][samples.valid[0]]
    positive, negative = (int(each.sum()) for each in (matched.positive, matched.negative))
    return Chosen(
        boxes[index].numpy(),
        samples.positive[0][samples.valid[0]].numpy(),
        matched.target[0][index].numpy(),
        matched.iou[0][index].numpy(),
        (positive, negative, matched.positive.numel() - positive - negative),
    )


def _mask_targets(model: MaskRCNN, table: Table, regions: Chosen, batch: Batch) -> MaskTargets:
    known = batch.masks.known[0].numpy()[regions.target] & regions.positive
    _, first = np.unique(regions.target[known], return_index=True)  # one of every object, then others
    order = np.argsort(~np.isin(np.arange(known.sum()), first), kind="stable")
    chosen = known.nonzero()[0][order[:MOST_MASKS]]
    boxes, target = torch.from_numpy(regions.boxes[chosen]), torch.from_numpy(regions.target[chosen])
    side = 2 * model.config.mask_head.pool
    wanted = covered_cells(batch.masks, torch.zeros_like(target), target, boxes, side)
    drawn = model.masks(table, boxes[None], batch.labels[0][target][None])[0]
    return MaskTargets(boxes.numpy(), target.numpy(), wanted.numpy(), drawn.numpy())

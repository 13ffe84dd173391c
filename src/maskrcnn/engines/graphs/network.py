"""A trained model in a form that can be written as a graph: the same stages, with shapes that hold for every picture.

Where the model takes the smaller of a number in its settings and what a small picture has, the graph pads to the
number; so all that follows the choice of anchors has fixed shapes but for the number of pictures.

Letters: B pictures, R regions, D detections, M side of a mask.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskrcnn.engines.graphs.operators import Operators
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.rpn import RPN, Moved
from maskrcnn.ops.nms import NMS
from maskrcnn.ops.roi_align import LEVEL_RULES, LevelRule, Table, assign_levels

Results = tuple[Tensor, Tensor, Tensor, Tensor]
Number = Any  # an int or a float; while a graph is made, one that is known when it runs
STEP = 32  # H and W are multiples of it


def pad(images: Tensor, before_hw: tuple[Number, Number], size_hw: tuple[Number, Number]) -> Tensor:
    """Put pictures into larger ones of zeros, whose size is a multiple of 32 of which the graph knows nothing more.

    The exporter draws conclusions from the sizes that it is shown, such as that P6 has one row; it can't from these.

    Args:
        images: (B, C, h, w) float32.
        before_hw: Rows above and columns left of each picture.
        size_hw: H and W.
    """
    padding: list[Number] = []
    for side, before, size in zip(reversed(images.shape[2:]), reversed(before_hw), reversed(size_hw), strict=True):
        unknown = STEP * _unknown(size // STEP)  # the last axis comes first
        padding += [before, unknown - side - before]
    return F.pad(images, padding)


def _unknown(count: Number) -> Number:
    found = torch.full((), count, dtype=torch.int64).item()
    torch._check(found >= 1)
    return found


def up(side: Number, divisor: int) -> Number:
    """Return the next multiple of a divisor."""
    return (side + divisor - 1) // divisor * divisor


class GraphRPN(RPN):
    """The model's proposals, with as many anchors of every level as the settings say; those not there are not valid."""

    def _best(self, logits: Tensor, deltas: Tensor, anchors: Tensor, window: Tensor, count: int) -> Moved:
        padded = F.pad(logits, (0, count), value=-torch.inf), F.pad(deltas, (0, 0, 0, count))
        return super()._best(*padded, F.pad(anchors, (0, 0, 0, count)), window, count)

    def _most(self, wanted: int, there: int) -> int:  # noqa: ARG002  # there are more, padded as they are
        return wanted


def _round(side: Tensor, padded_hw: tuple[int, int]) -> Tensor:
    """Do what the rule `round` does, with sides of the padded picture that are not known yet."""
    H, W = padded_hw
    area = torch.full((), H * W, dtype=torch.float64) / torch.full((), (H - 1) * (W - 1), dtype=torch.float64)
    return torch.round(4 + torch.log2(side / (224 / torch.sqrt(area)).to(side.dtype)))


GRAPH_LEVEL_RULES: dict[str, LevelRule] = {**LEVEL_RULES, "round": _round}


class GraphNetwork(MaskRCNN):
    """A model to be written as a graph.

    Args:
        model: The model; its parts are shared.
        operators: What suppresses and pools.
    """

    def __init__(self, model: MaskRCNN, operators: Operators) -> None:
        config = model.config
        rpn = GraphRPN(model.rpn.head, config)
        super().__init__(config, model.backbone, model.pyramid, rpn, model.box_head, model.mask_head)
        self.operators = operators
        self.level_rule = GRAPH_LEVEL_RULES[config.regions.level]
        self.eval()

    def forward(self, images: Tensor, size_hw: Tensor) -> Results:  # type: ignore[override]  # a graph gives tensors
        """Find the objects of each picture; arguments and result as of `MaskRCNN.forward`.

        There are as many slots for every picture as the settings say, also for the smallest.
        """
        boxes, scores, labels, masks = super().forward(images, size_hw)
        return boxes, scores, labels, masks

    def _align(self, table: Table, boxes: Tensor, picture: Tensor, bins: int, sampling_ratio: int) -> Tensor:
        level = assign_levels(boxes, table, self.level_rule)
        return self.operators.pool(table, boxes, picture, level, bins, sampling_ratio, self.config.regions.sampler)

    def _nms(self, like: Tensor) -> NMS:  # noqa: ARG002  # as the model's
        return partial(self.operators.suppress, count=len(self.config.classes))

    def _slots(self, valid: Tensor) -> Tensor:
        """Choose the filled slots, and the first, so that there always is one."""
        flat = valid.flatten()
        return (flat | (torch.arange(flat.shape[0], device=flat.device) == 0)).nonzero()[:, 0]


class PaddedPictures(nn.Module):
    """A network for pictures that are resized already.

    Args:
        network: What finds the objects.
    """

    def __init__(self, network: GraphNetwork) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, images: Tensor, size_hw: Tensor) -> Results:
        """Find the objects of each picture; arguments and result as of `GraphNetwork.forward`."""
        H, W = (up(side, STEP) for side in images.shape[2:])
        found: Results = self.network(pad(images, (0, 0), (H, W)), size_hw)
        return found

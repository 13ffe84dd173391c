"""One picture's way through the network: every stage with its tensors, and where each detection came from.

The stages are those of the network itself, called one after the other, so that what comes out is what it finds.

Letters: H, W height and width of the padded picture; C channels; A anchors a cell; N anchors that were looked at;
P proposals; K classes; Q pairs of proposal and class; D detections; M side of a mask.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskrcnn.errors import InputError
from maskrcnn.model.frame import Limits
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.postprocess import Detections
from maskrcnn.model.postprocess import take as take_detections
from maskrcnn.model.roi_heads import BoxScores
from maskrcnn.model.rpn import AnchorScores, Candidates, Proposals
from maskrcnn.ops.boxes import decode
from maskrcnn.ops.nms import Kept, nms
from maskrcnn.ops.roi_align import Table, assign_levels
from maskrcnn.structures import Instances

Array = NDArray[Any]
Result = TypeVar("Result")
LEVELS = ("P2", "P3", "P4", "P5", "P6")


class Stage(NamedTuple):
    """A part of the way.

    Attributes:
        name: What it is called.
        about: What happens in it, one sentence.
        tensors: What comes out of it, by name; on the CPU, without the axis of the batch.
        seconds: How long it took.
    """

    name: str
    about: str
    tensors: Mapping[str, Array]
    seconds: float


class Origins(NamedTuple):
    """Where each of D detections came from; -1 where it came from a proposal that no anchor made.

    Attributes:
        slot: (D) int64. Its place among the detections of the network, some of which may have no pixel.
        level: (D) int64. The level of its anchor, 0 for P2.
        anchor: (D) int64. Which of the level's anchors, by row, column and shape.
        cell: (D, 2) int64. Row and column of the anchor's cell among those that have anchors.
        shape: (D) int64 in [0, A). Which of the cell's anchors.
        proposal: (D) int64 in [0, P).
        region_level: (D) int64. The level that the proposal's features were cut from, 0 for P2.
        mask_level: (D) int64. Likewise the detection's, for its mask.
    """

    slot: NDArray[np.int64]
    level: NDArray[np.int64]
    anchor: NDArray[np.int64]
    cell: NDArray[np.int64]
    shape: NDArray[np.int64]
    proposal: NDArray[np.int64]
    region_level: NDArray[np.int64]
    mask_level: NDArray[np.int64]


@dataclass(frozen=True)
class Trace:
    """The way of one picture, from pixels to instances.

    `trace["pyramid"]["P3"]` is a tensor, `print(trace)` lists all of them. Boxes between are x1, y1, x2, y2 in pixels
    of the padded picture that the network sees, in the coordinates of its `frame`.

    Attributes:
        stages: The parts, in order.
        origins: Where each object came from.
        instances: What was found, in pixels of the picture that came in.
        size_hw: Height and width of the resized picture, without its padding.
        padded_hw: Height and width of what the network saw.
        corner: Row and column of the resized picture's first pixel in the padded one.
    """

    stages: tuple[Stage, ...]
    origins: Origins
    instances: Instances
    size_hw: tuple[int, int]
    padded_hw: tuple[int, int]
    corner: tuple[int, int]

    def __getitem__(self, name: str) -> Mapping[str, Array]:
        """Return the tensors of a stage.

        Raises:
            InputError: There is none of that name.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage.tensors
        raise InputError(f"stage: expected one of {', '.join(stage.name for stage in self.stages)}, got {name!r}")

    def __iter__(self) -> Iterator[Stage]:
        """Give the stages, in order."""
        return iter(self.stages)

    def __str__(self) -> str:
        """List the stages with the shapes of their tensors."""
        lines = []
        for stage in self.stages:
            lines.append(f"{stage.name}  {1000 * stage.seconds:.1f} ms  {stage.about}")
            lines += [f"  {name:<14} {_shape(tensor):<18} {tensor.dtype}" for name, tensor in stage.tensors.items()]
        return "\n".join(lines)


def _shape(tensor: Array) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


class Walk(NamedTuple):
    """What `walk` gives: the stages, where detections came from, and the detections as the network gives them."""

    stages: tuple[Stage, ...]
    origins: Origins
    detections: Detections


@torch.inference_mode()
def walk(model: MaskRCNN, images: Tensor, size_hw: Tensor) -> Walk:
    """Run a network on one picture, stage by stage.

    Args:
        model: In evaluation mode.
        images: (1, bands, H, W) uint8 or float32. As of `MaskRCNN.forward`.
        size_hw: (1, 2) int64.
    """
    clock = _Clock(images.device)
    normalised = clock.time(lambda: model.normalise(images, size_hw))
    clock.stage(
        "input",
        "The picture resized and padded, and as the network sees it: less the mean, by the standard deviation.",
        {"pixels": images, "normalised": normalised},
    )
    maps = clock.time(lambda: model.backbone(normalised))
    clock.stage(
        "backbone", "Feature maps of the residual network, each half as large as the one before.", _named("C", maps)
    )
    features = clock.time(lambda: model.pyramid(maps))
    clock.stage(
        "pyramid", "Every level with the meaning of the deep ones and its own resolution.", _named("P", features)
    )
    table = model.table(features)
    limits = model.frame.limits(size_hw, table.padded_hw)
    proposals, sources = _propose(model, features, limits, clock)
    level, scores = _score(model, table, proposals, clock)
    found, chosen = _detect(model, scores, proposals, limits, clock)
    detections = clock.time(lambda: model.complete(table, found, size_hw))
    boxes, labels = found[0], found[2]
    mask_level = assign_levels(boxes[0], table, model.level_rule)
    there = labels[0] >= 0
    clock.stage(
        "masks",
        "For each detection the probability that a cell of its box belongs to the object.",
        {"boxes": boxes[:, there], "level": mask_level[None, there], "probabilities": detections.masks[:, there]},
    )
    origins = _origins(model, features, sources, chosen[there], level, mask_level[there])
    return Walk(tuple(clock.stages), origins, detections)


class _Clock:
    """Times what happens between stages and collects them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stages: list[Stage] = []
        self.spent = 0.0

    def time(self, step: Callable[[], Result]) -> Result:
        """Run a step of the network and add its time to the next stage."""
        began = time.perf_counter()
        result = step()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.spent += time.perf_counter() - began
        return result

    def stage(self, name: str, about: str, tensors: Mapping[str, Tensor]) -> None:
        """End a stage: its tensors have one picture, whose axis goes."""
        found = {key: _to_array(value[0]) for key, value in tensors.items()}
        self.stages.append(Stage(name, about, found, self.spent))
        self.spent = 0.0


def _to_array(tensor: Tensor) -> Array:
    full = tensor.float() if tensor.is_floating_point() else tensor
    found: Array = full.cpu().numpy()
    return found


def _named(letter: str, levels: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"{letter}{i}": level for i, level in enumerate(levels, 2)}


class _Sources(NamedTuple):
    """Of the N anchors that were looked at: level (N) and place in it (N); of the proposals: which of them (P)."""

    level: Tensor
    anchor: Tensor
    candidate: Tensor


def _propose(model: MaskRCNN, features: list[Tensor], limits: Limits, clock: _Clock) -> tuple[Proposals, _Sources]:
    anchors = [model.frame.enter(level) for level in clock.time(lambda: model.lay_anchors(features))]
    clock.stage(
        "anchors", "The boxes that every cell of a level starts from.", _named("P", [each[None] for each in anchors])
    )
    scores: AnchorScores = clock.time(lambda: model.rpn(features))
    tensors: dict[str, Tensor] = {}
    for name, logits, deltas, feature in zip(LEVELS, *scores, features, strict=True):
        grid = (1, *_grid(model, feature), -1)
        tensors |= {f"logits {name}": logits.view(grid), f"deltas {name}": deltas.reshape(*grid, 4)}
    clock.stage("rpn", "How much every anchor looks like an object, and how it should move.", tensors)
    candidates = clock.time(lambda: model.rpn.rank(scores, anchors, limits.seen))
    level, anchor = _places(candidates, [len(each) for each in anchors])
    every, deltas = torch.cat(anchors), torch.cat([each[0].float() for each in scores.deltas])
    flat = anchor + torch.tensor([0, *map(len, anchors)], device=anchor.device).cumsum(0)[level]
    used = candidates.valid.new_zeros(candidates.logits.shape)
    for i, part in enumerate(candidates.anchors):
        used[:, i, : part.shape[1]] = True
    clock.stage(
        "candidates",
        "The anchors that look most like an object, moved, and clipped to the picture.",
        {
            "level": level[None],
            "anchor": anchor[None],
            "logits": candidates.logits[used][None],
            "anchors": every[flat][None],
            "moved": decode(deltas[flat], every[flat], model.rpn.unit, model.rpn.delta_clamp)[None],
            "boxes": candidates.boxes[used][None],
            "valid": candidates.valid[used][None],
        },
    )
    kept: Kept = clock.time(lambda: model.rpn.suppress(candidates, nms))
    proposals = clock.time(lambda: model.rpn.take(candidates, kept))
    there = proposals.valid[0]
    place = used.flatten().cumsum(0) - 1
    candidate = torch.full_like(there, -1, dtype=torch.int64)
    candidate[: kept.indices.shape[1]] = torch.where(kept.valid[0], place[kept.indices[0]], -1)
    clock.stage(
        "proposals",
        "What is left where a better candidate of the level does not overlap.",
        {"boxes": proposals.boxes[:, there], "logits": proposals.logits[:, there], "candidate": candidate[None, there]},
    )
    return proposals, _Sources(level, anchor, candidate)


def _grid(model: MaskRCNN, feature: Tensor) -> tuple[int, int]:
    """Return how many rows and columns of a level have anchors."""
    every = model.anchors.every
    return -(-feature.shape[2] // every), -(-feature.shape[3] // every)


def _places(candidates: Candidates, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Name the level, and the place in it, of every candidate: two of (N) int64."""
    if len(candidates.anchors) == len(counts):
        levels = [torch.full_like(part[0], i) for i, part in enumerate(candidates.anchors)]
        return torch.cat(levels), torch.cat([part[0] for part in candidates.anchors])
    every = candidates.anchors[0][0]  # ranked as one level: counted over all of them
    starts = torch.tensor([0, *counts[:-1]], device=every.device).cumsum(0)
    level = torch.bucketize(every, starts, right=True) - 1
    return level, every - starts[level]


def _score(model: MaskRCNN, table: Table, proposals: Proposals, clock: _Clock) -> tuple[Tensor, BoxScores]:
    head, there = model.config.box_head, proposals.valid[0]
    level = assign_levels(proposals.boxes[0], table, model.level_rule)
    pooled = clock.time(lambda: model.pool(table, proposals.boxes, head.pool, head.sampling_ratio))
    clock.stage(
        "regions",
        "The features of every proposal, cut out of the level that suits its size.",
        {"level": level[None, there], "pooled": pooled[None, there]},
    )
    scores: BoxScores = clock.time(lambda: model.box_head(pooled))
    clock.stage(
        "box head",
        "What every region shows, the background last, and how its box should move for each class.",
        {
            "logits": scores.logits[None, there],
            "probabilities": scores.logits.softmax(dim=1)[None, there],
            "deltas": scores.deltas[None, there],
        },
    )
    return level, scores


def _detect(
    model: MaskRCNN, scores: BoxScores, proposals: Proposals, limits: Limits, clock: _Clock
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Give the detections, and which proposal each of them came from."""
    there = proposals.valid[0]
    moved = model.move(scores, proposals, limits.picture)
    candidates = clock.time(lambda: model.rank(scores, proposals, limits.picture))
    kept = clock.time(lambda: model.suppress(candidates))
    wanted = candidates.scores[0] >= 0
    place = wanted.cumsum(0) - 1
    chosen = candidates.proposals[0][kept.indices[0]]
    clock.stage(
        "detections",
        "Pairs of region and class above the least probability; of those that overlap in a class the best stays.",
        {
            "moved": moved[:, there],
            "boxes": candidates.boxes[:, wanted],
            "scores": candidates.scores[:, wanted],
            "labels": candidates.labels[:, wanted],
            "proposal": candidates.proposals[:, wanted],
            "kept": place[kept.indices[0]][kept.valid[0]][None],
        },
    )
    return take_detections(candidates, kept), chosen


def _origins(
    model: MaskRCNN,
    features: Sequence[Tensor],
    sources: _Sources,
    proposal: Tensor,
    region_level: Tensor,
    mask_level: Tensor,
) -> Origins:
    candidate = sources.candidate[proposal]
    made = candidate >= 0
    level, anchor = (torch.where(made, each[candidate.clamp(min=0)], -1) for each in (sources.level, sources.anchor))
    columns = torch.tensor([_grid(model, each)[1] for each in features], device=level.device)[level.clamp(min=0)]
    per_cell = model.config.anchors.per_cell
    cell = torch.stack([anchor // per_cell // columns, anchor // per_cell % columns], dim=1)
    cell, shape = torch.where(made[:, None], cell, -1), torch.where(made, anchor % per_cell, -1)
    slot = torch.arange(len(proposal))
    found = (slot, level, anchor, cell, shape, proposal, region_level[proposal], mask_level)
    return Origins(*(each.cpu().numpy() for each in found))

"""The operators of torchvision, as its own model calls them; runs in an environment that has torchvision.

Letters: N boxes, R regions, C channels, P bins a side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor
from worker import Job, serve

Floats = NDArray[np.float32]


def nms(boxes: Floats, scores: Floats, iou: float, limit: int, groups: NDArray[np.int64] | None = None) -> Job:
    """Suppress boxes (N, 4) by scores (N), each group (N) by itself: `kept`, positions by falling score."""
    places, values = torch.from_numpy(boxes), torch.from_numpy(scores)
    if groups is None:
        return Job(lambda: torchvision.ops.nms(places, values, iou)[:limit], lambda kept: {"kept": kept.numpy()})
    own = torch.from_numpy(groups)
    return Job(
        lambda: torchvision.ops.batched_nms(places, values, own, iou)[:limit], lambda kept: {"kept": kept.numpy()}
    )


def roi_align(
    boxes: Floats,
    level: NDArray[np.int64],
    bins: int,
    samples: int,
    rows: bool,
    gradient: Floats | None = None,
    **levels: Floats,
) -> Job:
    """Pool regions (R, 4), each on its level, as `MultiScaleRoIAlign` does, here with half-pixel-exact places.

    Args:
        boxes: (R, 4).
        level: (R) int64. Counted from the finest.
        bins: P.
        samples: Samples a side of a bin.
        rows: Whether features and results are channels-last in memory.
        gradient: (R, C, P, P). Where given, the backward pass is run too.
        levels: `p2`, `p3` and so on, (1, C, H, W) each.

    Returns:
        A job that gives `pooled` (R, C, P, P), or the gradient of each level.
    """
    layout = torch.channels_last if rows else torch.contiguous_format
    names = sorted(levels)
    features = [torch.from_numpy(levels[name]).contiguous(memory_format=layout) for name in names]
    places, number = torch.from_numpy(boxes), torch.from_numpy(level)

    def pool() -> Tensor:
        out = torch.zeros(len(places), features[0].shape[1], bins, bins)
        for i, feature in enumerate(features):
            here = torch.where(number == i)[0]
            scale = 2.0 ** -(i + 2)
            out[here] = torchvision.ops.roi_align(feature, [places[here]], bins, scale, samples, aligned=True)
        return out.contiguous(memory_format=layout)

    if gradient is None:

        def forward() -> Tensor:
            with torch.inference_mode():
                return pool()

        return Job(forward, lambda pooled: {"pooled": pooled.contiguous().numpy()})
    for feature in features:
        feature.requires_grad_()
    wanted = torch.from_numpy(gradient).contiguous(memory_format=layout)

    def learn() -> Any:
        found = torch.autograd.grad(pool(), features, wanted)
        return [each.contiguous(memory_format=layout) for each in found]

    return Job(learn, lambda found: {name: g.contiguous().numpy() for name, g in zip(names, found, strict=True)})


if __name__ == "__main__":
    serve({"nms": nms, "roi_align": roi_align})

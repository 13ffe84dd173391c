"""What torchvision does, as its users call it; runs in an environment that has torchvision and not this package.

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


# ---- operators


def nms(boxes: Floats, scores: Floats, iou: float) -> Job:
    """Suppress boxes (N, 4) by scores (N): `kept`, positions by falling score."""
    given = torch.from_numpy(boxes), torch.from_numpy(scores)
    return Job(lambda: torchvision.ops.nms(*given, iou), lambda kept: {"kept": kept.numpy()})


def roi_align(
    boxes: Floats, level: NDArray[np.int64], bins: int, samples: int, gradient: Floats | None = None, **levels: Floats
) -> Job:
    """Pool regions (R, 4), each on its level, as `MultiScaleRoIAlign` does, here with half-pixel-exact places.

    Args:
        boxes: (R, 4).
        level: (R) int64. Counted from the finest.
        bins: P.
        samples: Samples a side of a bin.
        gradient: (R, C, P, P). Where given, the backward pass is run too.
        levels: `p2`, `p3` and so on, (1, C, H, W) each.

    Returns:
        A job that gives `pooled` (R, C, P, P), or the gradient of each level.
    """
    features = [torch.from_numpy(levels[name]) for name in sorted(levels)]
    places, number = torch.from_numpy(boxes), torch.from_numpy(level)

    def pool() -> Tensor:
        out = torch.zeros(len(places), features[0].shape[1], bins, bins)
        for i, feature in enumerate(features):
            here = torch.where(number == i)[0]
            scale = 2.0 ** -(i + 2)
            out[here] = torchvision.ops.roi_align(feature, [places[here]], bins, scale, samples, aligned=True)
        return out

    if gradient is None:

        def forward() -> Tensor:
            with torch.inference_mode():
                return pool()

        return Job(forward, lambda pooled: {"pooled": pooled.numpy()})
    for feature in features:
        feature.requires_grad_()
    wanted = torch.from_numpy(gradient)

    def learn() -> Any:
        return torch.autograd.grad(pool(), features, wanted)

    return Job(learn, lambda found: {name: g.numpy() for name, g in zip(sorted(levels), found, strict=True)})


if __name__ == "__main__":
    serve({"nms": nms, "roi_align": roi_align})

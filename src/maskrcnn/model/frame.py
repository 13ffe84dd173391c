"""Where a picture lies in its padding, and where its boxes end.

Letters: B pictures, N boxes a picture, H, W height and width of the padded picture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from maskrcnn.config import ModelConfig
from maskrcnn.ops.resize import WAYS

OVERHANG = {"exclusive": 0.0, "inclusive": 1.0}  # from the last pixel of a box to where it ends outside the model


class Limits(NamedTuple):
    """Where boxes may lie: (B, 4) float32 x1, y1, x2, y2 a picture.

    Attributes:
        seen: What the network sees, for proposals.
        picture: What is not padding, for detections.
    """

    seen: Tensor
    picture: Tensor


class Frame(nn.Module):
    """The coordinates of proposals and regions: pixels of the padded picture, x2 and y2 less the overhang.

    Args:
        config: The model's settings.
    """

    overhang: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.way = WAYS[config.input.resize]
        end = OVERHANG[config.anchors.corners]
        self.register_buffer("overhang", torch.tensor([0.0, 0.0, end, end]), persistent=False)

    def limits(self, size_hw: Tensor, padded_hw: tuple[int, int]) -> Limits:
        """Find the pictures in their padding.

        Args:
            size_hw: (B, 2) int64. Size of each picture without padding.
            padded_hw: H and W.
        """
        (h, w), (H, W) = size_hw.unbind(1), padded_hw
        y, x = self.way.before(H - h), self.way.before(W - w)
        seen_h, seen_w = h + self.way.shown(H - h), w + self.way.shown(W - w)
        seen = torch.stack([0 * w, 0 * h, seen_w, seen_h], dim=1)
        picture = torch.stack([x, y, x + w, y + h], dim=1)
        return Limits(self.enter(seen.float()), self.enter(picture.float()))

    def enter(self, boxes: Tensor) -> Tensor:
        """Bring boxes of the padded picture, (..., 4) float, into this frame."""
        return boxes - self.overhang

    def leave(self, boxes: Tensor, limits: Limits) -> Tensor:
        """Turn boxes of this frame, (B, N, 4) float32, into those of the picture without padding."""
        return boxes - limits.picture[:, None, :2].repeat(1, 1, 2) + self.overhang

"""What the network found to objects in the pixels of the picture that came in.

Letters: N boxes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskrcnn.config import ModelConfig
from maskrcnn.model.frame import OVERHANG
from maskrcnn.model.postprocess import Detections
from maskrcnn.ops.paste import PASTINGS
from maskrcnn.structures import Instances, Patches


def to_instances(
    detections: Detections, i: int, resized_hw: tuple[int, int], size_hw: tuple[int, int], config: ModelConfig
) -> Instances:
    """Take picture i out of a batch of detections, in the pixels of the picture that came in.

    Args:
        detections: Of a batch, on any device.
        i: Which picture.
        resized_hw: The size that the network saw, without padding.
        size_hw: The size to give the objects in.
        config: For the class names, where boxes end, and how masks are pasted.
    """
    found = int((detections.labels[i] >= 0).sum())
    pasting = PASTINGS[config.mask_head.paste]
    boxes = in_picture(detections.boxes[i, :found].float().cpu().numpy(), resized_hw, size_hw, config)
    patches = detections.masks[i, :found].float().cpu().numpy()
    instances = Instances(
        size_hw,
        boxes,
        detections.labels[i, :found].cpu().numpy(),
        config.classes,
        Patches(patches, boxes, size_hw, config.mask_head.threshold, pasting.paste),
        detections.scores[i, :found].float().cpu().numpy(),
    )
    return instances[pasting.kept(boxes)]


def in_picture(
    boxes: NDArray[np.float32], resized_hw: tuple[int, int], size_hw: tuple[int, int], config: ModelConfig
) -> NDArray[np.float32]:
    """Bring boxes (N, 4) of the resized picture into the pixels of the one that came in; arguments as above."""
    return PASTINGS[config.mask_head.paste].boxes(grown(boxes, resized_hw, size_hw, config))


def grown(
    boxes: NDArray[np.float32], resized_hw: tuple[int, int], size_hw: tuple[int, int], config: ModelConfig
) -> NDArray[np.float32]:
    """Do the same without the rounding of results."""
    end = OVERHANG[config.anchors.corners]
    y, x = ((new - end) / max(old - end, 1) for new, old in zip(size_hw, resized_hw, strict=True))
    scale, last = np.array([x, y, x, y], dtype=np.float32), np.array([0, 0, end, end], dtype=np.float32)
    return (boxes - last) * scale + last

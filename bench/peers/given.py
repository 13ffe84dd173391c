"""What every side is given: the same weights, pictures and objects, a pure function of names and numbers.

Letters: B pictures, N objects, H, W height and width, V corners.
"""

from __future__ import annotations

import math
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from maskrcnn.config import ModelConfig
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save
from maskrcnn.zoo.coco_names import names_by_id
from maskrcnn.zoo.opening import convert
from maskrcnn.zoo.torchvision import SETTINGS

SIDES = (0.05, 0.5)  # of an object, of the picture's short edge
CLASSES = len(names_by_id())
# spreads of the outputs, so that a picture has 1000 proposals and 1000 detections; other weights are He's
SPREADS = {"rpn.head.objectness": 1.0, "rpn.head.deltas": 0.2, "box_head.logits": 0.8, "box_head.deltas": 0.5}


def write_weights(path: Path) -> None:
    """Write an R50-FPN with made-up weights as a state dict of torchvision's `maskrcnn_resnet50_fpn`."""
    model = build(ModelConfig.parse({"classes": names_by_id(), **SETTINGS}))
    model.load_state_dict({name: _numbers(name, tensor) for name, tensor in model.state_dict().items()})
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "model.safetensors"
        save(model, own)
        convert(own, path, to="torchvision")


def _numbers(name: str, like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return 0.8 + 0.4 * torch.rand(like.shape, generator=generator)
    if name.endswith("norm.weight"):
        last = 0.3 if ".conv3." in name else 0.8  # what a block adds to its shortcut stays small
        return last * (0.75 + 0.5 * torch.rand(like.shape, generator=generator))
    normal = torch.randn(like.shape, generator=generator)
    if like.ndim < 2:
        return 0.05 * normal
    part = name.removesuffix(".weight")
    fan_in = like[0].numel() if "upsample" not in name else like.shape[0]
    return normal * SPREADS.get(part, math.sqrt(2)) / math.sqrt(fan_in)


def picture(size_hw: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Draw a picture (H, W, 3) uint8 RGB: soft noise with sharp-edged patches on it."""
    H, W = size_hw
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, max(2, H // 32), max(2, W // 32), generator=generator)
    out = F.interpolate(coarse, size=size_hw, mode="bicubic", align_corners=False)[0].clamp(0, 1)
    for y, x, h, w, *colour in torch.rand(40, 7, generator=generator).tolist():
        top, left = int(y * H), int(x * W)
        out[:, top : top + 8 + int(h * H / 4), left : left + 8 + int(w * W / 4)] = torch.tensor(colour)[:, None, None]
    return (out * 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def rings(
    count: int, size_hw: tuple[int, int], sides: tuple[float, float], seed: int = 0, corners: int = 40
) -> NDArray[np.float64]:
    """Draw ellipses (N, V, 2) x, y inside a picture, in boxes with log-uniform sides."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.uniform(*np.log(sides), (count, 1, 2)))
    corner = rng.uniform(size=(count, 1, 2)) * (np.array(size_hw[::-1]) - size)
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return corner + size * (0.5 + 0.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1))


def objects(batch: int, count: int, size_hw: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Draw `pictures` (B, H, W, 3) with the same number of objects each: `rings` (B, N, V, 2) and `labels` (B, N)."""
    sides = (SIDES[0] * min(size_hw), SIDES[1] * min(size_hw))
    return {
        "pictures": np.stack([picture(size_hw, seed) for seed in range(batch)]),
        "rings": np.stack([rings(count, size_hw, sides, seed) for seed in range(batch)]),
        "labels": np.random.default_rng(0).integers(0, CLASSES, (batch, count)),
    }

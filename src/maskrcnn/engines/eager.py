"""The network on torch as it comes, prepared for inference."""

from __future__ import annotations

import torch

from maskrcnn.engines.engine import Backend, Engine
from maskrcnn.engines.plain import PlainEngine
from maskrcnn.model.mask_rcnn import MaskRCNN


def _make(model: MaskRCNN, precision: str, device: torch.device, threads: int | None) -> Engine:
    del precision, threads
    return PlainEngine(model, device)


BACKEND = Backend(
    "PyTorch", {"cpu": ("fp32",), "cuda": ("fp32", "bf16", "fp16"), "mps": ("fp32",)}, lambda: None, _make
)

"""The network on torch as it comes, prepared for inference: the module that was trained stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from maskrcnn.config import ModelConfig
from maskrcnn.engines import fused, winograd
from maskrcnn.engines.engine import Backend, Engine
from maskrcnn.engines.folding import fold_norms
from maskrcnn.engines.fused import fuse_blocks
from maskrcnn.engines.planar import to_planes
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.postprocess import Detections


class EagerEngine:
    """Runs a prepared copy of a network.

    Args:
        model: The network; it is not changed, and later changes of its weights do not count.
        precision: Of the arithmetic.
        device: Where to run.

    Attributes:
        model: The network that was given.
        prepared: The copy that runs.
    """

    backend = "torch"

    def __init__(self, model: MaskRCNN, precision: str, device: torch.device) -> None:
        self.model = model.to(device).eval()
        self.precision = precision
        self.device = device
        self.prepared = prepare(self.model, device)

    @property
    def config(self) -> ModelConfig:
        """The settings of the network."""
        return self.model.config

    def __call__(self, images: Tensor, size_hw: Tensor) -> Detections:
        """Find the objects of each picture; see `MaskRCNN.forward`."""
        with torch.inference_mode():
            found: Detections = self.prepared(images.to(self.device), size_hw.to(self.device))
        return found


def prepare(model: MaskRCNN, device: torch.device) -> MaskRCNN:
    """Return a copy of a network that gives the same on a device, faster."""
    copy = fold_norms(model)
    if device.type != "cpu":
        return copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
    if fused.available():
        fuse_blocks(copy.backbone)
    return to_planes(copy) if winograd.available() else copy


def _make(model: MaskRCNN, precision: str, device: torch.device, threads: int | None) -> Engine:
    if threads is not None:
        torch.set_num_threads(threads)
    return EagerEngine(model, precision, device)


BACKEND = Backend(
    "PyTorch", {"cpu": ("fp32",), "cuda": ("fp32", "bf16", "fp16"), "mps": ("fp32",)}, lambda: None, _make
)

"""The network on torch as it comes, prepared for inference: the module that was trained stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskrcnn.config import ModelConfig
from maskrcnn.engines import fused, winograd
from maskrcnn.engines.engine import Backend, Engine
from maskrcnn.engines.folding import fold_norms
from maskrcnn.engines.fused import fuse_blocks
from maskrcnn.engines.planar import to_planes
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.postprocess import Detections

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def cpu_precisions() -> tuple[str, ...]:
    """Name those that a CPU gains by: bf16 only where it multiplies whole tiles, fp16 never.

    Elsewhere bf16 is several times slower than fp32.
    """
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return ("fp32", "bf16") if supported is not None and supported() else ("fp32",)


PRECISIONS = {"cpu": cpu_precisions(), "cuda": ("fp32", "bf16", "fp16"), "mps": ("fp32",), "xpu": ("fp32", "bf16")}


class EagerEngine:
    """Runs a prepared copy of a network.

    Args:
        model: The network; it is not changed, and later changes of its weights do not count.
        precision: Of the arithmetic, a key of `DTYPES`.
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
        self.prepared = self.prepare()

    @property
    def config(self) -> ModelConfig:
        """The settings of the network."""
        return self.model.config

    def prepare(self) -> MaskRCNN:
        """Return the copy that runs."""
        return prepare(self.model, self.device, self.precision)

    def __call__(self, images: Tensor, size_hw: Tensor) -> Detections:
        """Find the objects of each picture; see `MaskRCNN.forward`."""
        with torch.inference_mode():
            there = (each.to(self.device, non_blocking=True) for each in (images, size_hw))
            found: Detections = self.prepared(*there)
        return found


class _Lowered(nn.Module):
    """Normalised pictures in another precision."""

    def __init__(self, normalise: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.normalise = normalise
        self.dtype = dtype

    def forward(self, images: Tensor, size_hw: Tensor) -> Tensor:
        """Normalise a batch."""
        normalised: Tensor = self.normalise(images, size_hw)
        return normalised.to(self.dtype)


def prepare(model: MaskRCNN, device: torch.device, precision: str = "fp32") -> MaskRCNN:
    """Return a copy of a network that gives the same on a device, faster."""
    if device.type != "cpu" or precision != "fp32":
        return channels_last(model, precision)
    copy = fold_norms(model)
    if fused.available():
        fuse_blocks(copy.backbone)
    return to_planes(copy) if winograd.available() else copy


def channels_last(model: MaskRCNN, precision: str) -> MaskRCNN:
    """Return a copy with norms folded and weights in a precision; boxes, scores and anchors keep theirs."""
    copy = fold_norms(model)
    copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    dtype = DTYPES[precision]
    box = copy.box_head
    for part in (copy.backbone, copy.pyramid, copy.rpn.head, box.body, box.logits, box.deltas, copy.mask_head):
        part.to(dtype)
    copy.normalise = _Lowered(copy.normalise, dtype)  # type: ignore[assignment]  # the same forward
    return copy


def use_threads(threads: int | None) -> None:
    """Compute with so many threads, in this whole process; before the first picture."""
    if threads is not None:
        torch.set_num_threads(threads)


def _make(model: MaskRCNN, precision: str, device: torch.device, threads: int | None) -> Engine:
    use_threads(threads)
    return EagerEngine(model, precision, device)


BACKEND = Backend("PyTorch", PRECISIONS, lambda: None, _make)

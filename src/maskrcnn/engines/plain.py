"""The network as it is, for one whose weights still change."""

from __future__ import annotations

import torch
from torch import Tensor

from maskrcnn.config import ModelConfig
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.postprocess import Detections


class PlainEngine:
    """Runs the module itself, moved to the device and in evaluation mode.

    Args:
        model: The network; it is not copied.
        device: Where to run.
    """

    backend = "torch"
    precision = "fp32"

    def __init__(self, model: MaskRCNN, device: torch.device) -> None:
        self.model = model.to(device).eval()
        self.device = device

    @property
    def config(self) -> ModelConfig:
        """The settings of the network."""
        return self.model.config

    def __call__(self, images: Tensor, size_hw: Tensor) -> Detections:
        """Find the objects of each picture; see `MaskRCNN.forward`."""
        with torch.inference_mode():
            found: Detections = self.model(images.to(self.device), size_hw.to(self.device))
        return found

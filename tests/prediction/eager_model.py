"""A small model that finds many cats in any picture."""

from __future__ import annotations

from functools import cache

import torch

from maskrcnn.config import ModelConfig
from maskrcnn.model.mask_rcnn import MaskRCNN, build


@cache
def eager(config: ModelConfig) -> MaskRCNN:
    """Build a model with random weights that gives its first class a probability of about 0.9 everywhere."""
    torch.manual_seed(1)
    model = build(config)
    with torch.no_grad():
        model.box_head.logits.bias[0] = 4.0
    return model.eval()

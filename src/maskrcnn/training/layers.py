"""Which layers learn.

References: Matterport Mask R-CNN, the `layers` argument of `train`, for the names.
"""

from __future__ import annotations

from torch import nn

from maskrcnn.config import Layers
from maskrcnn.model.mask_rcnn import MaskRCNN

_FROZEN_STAGES = {
    "all": (),
    "3+": ("stem", "res2"),
    "4+": ("stem", "res2", "res3"),
    "5+": ("stem", "res2", "res3", "res4"),
    "heads": ("stem", "res2", "res3", "res4", "res5"),
}


def frozen_parts(model: MaskRCNN, layers: Layers) -> list[nn.Module]:
    """Return the parts of the backbone that do not learn when only these layers do."""
    return [model.backbone.get_submodule(name) for name in _FROZEN_STAGES[layers]]


def freeze(model: MaskRCNN, layers: Layers) -> None:
    """Let only these layers learn; batch statistics of the others stay as they are."""
    model.requires_grad_(True)
    for part in frozen_parts(model, layers):
        part.requires_grad_(False)
        part.eval()

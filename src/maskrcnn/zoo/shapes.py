"""The shapes of a model's tensors, without their numbers.

Memory that nothing is written to is only reserved. The device `meta` would not even reserve it, but some steps of
building a model there import more code, and take more memory, than all of this.
"""

from __future__ import annotations

from maskrcnn.config import ModelConfig
from maskrcnn.model.backbone import build_backbone
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.unfilled import Unfilled


def shapes_of(config: ModelConfig, complete: bool) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a model's state dict, or of `backbone.*` alone.

    >>> shapes_of(ModelConfig(classes=("cat",)), complete=False)["backbone.stem.conv1.conv.weight"]
    (64, 3, 7, 7)
    """
    with Unfilled():
        if complete:
            return {name: tuple(tensor.shape) for name, tensor in build(config).state_dict().items()}
        backbone = build_backbone(config.backbone, config.input.bands)
        return {f"backbone.{name}": tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}

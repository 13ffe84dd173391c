"""A model of another project, in this package's own terms."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from maskrcnn.config import ModelConfig
from maskrcnn.zoo.ledger import Entry


class Foreign(NamedTuple):
    """What `read_foreign` makes of a file.

    Attributes:
        kind: `torchvision`, `detectron2`, `matterport`, `detectron` or `mmdetection`; with ` backbone` behind it where
            the file holds a classifier of ImageNet, also `keras backbone`.
        config: The settings of the model. Of a backbone, only `backbone` and `input` come from the file.
        tensors: Own names and layouts, float32, folds done; of a backbone only `backbone.*`.
        ledger: One line a tensor of the file, in its order.
        complete: False for a backbone alone.
    """

    kind: str
    config: ModelConfig
    tensors: dict[str, Tensor]
    ledger: tuple[Entry, ...]
    complete: bool


class Recognised(NamedTuple):
    """What a file is, told by the names in it.

    Attributes:
        kind: As in `Foreign`.
        complete: False for a backbone alone.
        shapes: The shape of every tensor by its name in the file.
    """

    kind: str
    complete: bool
    shapes: dict[str, tuple[int, ...]]

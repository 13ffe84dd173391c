"""Mask R-CNN, the toolkit: train on your own annotated pictures, see whether it is right, use it anywhere.

```python
import maskrcnn

maskrcnn.train("photos/train", val="photos/val", out="run")
model = maskrcnn.load("run/model.safetensors")
found = model.predict("photo.jpg")
found.boxes, found.scores, found.names, found.masks.polygons()
```
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from maskrcnn.version import __version__

if TYPE_CHECKING:
    from maskrcnn import data
    from maskrcnn.config import ModelConfig
    from maskrcnn.errors import MaskRCNNError
    from maskrcnn.evaluation import evaluate
    from maskrcnn.prediction import Predictor, load
    from maskrcnn.structures import Instances, Sample
    from maskrcnn.training import train

__all__ = [
    "Instances",
    "MaskRCNNError",
    "ModelConfig",
    "Predictor",
    "Sample",
    "__version__",
    "data",
    "evaluate",
    "load",
    "train",
]

# torch takes over a second to import: `import maskrcnn` and `maskrcnn --help` do without until a name is used
_HOMES = {
    "Instances": "maskrcnn.structures",
    "MaskRCNNError": "maskrcnn.errors",
    "ModelConfig": "maskrcnn.config",
    "Predictor": "maskrcnn.prediction",
    "Sample": "maskrcnn.structures",
    "evaluate": "maskrcnn.evaluation",
    "load": "maskrcnn.prediction",
    "train": "maskrcnn.training",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name == "data":
        return importlib.import_module("maskrcnn.data")
    raise AttributeError(f"module 'maskrcnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

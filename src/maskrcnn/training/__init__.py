"""Annotated pictures in, a trained model out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskrcnn.training.devices import Devices
    from maskrcnn.training.folder import Run
    from maskrcnn.training.run import train

__all__ = ["Devices", "Run", "train"]

# Lightning takes seconds to import, and those who only ask what `train` would choose do without
_HOME = {"Devices": "maskrcnn.training.devices", "Run": "maskrcnn.training.folder", "train": "maskrcnn.training.run"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)

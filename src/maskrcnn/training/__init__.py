"""Annotated pictures in, a trained model out."""

from maskrcnn.training.devices import Devices
from maskrcnn.training.folder import Run
from maskrcnn.training.run import train

__all__ = ["Devices", "Run", "train"]

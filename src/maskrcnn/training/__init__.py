"""Annotated pictures in, a trained model out."""

from maskrcnn.training.run import Devices, Run, train

__all__ = ["Devices", "Run", "train"]

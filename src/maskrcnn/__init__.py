"""Mask R-CNN, the toolkit: train on your own annotated pictures, see whether it is right, use it anywhere."""

from maskrcnn.version import __version__

__all__ = ["__version__"]

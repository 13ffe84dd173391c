"""Data sets, a picture's way through a model, and a model's weights looked at, each on one page."""

from maskrcnn.inspection.look import inspect_picture
from maskrcnn.inspection.show import show_data
from maskrcnn.inspection.weights import inspect_weights, show_weights

__all__ = ["inspect_picture", "inspect_weights", "show_data", "show_weights"]

"""A data set looked at: its numbers, its pictures, and how anchors fit it, on one page."""

from maskrcnn.inspection.show import show_data

__all__ = ["show_data"]

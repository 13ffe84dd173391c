"""A model that leaves: files that other programs run, and a report of how well they agree with it."""

from maskrcnn.export.files import FORMATS, export
from maskrcnn.export.parity import Agreement, Report

__all__ = ["FORMATS", "Agreement", "Report", "export"]

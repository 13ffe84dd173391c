"""What came of a run, or of several side by side, on one page."""

from maskrcnn.reporting.report import report

__all__ = ["report"]

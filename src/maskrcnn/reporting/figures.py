"""The curves of a page as files of their own, for papers and slides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from maskrcnn.draw.chart import Chart
from maskrcnn.draw.figure import figure
from maskrcnn.files import make_folder, write_text


def write_figures(charts: Sequence[Chart], folder: Path) -> None:
    """Write each chart as an SVG that is named after its title, and take away those of an earlier call.

    Raises:
        OutputError: They can't be written.
    """
    make_folder(folder)
    for old in folder.glob("*.svg"):
        old.unlink()
    for chart in charts:
        write_text(folder / f"{file_name(chart.title)}.svg", figure(chart))


def file_name(title: str) -> str:
    """Name a file after a title.

    >>> file_name("Box AP, IoU 0.50:0.95")
    'box-ap-iou-0.50-0.95'
    """
    return re.sub(r"[^a-z0-9.]+", "-", title.lower()).strip("-.") or "figure"

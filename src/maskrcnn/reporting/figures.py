"""The curves and the worst pictures of a page as files of their own, for papers and slides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from maskrcnn.draw.chart import Chart
from maskrcnn.draw.figure import figure
from maskrcnn.files import make_folder, replacing, write_text


def write_figures(charts: Sequence[Chart], sheets: Mapping[str, Image.Image], folder: Path) -> None:
    """Write each chart as an SVG that is named after its title, each sheet as a PNG, and take away earlier ones.

    Raises:
        OutputError: They can't be written.
    """
    make_folder(folder)
    for old in [*folder.glob("*.svg"), *folder.glob("*.png")]:
        old.unlink()
    for chart in charts:
        write_text(folder / f"{file_name(chart.title)}.svg", figure(chart))
    for name, sheet in sheets.items():
        with replacing(folder / f"{file_name(name)}.png") as path:
            sheet.save(path)


def file_name(title: str) -> str:
    """Name a file after a title.

    >>> file_name("Box AP, IoU 0.50:0.95")
    'box-ap-iou-0.50-0.95'
    """
    return re.sub(r"[^a-z0-9.]+", "-", title.lower()).strip("-.") or "figure"

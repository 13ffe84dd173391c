"""Draw the pictures of the guides: drawn sets, written in each format, read again, and shown.

python docs/guides/pictures.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.data.writing import convert
from maskrcnn.inspection import show_data

HERE = Path(__file__).parent
WIDTH = 900


def draw_cells(out: Path, count: int) -> None:
    """Draw 16-bit pictures of round cells, and label images of them."""
    for i in range(count):
        rng = np.random.default_rng(i)
        y, x = np.mgrid[:192, :256]
        light, labels = rng.normal(900, 60, (192, 256)), np.zeros((192, 256), dtype=np.uint16)
        for k in range(1, 22):
            cy, cx, a, b = rng.uniform(0, 192), rng.uniform(0, 256), rng.uniform(9, 17), rng.uniform(9, 17)
            inside = ((y - cy) / a) ** 2 + ((x - cx) / b) ** 2
            labels[(inside < 1) & (labels == 0)] = k
            light += rng.uniform(2000, 9000) * np.exp(-((inside / 0.9) ** 3))
        for name, pixels in (("images", light), ("masks", labels)):
            (out / name).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(out / name / f"{i + 1:04d}.tif", pixels.clip(0, 65535).astype(np.uint16))


def show(source: Path, name: str, work: Path) -> None:
    """Write the contact sheet of a set beside the guides."""
    show_data(open_dataset(source), work / name, count=6)
    with Image.open(work / name / "sheets/001.jpg") as sheet:
        height = round(sheet.height * WIDTH / sheet.width)
        sheet.resize((WIDTH, height), Image.Resampling.LANCZOS).save(HERE / f"{name}.jpg", quality=78, optimize=True)


def main() -> None:
    """Draw all of them."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for seed, (name, kind) in enumerate(
            (("via", "spacecraft"), ("labelme", "shapes"), ("cvat", "spacecraft"), ("yolo", "shapes"))
        ):
            synthesise(kind, work / "drawn" / name, 6, seed=20 + seed, size_hw=(192, 256))
            convert(open_dataset(work / "drawn" / name), work / "written" / name, name)
            show(work / "written" / name, name, work)
        draw_cells(work / "cells", 6)
        show(work / "cells", "masks", work)


if __name__ == "__main__":
    main()

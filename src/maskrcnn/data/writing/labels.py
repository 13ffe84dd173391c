"""Label images: `images` and, under the same names in `masks`, 16-bit TIFF files with one number an object.

References: StarDist, Cellpose: their training folders.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.writing.how import Writing
from maskrcnn.data.writing.label_image import paint
from maskrcnn.data.writing.pictures import FLAT, Pictures, write_tiff
from maskrcnn.data.writing.tally import Tally, Written
from maskrcnn.files import replacing

_MOST = 65535


def write(dataset: Dataset, out: Path, how: Writing) -> Written:
    """Write `images` and `masks`."""
    pictures = Pictures(out / "images", how.pictures, "undone", FLAT)
    tally = Tally(dataset, how.exactness)
    if len(dataset.class_names) > 1:
        tally.lose("classes, which all become one", repr(dataset.class_names[0]), len(dataset.class_names))
    for record in how.records(dataset):
        name = pictures.put(record)
        painted = paint(list(tally.objects(record)), record, _MOST, tally)
        with replacing(out / "masks" / name.with_suffix(".tif")) as temporary:
            write_tiff(temporary, painted.labels.astype(np.uint16)[..., None])
    return tally.written()

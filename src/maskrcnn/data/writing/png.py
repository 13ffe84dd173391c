"""One PNG an object, as large as its picture, 255 where the object is: `annotations/<image>_<class>_<k>.png`.

Overlaps, holes, parts and single pixels are kept. A character of a class that no file name can hold becomes `-`.

References: pycococreator.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.writing.how import Writing
from maskrcnn.data.writing.pictures import FLAT, Naming, Pictures
from maskrcnn.data.writing.tally import EXACT, Tally, Written, renamed
from maskrcnn.files import replacing
from maskrcnn.ops.rle import Bitmap

_UNFIT = re.compile(r'[\x00-\x1f/\\:*?"<>|]')


def write(dataset: Dataset, out: Path, how: Writing) -> Written:
    """Write `images` and `annotations`."""
    tally = Tally(dataset, how.exactness)
    classes = renamed(dataset.class_names, _UNFIT, tally)
    naming = Naming(FLAT.shaped, partial(_keys, _beginnings(classes)))
    pictures = Pictures(out / "images", how.pictures, "undone", naming)
    for record in how.records(dataset):
        name = pictures.put(record)
        for number, (annotation, bitmap) in enumerate(tally.objects(record)):
            assert bitmap is not None  # objects with a box only are left out
            file = f"{name.stem}_{classes[annotation.label]}_{number}.png"
            _save(out / "annotations" / file, bitmap, record.size_hw)
            tally.wrote(record, annotation, EXACT)
    return tally.written()


def _beginnings(classes: Sequence[str]) -> list[str]:
    """List what classes begin with before a `-` or `_`: `a_b_c_1.png` could be a `c` of `a_b` or a `b_c` of `a`."""
    return sorted({name[: match.start()] for name in classes for match in re.finditer("[-_]", name)})


def _keys(beginnings: Sequence[str], name: PurePosixPath) -> list[str]:
    """Keep other pictures from a name with which the masks of this one could be mistaken for theirs."""
    return [name.stem, *(f"{name.stem}{between}{beginning}" for beginning in beginnings for between in "-_")]


def _save(path: Path, bitmap: Bitmap, size_hw: tuple[int, int]) -> None:
    from PIL import Image

    h, w = bitmap.pixels.shape
    mask = np.zeros(size_hw, dtype=np.uint8)
    mask[bitmap.y : bitmap.y + h, bitmap.x : bitmap.x + w][bitmap.pixels] = 255
    with replacing(path) as temporary:
        Image.fromarray(mask).save(temporary, format="PNG")

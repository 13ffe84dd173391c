"""One PNG an object, as large as its picture, 255 where the object is: `annotations/<image>_<class>_<k>.png`.

Overlaps, holes, parts and single pixels are kept. A character of a class that no file name can hold becomes `-`.

References: pycococreator.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import numpy as np

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.writing.how import Writing
from maskrcnn.data.writing.pictures import Names, Pictures, stem, whole
from maskrcnn.data.writing.tally import EXACT, Tally, Written
from maskrcnn.files import replacing
from maskrcnn.ops.rle import Bitmap

_UNFIT = re.compile(r'[\x00-\x1f/\\:*?"<>|]')


def write(dataset: Dataset, out: Path, how: Writing) -> Written:
    """Write `images` and `annotations`."""
    pictures = Pictures(out / "images", how.pictures, "undone", stem)
    tally = Tally(dataset, how.holds)
    classes = _file_names(dataset.class_names, tally)
    for record in how.records(dataset):
        name = pictures.put(record)
        for number, (annotation, bitmap) in enumerate(tally.objects(record)):
            assert bitmap is not None  # objects with a box only are left out
            file = name.with_name(f"{name.stem}_{classes[annotation.label]}_{number}.png")
            _save(out / "annotations" / file, bitmap, record.size_hw)
            tally.wrote(record, annotation, EXACT)
    return tally.written()


def _file_names(class_names: tuple[str, ...], tally: Tally) -> list[str]:
    """Make names of files of the names of classes, no two alike."""
    names = Names(whole)
    given = [str(names.give(PurePosixPath(_UNFIT.sub("-", name)))) for name in class_names]
    for name, file in zip(class_names, given, strict=True):
        if name != file:
            tally.lose("classes whose name no file can have, which are renamed", f"{name!r} to {file!r}")
    return given


def _save(path: Path, bitmap: Bitmap, size_hw: tuple[int, int]) -> None:
    from PIL import Image

    h, w = bitmap.pixels.shape
    mask = np.zeros(size_hw, dtype=np.uint8)
    mask[bitmap.y : bitmap.y + h, bitmap.x : bitmap.x + w][bitmap.pixels] = 255
    with replacing(path) as temporary:
        Image.fromarray(mask).save(temporary, format="PNG")

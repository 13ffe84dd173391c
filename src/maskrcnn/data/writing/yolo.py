"""YOLO segmentation: `data.yaml`, `images`, and in `labels` a text file a picture with a ring an object.

Corners are shares of the picture's width and height, and cut off at its border. Parts and holes are joined to
the ring by bridges without width. An object with a box only is a line of five numbers.

References: docs.ultralytics.com/datasets/segment.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from maskrcnn.data.dataset import Box, Dataset, Record
from maskrcnn.data.writing.how import Writing
from maskrcnn.data.writing.outlines import fitted
from maskrcnn.data.writing.pictures import STEM, Pictures
from maskrcnn.data.writing.tally import Drawn, Tally, Written
from maskrcnn.files import write_text
from maskrcnn.ops.outlines import one_ring
from maskrcnn.ops.polygons import Polygon, rasterise
from maskrcnn.ops.rle import Bitmap

_DECIMALS = 9
_IMAGES, _LABELS = "images", "labels"


def write(dataset: Dataset, out: Path, how: Writing) -> Written:
    """Write `data.yaml`, `images` and `labels`."""
    import yaml

    pictures = Pictures(out / _IMAGES, how.pictures, "kept", STEM)
    tally = Tally(dataset, how.exactness)
    for record in how.records(dataset):
        name = pictures.put(record)
        lines = [_line(record, each, how.tolerance, tally) for each in tally.objects(record)]
        write_text(out / label_file(_IMAGES / name), "".join(f"{line}\n" for line in lines))
    # without `path` its readers start from the folder of this file
    document = {"train": _IMAGES, "val": _IMAGES, "names": dict(enumerate(dataset.class_names))}
    write_text(out / "data.yaml", yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    return tally.written()


def label_file(picture: PurePosixPath) -> PurePosixPath:
    """Return where the labels of a picture are looked for: the last folder `images` is `labels` instead.

    >>> str(label_file(PurePosixPath("images/train/a.jpg")))
    'labels/train/a.txt'
    """
    pieces = list(picture.with_suffix(".txt").parts)
    last = len(pieces) - 1 - pieces[::-1].index(_IMAGES)
    return PurePosixPath(*pieces[:last], _LABELS, *pieces[last + 1 :])


def _line(record: Record, each: Drawn, tolerance: float, tally: Tally) -> str:
    annotation, bitmap = each
    if bitmap is None:
        assert annotation.box is not None  # what has neither shape nor box is no object
        tally.wrote(record, annotation, None)
        return _words(annotation.label, _centred(annotation.box, record.size_hw))
    size_hw = record.size_hw
    shares, iou = fitted(
        annotation.shape, bitmap, tolerance, partial(_shares, size_hw=size_hw), partial(_drawn, size_hw=size_hw)
    )
    tally.wrote(record, annotation, iou)
    return _words(annotation.label, shares)


def _shares(parts: list[Polygon], size_hw: tuple[int, int]) -> list[str]:
    shares = np.clip(one_ring(parts) / size_hw[::-1], 0.0, 1.0)
    return [_decimal(value) for value in shares.ravel().tolist()]


def _drawn(shares: list[str], size_hw: tuple[int, int]) -> Bitmap:
    ring = np.array([float(share) for share in shares]).reshape(-1, 2) * size_hw[::-1]
    return rasterise([ring], size_hw)


def _centred(box: Box, size_hw: tuple[int, int]) -> list[str]:
    (x1, y1, x2, y2), (h, w) = np.clip(box, 0, (*size_hw[::-1], *size_hw[::-1])).tolist(), size_hw
    return [_decimal(value) for value in ((x1 + x2) / 2 / w, (y1 + y2) / 2 / h, (x2 - x1) / w, (y2 - y1) / h)]


def _decimal(value: float) -> str:
    """Write a number without an exponent and without zeros at its end.

    >>> _decimal(0.25), _decimal(1.0), _decimal(1e-7)
    ('0.25', '1', '0.0000001')
    """
    return f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")


def _words(label: int, values: Iterable[str]) -> str:
    return " ".join([str(label), *values])

"""COCO panoptic: a JSON file, and a PNG for each picture whose colours are the ids of segments.

A segment's id is R + 256 G + 65536 B. Categories with `isthing` become classes; segments of the others, the
stuff, are no objects and are not read, and neither are pixels of id 0, which nothing is said about.
`iscrowd` is taken over. Where no category is a thing, the file has nothing to learn from and is refused.

References: cocodataset.org/#format-data, panoptic.
Letters: H, W height and width of a picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.columns import Builder, ColumnRecords, Pictures, Placed
from maskrcnn.data.dataset import Annotation, Dataset, Runs
from maskrcnn.data.formats.coco_records import (
    Classes,
    Entry,
    Picture,
    box_of,
    classes_of,
    coded,
    folders_of,
    pictures_of,
    sized,
)
from maskrcnn.data.formats.fields import expected, listing, mapping, number, text, whole
from maskrcnn.data.formats.pictures import places
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import read_image
from maskrcnn.errors import AnnotationError, ImageError
from maskrcnn.ops.rle import Bitmap

"""KittiSeg: lists of pictures with colour-coded ground truth, and KITTI's road benchmark that they name.

| colour | becomes |
|---|---|
| 255, 0, 255 | road: one region a picture |
| 255, 0, 0 | background |
| any other | a region that is ignored |

References: Teichmann et al. 2016 (MultiNet), KittiSeg; Fritsch et al. 2013 (KITTI road).
Letters: H, W height and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.drafts import Draft, Thing, assemble
from maskrcnn.data.formats.fields import expected
from maskrcnn.data.formats.label_maps import each_file, of_mask
from maskrcnn.data.formats.pairing import Pair
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.texts import Line, lines
from maskrcnn.data.images import IMAGE_SUFFIXES, read_labels
from maskrcnn.errors import ImageError

ROAD = "road"
_ROAD, _BACKGROUND = (255, 0, 255), (255, 0, 0)
_LOOKED_AT = 2


def find(place: Place) -> list[Path]:
    """List the text files whose lines each name a picture and its ground truth."""
    return [path for path in place.ending(".txt") if _is_list(place.head(path))]


def _is_list(head: bytes) -> bool:
    rows = [row.decode("utf-8", "replace").split() for row in head.split(b"\n")[:_LOOKED_AT] if row.strip()]
    return bool(rows) and all(len(row) == 2 and _name_pictures(row) for row in rows)


def _name_pictures(words: Sequence[str]) -> bool:
    return all(Path(word).suffix.lower() in IMAGE_SUFFIXES for word in words)


def read(source: Path, reading: Reading) -> Dataset:
    """Read a list.

    Args:
        source: The text file; its lines name files from its own folder, or from one further up.
        reading: What becomes of faults.

    Raises:
        AnnotationError: A line is not two files, or ground truth has another size than its picture.
        ImageError: A file is missing or can't be read.
    """
    pairs = list(reading.each(lines(source), partial(_pair, source)))
    return assemble(source, "kittiseg", each_file(reading, pairs, _draft), reading, {1: ROAD})


def _pair(source: Path, line: Line) -> Pair:
    words = line.text.split()
    if len(words) != 2:
        raise expected("a picture and its ground truth", line.text, line.where, "line")
    picture, labels = (_located(source, word, line.where) for word in words)
    return Pair(picture, labels)


def _located(source: Path, name: str, where: str) -> Path:
    folders = folders_up(source, 3)
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    looked_in = ", ".join(map(str, folders))
    raise ImageError(f"{where}: expected a file {name}, found none from {looked_in}", code="P101")


def _draft(pair: Pair) -> Draft:
    size_hw, stored = pair.size_hw(), read_labels(pair.labels)
    if stored.ndim != 3 or stored.shape[2] < 3:
        raise expected("three bands", f"shape {stored.shape}", str(pair.labels), "colours")
    road, background = _is(stored, _ROAD), _is(stored, _BACKGROUND)
    other = ~road & ~background
    things = [Thing("road", ROAD, of_mask(road))] if road.any() else []
    if other.any():
        things.append(Thing("other colours", ROAD, of_mask(other), crowd=True))
    return Draft(pair.picture.name, pair.picture, size_hw, things)


def _is(stored: NDArray[np.generic], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray((stored[..., :3] == colour).all(axis=2))

"""Objects cut out of the pictures of a set, read one by one as they are needed.

Letters: h, w height and width of an object's window; H, W of its picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.images import read_alpha
from maskrcnn.errors import ImageError, InputError
from maskrcnn.ops.rle import Bitmap


class CutOut(NamedTuple):
    """An object alone.

    Attributes:
        image: (h, w) RGBA. Alpha is how much of each pixel the object covers.
        label: Its class.
    """

    image: Image.Image
    label: int


class CutOuts:
    """Every object of a set that has a mask and is no crowd.

    Args:
        dataset: Where they come from.

    Raises:
        InputError: There is none.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._index = [
            (picture, number)
            for picture, record in enumerate(dataset.records)
            for number, annotation in enumerate(record.annotations)
            if annotation.shape is not None and not annotation.crowd
        ]
        if not self._index:
            raise InputError(f"{dataset.source}: expected objects with masks to cut out, got none")

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, i: int) -> CutOut:
        """Cut out object i.

        Raises:
            ImageError: Its picture can't be read, or is not 8-bit RGB.
        """
        picture, number = self._index[i]
        sample = self._dataset[picture]
        image = sample.image
        if image.dtype != np.uint8 or image.shape[2] != 3:
            raise ImageError(
                f"{sample.path}: expected an 8-bit RGB picture to cut out of, got {image.dtype} with "
                f"{image.shape[2]} bands"
            )
        masks = sample.instances.masks
        bitmap = self._bitmap(picture, number) if masks is None else masks.crop(number)
        h, w = bitmap.pixels.shape
        window = (slice(bitmap.y, bitmap.y + h), slice(bitmap.x, bitmap.x + w))
        rgba = np.dstack([image[window], _alpha(sample.path, bitmap, window)])
        return CutOut(Image.fromarray(rgba), int(sample.instances.labels[number]))

    def _bitmap(self, picture: int, number: int) -> Bitmap:
        """Draw a mask of a picture on which other objects have boxes only."""
        record = self._dataset.records[picture]
        shape = record.annotations[number].shape
        assert shape is not None  # as the index was made
        return shape.bitmap(record.size_hw)


def _alpha(path: Path, bitmap: Bitmap, window: tuple[slice, slice]) -> NDArray[np.uint8]:
    """Return (h, w) uint8: the file's own alpha inside the mask and at its soft edge, or else the mask."""
    stored = read_alpha(path)
    if stored is None:
        return bitmap.pixels.astype(np.uint8) * np.uint8(255)
    faded: NDArray[np.uint8] = np.where(_grown(bitmap.pixels), stored[window], np.uint8(0))
    return faded


def _grown(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask and the pixels beside it, where an edge fades out."""
    framed = np.pad(pixels, 1)
    grown: NDArray[np.bool_] = framed.copy()
    for step, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        grown |= np.roll(framed, step, axis)
    return grown[1:-1, 1:-1]

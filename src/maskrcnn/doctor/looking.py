"""What is seen of single pictures: the head of the file, its bytes, its pixels, and a hash of how it looks.

References: Zauner, Implementation and benchmarking of perceptual image hash functions (DCT hash).
Letters: H, W height and width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskrcnn.data.dataset import Record
from maskrcnn.data.images import header, read_image
from maskrcnn.errors import DataError, ImageError
from maskrcnn.machine import usable_cores

Depth = Literal["records", "headers", "pixels"]

THUMB = 16
"""Side of the small grey picture by which likeness is confirmed."""

_SIDE, _KEPT = 32, 8
_FLAT = 2.0  # standard deviation of a grey picture, of 255, below which it shows nothing to compare


class Look(NamedTuple):
    """What was seen of a picture.

    Attributes:
        error: What went wrong, if anything.
        size_hw: Upright height and width; None where it can't be told.
        orientation: The EXIF orientation; 1 where there is none.
        digest: Of the file's bytes; empty where they were not read.
        bands: How many; 0 where the pixels were not read.
        flat: The value of all pixels where they have the same one.
        look: Hash of 64 bits by which pictures that look the same are found; None where there is nothing to see.
        thumb: `THUMB` x `THUMB` grey values, row by row; empty where there is no hash.
    """

    error: DataError | None = None
    size_hw: tuple[int, int] | None = None
    orientation: int = 1
    digest: bytes = b""
    bands: int = 0
    flat: float | None = None
    look: int | None = None
    thumb: bytes = b""


def look_at(records: Sequence[Record], depth: Depth) -> Iterator[Look]:
    """Look at pictures with as many threads as there are cores, in order."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        yield from pool.map(partial(_look, depth=depth), records)


def _look(record: Record, depth: Depth) -> Look:
    try:
        return _plain(record, depth) if record.read is read_image else _made(record, depth)
    except DataError as error:
        return Look(error)


def _plain(record: Record, depth: Depth) -> Look:
    """Look at a picture that is a file of its own."""
    if not record.path.is_file():
        raise ImageError(f"{record.path}: expected a picture, got no such file", code="P101")
    size_hw, orientation = header(record.path)
    if depth != "pixels":
        return Look(None, size_hw, orientation)
    with record.path.open("rb") as file:
        digest = hashlib.file_digest(file, "blake2b").digest()[:16]
    try:
        image = read_image(record.path)
    except ImageError as error:
        return Look(ImageError(str(error), code="P104"), size_hw, orientation, digest)
    return _seen(image, digest, orientation)


def _made(record: Record, depth: Depth) -> Look:
    """Look at a picture that lies in something else, such as an archive."""
    if depth != "pixels":
        return Look()
    image = record.read(record.path)
    return _seen(image, hashlib.blake2b(image.tobytes()).digest()[:16], 1)


def _seen(image: NDArray[np.generic], digest: bytes, orientation: int) -> Look:
    low, high = float(image.min()), float(image.max())
    grey = small_grey(image)
    H, W, bands = image.shape
    size_hw = (H, W)
    if grey.std() < _FLAT:
        return Look(None, size_hw, orientation, digest, bands, low if low == high else None)
    thumb = grey.reshape(THUMB, _SIDE // THUMB, THUMB, _SIDE // THUMB).mean(axis=(1, 3))
    return Look(
        None, size_hw, orientation, digest, bands, None, look_hash(grey), np.rint(thumb).astype(np.uint8).tobytes()
    )


def small_grey(image: NDArray[np.generic]) -> NDArray[np.float64]:
    """Shrink a picture (H, W, bands) to (32, 32) float64 grey from 0 to 255; other than 8 bits are stretched."""
    grey = np.asarray(image[..., 0] if image.shape[2] == 1 else image)
    if grey.dtype != np.uint8:
        values = np.nan_to_num(grey.astype(np.float32))
        low, high = float(values.min()), float(values.max())
        grey = ((values - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
    if grey.ndim == 3 and grey.shape[2] != 3:
        grey = grey.mean(axis=2).astype(np.uint8)
    picture = Image.fromarray(grey).resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0).convert("L")
    return np.asarray(picture, dtype=np.float64)


def _cosines() -> NDArray[np.float64]:
    """Return (8, 32) float64, the slowest waves of a discrete cosine transform."""
    angle = np.pi / _SIDE * np.outer(np.arange(_KEPT), np.arange(_SIDE) + 0.5)
    waves: NDArray[np.float64] = np.cos(angle)
    return waves


_WAVES = _cosines()


def look_hash(grey: NDArray[np.float64]) -> int:
    """Say with 64 bits which slow waves of a picture are stronger than the median one.

    Args:
        grey: (32, 32) float64.
    """
    strength = (_WAVES @ grey @ _WAVES.T).ravel()
    bits = strength > np.median(strength[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")

"""The first picture in a TIFF of any number of bands, frames and bits.

References: TIFF 6.0; tifffile.
Letters: H, W height and width.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskrcnn.errors import ImageError

if TYPE_CHECKING:
    from tifffile import TiffFile

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_TIFF_BYTES = 1 << 33
ORIENTATION = 274
_CMYK = 5


def is_tiff(path: Path) -> bool:
    """Say whether a file begins as a TIFF does."""
    with path.open("rb") as file:
        return file.read(4) in _TIFF_MAGIC


class _Complaints(logging.Handler):
    """What tifffile logs in this thread about a file that lacks a part, which it reads as a smaller one."""

    signs = (
        "corrupted",
        "failed to reshape",
        "invalid page offset",
        "invalid value offset",
        "issing",
        "of tags",
    )

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.thread = get_ident()
        self.grave: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message that speaks of a missing part."""
        message = record.getMessage()
        if record.thread == self.thread and any(sign in message for sign in self.signs):
            self.grave.append(message)


@contextmanager
def open_tiff(path: Path) -> Iterator[TiffFile]:
    """Open a TIFF, and refuse it in the end where tifffile has missed a part of it.

    Raises:
        ImageError: A part is missing.
    """
    from tifffile import TiffFile

    complaints = _Complaints()
    logger = logging.getLogger("tifffile")
    logger.addHandler(complaints)
    try:
        with TiffFile(path) as tiff:
            yield tiff
    finally:
        logger.removeHandler(complaints)
    if complaints.grave:
        raise ImageError(f"{path}: expected a whole picture, got one that can't be read: {complaints.grave[0]}")


def orientation_of(tiff: TiffFile) -> int:
    """Return the orientation, 1 to 8; what is no orientation counts as upright."""
    tag = tiff.pages[0].tags.get(ORIENTATION)  # type: ignore[union-attr]  # the first page is always a whole one
    return int(tag.value) if tag is not None and tag.value in range(1, 9) else 1


def axes_of(tiff: TiffFile, path: Path) -> tuple[str, tuple[int, ...]]:
    """Name each axis of the first picture in a TIFF: Y, X, S for bands; any other letter is a row of frames.

    Where a three-dimensional file does not say which axis holds its bands (Q), that is the last one if it is
    the shortest, and the first one otherwise.

    Raises:
        ImageError: It has other axes, other numbers than real ones, or is absurdly large.
    """
    series = tiff.series[0]
    named = [(a, n) for a, n in zip(series.axes, series.shape, strict=True) if n != 1 or a in "YX"]
    axes, shape = "".join(a for a, _ in named), tuple(n for _, n in named)
    if axes == "QYX":
        axes = "YXS" if shape[2] < min(shape[:2]) else "SYX"
    elif "S" not in axes:
        axes = axes.replace("C", "S")
    if 0 in shape or any(axes.count(letter) != 1 for letter in "YX") or axes.count("Q") + axes.count("S") > 1:
        raise ImageError(f"{path}: expected height, width and bands, got axes {series.axes} of {series.shape}")
    if series.dtype.kind not in "buif":
        raise ImageError(f"{path}: expected real numbers, got {series.dtype}")
    values = math.prod(n for a, n in zip(axes, shape, strict=True) if a in "YXS")
    if values * series.dtype.itemsize > _MOST_TIFF_BYTES:
        raise ImageError(f"{path}: expected at most {_MOST_TIFF_BYTES >> 30} GiB, got {series.dtype} of {shape}")
    return axes, shape


def is_plain(tiff: TiffFile, axes: str) -> bool:
    """Say whether a TIFF is an ordinary 8-bit photograph: grey, palette, RGB or CMYK, perhaps with alpha."""
    page = tiff.series[0].keyframe
    bands = page.samplesperpixel - sum(extra in (1, 2) for extra in page.extrasamples)
    in_page = "S" not in axes or "S" in page.axes
    return bool(
        in_page and page.dtype in (np.uint8, np.bool_) and bands in ((4,) if page.photometric == _CMYK else (1, 3))
    )


def first_picture(tiff: TiffFile, axes: str, shape: tuple[int, ...], path: Path) -> NDArray[np.generic]:
    """Decode the first picture: (H, W, bands), not turned yet.

    Raises:
        ImageError: Its compression can't be read.
    """
    try:
        return _to_bands(_first_frame(tiff, axes), axes, shape)
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        return _other_decoder(tiff, axes, path)


def _first_frame(tiff: TiffFile, axes: str) -> NDArray[np.generic]:
    if "S" in axes and "S" not in tiff.series[0].keyframe.axes:
        return np.asarray(tiff.series[0].asarray())
    return np.asarray(tiff.pages[0].asarray())


def _to_bands(array: NDArray[np.generic], axes: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Take the first of every row of frames and put the bands last."""
    wanted = [axis for axis in axes if axis in "YXS"]
    if array.size == np.prod(shape):
        array = array.reshape(shape)[tuple(slice(None) if axis in "YXS" else 0 for axis in axes)]
    else:
        array = array.reshape([n for a, n in zip(axes, shape, strict=True) if a in "YXS"])
    if "S" not in wanted:
        array, wanted = array[..., None], [*wanted, "S"]
    return array.transpose([wanted.index(axis) for axis in "YXS"])


def _other_decoder(tiff: TiffFile, axes: str, path: Path) -> NDArray[np.generic]:
    """Let Pillow decompress a single band, which it keeps as deep as it is."""
    page = tiff.series[0].keyframe
    if "S" in axes:
        raise ImageError(
            f"{path}: expected a compression that can be read, got {page.compression!r} on several bands; "
            "save it with deflate or no compression, or install imagecodecs"
        )
    with Image.open(path) as image:
        return np.array(image).astype(page.dtype)[..., None]

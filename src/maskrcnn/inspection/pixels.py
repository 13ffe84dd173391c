"""What values the pixels of a set have.

Letters: H, W height and width of a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Dataset
from maskrcnn.errors import DataError
from maskrcnn.training.setup import band_statistics


class BandNumbers(NamedTuple):
    """One band: mean and standard deviation, every picture counting alike, and the least and greatest value."""

    mean: float
    std: float
    low: float
    high: float


class Pixels(NamedTuple):
    """The values of some pictures.

    Attributes:
        bands: One a band; none where no picture could be read.
        dtype: The kind of number, such as `uint8`.
        measured: From how many pictures.
        unlike: Pictures of another number of bands or kind of number than the first, not measured.
        unread: Why a picture could not be read, one sentence each.
        gaps: Pictures with pixels that are no finite number, which are passed over.
    """

    bands: tuple[BandNumbers, ...]
    dtype: str
    measured: int
    unlike: int
    unread: tuple[str, ...]
    gaps: int


def measure(dataset: Dataset, pictures: Sequence[int], advance: Callable[[], None]) -> Pixels:
    """Read pictures and measure their bands.

    Args:
        dataset: The set.
        pictures: Which of its pictures.
        advance: Called after every picture.
    """
    gauge = _Gauge()
    mean, std = np.zeros(0), np.zeros(0)
    images = gauge.usable(_images(dataset, pictures, gauge.unread, advance))
    first = next(images, None)
    if first is not None:
        mean, std = band_statistics(_before(first, images))
    low, high = (np.min(gauge.lows, axis=0), np.max(gauge.highs, axis=0)) if gauge.lows else (mean, std)
    return Pixels(
        tuple(
            BandNumbers(*numbers) for numbers in zip(*(each.tolist() for each in (mean, std, low, high)), strict=True)
        ),
        gauge.kind[1],
        len(gauge.lows),
        gauge.unlike,
        tuple(gauge.unread),
        gauge.gaps,
    )


def _images(
    dataset: Dataset, pictures: Sequence[int], unread: list[str], advance: Callable[[], None]
) -> Iterator[NDArray[np.generic]]:
    for i in pictures:
        record = dataset.records[i]
        try:
            yield record.read(record.path)
        except DataError as error:
            unread.append(str(error))
        advance()


def _before(first: NDArray[np.generic], rest: Iterator[NDArray[np.generic]]) -> Iterator[NDArray[np.generic]]:
    yield first
    yield from rest


class _Gauge:
    """Passes on the finite pixels of pictures that are of one kind, and notes what it sees."""

    def __init__(self) -> None:
        self.kind = (0, "")
        self.lows: list[NDArray[np.float64]] = []
        self.highs: list[NDArray[np.float64]] = []
        self.unread: list[str] = []
        self.unlike = self.gaps = 0

    def usable(self, images: Iterator[NDArray[np.generic]]) -> Iterator[NDArray[np.generic]]:
        """Yield (1, n, bands) of every picture that is like the first."""
        for image in images:
            kind = (image.shape[2], str(image.dtype))
            self.kind = self.kind if self.lows else kind
            if kind != self.kind:
                self.unlike += 1
                continue
            pixels = image.reshape(1, -1, image.shape[2])
            finite = np.isfinite(pixels).all(axis=2) if image.dtype.kind == "f" else None
            if finite is not None and not finite.all():
                self.gaps += 1
                pixels = pixels[finite][None]
            if pixels.size:
                bands = [pixels[..., i] for i in range(pixels.shape[2])]
                self.lows.append(np.array([band.min() for band in bands], dtype=np.float64))
                self.highs.append(np.array([band.max() for band in bands], dtype=np.float64))
                yield pixels

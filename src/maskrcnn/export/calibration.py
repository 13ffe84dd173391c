"""Pictures that show a network the values it will meet: a few hundred, always the same ones, read as for prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.images import list_images, to_array
from maskrcnn.engines.graphs.metadata import About
from maskrcnn.errors import FormatError
from maskrcnn.ops.resize import padded_size, place, to_tensor
from maskrcnn.prediction.preparing import prepare

MOST = 300
Feed = dict[str, NDArray[np.generic]]


def spread(count: int, most: int) -> list[int]:
    """Choose at most so many of a row of things, evenly.

    >>> spread(10, 4), spread(3, 4)
    ([0, 2, 5, 7], [0, 1, 2])
    """
    chosen = min(count, most)
    return [i * count // chosen for i in range(chosen)]


def find_pictures(source: str | Path | Dataset, most: int = MOST) -> list[Path]:
    """List the pictures to measure on, spread evenly over what is there.

    Args:
        source: Annotated data, or pictures: a folder, a file or a pattern.
        most: How many at most.

    Raises:
        ImageError: There is no picture.
        AnnotationError: It is annotated data, and broken.
    """
    paths = _all_pictures(source)
    return [paths[i] for i in spread(len(paths), most)]


def _all_pictures(source: str | Path | Dataset) -> list[Path]:
    try:
        dataset = source if isinstance(source, Dataset) else open_dataset(source)
    except FormatError:
        assert not isinstance(source, Dataset)
        return list_images([source])
    return list(dict.fromkeys(dataset.path(i) for i in range(len(dataset))))


class Reader:
    """Feeds of an exported graph, one picture at a time; every walk through it gives the same.

    Args:
        paths: The pictures.
        about: The graph: whether it takes whole pictures or prepared ones, and how those are prepared.
    """

    def __init__(self, paths: Sequence[Path], about: About) -> None:
        self.paths = tuple(paths)
        self._feed = {"network": _prepared, "uint8": _whole, "float32": _whole}[about.takes]
        self._about = about

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Feed]:
        """Read picture after picture.

        Raises:
            ImageError: One can't be read, or its bands are not those of the model.
        """
        return (self._feed(path, self._about) for path in self.paths)


def _prepared(path: Path, about: About) -> Feed:
    config = about.config.input
    pixels = prepare(path, config).pixels
    h, w = pixels.shape[1:]
    images = torch.zeros(1, config.bands, *padded_size((h, w), config))
    place(pixels.float(), images[0], config.resize)
    return {"images": images.numpy(), "size_hw": np.array([[h, w]], dtype=np.int64)}


def _whole(path: Path, about: About) -> Feed:
    pixels: Tensor = to_tensor(to_array(path))[None]
    return {"images": pixels.numpy().astype(about.takes)}

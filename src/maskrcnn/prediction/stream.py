"""Many pictures through a model, in order, read by worker processes; a broken one is named and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from maskrcnn.config import InputConfig
from maskrcnn.data.images import read_image
from maskrcnn.draw.overlay import displayable
from maskrcnn.errors import MaskRCNNError
from maskrcnn.prediction.predictor import Predictor, Seen
from maskrcnn.prediction.preparing import Picture, Prepared, prepare
from maskrcnn.structures import Instances

Found = Instances | MaskRCNNError
Result = TypeVar("Result")


class _Read(NamedTuple):
    """A picture as the network takes it, and as it is shown; None where nobody shows it."""

    prepared: Prepared
    shown: NDArray[np.uint8] | None


@dataclass(frozen=True)
class _Reader(TorchDataset[_Read | MaskRCNNError]):
    """Reads one picture; the part that runs in the worker processes. An error travels as a value."""

    count: int
    picture: Callable[[int], Picture]
    config: InputConfig

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> _Read | MaskRCNNError:
        try:
            return self._read(self.picture(i))
        except MaskRCNNError as error:
            return error

    def _read(self, picture: Picture) -> _Read:
        return _Read(prepare(picture, self.config), None)


@dataclass(frozen=True)
class _ShowingReader(_Reader):
    """Reads a file once for both the network and whoever looks at it."""

    def _read(self, picture: Picture) -> _Read:
        path = cast("Path", picture)
        decoded = read_image(path)
        return _Read(prepare(decoded, self.config, path), displayable(decoded))


def _as_it_is(values: Any) -> Any:
    return values


def predict_all(
    predictor: Predictor, count: int, picture: Callable[[int], Picture], *, batch: int = 1, workers: int = 0
) -> Iterator[Found]:
    """Find the objects of many pictures, one result a picture, in order.

    Args:
        predictor: The model.
        count: How many pictures.
        picture: Gives picture i; it travels to the worker processes.
        batch: Pictures that are read together; those of one padded size run through the network together.
        workers: Processes that read; 0 reads in this one.

    Yields:
        The objects of a picture, or the error that reading it raised.
    """
    reader = _Reader(count, picture, predictor.config.input)
    for found, _ in _through(predictor.predict_prepared, reader, batch, workers):
        yield found


def see_all(
    predictor: Predictor, count: int, picture: Callable[[int], Picture], *, batch: int = 1, workers: int = 0
) -> Iterator[Seen | MaskRCNNError]:
    """Do as `predict_all` does, and give with the objects of a picture what the first stage proposed.

    Raises:
        InputError: The model was exported, and its stages can't be called.
    """
    reader = _Reader(count, picture, predictor.config.input)
    for seen, _ in _through(predictor.see_prepared, reader, batch, workers):
        yield seen


def predict_files(
    predictor: Predictor, paths: Sequence[Path], *, batch: int = 1, workers: int = 0
) -> Iterator[tuple[Found, NDArray[np.uint8] | None]]:
    """Find the objects of files as `predict_all` does, and give each picture along with them, decoded once.

    Yields:
        The objects of a picture and the picture as RGB (H, W, 3) to show; or the error that reading it raised, and
        None.
    """
    reader = _ShowingReader(len(paths), paths.__getitem__, predictor.config.input)
    return _through(predictor.predict_prepared, reader, batch, workers)


Find = Callable[[Sequence[Prepared]], list[Result]]


def _through(
    find: Find[Result], reader: _Reader, batch: int, workers: int
) -> Iterator[tuple[Result | MaskRCNNError, NDArray[np.uint8] | None]]:
    loader = DataLoader(
        reader,
        batch_size=batch,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # its own, so that predicting draws nothing from a training's generator
    )
    for pictures in loader:
        yield from _readable_through(find, pictures)


def _readable_through(
    find: Find[Result], pictures: Sequence[_Read | MaskRCNNError]
) -> Iterator[tuple[Result | MaskRCNNError, NDArray[np.uint8] | None]]:
    readable = [picture.prepared for picture in pictures if not isinstance(picture, MaskRCNNError)]
    found = iter(find(readable))
    for picture in pictures:
        yield (picture, None) if isinstance(picture, MaskRCNNError) else (next(found), picture.shown)


def strictly(found: Iterator[Result | MaskRCNNError]) -> Iterator[Result]:
    """Pass results on and raise the first error among them."""
    for each in found:
        if isinstance(each, MaskRCNNError):
            raise each
        yield each

"""Many pictures through a model, in order, read by worker processes; a broken one is named and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from maskrcnn.config import InputConfig
from maskrcnn.errors import MaskRCNNError
from maskrcnn.prediction.predictor import Picture, Predictor, Prepared, prepare
from maskrcnn.structures import Instances

Found = Instances | MaskRCNNError


@dataclass(frozen=True)
class _Reader(TorchDataset[Prepared | MaskRCNNError]):
    """Reads one picture; the part that runs in the worker processes. An error travels as a value."""

    count: int
    picture: Callable[[int], Picture]
    config: InputConfig

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Prepared | MaskRCNNError:
        try:
            return prepare(self.picture(i), self.config)
        except MaskRCNNError as error:
            return error


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
    loader = DataLoader(
        reader,
        batch_size=batch,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # its own, so that predicting draws nothing from a training's generator
    )
    for pictures in loader:
        yield from _predict_readable(predictor, pictures)


def _predict_readable(predictor: Predictor, pictures: Sequence[Prepared | MaskRCNNError]) -> list[Found]:
    readable = [picture for picture in pictures if not isinstance(picture, MaskRCNNError)]
    found = iter(predictor.predict_prepared(readable))
    return [picture if isinstance(picture, MaskRCNNError) else next(found) for picture in pictures]


def strictly(found: Iterator[Found]) -> Iterator[Instances]:
    """Pass results on and raise the first error among them."""
    for each in found:
        if isinstance(each, MaskRCNNError):
            raise each
        yield each

"""Weight files of Keras, HDF5 with one dataset a tensor.

References: HDF5 file format; Keras, `save_weights` and `save` in the format `h5`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskrcnn.errors import WeightsError
from maskrcnn.hdf5 import h5py_for, is_here

_MOST_GROWTH = 8  # times the file's size that all tensors together may have; weights hardly compress
_DEEPEST = 12  # groups inside groups
_NUMBERS = frozenset("fiu")


class _Place(NamedTuple):
    """Where the walk is, and the addresses of the groups that it came through."""

    path: Path
    name: str
    above: tuple[int, ...]


def read_h5(path: Path) -> dict[str, Tensor]:
    """Read every dataset of a file by its path inside, such as `conv1/conv1/kernel:0`.

    Raises:
        WeightsError: The file is broken, points out of itself, or claims more than it holds; or h5py is missing.
    """
    h5py = h5py_for(path, WeightsError)
    try:
        with h5py.File(path, "r") as file:
            found = dict(_walk(h5py, file, _Place(path, "", ())))
            _check_total(path, found)
            return {name: torch.from_numpy(_numbers(dataset)) for name, dataset in found.items()}
    except WeightsError:
        raise
    except Exception as error:  # a broken file can raise anything
        raise WeightsError(f"{path}: expected a file of Keras (HDF5), got a broken one: {error}") from None


def _walk(h5py: Any, group: Any, place: _Place) -> Iterator[tuple[str, Any]]:
    """Yield the datasets below a group, following nothing that leaves the tree."""
    address = h5py.h5o.get_info(group.id).addr
    if address in place.above or len(place.above) > _DEEPEST:
        raise WeightsError(f"{place.path}: {place.name}: expected a tree of groups, got a group inside itself")
    for key in group:
        name = f"{place.name}/{key}" if place.name else key
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise WeightsError(f"{place.path}: {name}: expected a tensor or a group, got a link to another place")
        item = group[key]
        if isinstance(item, h5py.Group):
            yield from _walk(h5py, item, _Place(place.path, name, (*place.above, address)))
            continue
        if not isinstance(item, h5py.Dataset) or item.shape is None or item.dtype.kind not in _NUMBERS:
            raise WeightsError(f"{place.path}: {name}: expected a tensor of numbers, got another kind of data")
        if not is_here(item):
            raise WeightsError(f"{place.path}: {name}: expected numbers in this file, got ones that lie elsewhere")
        yield name, item


def _check_total(path: Path, found: dict[str, Any]) -> None:
    size = path.stat().st_size
    total = sum(int(dataset.nbytes) for dataset in found.values())
    if total > _MOST_GROWTH * size:
        largest = max(found, key=lambda name: int(found[name].nbytes))
        raise WeightsError(
            f"{path}: expected tensors of about the file's {size} bytes, got {total} bytes; the largest is {largest} "
            f"of shape {found[largest].shape}"
        )


def _numbers(dataset: Any) -> Any:
    values = dataset[()]
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))

"""Indexes of large annotation files, kept in the cache so that a file is parsed once.

An index is the arrays of `maskrcnn.data.columns` and what else belongs to the set, and is good for one file
of one size and time. It is mapped into memory, so that only what is used is read and processes share it. One
that is broken, or of another layout, counts as not there.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.columns import Columns, Pictures, Rows, Texts
from maskrcnn.errors import OutputError
from maskrcnn.files import cache_folder, replacing

_MAGIC = b"maskrcnn index 2"  # the number is that of the layout
_ALIGNMENT = 64
_BLOCK = 2**20


@dataclass(frozen=True, eq=False)
class Index:
    """What is kept of an annotation file.

    Attributes:
        columns: Its pictures and annotations.
        rest: What else belongs to the set, as plain JSON values.
    """

    columns: Columns
    rest: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class KeptColumns(Columns):
    """Arrays in an index, which go to another process as the place where they lie."""

    place: Path
    stamp: list[int]

    def __reduce__(self) -> tuple[Any, ...]:
        if self.place.exists():
            return _columns_at, (self.place, self.stamp)
        return Columns, tuple(getattr(self, column.name) for column in fields(Columns))


def _columns_at(place: Path, stamp: list[int]) -> Columns:
    with place.open("rb") as file:
        index = _read(file, place, stamp)
    if index is None:
        raise OutputError(f"{place}: expected the index that was written there, got another file; start again")
    return index.columns


def keep(index: Index, source: Path, format: str) -> Index:  # noqa: A002  # as in Dataset
    """Keep the index of a file and return it as it is kept, or as it was where the cache can't be written."""
    with suppress(OSError):
        stamp = _stamp(source)
        with suppress(OutputError), replacing(_place(source, format)) as temporary, temporary.open("wb") as file:
            _write(file, index, stamp)
        return fetch(source, format) or index
    return index


def fetch(source: Path, format: str) -> Index | None:  # noqa: A002  # as in Dataset
    """Return the index that is kept for a file, or None."""
    try:
        place = _place(source, format)
        with place.open("rb") as file:
            return _read(file, place, _stamp(source))
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not what `keep` wrote
        return None


def _place(source: Path, format: str) -> Path:  # noqa: A002
    key = hashlib.sha256(f"{format}\n{source.resolve()}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return cache_folder() / "indexes" / f"{key}.index"


def _stamp(source: Path) -> list[int]:
    status = source.stat()
    return [status.st_size, status.st_mtime_ns]


def _arrays(columns: Columns) -> dict[str, NDArray[Any]]:
    pictures = columns.pictures
    return {
        "picture names": pictures.names.data,
        "picture name starts": pictures.names.starts,
        "ids": pictures.ids,
        "sizes": pictures.sizes_hw,
        "labelled": pictures.labelled,
        "labelled starts": pictures.labelled_starts,
        "notes": pictures.notes.data,
        "note starts": pictures.notes.starts,
        **dict(zip(Rows._fields, columns.rows, strict=True)),
        "starts": columns.starts,
        "ring starts": columns.ring_starts,
        "corners": columns.corners,
        "runs": columns.runs,
        "names": columns.names.data,
        "name starts": columns.names.starts,
    }


def _columns(arrays: Mapping[str, NDArray[Any]], place: Path, stamp: list[int]) -> Columns:
    pictures = Pictures(
        Texts(arrays["picture names"], arrays["picture name starts"]),
        arrays["ids"],
        arrays["sizes"],
        arrays["labelled"],
        arrays["labelled starts"],
        Texts(arrays["notes"], arrays["note starts"]),
    )
    return KeptColumns(
        pictures,
        Rows._make(arrays[name] for name in Rows._fields),
        arrays["starts"],
        arrays["ring starts"],
        arrays["corners"],
        arrays["runs"],
        Texts(arrays["names"], arrays["name starts"]),
        place,
        stamp,
    )


def _write(file: BinaryIO, index: Index, stamp: list[int]) -> None:
    """Write the magic, the checksum of all that follows, the header's length, the header and the arrays."""
    arrays = _arrays(index.columns)
    table = {name: [array.dtype.str, array.shape] for name, array in arrays.items()}
    header = json.dumps({"stamp": stamp, "rest": index.rest, "arrays": table}).encode("ascii")
    header += b" " * (-(len(header) + len(_MAGIC) + 16) % _ALIGNMENT)
    file.write(_MAGIC + bytes(16) + header)
    checksum = zlib.crc32(header)
    for array in arrays.values():
        data = np.ascontiguousarray(array).data.cast("B") if array.size else memoryview(b"")
        padding = bytes(-len(data) % _ALIGNMENT)
        for part in (data, padding):
            file.write(part)
            checksum = zlib.crc32(part, checksum)
    file.seek(len(_MAGIC))
    file.write(checksum.to_bytes(8, "little") + len(header).to_bytes(8, "little"))


def _read(file: BinaryIO, place: Path, stamp: list[int]) -> Index | None:
    magic, checksum, length = file.read(len(_MAGIC)), file.read(8), int.from_bytes(file.read(8), "little")
    if magic != _MAGIC or length > file.seek(0, 2):
        return None
    file.seek(len(_MAGIC) + 16)
    header = json.loads(file.read(length))
    if header["stamp"] != stamp:
        return None
    file.seek(len(_MAGIC) + 16)
    if _checksum(file) != int.from_bytes(checksum, "little"):
        return None
    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    offset, arrays = len(_MAGIC) + 16 + length, {}
    for name, (dtype, shape) in header["arrays"].items():
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(data, dtype, count, offset).reshape(shape)
        offset += arrays[name].nbytes + -arrays[name].nbytes % _ALIGNMENT
    return Index(_columns(arrays, place, stamp), header["rest"])


def _checksum(file: BinaryIO) -> int:
    checksum = 0
    while block := file.read(_BLOCK):
        checksum = zlib.crc32(block, checksum)
    return checksum

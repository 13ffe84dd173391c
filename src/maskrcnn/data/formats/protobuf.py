"""Protocol buffers as far as TensorFlow's `Example` needs them, read without a schema compiler.

References: protobuf.dev/programming-guides/encoding; tensorflow/core/example/example.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from maskrcnn.errors import AnnotationError

Values = list[bytes] | NDArray[np.float32] | NDArray[np.int64]
Example = Mapping[str, Values]


def read_example(content: bytes, where: str) -> Example:
    """Read an `Example`: lists of bytes, floats or whole numbers by name.

    Raises:
        AnnotationError: It is something else, or cut off.
    """
    try:
        found: dict[str, Values] = {}
        for features in _inner(content, 1):
            for entry in _inner(features, 1):
                key, value = (b"".join(_inner(entry, number)) for number in (1, 2))
                found[key.decode("utf-8")] = _values(value)
    except (ValueError, IndexError, struct.error) as error:
        raise AnnotationError(f"{where}: expected an Example of TensorFlow, got: {error}") from None
    return found


def _values(feature: bytes) -> Values:
    for number, value in _fields(feature):
        if number in _LISTS and isinstance(value, bytes):
            return _LISTS[number](value)
    return []


def _floats(content: bytes) -> NDArray[np.float32]:
    packed = [value for number, value in _fields(content) if number == 1 and isinstance(value, bytes)]
    return np.frombuffer(b"".join(packed), "<f4").astype(np.float32)


def _wholes(content: bytes) -> NDArray[np.int64]:
    numbers: list[int] = []
    for _, value in _fields(content):
        if isinstance(value, int):
            numbers.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            numbers.append(number)
    return np.array(numbers, dtype=np.uint64).astype(np.int64)


_LISTS: dict[int, Callable[[bytes], Values]] = {1: lambda value: _inner(value, 1), 2: _floats, 3: _wholes}


def _inner(content: bytes, wanted: int) -> list[bytes]:
    """List the messages and texts under one number."""
    return [value for number, value in _fields(content) if number == wanted and isinstance(value, bytes)]


def _fields(content: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield the fields of a message: numbers as they are, all else as bytes."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"a field of kind {kind}")
        length, at = _varint(content, at) if kind == 2 else (8 if kind == 1 else 4, at)
        if at + length > len(content):
            raise ValueError("a field that is cut off")
        yield key >> 3, content[at : at + length]
        at += length


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        value |= (content[at] & 127) << shift
        if content[at] < 128:
            return value & (1 << 64) - 1, at + 1
        at += 1
    raise ValueError("a number that does not end")


def text_of(example: Example, name: str) -> str:
    """Return the first text of a name, without white space around it; nothing where there is none."""
    value = example.get(name)
    return value[0].decode("utf-8", "replace").strip() if isinstance(value, list) and value else ""


def numbers_of(example: Example, name: str, where: str) -> list[float]:
    """Return the numbers of a name; none where it is not there.

    Raises:
        AnnotationError: They are texts.
    """
    value = example.get(name, [])
    if isinstance(value, list):
        if value:
            raise AnnotationError(f"{where}: {name}: expected numbers, got texts")
        return []
    numbers: list[float] = value.tolist()
    return numbers

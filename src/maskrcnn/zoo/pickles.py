"""Pickles that can build numbers, texts, plain containers and arrays, and nothing else.

A pickle is a program. This one runs with a vocabulary of a few words, all of them defined here, after its opcodes were
checked for sizes that the file can't hold.
References: Python, pickle protocol 0 to 5; numpy, `ndarray.__reduce__`.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from maskrcnn.errors import WeightsError

_NUMBERS = frozenset("fiub")  # kinds of numpy's types


class PickledArray:
    """An array as it lies in the pickle, checked but not copied yet.

    Attributes:
        shape: Its shape.
    """

    __slots__ = ("_bytes", "_fortran", "_type", "shape")

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (0,)
        self._type = np.dtype("f4")
        self._fortran = False
        self._bytes: bytes | str = b""

    def __setstate__(self, state: object) -> None:
        """Take what `ndarray.__setstate__` would take: version, shape, type, order and bytes."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array in an unknown form")
        _, shape, kind, fortran, raw = state
        self.take(raw, kind, shape, "F" if fortran else "C")

    def take(self, raw: object, kind: object, shape: object, order: object) -> None:
        """Hold bytes (or text of Python 2) as numbers of a type and shape.

        Raises:
            UnpicklingError: They do not fit together, or are not numbers.
        """
        if not isinstance(kind, _Type) or not isinstance(raw, bytes | bytearray | str) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError("an array that is not made of numbers")
        if any(not isinstance(n, int) or n < 0 for n in shape):
            raise pickle.UnpicklingError(f"an array of shape {shape}")
        if prod(shape) * kind.type.itemsize != len(raw):
            raise pickle.UnpicklingError(f"an array of shape {shape} of {len(raw)} bytes")
        self.shape, self._type, self._fortran = shape, kind.type, order == "F"
        self._bytes = bytes(raw) if isinstance(raw, bytearray) else raw

    def numpy(self) -> NDArray[Any]:
        """Copy the numbers out, in the byte order of this machine."""
        raw = self._bytes.encode("latin1") if isinstance(self._bytes, str) else self._bytes
        flat = np.frombuffer(raw, self._type)
        return np.array(flat.reshape(self.shape, order="F" if self._fortran else "C"), self._type.newbyteorder("="))


class _Type:
    """A type of numbers; its state can only turn the byte order."""

    __slots__ = ("type",)

    def __init__(self, name: object) -> None:
        text = name.decode("latin1") if isinstance(name, bytes) else str(name)
        self.type = np.dtype(text)
        if self.type.kind not in _NUMBERS:
            raise pickle.UnpicklingError(f"an array of type {text}")

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 2:
            raise pickle.UnpicklingError("a type in an unknown form")
        if state[1] in {">", b">"}:
            self.type = self.type.newbyteorder(">")


class _Word:
    """A name that a pickle may use. It has no attributes that a pickle could change."""

    __slots__ = ("_meaning",)

    def __init__(self, meaning: Callable[..., object]) -> None:
        self._meaning = meaning

    def __call__(self, *args: object) -> object:
        return self._meaning(*args)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a change of the meaning of a name")


class _Table(dict[Any, Any]):
    """A dictionary that remembers nothing but its items."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Drop the attributes of an `OrderedDict`, such as versions of a state dict."""


def _refuse(*_: object) -> object:
    raise pickle.UnpicklingError("an array made in an unknown way")


def _from_buffer(raw: object, kind: object, shape: object, order: object) -> PickledArray:
    array = PickledArray()
    array.take(raw, kind, shape, order)
    return array


def _scalar(kind: object, raw: object) -> object:
    return _from_buffer(raw, kind, (), "C").numpy().item()


def _encode(text: object, _: object) -> bytes:
    return str(text).encode("latin1")


_WORDS = {
    "numpy.ndarray": _Word(_refuse),
    "numpy.dtype": _Word(lambda name, *_: _Type(name)),
    "multiarray._reconstruct": _Word(lambda *_: PickledArray()),
    "multiarray.scalar": _Word(_scalar),
    "numeric._frombuffer": _Word(_from_buffer),
    "collections.OrderedDict": _Word(_Table),
    "_codecs.encode": _Word(_encode),
    "__builtin__.bytes": _Word(lambda: b""),  # how old protocols write no bytes at all
}
_NUMPY_ROOMS = ("numpy.core.", "numpy._core.")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        short = module
        for room in _NUMPY_ROOMS:
            short = short.removeprefix(room)
        word = _WORDS.get(f"{short}.{name}")
        if word is None or (short in {"multiarray", "numeric"} and short == module):
            raise pickle.UnpicklingError(f"the program {module}.{name}")
        return word


def read_pickle(path: Path) -> object:
    """Read a pickle of numbers, texts, plain containers and arrays; arrays come as `PickledArray`.

    Texts of Python 2 are read as Latin 1.

    Raises:
        WeightsError: The file is broken, or wants to build anything else; none of that is run.
    """
    with _sentences(path), path.open("rb") as file:
        _check_sizes(_Bounded(file, path.stat().st_size))
        file.seek(0)
        return _Unpickler(_Bounded(file, path.stat().st_size), encoding="latin1").load()


class _Bounded:
    """A file of which nobody reads more than there is: room is made for as much as is asked for, not as is found."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, self._size - self._file.tell()))

    def readline(self) -> bytes:
        return self._file.readline()


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a broken pickle can raise anything
        said = str(error) or type(error).__name__
        raise WeightsError(f"{path}: expected a pickle of arrays, got {said}; nothing of it was run") from None


def _check_sizes(file: _Bounded) -> None:
    """Read every opcode: each must fit into the file, and no slot of memory may lie beyond their number.

    The unpickler would reserve memory for what an opcode claims before it looks for it.
    """
    for count, (code, argument, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]  # it reads
        if code.name in {"PUT", "BINPUT", "LONG_BINPUT"} and isinstance(argument, int) and argument > count:
            raise pickle.UnpicklingError(f"a memory of {argument} objects after {count} of them")

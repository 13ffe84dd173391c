"""Pickles that can build numbers, texts, plain containers and arrays, and nothing else.

A pickle is a program. This one runs with a vocabulary of a few words, all of them defined here, after its opcodes were
checked for sizes that the file can't hold.

References: Python, pickle protocol 0 to 5; numpy, `ndarray.__reduce__` and `numpy.lib.format`.
"""

from __future__ import annotations

import pickle
import pickletools
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_NUMBERS = frozenset("fiub")  # kinds of numpy's types
_OBJECTS = "O"

Refusal = Callable[[str], Exception]
"""Makes the error of the caller's own kind from a sentence."""


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


class _ObjectArray:
    """An array of whatever else a pickle may build; `items` lie in the order of C."""

    __slots__ = ("items", "shape")

    def __init__(self, state: tuple[Any, ...]) -> None:
        _, shape, _, fortran, items = state
        sides = shape if isinstance(shape, tuple) else (-1,)
        if fortran or any(not isinstance(n, int) or n < 0 for n in sides) or not isinstance(items, list):
            raise pickle.UnpicklingError("an array of objects in an unknown form")
        if prod(sides) != len(items):
            raise pickle.UnpicklingError(f"an array of shape {shape} of {len(items)} objects")
        self.shape: tuple[int, ...] = sides
        self.items: list[object] = items

    def rows(self) -> list[object]:
        """Return the items along the first axis; each may be an array, a list or a number."""
        width = prod(self.shape[1:])
        if len(self.shape) < 2:
            return self.items
        return [self.items[i * width : (i + 1) * width] for i in range(self.shape[0])]


class _EitherArray(PickledArray):
    """An array of numbers, or of objects, which its state says."""

    __slots__ = ("objects",)

    def __init__(self) -> None:
        super().__init__()
        self.objects: _ObjectArray | None = None

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) == 5 and isinstance(state[2], _AnyType) and state[2].is_object:
            self.objects = _ObjectArray(state)
            return
        super().__setstate__(state)


class _Type:
    """A type of numbers; its state can only turn the byte order."""

    __slots__ = ("type",)

    def __init__(self, name: object) -> None:
        text = name.decode("latin1") if isinstance(name, bytes) else str(name)
        self.type = np.dtype(text)
        self._check(text)

    def _check(self, text: str) -> None:
        if self.type.kind not in _NUMBERS:
            raise pickle.UnpicklingError(f"an array of type {text}")

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 2:
            raise pickle.UnpicklingError("a type in an unknown form")
        if state[1] in {">", b">"}:
            self.type = self.type.newbyteorder(">")


class _AnyType(_Type):
    """A type of numbers or of objects."""

    __slots__ = ()

    @property
    def is_object(self) -> bool:
        """Whether it is that of objects."""
        return self.type.kind == _OBJECTS

    def _check(self, text: str) -> None:
        if not self.is_object:
            super()._check(text)


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
_OBJECT_WORDS = {
    **_WORDS,
    "numpy.dtype": _Word(lambda name, *_: _AnyType(name)),
    "multiarray._reconstruct": _Word(lambda *_: _EitherArray()),
}
_NUMPY_ROOMS = ("numpy.core.", "numpy._core.")


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: _Bounded, words: Mapping[str, _Word]) -> None:
        super().__init__(file, encoding="latin1")
        self._words = words

    def find_class(self, module: str, name: str) -> object:
        short = module
        for room in _NUMPY_ROOMS:
            short = short.removeprefix(room)
        word = self._words.get(f"{short}.{name}")
        if word is None or (short in {"multiarray", "numeric"} and short == module):
            raise pickle.UnpicklingError(f"the program {module}.{name}")
        return word


def read_pickle(path: Path, refusal: Refusal) -> object:
    """Read a pickle of numbers, texts, plain containers and arrays; arrays come as `PickledArray`.

    Texts of Python 2 are read as Latin 1.

    Raises:
        Exception: Whatever `refusal` makes: the file is broken, or wants to build anything else; none of that is run.
    """
    with _sentences(path, refusal), path.open("rb") as file:
        return _load(file, path.stat().st_size, _WORDS)


def read_array_rows(path: Path, refusal: Refusal) -> list[NDArray[Any]]:
    """Read a `.npy` file and return what lies along its first axis, each as an array of numbers.

    An array of objects is a pickle; its items may be arrays of different shapes, lists or numbers.

    Raises:
        Exception: Whatever `refusal` makes: the file is broken, or wants to build anything but numbers; none of that
            is run.
    """
    with _sentences(path, refusal), path.open("rb") as file:
        size = path.stat().st_size
        shape, kind = _npy_head(file)
        if kind.kind != _OBJECTS:
            if prod(shape) * kind.itemsize > size:
                raise pickle.UnpicklingError(f"an array of shape {shape} in {size} bytes")
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return list(np.atleast_1d(np.load(file, allow_pickle=False)))
        content = _load(file, size, _OBJECT_WORDS)
        if not isinstance(content, _EitherArray) or content.objects is None or content.objects.shape != shape:
            raise pickle.UnpicklingError("something else than its first line says")
        if not shape:
            raise pickle.UnpicklingError("a single object")
        copier = _Copier(size)
        return [copier.row(item) for item in content.objects.rows()]


def _npy_head(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the first line of a `.npy` file, behind which its numbers begin."""
    version = np.lib.format.read_magic(file)
    heads = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in heads:
        raise pickle.UnpicklingError(f"version {version} of the format")
    with warnings.catch_warnings():  # numpy wonders aloud about files of Python 2
        warnings.simplefilter("ignore")
        shape, _, kind = heads[version](file)
    return shape, kind


class _Copier:
    """Copies numbers out, of which no more can be honest than the file has bytes: a pickle may name a list twice."""

    def __init__(self, size: int) -> None:
        self._left = size

    def row(self, item: object) -> NDArray[Any]:
        """Copy one item of an array of objects: an array, a list, a number."""
        if isinstance(item, _EitherArray) and item.objects is None:
            self._spend(prod(item.shape))
            return item.numpy()
        if isinstance(item, _EitherArray) and item.objects is not None:
            item = item.objects.rows()
        self._spend(1)
        if isinstance(item, list | tuple):
            return np.array([self.row(each) for each in item])
        if not isinstance(item, bool | int | float):
            raise pickle.UnpicklingError(f"an item of type {type(item).__name__}, which is no number")
        return np.array(item)

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise pickle.UnpicklingError("more numbers than the file has bytes")


def _load(file: BinaryIO, size: int, words: Mapping[str, _Word]) -> object:
    start = file.tell()
    _check_sizes(_Bounded(file, size))
    file.seek(start)
    return _Unpickler(_Bounded(file, size), words).load()


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
def _sentences(path: Path, refusal: Refusal) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a broken pickle can raise anything
        said = str(error) or type(error).__name__
        raise refusal(f"{path}: expected a pickle of arrays, got {said}; nothing of it was run") from None


def _check_sizes(file: _Bounded) -> None:
    """Read every opcode: each must fit into the file, and no slot of memory may lie beyond their number.

    The unpickler would reserve memory for what an opcode claims before it looks for it.
    """
    for count, (code, argument, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]  # it reads
        if code.name in {"PUT", "BINPUT", "LONG_BINPUT"} and isinstance(argument, int) and argument > count:
            raise pickle.UnpicklingError(f"a memory of {argument} objects after {count} of them")

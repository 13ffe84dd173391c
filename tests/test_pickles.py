from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskrcnn.errors import AnnotationError, WeightsError
from maskrcnn.pickles import PickledArray, read_array_rows, read_pickle


def read(tmp_path: Path, content: bytes) -> Any:
    path = tmp_path / "file.pkl"
    path.write_bytes(content)
    return read_pickle(path, WeightsError)


# ---- what may be in a pickle


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_come_back(protocol: int, tmp_path: Path) -> None:
    arrays = {
        "row": np.arange(6, dtype=np.float32).reshape(2, 3),
        "column": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(4, dtype=">f4"),
        "none": np.zeros((0, 3), np.float32),
        "scalar": np.array(7, np.int64),
        "half": np.ones(2, np.float16),
    }
    read_back = read(tmp_path, pickle.dumps(arrays, protocol=protocol))
    assert list(read_back) == list(arrays)
    for name, array in arrays.items():
        assert read_back[name].shape == array.shape
        copy = read_back[name].numpy()
        assert copy.dtype == array.dtype.newbyteorder("=")
        assert np.array_equal(copy, array)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_containers_and_numbers(protocol: int, tmp_path: Path) -> None:
    content = {"a": [1, 2.5, None, True], "b": (b"raw", "text"), "c": OrderedDict(x=1), "d": np.float64(0.5)}
    assert read(tmp_path, pickle.dumps(content, protocol=protocol)) == content


def text(words: bytes) -> bytes:
    """Write what Python 2 calls a string."""
    return b"U" + bytes([len(words)]) + words if len(words) < 256 else b"T" + struct.pack("<i", len(words)) + words


def python2(arrays: dict[str, np.ndarray]) -> bytes:
    """Write a dictionary of float32 arrays as `cPickle` of Python 2 does with its highest protocol."""
    out = b"\x80\x02}("
    for name, array in arrays.items():
        shape = b"(" + b"".join(b"M" + struct.pack("<H", n) for n in array.shape) + b"t"
        kind = b"cnumpy\ndtype\n" + text(b"f4") + b"K\x00K\x01\x87R(K\x03" + text(b"<") + b"NNNJ\xff\xff\xff\xff" * 1
        kind += b"J\xff\xff\xff\xffK\x00tb"
        blank = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        out += text(name.encode()) + blank + b"(K\x01" + shape + kind + b"\x89" + text(array.tobytes()) + b"tb"
    return out + b"u."


def test_pickles_of_python_2(tmp_path: Path) -> None:
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5, "many": np.arange(200, dtype=np.float32)}
    content = python2(arrays)
    plain = pickle.loads(content, encoding="latin1")  # numpy's own reader agrees that this is such a file
    assert all(np.array_equal(plain[name], array) for name, array in arrays.items())
    read_back = read(tmp_path, content)
    assert all(np.array_equal(read_back[name].numpy(), array) for name, array in arrays.items())


# ---- what may not


class Malice:
    """Runs a function when it is unpickled."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: {"blobs": {"w": m}}, lambda m: {"model": [(m,)]}])
def test_a_program_is_not_run(protocol: int, wrap: Callable[[Any], Any], tmp_path: Path) -> None:
    mark = tmp_path / "was-here"
    content = pickle.dumps(wrap(Malice(os.system, f"touch {mark}")), protocol=protocol)
    with pytest.raises(WeightsError, match=r"file\.pkl: expected a pickle of arrays, got the program \w+\.system"):
        read(tmp_path, content)
    assert not mark.exists()
    pickle.loads(content)  # it is malicious indeed
    assert mark.exists()


GLOBALS = ["builtins.eval", "builtins.getattr", "numpy.load", "numpy.core.multiarray.fromfile", "multiarray.scalar"]


@pytest.mark.parametrize("name", [*GLOBALS, "numpy.memmap", "collections.defaultdict", "copyreg._reconstructor"])
def test_no_other_name_has_a_meaning(name: str, tmp_path: Path) -> None:
    module, _, function = name.rpartition(".")
    with pytest.raises(WeightsError, match="the program"):
        read(tmp_path, b"\x80\x02c" + f"{module}\n{function}\n".encode() + b".")


def test_the_meaning_of_a_name_cannot_be_changed(tmp_path: Path) -> None:
    change = b"\x80\x02c_codecs\nencode\nN}X\x08\x00\x00\x00_meaningNs\x86b."
    with pytest.raises(WeightsError, match="a change of the meaning of a name"):
        read(tmp_path, change)
    text_in_protocol_2 = pickle.dumps(b"\xe9", protocol=2)
    assert read(tmp_path, text_in_protocol_2) == b"\xe9"


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="got an array of type O8"):
        read(tmp_path, pickle.dumps({"w": np.array([{}, None], dtype=object)}))


def array_of(shape: bytes, raw: bytes) -> bytes:
    """Write one float32 array whose shape and bytes need not agree."""
    whole = python2({"w": np.zeros(1, np.float32)})
    return whole.replace(b"(M\x01\x00t", shape).replace(text(bytes(4)), text(raw))


@pytest.mark.parametrize(
    ("shape", "raw"),
    [
        (b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft", bytes(4)),
        (b"(J\xff\xff\xff\xffJ\xff\xff\xff\xfft", bytes(4)),
        (b"(M\x01\x00t", bytes(8)),
        (b"(G\x3f\xf0\x00\x00\x00\x00\x00\x00t", bytes(4)),
    ],
    ids=["huge", "negative", "too many bytes", "not whole"],
)
def test_arrays_that_are_not_what_they_claim(shape: bytes, raw: bytes, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="an array of shape"):
        read(tmp_path, array_of(shape, raw))


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"abc.",  # bytes of a tebibyte
        b"\x80\x04\x96" + struct.pack("<Q", 1 << 40) + b"abc.",  # a bytearray of one
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # a memory of 2^31 objects
        b"\x80\x02N",
        b"\x80\x02.",
        b"\x80\x02}(.",
        b"\x80\x02h\x05.",
        pickle.dumps({"w": np.zeros(9, np.float32)})[:-20],
        b"",
        b"\xff\xfe",
    ],
)
def test_broken_and_boastful_pickles_end_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"file\.pkl: expected a pickle of arrays, got"):
        read(tmp_path, content)


def test_an_array_holds_no_second_copy_until_it_is_asked(tmp_path: Path) -> None:
    array = read(tmp_path, pickle.dumps(np.ones(3, np.float32), protocol=4))
    assert isinstance(array, PickledArray)
    copy = array.numpy()
    copy[0] = 5
    assert array.numpy().tolist() == [1, 1, 1]


# ---- arrays of objects


def rows(tmp_path: Path, content: bytes) -> list[np.ndarray]:
    path = tmp_path / "file.npy"
    path.write_bytes(content)
    return read_array_rows(path, AnnotationError)


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def objects(*items: Any) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def test_rows_of_different_lengths_come_back(tmp_path: Path) -> None:
    items = [np.array([1, 3]), np.array([2], np.uint8), np.zeros(0, np.int32), [1, 2, 3], np.int64(4), 5]
    read_back = rows(tmp_path, npy(objects(*items)))
    assert [row.tolist() for row in read_back] == [[1, 3], [2], [], [1, 2, 3], 4, 5]
    boxes = [np.array([[0, 1, 2.5, 3]], np.float32), np.zeros((0, 4), np.float32), np.ones((3, 4), np.float32)]
    read_back = rows(tmp_path, npy(objects(*boxes)))
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(read_back, boxes, strict=True))


def test_rows_of_one_length_become_a_table_and_are_rows_again(tmp_path: Path) -> None:
    table = np.array([[1, 2], [3, 4], [5, 6]], dtype=object)
    assert [row.tolist() for row in rows(tmp_path, npy(table))] == [[1, 2], [3, 4], [5, 6]]
    assert [row.tolist() for row in rows(tmp_path, npy(table.reshape(3, 2, 1)))][2] == [5, 6]
    assert [row.tolist() for row in rows(tmp_path, npy(np.arange(6.0).reshape(3, 2)))] == [[0, 1], [2, 3], [4, 5]]


def repeated(count: int) -> bytes:
    """Name one list many times."""
    long = [1] * count
    return npy(objects(*[[long] * count] * count))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (npy(objects("text", 1)), "an item of type str"),
        (npy(objects({"a": 1}, 1)), "an item of type dict"),
        (repeated(300), "more numbers than the file has bytes"),
        (npy(objects([1, [2, 3]], 1)), "got .*inhomogeneous"),
        (npy(np.array(None, dtype=object)), "a single object"),
        (npy(objects(1, 2))[:-4], "got"),
        (npy(np.zeros(5))[:-8], "an array of shape|got"),
        (npy(np.zeros(5)).replace(b"(5,)", b"(5000000,)"), "got"),
        (npy(objects(1, 2)).replace(b"(2,)", b"(3,)"), "something else than its first line says"),
        (b"\x93NUMPY\x01\x00\xff\xff{'descr'", "got"),
        (b"", "got"),
        (b"PK\x03\x04", "got"),
    ],
)
def test_broken_arrays_of_objects_end_in_a_sentence(content: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=rf"file\.npy: expected a pickle of arrays.*{why}"):
        rows(tmp_path, content)


def test_a_program_among_the_objects_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "was-here"
    content = npy(objects(Malice(os.system, f"touch {mark}"), 1))
    with pytest.raises(AnnotationError, match=r"the program \w+\.system"):
        rows(tmp_path, content)
    assert not mark.exists()

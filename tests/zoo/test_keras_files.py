from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskrcnn.errors import WeightsError
from maskrcnn.zoo.keras_files import read_h5

h5py = pytest.importorskip("h5py")


def written(path: Path, fill: Callable[[Any], object]) -> Path:
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def test_tensors_come_by_their_paths(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        file["conv1/conv1/kernel:0"] = np.arange(4, dtype=np.float32)
        file["model/bn/gamma:0"] = np.ones(2, ">f4")
        file.create_group("input_1")

    tensors = read_h5(written(tmp_path / "w.h5", fill))
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "conv1/conv1/kernel:0": [0, 1, 2, 3],
        "model/bn/gamma:0": [1, 1],
    }


def external_link(file: Any) -> None:
    file["kernel"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file: Any) -> None:
    file["there"] = np.ones(2)
    file["kernel"] = h5py.SoftLink("/there")


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(4,))
    file.create_virtual_dataset("kernel", layout)


def outside(file: Any) -> None:
    file.create_dataset("kernel", shape=(4,), dtype="f4", external=[("/etc/passwd", 0, 16)])


def oversized(file: Any) -> None:
    file.create_dataset("kernel", shape=(1 << 20, 1 << 20), dtype="f4")


def packed(file: Any) -> None:
    file.create_dataset("kernel", data=np.zeros(1_000_000, np.float32), compression="gzip")


def objects(file: Any) -> None:
    file.create_dataset("kernel", data=[b"a program", b""], dtype=h5py.special_dtype(vlen=bytes))


def empty(file: Any) -> None:
    file.create_dataset("kernel", data=h5py.Empty("f4"))


def loop(file: Any) -> None:
    file["a/b/c"] = np.ones(2)
    file["a/b/kernel"] = file["a"]


@pytest.mark.parametrize(
    ("fill", "reason"),
    [
        (external_link, "kernel: expected a tensor or a group, got a link to another place"),
        (soft_link, "kernel: expected a tensor or a group, got a link to another place"),
        (virtual, "kernel: expected numbers in this file, got ones that lie elsewhere"),
        (outside, "kernel: expected numbers in this file, got ones that lie elsewhere"),
        (oversized, r"got 4398046511104 bytes; the largest is kernel of shape \(1048576, 1048576\)"),
        (packed, "the largest is kernel"),
        (objects, "kernel: expected a tensor of numbers, got another kind of data"),
        (empty, "kernel: expected a tensor of numbers, got another kind of data"),
        (loop, "got a group inside itself"),
    ],
)
def test_hostile_files_end_in_a_sentence(fill: Callable[[Any], None], reason: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=reason):
        read_h5(written(tmp_path / "w.h5", fill))


def test_broken_files_end_in_a_sentence(tmp_path: Path) -> None:
    path = written(tmp_path / "w.h5", lambda file: file.create_dataset("kernel", data=np.ones(1000)))
    whole = path.read_bytes()
    for content in (whole[:1000], whole[:9]):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"w\.h5: expected a file of Keras \(HDF5\), got a broken one"):
            read_h5(path)


def test_without_h5py_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(WeightsError, match=r"pip install maskrcnn\[h5\]"):
        read_h5(tmp_path / "w.h5")

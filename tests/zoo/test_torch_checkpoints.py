from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskrcnn.errors import WeightsError
from maskrcnn.zoo.checkpoints import check_tensor, read_checkpoint


class Malice:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "before 1.6"])
def test_a_program_is_not_run(archive: bool, tmp_path: Path) -> None:
    mark, path = tmp_path / "was-here", tmp_path / "file.pth"
    torch.save({"w": torch.ones(2), "x": Malice(mark)}, path, _use_new_zipfile_serialization=archive)
    with pytest.raises(WeightsError, match=r"file\.pth: expected a checkpoint of tensors, got .*nothing of it was run"):
        read_checkpoint(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # it is malicious indeed
    assert mark.exists()


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "before 1.6"])
def test_tensors_come_back(archive: bool, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    torch.save({"model": {"w": torch.arange(6.0).view(2, 3)}, "epoch": 3}, path, _use_new_zipfile_serialization=archive)
    content: Any = read_checkpoint(path)
    assert content["epoch"] == 3
    assert content["model"]["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


class HistoryBuffer:
    """The curve of a loss, as MMEngine keeps it: arrays and a way to a method."""

    def __init__(self) -> None:
        self.values = np.arange(3.0)
        self.last = np.float64(0.5)
        self.method = self.mean

    def mean(self) -> float:
        return float(self.values.mean())


def test_curves_of_mmengine_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    module = types.ModuleType("mmengine.logging.history_buffer")
    module.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    monkeypatch.setattr(HistoryBuffer, "__module__", module.__name__)
    for name in ("mmengine", "mmengine.logging", module.__name__):
        monkeypatch.setitem(sys.modules, name, module if name == module.__name__ else types.ModuleType(name))
    path = tmp_path / "file.pth"
    torch.save({"state_dict": {"w": torch.ones(1)}, "message_hub": {"loss": HistoryBuffer()}}, path)
    content: Any = read_checkpoint(path)
    assert content["state_dict"]["w"].item() == 1
    assert not isinstance(content["message_hub"]["loss"], HistoryBuffer)


def test_a_packed_archive_is_refused(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.pth", tmp_path / "packed.pth"
    torch.save({"w": torch.zeros(100_000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(WeightsError, match="a packed archive"):
        read_checkpoint(packed)


def test_a_tensor_is_no_larger_than_its_storage(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    torch.save({"w": torch.zeros(1).expand(1 << 20, 1 << 20)}, path)
    content: Any = read_checkpoint(path)
    with pytest.raises(WeightsError, match=r"w: expected as many numbers as its shape \(1048576, 1048576\) has"):
        check_tensor(path, "w", content["w"])


@pytest.mark.parametrize("tensor", [torch.eye(2).to_sparse(), torch.ones(2, dtype=torch.complex64)])
def test_other_kinds_of_tensors_are_refused(tensor: torch.Tensor) -> None:
    with pytest.raises(WeightsError, match="expected a dense tensor of real numbers"):
        check_tensor(Path("file.pth"), "w", tensor)


def test_broken_archives_end_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    torch.save({"w": torch.zeros(1000)}, path)
    whole = path.read_bytes()
    for content in (whole[:2000], whole[:-30], b"PK\x03\x04", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"file\.pth: expected a checkpoint"):
            read_checkpoint(path)

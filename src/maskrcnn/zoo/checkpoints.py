"""Checkpoints of PyTorch, read by its own reader that runs no code.

References: PyTorch, `torch.load(weights_only=True)`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from maskrcnn.errors import WeightsError


class _Nothing:
    """Stands for the diary of a training run: takes anything, does nothing."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# Checkpoints of MMEngine carry their training curves as objects of these kinds. None of them is made here.
_CURVES: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
    (_Nothing, name)
    for name in (
        "mmengine.logging.history_buffer.HistoryBuffer",
        "builtins.getattr",
        "__builtin__.getattr",
        "numpy.ndarray",
        "numpy.dtype",
        "numpy.core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
        "_codecs.encode",
    )
]


def read_checkpoint(path: Path) -> object:
    """Read a checkpoint on the CPU; tensors, numbers, texts and plain containers.

    Raises:
        WeightsError: The file is broken, wants to build anything else, or claims more than it holds.
    """
    if zipfile.is_zipfile(path):
        _check_sizes(path)
    try:
        with torch.serialization.safe_globals(_CURVES):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken checkpoint can raise anything
        raise WeightsError(f"{path}: expected a checkpoint of tensors, got {_why(error)}") from None


def _check_sizes(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise WeightsError(f"{path}: expected a checkpoint of PyTorch, got a broken archive: {error}") from None
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise WeightsError(f"{path}: expected a checkpoint that holds what it claims, got a packed archive")


def _why(error: Exception) -> str:
    text = str(error)
    program = re.search(r"GLOBAL ([\w.]+)", text)
    if program:
        return f"the program {program[1]}; nothing of it was run"
    if "TorchScript" in text:
        return "a TorchScript program; save its state_dict() instead"
    return f"a broken one: {text.splitlines()[0] if text else type(error).__name__}"


def check_tensor(path: Path, name: str, tensor: Tensor) -> None:
    """Refuse a tensor that is anything but numbers in memory.

    Raises:
        WeightsError: It is sparse, quantised or complex, or larger than its storage.
    """
    plain = type(tensor) in {Tensor, torch.nn.Parameter} and tensor.layout is torch.strided
    if not plain or tensor.device.type != "cpu" or tensor.is_quantized or tensor.is_complex():
        raise WeightsError(f"{path}: {name}: expected a dense tensor of real numbers, got another kind of tensor")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise WeightsError(
            f"{path}: {name}: expected as many numbers as its shape {tuple(tensor.shape)} has, got fewer"
        )

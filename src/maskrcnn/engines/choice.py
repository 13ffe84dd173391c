"""Which backend and precision run a network, by name or by what the machine has."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from maskrcnn.engines import compiled, eager, exported, onnx, openvino
from maskrcnn.engines.engine import Backend, Engine
from maskrcnn.errors import InputError
from maskrcnn.model.mask_rcnn import MaskRCNN

AUTO = "auto"
USUAL = "torch"
BACKENDS: dict[str, Backend] = {
    "torch": eager.BACKEND,
    "compile": compiled.BACKEND,
    "onnx": onnx.BACKEND,
    "openvino": openvino.BACKEND,
    "torchscript": exported.TORCHSCRIPT,
    "pt2": exported.PT2,
}
PRECISIONS = ("fp32", "bf16", "fp16", "int8")
# for `auto`, the fastest first where nothing has to be compiled or calibrated: see docs/speed.md
ORDERS = {"cpu": ("torch",), "cuda": ("torch",)}
GAINS = {"cpu": "fp32", "cuda": "bf16"}  # the precision that gains at no visible cost, by device


class Choice(NamedTuple):
    """What will run a network.

    Attributes:
        backend: A key of `BACKENDS`.
        precision: One of `PRECISIONS`.
        device: Where.
        reason: A sentence for a person: what was chosen and why.
    """

    backend: str
    precision: str
    device: torch.device
    reason: str

    def make(self, model: MaskRCNN, threads: int | None = None) -> Engine:
        """Prepare a network to run so."""
        return BACKENDS[self.backend].make(model, self.precision, self.device, threads)


def choose(backend: str | None, precision: str | None, device: torch.device) -> Choice:
    """Decide what runs a network.

    Args:
        backend: A key of `BACKENDS`, `auto`, or None for the usual one.
        precision: One of `PRECISIONS`, `auto`, or None for fp32.
        device: Where it is to run.

    Raises:
        InputError: There is none of that name, it is not installed, or it does not have that precision there.
    """
    wanted = backend or USUAL
    if wanted == AUTO:
        wanted, because = _fastest(device)
    else:
        _check_backend(wanted, device)
        because = "as asked for"
    found = _precision(wanted, precision, device)
    return Choice(wanted, found, device, f"{BACKENDS[wanted].title}, {found}, on {device}: {because}")


def _fastest(device: torch.device) -> tuple[str, str]:
    passed: list[str] = []
    for name in ORDERS.get(device.type, (USUAL,)):
        reason = BACKENDS[name].missing()
        if reason is None:
            others = "; ".join([f"the fastest here for {device.type}", *passed])
            return name, others
        passed.append(f"{BACKENDS[name].title}: {reason}")
    return USUAL, "nothing else is here"


def _check_backend(name: str, device: torch.device) -> None:
    if name not in BACKENDS:
        raise InputError(f"backend: expected {', '.join([AUTO, *BACKENDS])}, got {name!r}")
    row = BACKENDS[name]
    if (reason := row.missing()) is not None:
        raise InputError(f"backend: expected one that this machine can run, got {name}: {reason}")
    if device.type not in row.precisions:
        raise InputError(f"backend: expected one for {device.type}, got {name} for {', '.join(row.precisions)}")


def _precision(backend: str, wanted: str | None, device: torch.device) -> str:
    has = BACKENDS[backend].precisions[device.type]
    if wanted == AUTO:
        gains = GAINS.get(device.type)
        return gains if gains in has and _computes(device, gains) else has[0]
    if (found := wanted or "fp32") in has:
        return found
    raise InputError(f"precision: expected {' or '.join(has)} of {backend} on {device.type}, got {found}")


def _computes(device: torch.device, precision: str) -> bool:
    """Say whether a device has arithmetic of its own for a precision."""
    return (
        precision != "bf16" or device.type != "cuda" or (torch.cuda.is_available() and torch.cuda.is_bf16_supported())
    )


def open_exported(path: Path, device: torch.device, threads: int | None = None) -> Engine | None:
    """Open a file that was exported for one of the backends; None where its name is not that of one.

    Raises:
        InputError: What runs it is not installed.
    """
    for name, row in BACKENDS.items():
        if row.open is not None and path.suffix.lower() in row.suffixes:
            _check_backend(name, device)
            return row.open(path, device, threads)
    return None

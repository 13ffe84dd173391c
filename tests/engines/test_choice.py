"""Which backend runs a network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from maskrcnn.engines import choice
from maskrcnn.engines.choice import BACKENDS, PRECISIONS, choose, open_exported
from maskrcnn.errors import InputError

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_the_usual_backend_and_precision() -> None:
    assert choose(None, None, CPU)[:3] == ("torch", "fp32", CPU)
    assert choose("torch", None, GPU)[:3] == ("torch", "fp32", GPU)


def test_auto_says_what_and_why() -> None:
    found = choose("auto", "auto", CPU)
    assert found.backend in BACKENDS
    assert found.precision == "fp32"
    assert found.reason.startswith(f"{BACKENDS[found.backend].title}, fp32, on cpu: the fastest here")


def test_auto_passes_over_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = dataclasses.replace(BACKENDS["torch"], title="Rocket", missing=lambda: "no fuel")
    monkeypatch.setitem(BACKENDS, "rocket", absent)
    monkeypatch.setitem(choice.ORDERS, "cpu", ("rocket", "torch"))
    found = choose("auto", None, CPU)
    assert found.backend == "torch"
    assert "Rocket: no fuel" in found.reason
    with pytest.raises(InputError, match="got rocket: no fuel"):
        choose("rocket", None, CPU)


@pytest.mark.parametrize(
    ("backend", "precision", "device", "sentence"),
    [
        ("tensorflow", None, CPU, r"backend: expected auto, torch, .*, got 'tensorflow'"),
        ("torch", "fp16", CPU, r"precision: expected fp32.* of torch on cpu, got fp16"),
        ("torch", "fp64", CPU, r"precision: expected fp32.* of torch on cpu, got fp64"),
        ("torch", "int8", CPU, r"precision: expected .* of torch on cpu, got int8"),
        ("compile", None, torch.device("mps"), r"backend: expected one for mps, got compile"),
    ],
)
def test_what_is_not_there_is_named(backend: str, precision: str | None, device: torch.device, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        choose(backend, precision, device)


def test_every_row_names_known_precisions() -> None:
    for name, row in BACKENDS.items():
        assert {p for own in row.precisions.values() for p in own} <= set(PRECISIONS), name
        assert bool(row.suffixes) == (row.open is not None), name


def test_a_weight_file_is_no_exported_file() -> None:
    assert open_exported(Path("model.safetensors"), CPU) is None

"""Another project's outputs, and the weights that they came from."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Golden(NamedTuple):
    """Outputs of another project's own code, and the weights that it had."""

    arrays: Any
    weights: dict[str, np.ndarray]


def read_golden(folder: Path, name: str) -> Golden:
    """Read a golden file and draw its weights, as its README says."""
    description = importlib.util.spec_from_file_location("fill", folder / "fill.py")
    assert description is not None
    assert description.loader is not None
    fill = importlib.util.module_from_spec(description)
    description.loader.exec_module(fill)
    arrays = np.load(folder / name)
    weights = {}
    for tensor, (kind, shape, gain) in json.loads(bytes(arrays["spec"]))["tensors"].items():
        numbers = fill.values(tensor, tuple(shape), kind, int(arrays["seed"]))
        weights[tensor] = numbers if kind == "var" else numbers * np.float32(gain)
    return Golden(arrays, weights)

"""What can run a trained network, and what a backend says of itself.

Letters: B pictures, D detections, M side of a mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from maskrcnn.config import ModelConfig
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.postprocess import Detections


class Engine(Protocol):
    """A trained network, ready to run.

    Attributes:
        backend: What runs it, a key of `choice.BACKENDS`.
        precision: Of its arithmetic: `fp32`, `bf16`, `fp16` or `int8`.
        device: Where it runs.
        config: The settings of the network.
    """

    @property
    def backend(self) -> str:
        """What runs it."""

    @property
    def precision(self) -> str:
        """Of its arithmetic."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    @property
    def config(self) -> ModelConfig:
        """The settings of the network."""

    def __call__(self, images: Tensor, size_hw: Tensor) -> Detections:
        """Find the objects of each picture; arguments and result as of `MaskRCNN.forward`, on any device."""
        ...


class Make(Protocol):
    """Prepares a network for a backend."""

    def __call__(self, model: MaskRCNN, precision: str, device: torch.device, threads: int | None) -> Engine:
        """Return an engine that gives what the model gives; the model stays as it is."""
        ...


class Open(Protocol):
    """Opens a file that was exported for a backend."""

    def __call__(self, path: Path, device: torch.device, threads: int | None) -> Engine:
        """Return an engine whose settings and precision are those of the file."""
        ...


@dataclass(frozen=True)
class Backend:
    """A way to run a network.

    Attributes:
        title: What a person calls it.
        precisions: Those that it has, by the type of the device, the usual one first.
        missing: Says what is missing on this machine, as the second half of a sentence; None where it can run.
        make: Prepares a network.
        suffixes: Of files that were exported for it, with the dot.
        open: Opens such a file.
    """

    title: str
    precisions: Mapping[str, tuple[str, ...]]
    missing: Callable[[], str | None]
    make: Make
    suffixes: tuple[str, ...] = ()
    open: Open | None = None

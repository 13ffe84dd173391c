"""How many pictures a step may have: found by trial, on the largest shape that a batch can have.

Letters: B pictures, G ground-truth slots.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from maskrcnn.config import InputConfig, TrainConfig
from maskrcnn.data.batches import mask_table, padded_shapes
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.ops.pixels import with_tensors
from maskrcnn.ops.resize import padded_size
from maskrcnn.ops.rle import Bitmap
from maskrcnn.structures import Batch
from maskrcnn.training.parts import ran_out, still_statistics
from maskrcnn.training.ways import ways

MOST = 64  # pictures; more learn no faster
ROOM = 0.8  # share of the free memory that a step may take
USUAL = TrainConfig().batch  # where nothing can be measured
_STATES = 2  # numbers that the optimiser keeps a weight
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Meter(Protocol):
    """What tells how much memory a trial took, in bytes."""

    def begin(self) -> None:
        """Forget what was before."""

    def peak(self) -> int:
        """Return the most that was in use since."""

    def free(self) -> float:
        """Return how much there is for a step."""


class CPUMeter:
    """Main memory, as far as Linux tells."""

    def begin(self) -> None:
        """Set the peak back."""
        _CLEAR.write_text("5")

    def peak(self) -> int:
        """Return the peak of the resident set."""
        return _kilobytes(_STATUS, "VmHWM")

    def free(self) -> float:
        """Return what the machine or the container has left, with what this process has already."""
        return min(_kilobytes(Path("/proc/meminfo"), "MemAvailable"), _left_in_container()) + self.peak()


class GPUMeter:
    """The memory of a GPU.

    Args:
        device: Which one.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def begin(self) -> None:
        """Set the peak back."""
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self) -> int:
        """Return the peak of what tensors took."""
        return torch.cuda.max_memory_reserved(self.device)

    def free(self) -> float:
        """Return what the device has left, with what this process has already."""
        return torch.cuda.mem_get_info(self.device)[0] + torch.cuda.memory_reserved(self.device)


def _kilobytes(path: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def _left_in_container(folder: Path = Path("/sys/fs/cgroup")) -> float:
    """Return the bytes that the container's limit leaves, without the files that it caches."""
    try:
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        cached = re.search(r"^inactive_file (\d+)", (folder / "memory.stat").read_text(), re.MULTILINE)
        return math.inf if limit == "max" else int(limit) - int(used) + (int(cached.group(1)) if cached else 0)
    except (OSError, ValueError):
        return math.inf


def meter_of(device: torch.device) -> Meter | None:
    """Return what measures a device's memory; None where nothing does."""
    if device.type == "cuda":
        return GPUMeter(device)
    return CPUMeter() if device.type == "cpu" and _CLEAR.exists() else None


def trial_batch(config: InputConfig, pictures: int, objects: int = 8) -> Batch:
    """Make pictures of the largest shape, each with as many objects as half of it is large."""
    shapes = padded_shapes(config) or (padded_size((config.max_size, config.max_size), config),)
    H, W = shapes[-1]
    mask = Bitmap(0, 0, np.ones((H // 2, W // 2), dtype=np.bool_))
    return Batch(
        images=torch.zeros(pictures, config.bands, H, W, dtype=torch.uint8),
        size_hw=torch.tensor([[H, W]] * pictures),
        boxes=torch.tensor([0.0, 0.0, W // 2, H // 2]).expand(pictures, objects, 4).contiguous(),
        labels=torch.zeros(pictures, objects, dtype=torch.int64),
        ignored=torch.zeros(pictures, 0, 4),
        masks=mask_table([[mask] * objects] * pictures, objects),
        keys=torch.arange(pictures),
        labelled=torch.ones(pictures, 0, dtype=torch.bool),
    )


def try_step(model: MaskRCNN, config: TrainConfig, batch: Batch, precision: torch.dtype | None) -> None:
    """Compute the gradients of a batch and drop them."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    kind = batch.images.device.type
    with still_statistics(model), ways(model, config, kind):
        with torch.autocast(kind, precision, enabled=precision is not None):
            loss = torch.stack([part.mean for part in model.losses(batch).values()]).sum()
        torch.autograd.grad(loss, learning, allow_unused=True)


def largest_batch(attempt: Callable[[int], None], meter: Meter, extra: int, most: int) -> int:
    """Return the largest power of two of pictures whose step fits, with head-room.

    Only the first two sizes are tried; the rest follows from what a picture more took.

    Args:
        attempt: Takes a step of so many pictures.
        meter: Measures.
        extra: Bytes that are needed beside a step.
        most: Pictures, at most.
    """
    free, peaks = ROOM * meter.free() - extra, list[int]()
    for pictures in (1, 2):
        meter.begin()
        try:
            attempt(pictures)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            return 1
        peaks.append(meter.peak())
    fitting = 2 + (free - peaks[1]) // max(1, peaks[1] - peaks[0])
    return 1 << int(max(1, min(fitting, most))).bit_length() - 1


def fitting_batch(model: MaskRCNN, config: TrainConfig, device: torch.device, precision: str, pictures: int) -> int:
    """Find how many pictures a step of a run may have.

    Args:
        model: What will learn; it comes back as it was.
        config: How.
        device: Where.
        precision: Lightning's name of it.
        pictures: Of the data set; a batch has no more.
    """
    meter = meter_of(device)
    if meter is None:
        return USUAL
    kinds = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    training = model.training
    model.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    extra = _STATES * sum(p.numel() * p.element_size() for p in model.parameters())

    def attempt(count: int) -> None:
        batch = with_tensors(trial_batch(model.config.input, count), lambda tensor: tensor.to(device))
        try_step(model, config, batch, kinds.get(precision))

    try:
        return largest_batch(attempt, meter, extra, min(MOST, pictures))
    finally:
        model.to("cpu").train(training)

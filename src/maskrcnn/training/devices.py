"""Where a run computes: accelerator, processes, precision, and which process speaks for all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch

from maskrcnn.config import TrainConfig
from maskrcnn.errors import InputError
from maskrcnn.machine import usable_cores

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
MOST_WORKERS = 8


@dataclass(frozen=True)
class Devices:
    """Where a run computes.

    Attributes:
        accelerator: `auto` (a GPU where there is one), `cpu`, `gpu` or another name that Lightning knows.
        count: Devices (on a CPU: processes) of this machine; under torchrun its own number counts.
        nodes: Machines; likewise.
    """

    accelerator: str = "auto"
    count: int = 1
    nodes: int = 1

    @classmethod
    def of(cls, value: Devices | int | str | None) -> Devices:
        """Read a number of devices, the name of an accelerator, or both in one.

        Raises:
            InputError: There would be no device.

        >>> Devices.of(2), Devices.of("cpu").accelerator
        (Devices(accelerator='auto', count=2, nodes=1), 'cpu')
        """
        if isinstance(value, int):
            devices = cls(count=value)
        else:
            devices = value if isinstance(value, Devices) else cls(value or "auto")
        if min(devices.count, devices.nodes) < 1:
            raise InputError(f"devices: expected at least 1 on at least 1 machine, got {devices}")
        return devices

    @property
    def kind(self) -> str:
        """The accelerator, decided."""
        if self.accelerator != "auto":
            return self.accelerator
        return "gpu" if torch.cuda.is_available() else "cpu"

    @property
    def local(self) -> int:
        """Processes on this machine."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", self.count))

    @property
    def machines(self) -> int:
        """Machines that compute together."""
        world = int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_WORLD_SIZE" in os.environ else 1
        return max(self.nodes, world // self.local)

    def trainer_arguments(self, config: TrainConfig) -> dict[str, Any]:
        """Return what Lightning's Trainer takes."""
        # a frozen part gives no gradient, and the other processes must not wait for it
        waits = all(stage.layers == "all" for stage in config.stages)
        together = "ddp" if waits else "ddp_find_unused_parameters_true"
        return {
            "accelerator": self.kind,
            "devices": self.local,
            "num_nodes": self.machines,
            "strategy": together if self.local * self.machines > 1 else "auto",
            "precision": self.precision(config),
        }

    def precision(self, config: TrainConfig) -> str:
        """Return Lightning's name of the precision: bf16 where nothing else was asked for and the device gains."""
        if config.precision != "auto":
            return PRECISIONS[config.precision]
        return PRECISIONS["bf16" if self.cuda and torch.cuda.is_bf16_supported() else "fp32"]

    @property
    def cuda(self) -> bool:
        """Whether it is CUDA that computes."""
        return self.kind in ("gpu", "cuda") and torch.cuda.is_available()

    def workers(self, wanted: int) -> int:
        """Return how many processes read pictures for one that computes; -1 shares out the spare cores."""
        if wanted >= 0:
            return wanted
        return max(0, min(MOST_WORKERS, usable_cores() // self.local - 1))


def leads() -> bool:
    """Say whether this process speaks and writes for all; one that another process started does not."""
    if "RANK" in os.environ:
        return int(os.environ["RANK"]) == 0
    names = ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(int(os.environ.get(name, "0")) == 0 for name in names)

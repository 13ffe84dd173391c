"""The numbers of a run on their way to its files, and a stop where one is no number any more.

Letters: n losses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from PIL import Image
from torch import Tensor, nn

from maskrcnn.config import LoggerName
from maskrcnn.errors import MaskRCNNError
from maskrcnn.training.boards import Board, open_boards, spread
from maskrcnn.training.folder import Run
from maskrcnn.training.history import LOSSES, History
from maskrcnn.training.module import TrainingModule


def steps_between_looks(device: torch.device) -> int:
    """Return after how many steps their losses are looked at: a CPU's always, an accelerator must not wait so often."""
    return 1 if device.type == "cpu" else 20


class _Step(NamedTuple):
    step: int
    epoch: int
    rate: float
    means: Tensor  # (1 + n) float32


class Recorder(Callback):
    """Writes what was measured, and ends a run whose losses or weights are no numbers any more.

    Args:
        run: Where to.
        loggers: Who is shown it while it goes on.
    """

    def __init__(self, run: Run, loggers: Sequence[LoggerName] = ()) -> None:
        self.run = run
        self.loggers = loggers
        self._losses: list[float] = []
        self._history = History(run.history)
        self._boards: list[Board] = []
        self._parts: list[Tensor] = []
        self._waiting: list[_Step] = []
        self._step = 0
        self._rate = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Drop what an earlier session measured after the checkpoint that this one goes on from."""
        del pl_module
        self._step = trainer.global_step
        if trainer.is_global_zero:
            self._history.begin(self._step)
            self._boards = open_boards(self.loggers, self.run, self._step)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin a new mean of the losses."""
        del trainer, pl_module
        self._losses = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the learning rate of the step."""
        del pl_module, batch, batch_idx
        self._rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the losses; of batches whose gradients are added up, their mean."""
        del outputs, batch, batch_idx
        assert isinstance(pl_module, TrainingModule)
        self._parts.append(pl_module.means)
        if trainer.global_step == self._step:
            return
        means = torch.stack(self._parts).mean(dim=0)
        self._waiting.append(_Step(self._step, trainer.current_epoch, self._rate, means))
        self._parts, self._step = [], trainer.global_step
        if len(self._waiting) >= steps_between_looks(pl_module.device):
            self._write(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write what is waiting and look at the weights, before anybody measures or keeps them."""
        self.settle(trainer, pl_module)
        tensors = spread(pl_module) if self._boards else {}
        for board in self._boards:
            board.weights(tensors, self._step - 1)

    @property
    def loss(self) -> float:
        """The mean loss of this epoch's steps so far, of which this session knows."""
        return sum(self._losses) / len(self._losses) if self._losses else math.nan

    @property
    def adding(self) -> bool:
        """Whether gradients are being added up between two steps."""
        return bool(self._parts)

    @property
    def settled(self) -> bool:
        """Whether nothing waits to be written; the same on all processes."""
        return not self._waiting

    def settle(self, trainer: L.Trainer, module: nn.Module) -> None:
        """Write what is waiting and look at the weights.

        Raises:
            MaskRCNNError: A loss or a weight is not finite.
            OutputError: The files can't be written.
        """
        self._write(trainer)
        if not _finite(module):
            raise self._diverged(self._step - 1, "weights", "some that are not")
        for board in self._boards:
            board.flush()

    def _write(self, trainer: L.Trainer) -> None:
        if not self._waiting:
            return
        means = torch.stack([step.means for step in self._waiting])
        if trainer.world_size > 1:
            means = trainer.strategy.reduce(means, reduce_op="mean")
        steps, self._waiting = self._waiting, []
        rows = [_row(step, values) for step, values in zip(steps, means.tolist(), strict=True)]
        good = [row for row in rows if math.isfinite(row["train/loss"])]
        if trainer.is_global_zero:
            self._history.write(good)
            for row in good:
                self._scalars(int(row["step"]), row)
        self._losses += [row["train/loss"] for row in rows]
        if len(good) < len(rows):
            bad = next(row for row in rows if not math.isfinite(row["train/loss"]))
            parts = [f"{name} {bad[f'train/{name}']:g}" for name in LOSSES]
            raise self._diverged(int(bad["step"]), "loss", f"{bad['train/loss']:g} ({', '.join(parts)})")

    def _diverged(self, step: int, what: str, got: str) -> MaskRCNNError:
        kept = f"; {self.run.model} is of the last good epoch" if self.run.model.exists() else ""
        return MaskRCNNError(
            f"{self.run.folder}: step {step}: expected finite {what}, got {got}; start a new run with a lower "
            f"learning_rate (here {self._rate:g}), a longer warmup, a smaller clip_norm or precision fp32{kept}"
        )

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        for board in self._boards:
            board.numbers({name: value for name, value in values.items() if name != "step"}, step)

    def measured(self, trainer: L.Trainer, values: Mapping[str, float]) -> None:
        """Write what was measured after the last step."""
        if trainer.is_global_zero:
            step = self._step - 1
            self._history.write([{"step": step, "epoch": trainer.current_epoch, **values}])
            self._scalars(step, values)

    def picture(self, trainer: L.Trainer, sheet: Image.Image) -> None:
        """Show sample pictures."""
        if trainer.is_global_zero:
            for board in self._boards:
                board.picture(sheet, self._step - 1)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Close what the run was shown in."""
        del trainer, pl_module, stage
        boards, self._boards = self._boards, []
        for board in boards:
            board.close()


def _row(step: _Step, means: list[float]) -> dict[str, float]:
    names = ("train/loss", *(f"train/{name}" for name in LOSSES))
    return {
        "step": step.step,
        "epoch": step.epoch,
        "train/rate": step.rate,
        **dict(zip(names, means, strict=True)),
    }


def _finite(module: nn.Module) -> bool:
    with torch.no_grad():
        return bool(torch.stack([parameter.isfinite().all() for parameter in module.parameters()]).all())

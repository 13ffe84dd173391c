"""Checkpoints that survive a kill at any moment, and the model file that people take away."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from maskrcnn.files import replacing
from maskrcnn.model.weights import save
from maskrcnn.training.module import TrainingModule


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the old checkpoint and then replaces it."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            OutputError: It can't be written; an older one is untouched.
        """
        del storage_options
        with replacing(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


class LastCheckpoint(Checkpoint):
    """Keeps the newest state of a run: at the end of every epoch, and inside one whenever some minutes have passed.

    Args:
        path: The file, always the same.
        minutes: Time between two inside an epoch.
    """

    def __init__(self, path: Path, minutes: float) -> None:
        self.path = path
        self.seconds = minutes * 60
        self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time, but never between steps whose gradients belong together."""
        del pl_module, outputs, batch
        if trainer.is_last_batch:  # the end of the epoch saves, after validation
            return
        due = bool(trainer.strategy.broadcast(time.monotonic() - self._saved >= self.seconds))
        if due and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the end of the epoch."""
        del pl_module
        self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()


class ExportModel(Checkpoint):
    """Leaves the model file in the run whenever the model is the best so far; without validation, every epoch's.

    Args:
        path: Where to.
        monitor: The number that says how good, larger is better.
        notes: Texts for the file's header.
    """

    def __init__(self, path: Path, monitor: str, notes: dict[str, str]) -> None:
        self.path = path
        self.monitor = monitor
        self.notes = notes
        self.best = -1.0

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the model file if this epoch's model is to be kept."""
        value = trainer.callback_metrics.get(self.monitor)
        if value is not None and float(value) <= self.best:
            return
        self.best = self.best if value is None else float(value)
        if trainer.is_global_zero and isinstance(pl_module, TrainingModule):
            note = {} if value is None else {self.monitor: f"{self.best:.4f}"}
            save(pl_module.model, self.path, {**self.notes, **note, "epoch": str(trainer.current_epoch + 1)})

    def state_dict(self) -> dict[str, Any]:
        """Return the best number so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best number of an earlier session."""
        self.best = state_dict["best"]

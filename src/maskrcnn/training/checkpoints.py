"""Checkpoints that survive a kill at any moment, and the model file that people take away."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from maskrcnn.errors import InputError
from maskrcnn.files import replacing
from maskrcnn.model.weights import save
from maskrcnn.training.folder import Run
from maskrcnn.training.module import TrainingModule
from maskrcnn.training.recording import Recorder
from maskrcnn.training.validation import Validation


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

    def load_checkpoint(
        self, path: Any, map_location: Any = lambda storage, _: storage, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, wherever it was made into main memory.

        Raises:
            InputError: It is broken.
        """
        try:
            return super().load_checkpoint(path, map_location, weights_only)
        except Exception as error:  # reading broken bytes may fail in any way
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(f"{path}: expected a checkpoint, got a file that can't be read: {reason}") from None


class LastCheckpoint(Checkpoint):
    """Keeps the newest state of a run: at the end of every epoch, and inside one whenever some minutes have passed.

    Args:
        run: Where to.
        minutes: Time between two inside an epoch.
        recorder: Writes what is waiting first, and refuses a broken model.
    """

    def __init__(self, run: Run, minutes: float, recorder: Recorder) -> None:
        self.run = run
        self.seconds = minutes * 60
        self.recorder = recorder
        self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time, but never between batches whose gradients belong together."""
        del outputs, batch, batch_idx
        if trainer.is_last_batch or self.recorder.adding:  # the end of the epoch saves, after validation
            return
        ending = trainer.received_sigterm and trainer.world_size == 1
        # asking the clock of the first process makes all wait, so it is done when the recorder has made them wait
        due = self.recorder.settled and trainer.strategy.broadcast(time.monotonic() - self._saved >= self.seconds)
        if due or ending:
            self._save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the end of the epoch."""
        self._save(trainer, pl_module)

    def _save(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.recorder.settle(trainer, module)
        trainer.save_checkpoint(self.run.last)
        self._saved = time.monotonic()
        if trainer.is_global_zero:
            self.run.start.unlink(missing_ok=True)


class BestModel(Checkpoint):
    """Leaves the model file and its checkpoint whenever the model is the best so far.

    Before a first score, and without validation, the newest counts as the best.

    Args:
        run: Where to.
        validation: Has the score, larger is better; None where nothing is measured.
    """

    def __init__(self, run: Run, validation: Validation | None) -> None:
        self.run = run
        self.validation = validation
        self._best: float | None = None

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the files if this epoch's model is to be kept."""
        assert isinstance(pl_module, TrainingModule)
        score = None if self.validation is None else self.validation.score
        if self._best is not None and (score is None or score <= self._best):
            return
        self._best = score
        notes = {"run": self.run.folder.name, "epoch": str(trainer.current_epoch + 1)}
        if trainer.is_global_zero:
            save(pl_module.model, self.run.model, notes if score is None else {**notes, "val/AP": f"{score:.4f}"})
        if score is not None:
            trainer.save_checkpoint(self.run.best)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best score of an earlier session."""
        self._best = state_dict["best"]

"""What people see of a run: a line an epoch, and a bar on a terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from maskrcnn.training.recording import Recorder
from maskrcnn.training.validation import Validation


class EpochLines(Callback):
    """Says a line an epoch.

    Args:
        say: Takes a line.
        recorder: Has the loss.
        validation: Has the AP; None where nothing is measured.
    """

    def __init__(self, say: Callable[[str], None], recorder: Recorder, validation: Validation | None) -> None:
        self.say = say
        self.recorder = recorder
        self.validation = validation
        self._began = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say the epoch, the loss and the AP."""
        del pl_module
        words = [f"loss {self.recorder.loss:.3f}"]
        shown = {f"{kind} AP50": f"val/{kind}/AP50" for kind in ("box", "mask")}
        scores = self.validation.scores if self.validation else {}
        words += [f"{word} {scores[name]:.3f}" for word, name in shown.items() if name in scores]
        seconds = time.monotonic() - self._began
        self.say(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: {', '.join(words)} ({seconds:.0f} s)")


class Bar(Callback):
    """Shows a progress bar on a terminal, on stderr.

    Args:
        recorder: Has the loss.
        console: Where to.
    """

    def __init__(self, recorder: Recorder, console: Console | None = None) -> None:
        self.recorder = recorder
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console or Console(stderr=True), transient=True)
        self._task = self._progress.add_task("", total=None)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show it."""
        del trainer, pl_module
        self._progress.start()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin anew."""
        del pl_module
        title = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._progress.reset(self._task, total=int(trainer.num_training_batches), description=title)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move it on."""
        del pl_module, outputs, batch
        title = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        loss = "" if math.isnan(self.recorder.loss) else f", loss {self.recorder.loss:.3f}"
        total = int(trainer.num_training_batches)
        self._progress.update(self._task, completed=batch_idx + 1, total=total, description=title + loss)

    def validating(self, done: int, total: int) -> None:
        """Show how far the validation is."""
        self._progress.update(self._task, completed=done, total=total, description="validating")

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Take it away."""
        del trainer, pl_module, stage
        self._progress.stop()

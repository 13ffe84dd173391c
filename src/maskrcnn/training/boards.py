"""Where a run shows its numbers, weights and sample pictures while it goes on: TensorBoard, Weights & Biases, MLflow.

References: Lightning's loggers, which the last two are reached through.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from maskrcnn.config import LoggerName
from maskrcnn.errors import InputError
from maskrcnn.files import write_text
from maskrcnn.training.folder import Run

PROJECT = "maskrcnn"
MOST_WEIGHTS = 100_000  # of a tensor, spread evenly over it, that its histogram is made of
BINS = 64


class Board(ABC):
    """Shows a run to people."""

    @abstractmethod
    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Show what was measured at a step, by name."""

    @abstractmethod
    def picture(self, sheet: Image.Image, step: int) -> None:
        """Show sample pictures, annotated beside predicted."""

    @abstractmethod
    def weights(self, tensors: Mapping[str, NDArray[np.float32]], step: int) -> None:
        """Show how the weights of each tensor are spread."""

    @abstractmethod
    def close(self) -> None:
        """Write what is waiting and end."""

    def flush(self) -> None:  # noqa: B027  # only those that write files have something to do
        """Write what is waiting."""


class TensorBoard(Board):
    """Files that `tensorboard --logdir` reads.

    Args:
        run: The run.
        step: The step from which on an earlier session's numbers are void.
    """

    def __init__(self, run: Run, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run.tensorboard), purge_step=step)

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to every curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, sheet: Image.Image, step: int) -> None:
        """Add the sheet."""
        self._writer.add_image("samples", np.asarray(sheet), step, dataformats="HWC")

    def weights(self, tensors: Mapping[str, NDArray[np.float32]], step: int) -> None:
        """Add a histogram a tensor."""
        for name, values in tensors.items():
            self._writer.add_histogram(f"weights/{name}", values, step, bins=BINS)

    def flush(self) -> None:
        """Write what is waiting."""
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class WeightsAndBiases(Board):
    """A run of Weights & Biases; project, account and server are those of its own environment variables.

    Args:
        run: The run.
        step: Where a session that goes on begins; the server drops what comes twice.
    """

    def __init__(self, run: Run, step: int) -> None:
        del step
        from lightning.pytorch.loggers import WandbLogger

        self._logger = WandbLogger(
            name=run.folder.name,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            save_dir=run.folder,
            id=_remembered(run, "wandb", token_hex(8)),
            resume="allow",
        )
        self._logger.log_hyperparams(_settings(run))

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to every curve."""
        self._logger.log_metrics(dict(values), step)

    def picture(self, sheet: Image.Image, step: int) -> None:
        """Add the sheet."""
        self._logger.log_image("samples", [sheet], step)

    def weights(self, tensors: Mapping[str, NDArray[np.float32]], step: int) -> None:
        """Add a histogram a tensor."""
        from wandb import Histogram

        shown = {f"weights/{name}": Histogram(np_histogram=np.histogram(v, BINS)) for name, v in tensors.items()}
        self._logger.log_metrics(shown, step)

    def close(self) -> None:
        """End the session; a resumed one goes on with it."""
        self._logger.finalize("success")
        self._logger.experiment.finish()


class MLflow(Board):
    """A run of MLflow, on the server of `MLFLOW_TRACKING_URI` or in `mlruns` of the run's folder.

    Args:
        run: The run.
        step: Where a session that goes on begins.
    """

    def __init__(self, run: Run, step: int) -> None:
        del step
        from lightning.pytorch.loggers import MLFlowLogger

        address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.folder.absolute() / 'mlflow.db'}"
        self._logger = MLFlowLogger(
            experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT),
            run_name=run.folder.name,
            tracking_uri=address,
            run_id=_remembered(run, "mlflow", None),
        )
        _remember(run, "mlflow", self._logger.run_id)
        self._logger.log_hyperparams(_settings(run))

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to every curve."""
        self._logger.log_metrics(dict(values), step)

    def picture(self, sheet: Image.Image, step: int) -> None:
        """Keep the sheet as a file of the run."""
        self._logger.experiment.log_image(self._logger.run_id, np.asarray(sheet), f"samples/{step:08d}.png")

    def weights(self, tensors: Mapping[str, NDArray[np.float32]], step: int) -> None:
        """Leave them out: MLflow has no histograms."""

    def close(self) -> None:
        """End the session."""
        self._logger.finalize("success")


BOARDS: Mapping[LoggerName, type[Board]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mlflow": MLflow}
_NEEDS: Mapping[LoggerName, str] = {"wandb": "wandb", "mlflow": "mlflow"}


def check_loggers(names: Sequence[LoggerName]) -> None:
    """Refuse loggers whose package is not here, before a run is begun.

    Raises:
        InputError: A package is missing.
    """
    for name in names:
        package = _NEEDS.get(name)
        if package and find_spec(package) is None:
            raise InputError(
                f"logger {name}: expected the package {package}, got none; install it with "
                f'pip install "maskrcnn[{package}]"'
            )


def open_boards(names: Sequence[LoggerName], run: Run, step: int) -> list[Board]:
    """Begin to show a run, or go on with it.

    Args:
        names: Where.
        run: The run.
        step: The step at which the session begins.
    """
    return [BOARDS[name](run, step) for name in dict.fromkeys(names)]  # type: ignore[call-arg]


def spread(module: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Return weights of each trained tensor by name, at most `MOST_WEIGHTS` of each."""
    values = {}
    for name, parameter in module.named_parameters():
        flat = parameter.detach().flatten()
        step = -(-flat.numel() // MOST_WEIGHTS)
        values[name] = flat[::step].float().cpu().numpy()
    return values


def _remembered(run: Run, name: str, new: str | None) -> str | None:
    """Return under which name a board knows the run; note a new one where there was none."""
    known = _names(run).get(name)
    if known is None and new is not None:
        _remember(run, name, new)
    return known or new


def _remember(run: Run, name: str, value: str | None) -> None:
    write_text(_notes(run), json.dumps({**_names(run), name: value}, indent=1) + "\n")


def _names(run: Run) -> dict[str, str]:
    path = _notes(run)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _notes(run: Run) -> Path:
    return run.folder / "logs" / "boards.json"


def _settings(run: Run) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(run.settings.read_text(encoding="utf-8"))
    return values

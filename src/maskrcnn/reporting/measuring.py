"""What a run's model finds on annotated pictures: made once, kept beside the run, and measured."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import Result, read_results, write_results
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.coco import Kind, Metrics
from maskrcnn.evaluation.ground_truth import GroundTruth
from maskrcnn.evaluation.measuring import Evaluation, measure_results
from maskrcnn.evaluation.run import matching_categories, predict_dataset, results_of
from maskrcnn.files import write_text
from maskrcnn.model.weights import read
from maskrcnn.prediction import Predictor
from maskrcnn.prediction.folder import SHOWN
from maskrcnn.reporting.runs import Told
from maskrcnn.training import Run
from maskrcnn.version import __version__

Progress = Callable[[str, int, int], None]
FOLDER = "found"
_PART = 1 << 22


def silent(_what: str, _done: int, _total: int) -> None:
    """Tell nobody."""


class Measured(NamedTuple):
    """A run with what its model finds, and how good that is.

    Attributes:
        told: What the run's folder says.
        found: What was found.
        evaluation: What was counted of it.
        metrics: How good it is.
    """

    told: Told
    found: Found
    evaluation: Evaluation
    metrics: Metrics

    @property
    def truth(self) -> GroundTruth:
        """What it was measured against."""
        return self.evaluation.truth

    @property
    def kind(self) -> Kind:
        """What is judged: masks, or boxes where there are no masks."""
        return self.metrics.kinds[-1]


class Sure(NamedTuple):
    """From which probability on detections are shown.

    Attributes:
        least: (K) float64. For each class of the data.
        by_name: The same by name.
        words: The same for people.
    """

    least: NDArray[np.float64]
    by_name: dict[str, float]
    words: str

    @classmethod
    def of(cls, measured: Measured, score: float | None) -> Sure:
        """Take the score that is wished, or else the thresholds in the model's file, or else 0.5."""
        names = list(measured.truth.names.values())
        config = read(measured.told.run.model).config
        stored = dict(zip(config.classes, config.detect.class_thresholds, strict=False))
        if score is not None or not stored:
            chosen = SHOWN if score is None else score
            return cls(np.full(len(names), chosen), dict.fromkeys(names, chosen), f"{chosen:g}")
        by_name = {name: stored.get(name, SHOWN) for name in names}
        least = np.array(list(by_name.values()))
        return cls(least, by_name, f"that stored for their class, {least.min():.2f} to {least.max():.2f},")


class Found(NamedTuple):
    """What was found, and how long it took.

    Attributes:
        results: Detections as COCO results with the ids of the data.
        seconds: For all pictures, reading them included.
    """

    results: list[Result]
    seconds: float


def measure(
    told: Told,
    dataset: Dataset,
    open_model: Callable[[Path], Predictor],
    progress: Progress = silent,
    *,
    batch: int = 1,
    workers: int = 0,
) -> Measured:
    """Find the objects of a data set with the best model of a run, as `found_by` does, and measure what was found.

    Raises:
        InputError: The model does not know a class of the data.
        MaskRCNNError: The model or a picture can't be read, or the folder can't be written.
    """
    found = found_by(told.run, dataset, open_model, progress, batch=batch, workers=workers)
    evaluation = measure_results(dataset, found.results)
    return Measured(told, found, evaluation, evaluation.metrics())


def found_by(
    run: Run,
    dataset: Dataset,
    open_model: Callable[[Path], Predictor],
    progress: Progress = silent,
    *,
    batch: int = 1,
    workers: int = 0,
) -> Found:
    """Find the objects of a data set with the best model of a run, or read what was found before.

    What is kept in `found` of the run's folder belongs to one model, data and version of this package: another one
    makes it anew.

    Args:
        run: The run.
        dataset: The pictures.
        open_model: Makes a predictor of a model file.
        progress: Is told what is done, and how many pictures of how many.
        batch: Pictures that are read together.
        workers: Processes that read pictures.

    Raises:
        InputError: The model does not know a class of the data.
        MaskRCNNError: The model or a picture can't be read, or the folder can't be written.
    """
    folder, key = place_of(run, dataset)
    kept = _kept(folder, key)
    if kept is not None:
        return kept
    predictor = open_model(run.model)
    ids = matching_categories(predictor.class_names, dataset)
    results: list[Result] = []
    began = time.monotonic()
    pictures = range(len(dataset))
    for i, instances in enumerate(predict_dataset(predictor, dataset, pictures, batch=batch, workers=workers)):
        results += results_of(instances, dataset.image_id(i), ids, dataset.category_ids)
        progress(f"finding with {run.folder.name}", i + 1, len(dataset))
    found = Found(results, time.monotonic() - began)
    keep(folder, key, found)
    return found


def place_of(run: Run, dataset: Dataset) -> tuple[Path, dict[str, str]]:
    """Return where what a run's model finds on a data set is kept, and what it belongs to."""
    fingerprint = dataset.fingerprint()
    key = {"model": _digest(run.model), "data": fingerprint, "version": __version__}
    return run.folder / FOLDER / fingerprint[:12], key


def keep(folder: Path, key: Mapping[str, str], found: Found) -> None:
    """Leave what was found in a folder, the notes last.

    Raises:
        OutputError: It can't be written.
    """
    notes = folder / "made.json"
    notes.unlink(missing_ok=True)
    write_results(found.results, folder / "predictions.json")
    write_text(notes, json.dumps({**key, "seconds": round(found.seconds, 3)}, indent=1) + "\n")


def _kept(folder: Path, key: Mapping[str, str]) -> Found | None:
    """Read what was found before; anything unexpected there is as good as nothing."""
    try:
        notes: Any = json.loads((folder / "made.json").read_text(encoding="utf-8"))
        if not isinstance(notes, dict) or {name: notes.get(name) for name in key} != key:
            return None
        return Found(read_results(folder / "predictions.json"), float(notes["seconds"]))
    except (OSError, ValueError, KeyError, TypeError, MaskRCNNError):
        return None


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_PART):
            digest.update(part)
    return digest.hexdigest()

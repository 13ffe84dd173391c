"""What `maskrcnn evaluate` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from maskrcnn.cli.opening import Wanted, describe, open_chosen, open_results
from maskrcnn.cli.running import Running
from maskrcnn.cli.words import progress, say, show
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import Result, read_results
from maskrcnn.errors import InputError
from maskrcnn.evaluation.bootstrap import SAMPLES, compare, intervals
from maskrcnn.evaluation.choosing import choose_measures
from maskrcnn.evaluation.coco import Metrics, class_table, sentences, table, write
from maskrcnn.evaluation.measuring import Evaluation, limits_of, measure_results
from maskrcnn.evaluation.run import Finished
from maskrcnn.evaluation.run import run_evaluation as run_model
from maskrcnn.evaluation.tables import difference_table, interval_table, measure_table, other_names
from maskrcnn.files import make_folder
from maskrcnn.prediction import Predictor


class Asked(NamedTuple):
    """What is to be measured.

    Attributes:
        measures: Names with commas between them.
        detections: Limits of detections a picture and class, with commas between them.
        bootstrap: How often pictures are drawn for intervals; 0 for none.
        against: Another model, or its results, to compare with.
    """

    measures: str = "coco"
    detections: str = "1,10,100"
    bootstrap: int = 0
    against: str | None = None

    @property
    def limits(self) -> tuple[int, ...]:
        """The limits of detections.

        Raises:
            InputError: They are not whole numbers of at least 1.
        """
        try:
            limits = [int(each) for each in self.detections.split(",")]
        except ValueError:
            raise InputError(f"detections: expected whole numbers such as 1,10,100, got {self.detections}") from None
        return limits_of(limits)


def _show(
    metrics: Metrics, asked: Asked, evaluation: Evaluation, rival: Evaluation | None, names: list[str]
) -> Metrics:
    """Print what was measured, and return it with the intervals that were asked for."""
    if metrics.kinds:
        show(table(metrics))
        if len(metrics.classes) > 1:
            show(class_table(metrics))
    if other_names(metrics):
        show(measure_table(metrics))
    if not metrics.kinds:
        show(*sentences(metrics))
    if asked.bootstrap:
        with progress("drawing pictures") as advance:
            metrics = replace(metrics, intervals=intervals(evaluation, asked.bootstrap, progress=advance))
        show(interval_table(metrics, metrics.intervals))
    if rival is not None:
        with progress("comparing") as advance:
            differences = compare(rival, evaluation, asked.bootstrap or SAMPLES, progress=advance)
        show(difference_table(differences, names[1], names[0]))
    return metrics


def _leave(metrics: Metrics, out: Path | None) -> None:
    if metrics.cost is not None:
        say(metrics.cost.describe())
    if out is not None:
        write(metrics, out / "metrics.json")
        say(f"results in {out}")


def run_evaluation(
    paths: Sequence[str],
    out: Path | None,
    running: Running,
    batch: int,
    workers: int,
    wanted: Wanted,
    asked: Asked,
) -> None:
    """Measure a model, with a progress bar."""
    if len(paths) != 2:
        raise InputError(f"evaluate: expected MODEL DATA, or --results FILE DATA, got {_listed(paths)}")
    choose_measures(asked.measures, asked.limits)  # what is wrong with them is said before anything long begins
    dataset = open_chosen(Path(paths[1]), wanted)
    predictor = running.load(paths[0])
    if out is not None:
        make_folder(out)
    describe(dataset)
    finished = _run(predictor, dataset, out and out / "predictions.json", batch, workers, asked)
    rival = _rival(dataset, running, batch, workers, asked)
    metrics = _show(finished.metrics(), asked, finished.evaluation, rival, [paths[0], str(asked.against)])
    _leave(metrics, out)


def _run(
    predictor: Predictor, dataset: Dataset, predictions: Path | None, batch: int, workers: int, asked: Asked
) -> Finished:
    with progress("evaluating") as advance:
        return run_model(
            predictor,
            dataset,
            predictions,
            measures=asked.measures,
            detections=asked.limits,
            batch=batch,
            workers=workers,
            progress=advance,
        )


def _rival(dataset: Dataset, running: Running, batch: int, workers: int, asked: Asked) -> Evaluation | None:
    """Measure what is to be compared with: results where it is a JSON file, else a model."""
    if asked.against is None:
        return None
    if asked.against.lower().endswith(".json"):
        return _measure(dataset, Path(asked.against), read_results(asked.against), asked)
    return _run(running.load(asked.against), dataset, None, batch, workers, asked).evaluation


def _measure(dataset: Dataset, file: Path, found: list[Result], asked: Asked) -> Evaluation:
    measures = choose_measures(asked.measures, asked.limits)
    with progress("evaluating") as advance:
        return measure_results(
            dataset, found, detections=asked.limits, measures=measures, source=str(file), progress=advance
        )


def run_evaluation_of_results(
    paths: Sequence[str],
    results: Path,
    out: Path | None,
    running: Running,
    wanted: Wanted,
    asked: Asked,
) -> None:
    """Measure results that were made elsewhere."""
    if len(paths) != 1:
        raise InputError(f"evaluate: expected DATA alone beside --results, got {_listed(paths)}")
    choose_measures(asked.measures, asked.limits)
    dataset, found = open_results(paths[0], results, wanted)
    if out is not None:
        make_folder(out)
    describe(dataset)
    evaluation = _measure(dataset, results, found, asked)
    rival = _rival(dataset, running, 1, 0, asked)
    _leave(_show(evaluation.metrics(), asked, evaluation, rival, [str(results), str(asked.against)]), out)


def _listed(paths: Sequence[str]) -> str:
    return f"{len(paths)} paths: {' '.join(paths)}" if len(paths) > 1 else f"{paths[0]} alone"

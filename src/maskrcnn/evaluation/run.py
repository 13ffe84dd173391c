"""A model over a data set: every picture predicted, the results measured and left in a folder."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import Result, to_coco_results, writing_results
from maskrcnn.data.joining import nameless
from maskrcnn.doctor.gate import admit
from maskrcnn.errors import InputError
from maskrcnn.evaluation.choosing import choose_measures
from maskrcnn.evaluation.coco import Cost, Metrics, write
from maskrcnn.evaluation.counting import Measure
from maskrcnn.evaluation.ground_truth import from_dataset
from maskrcnn.evaluation.measuring import LIMITS, Evaluation, limits_of
from maskrcnn.evaluation.proposals import ProposalRecall, as_results, without_classes
from maskrcnn.machine import peak_memory
from maskrcnn.prediction import Predictor, load
from maskrcnn.prediction.predictor import Seen
from maskrcnn.prediction.stream import predict_all, see_all, strictly
from maskrcnn.structures import Instances


def _names(model_classes: Sequence[str], dataset: Dataset) -> tuple[str, ...]:
    """Return the data set's class names; where it has none and the model has one, the model's."""
    return tuple(model_classes) if len(model_classes) == 1 and nameless(dataset) else dataset.class_names


def naming_note(model_classes: Sequence[str], dataset: Dataset) -> str | None:
    """Say it where a data set without class names is taken to show a model's only class."""
    if _names(model_classes, dataset) == dataset.class_names:
        return None
    return f"{dataset.source} names no class: its objects count as {model_classes[0]}"


def matching_categories(model_classes: Sequence[str], dataset: Dataset) -> list[int]:
    """Return the data set's category id of each class of a model, matched by name.

    A class of the model that the data does not have gets an id that the data does not have. A data set that names
    no class shows the only class of a model that has one.

    Args:
        model_classes: K names in label order.
        dataset: What the model is measured on.

    Raises:
        InputError: A class that the data has objects of is missing from the model.
    """
    names = _names(model_classes, dataset)
    shown = {annotation.label for record in dataset.records for annotation in record.annotations}
    missing = [name for label, name in enumerate(names) if label in shown and name not in model_classes]
    if missing:
        raise InputError(
            f"{dataset.source}: expected classes that the model knows ({', '.join(model_classes[:10])}), "
            f"got {', '.join(missing[:10])} too; classes are matched by name"
        )
    ids = dict(zip(names, dataset.category_ids, strict=True))
    spare = itertools.count(max(ids.values(), default=0) + 1)
    return [ids[name] if name in ids else next(spare) for name in model_classes]


def predict_dataset(
    predictor: Predictor, dataset: Dataset, indices: Sequence[int], *, batch: int = 1, workers: int = 0
) -> Iterator[Instances]:
    """Find the objects of chosen pictures of a data set, in order.

    Raises:
        ImageError: A picture can't be read.
    """
    paths = [dataset.path(i) for i in indices]
    every = predictor.with_every_score()
    return strictly(predict_all(every, len(paths), paths.__getitem__, batch=batch, workers=workers))


def see_dataset(predictor: Predictor, dataset: Dataset, *, batch: int = 1, workers: int = 0) -> Iterator[Seen]:
    """Find the objects of all pictures of a data set, in order, and what the first stage proposed for each.

    Raises:
        ImageError: A picture can't be read.
        InputError: The model was exported, and its stages can't be called.
    """
    paths = [dataset.path(i) for i in range(len(dataset))]
    every = predictor.with_every_score()
    return strictly(see_all(every, len(paths), paths.__getitem__, batch=batch, workers=workers))


def results_of(found: Instances, image_id: int, category_ids: Sequence[int], known: Sequence[int]) -> list[Result]:
    """Write one picture's objects as COCO results, those of classes that the data has."""
    results = to_coco_results(found, image_id, category_ids)
    return [result for result in results if result["category_id"] in known]


def evaluate(
    model: str | Path | Predictor,
    data: str | Path | Dataset,
    out: str | Path | None = None,
    *,
    measures: str | Sequence[Measure] = "coco",
    detections: Sequence[int] = LIMITS,
    batch: int = 1,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Metrics:
    """Measure a model on annotated pictures, as COCO does or by other measures.

    Args:
        model: A model file, address or name, as `load` takes them, or a loaded model.
        data: A folder or file in any known format, or an open data set.
        out: A folder for `metrics.json` and `predictions.json` (COCO results).
        measures: What is measured, by names such as `coco,boundary,sizes:16:64`.
        detections: Limits of detections a picture and class, for the recall; precision uses the largest.
        batch: Pictures that are read together; those of one padded size run together.
        workers: Processes that read pictures.
        progress: Called with pictures done and pictures in all.

    Raises:
        InputError: The model does not know a class of the data, or a measure is not known.
        MaskRCNNError: The model or the data can't be read.
    """
    run = run_evaluation(
        model,
        data,
        None if out is None else Path(out) / "predictions.json",
        measures=measures,
        detections=detections,
        batch=batch,
        workers=workers,
        progress=progress,
    )
    metrics = run.metrics()
    if out is not None:
        write(metrics, Path(out) / "metrics.json")
    return metrics


@dataclass(frozen=True)
class Finished:
    """A model that was measured, for those who ask further, such as for intervals.

    Attributes:
        evaluation: What was counted of its detections.
        proposed: What was counted of its proposals; None where nobody asked.
        cost: Time and memory.
        notes: What the reader should know.
    """

    evaluation: Evaluation
    proposed: Evaluation | None
    cost: Cost
    notes: tuple[str, ...]

    def metrics(self) -> Metrics:
        """Return all numbers."""
        metrics = self.evaluation.metrics()
        more = self.proposed.metrics() if self.proposed else None
        return replace(
            metrics,
            values=metrics.values | (more.values if more else {}),
            meanings={**metrics.meanings, **(more.meanings if more else {})},
            notes=(*metrics.notes, *self.notes),
            cost=self.cost,
        )


def run_evaluation(
    model: str | Path | Predictor,
    data: str | Path | Dataset,
    predictions: Path | None = None,
    *,
    measures: str | Sequence[Measure] = "coco",
    detections: Sequence[int] = LIMITS,
    batch: int = 1,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Finished:
    """Count what `evaluate` gives, picture by picture; the detections themselves are not kept.

    Args:
        model: As in `evaluate`.
        data: As in `evaluate`.
        predictions: A file for the detections, as COCO results.
        measures: As in `evaluate`.
        detections: As in `evaluate`.
        batch: As in `evaluate`.
        workers: As in `evaluate`.
        progress: As in `evaluate`.

    Raises:
        InputError: As in `evaluate`.
        MaskRCNNError: As in `evaluate`.
    """
    from maskrcnn.data import open_dataset

    limits = limits_of(detections)
    chosen = choose_measures(measures, limits) if isinstance(measures, str) else tuple(measures)
    predictor = model if isinstance(model, Predictor) else load(model)
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    admit(dataset)
    ids = matching_categories(predictor.class_names, dataset)
    truth = from_dataset(dataset)
    evaluation = Evaluation(truth, [each for each in chosen if not isinstance(each, ProposalRecall)], limits)
    of_proposals = [each for each in chosen if isinstance(each, ProposalRecall)]
    proposed = Evaluation(without_classes(truth), of_proposals) if of_proposals else None
    began = time.perf_counter()
    if proposed is None:
        found = predict_dataset(predictor, dataset, range(len(dataset)), batch=batch, workers=workers)
    else:
        seen = see_dataset(predictor, dataset, batch=batch, workers=workers)
        found = _counting_proposals(seen, dataset, proposed)
    with writing_results(predictions) as keep:
        for i, instances in enumerate(found):
            image_id = dataset.image_id(i)
            results = results_of(instances, image_id, ids, dataset.category_ids)
            evaluation.add(image_id, results)
            keep(results)
            if progress:
                progress(i + 1, len(dataset))
    evaluation.require(dataset.source.name)
    note = naming_note(predictor.class_names, dataset)
    cost = _cost(predictor, time.perf_counter() - began, len(dataset))
    return Finished(evaluation, proposed, cost, () if note is None else (note,))


def _counting_proposals(seen: Iterator[Seen], dataset: Dataset, proposed: Evaluation) -> Iterator[Instances]:
    """Count what was proposed for each picture, and pass its objects on."""
    for i, each in enumerate(seen):
        image_id = dataset.image_id(i)
        proposed.add(image_id, as_results(image_id, *each.proposed))
        yield each.objects


def _cost(predictor: Predictor, seconds: float, pictures: int) -> Cost:
    on_gpu = predictor.device.type == "cuda"
    return Cost(
        seconds,
        pictures,
        peak_memory(),
        torch.cuda.max_memory_allocated(predictor.device) if on_gpu else None,
        f"{predictor.engine.backend}, {predictor.engine.precision}, on {predictor.device}",
    )

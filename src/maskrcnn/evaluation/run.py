"""A model over a data set: every picture predicted, the results measured and left in a folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import Result, to_coco_results, write_results
from maskrcnn.data.joining import nameless
from maskrcnn.doctor.gate import admit
from maskrcnn.errors import InputError
from maskrcnn.evaluation.coco import Metrics, write
from maskrcnn.evaluation.measuring import evaluate_results
from maskrcnn.prediction import Predictor, load
from maskrcnn.prediction.stream import predict_all, strictly
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


def results_of(found: Instances, image_id: int, category_ids: Sequence[int], known: Sequence[int]) -> list[Result]:
    """Write one picture's objects as COCO results, those of classes that the data has."""
    results = to_coco_results(found, image_id, category_ids)
    return [result for result in results if result["category_id"] in known]


def evaluate(
    model: str | Path | Predictor,
    data: str | Path | Dataset,
    out: str | Path | None = None,
    *,
    batch: int = 1,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Metrics:
    """Measure a model on annotated pictures as COCO does.

    Args:
        model: A model file, address or name, as `load` takes them, or a loaded model.
        data: A folder or file in any known format, or an open data set.
        out: A folder for `metrics.json` and `predictions.json` (COCO results).
        batch: Pictures that are read together; those of one padded size run together.
        workers: Processes that read pictures.
        progress: Called with pictures done and pictures in all.

    Raises:
        InputError: The model does not know a class of the data.
        MaskRCNNError: The model or the data can't be read.
    """
    from maskrcnn.data import open_dataset

    predictor = model if isinstance(model, Predictor) else load(model)
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    admit(dataset)
    ids = matching_categories(predictor.class_names, dataset)
    results: list[Result] = []
    pictures = range(len(dataset))
    for i, found in enumerate(predict_dataset(predictor, dataset, pictures, batch=batch, workers=workers)):
        results += results_of(found, dataset.image_id(i), ids, dataset.category_ids)
        if progress:
            progress(i + 1, len(dataset))
    metrics = evaluate_results(dataset, results)
    note = naming_note(predictor.class_names, dataset)
    if note is not None:
        metrics = replace(metrics, notes=(*metrics.notes, note))
    if out is not None:
        write_results(results, Path(out) / "predictions.json")
        write(metrics, Path(out) / "metrics.json")
    return metrics

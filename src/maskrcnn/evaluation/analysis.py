"""What a model gets wrong, looked at in four ways in one pass over the pictures.

Letters: K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import Result, write_json
from maskrcnn.errors import AnnotationError
from maskrcnn.evaluation.calibration import Calibration, calibrate
from maskrcnn.evaluation.coco import Kind
from maskrcnn.evaluation.confusion import Confusion, ConfusionCounter
from maskrcnn.evaluation.counting import Tally, Times
from maskrcnn.evaluation.errors import ErrorCounter, Errors
from maskrcnn.evaluation.ground_truth import GroundTruth, from_dataset
from maskrcnn.evaluation.measuring import check_results, truth_of
from maskrcnn.evaluation.run import run_evaluation
from maskrcnn.evaluation.scenes import Scene, scenes
from maskrcnn.evaluation.thresholds import Threshold, best_thresholds
from maskrcnn.prediction import Predictor, load
from maskrcnn.prediction.folder import SHOWN

Progress = Callable[[int, int], None]
Sure = float | Mapping[str, float]
"""A probability from which on detections are shown: one for all classes, or one a class by name."""


@dataclass(frozen=True)
class Analysis:
    """What a model gets wrong.

    Attributes:
        errors: Every error in one of six classes, and the AP each class costs.
        confusion: Which class is taken for which.
        calibration: What probabilities are worth.
        thresholds: The best threshold of each class by name.
    """

    errors: Errors
    confusion: Confusion
    calibration: Calibration
    thresholds: dict[str, Threshold]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "errors": self.errors.to_json(),
            "confusion": self.confusion.to_json(),
            "calibration": self.calibration.to_json(),
            "thresholds": {name: each._asdict() for name, each in self.thresholds.items()},
        }


class Analyser:
    """Looks at one picture after another; memory grows by some bytes a detection.

    Args:
        kind: What overlaps.
        names: The K classes in label order.
        iou: From where on a detection is right.
        sure: The confusion matrix counts detections of at least this probability; a class that is not named has 0.5.
    """

    def __init__(self, kind: Kind, names: Sequence[str], iou: float = 0.5, sure: Sure = SHOWN) -> None:
        limits = sure if isinstance(sure, Mapping) else dict.fromkeys(names, sure)
        self._errors = ErrorCounter(kind, names, iou)
        self._confusion = ConfusionCounter(kind, names, iou, [limits.get(name, SHOWN) for name in names])

    def add(self, scene: Scene) -> None:
        """Take the next picture."""
        self._errors.add(scene)
        self._confusion.add(scene)

    def analysis(self) -> Analysis:
        """Return what is wrong in all pictures so far."""
        judged, names = self._errors.judged(), self._errors.names
        return Analysis(
            self._errors.errors(),
            self._confusion.confusion(),
            calibrate(judged, names, self._errors.iou),
            best_thresholds(judged, names),
        )


class _Following:
    """Lets an analyser see what is measured; it counts the detections of all pictures in the order of their file."""

    def __init__(self, analyser: Analyser) -> None:
        self._analyser = analyser
        self._seen = 0

    def add(self, scene: Scene) -> None:
        self._analyser.add(scene._replace(found=scene.found + self._seen))
        self._seen += len(scene.found)

    def tally(self, times: Times) -> Tally:  # noqa: ARG002 - it gives no single numbers
        return Tally({}, [])


@dataclass(frozen=True)
class _Through:
    """An analyser as a measure."""

    analyser: Analyser
    kinds: tuple[Kind, ...]
    meanings: Mapping[str, str] = field(default_factory=dict)

    def start(self, kind: Kind, truth: GroundTruth) -> _Following:  # noqa: ARG002 - the analyser knows both
        return _Following(self.analyser)


def analyse_results(
    ground_truth: Dataset | Mapping[str, Any] | GroundTruth,
    results: Sequence[Result],
    *,
    kind: Kind | None = None,
    iou: float = 0.5,
    sure: Sure = SHOWN,
    source: str = "results",
    progress: Progress | None = None,
) -> Analysis:
    """Say what is wrong with detections.

    Args:
        ground_truth: A data set, or the content of a COCO annotation file.
        results: Detections as COCO results, in any order; `read_results` and `to_coco_results` make them.
        kind: What overlaps; masks where every object and every detection has one, else boxes, if not given.
        iou: From where on a detection is right.
        sure: The confusion matrix counts detections of at least this probability; a class that is not named has 0.5.
        source: Where the results come from, for errors.
        progress: Called with pictures done and pictures in all.

    Raises:
        AnnotationError: Records do not belong to the data, or have not all what is to overlap.
    """
    truth = truth_of(ground_truth)
    check_results(results, truth, source)
    masks = _all_masks(truth) and all("segmentation" in result for result in results)
    kind = kind or ("mask" if masks else "box")
    if kind != "box" and not masks:
        raise AnnotationError(f"{source}: expected a mask of every object and detection, got some without")
    if kind == "box" and not all("bbox" in result for result in results):
        raise AnnotationError(f"{source}: expected a box of every detection, or masks of all, got some with neither")
    analyser = Analyser(kind, list(truth.names.values()), iou, sure)
    for done, scene in enumerate(scenes(kind, truth, results), 1):
        analyser.add(scene)
        if progress:
            progress(done, len(truth.sizes_hw))
    return analyser.analysis()


def analyse(
    model: str | Path | Predictor,
    data: str | Path | Dataset,
    out: str | Path | None = None,
    *,
    kind: Kind | None = None,
    iou: float = 0.5,
    sure: Sure | None = None,
    batch: int = 1,
    workers: int = 0,
    progress: Progress | None = None,
) -> Analysis:
    """Say what a model gets wrong on annotated pictures.

    Args:
        model: A model file, address or name, as `load` takes them, or a loaded model.
        data: A folder or file in any known format, or an open data set.
        out: A folder for `errors.json` and `predictions.json` (COCO results).
        kind: What overlaps; masks where every object has one, else boxes, if not given.
        iou: From where on a detection is right.
        sure: The confusion matrix counts detections of at least this probability; the thresholds in the model file,
            or 0.5, if not given.
        batch: Pictures that are read together; those of one padded size run together.
        workers: Processes that read pictures.
        progress: Called with pictures done and pictures in all.

    Raises:
        InputError: The model does not know a class of the data.
        AnnotationError: Masks are asked for where objects have none.
        MaskRCNNError: The model or the data can't be read.
    """
    from maskrcnn.data import open_dataset

    predictor = model if isinstance(model, Predictor) else load(model)
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    truth = from_dataset(dataset)
    if kind is not None and kind != "box" and not _all_masks(truth):
        raise AnnotationError(f"{dataset.source}: expected a mask of every object, got some without")
    kind = kind or ("mask" if _all_masks(truth) else "box")
    analyser = Analyser(kind, dataset.class_names, iou, stored(predictor) or SHOWN if sure is None else sure)
    run_evaluation(
        predictor,
        dataset,
        None if out is None else Path(out) / "predictions.json",
        measures=[_Through(analyser, (kind,))],
        batch=batch,
        workers=workers,
        progress=progress,
    )
    analysis = analyser.analysis()
    if out is not None:
        write(analysis, Path(out) / "errors.json")
    return analysis


def stored(predictor: Predictor) -> dict[str, float]:
    """Return the thresholds of classes by name that a model's file states; none where it states none."""
    thresholds = predictor.config.detect.class_thresholds
    return dict(zip(predictor.class_names, thresholds, strict=True)) if thresholds else {}


def _all_masks(truth: GroundTruth) -> bool:
    return all(one.rle is not None for one in truth.objects)


def write(analysis: Analysis, path: Path | str) -> None:
    """Write it as JSON, in one step.

    Raises:
        OutputError: The file can't be written.
    """
    write_json(analysis.to_json(), path, indent=2)

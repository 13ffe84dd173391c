"""What a model gets wrong, looked at in four ways in one pass over the data.

Letters: K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskrcnn.data.formats.coco_results import write_json
from maskrcnn.evaluation.calibration import Calibration, calibrate
from maskrcnn.evaluation.confusion import Confusion, ConfusionCounter
from maskrcnn.evaluation.errors import ErrorCounter, Errors
from maskrcnn.evaluation.scenes import Kind, Scene, scenes
from maskrcnn.evaluation.thresholds import Threshold, best_thresholds

if TYPE_CHECKING:
    from maskrcnn.data.formats.coco_results import Result
    from maskrcnn.evaluation.ground_truth import GroundTruth


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
    """Looks at one picture after another.

    Args:
        kind: What overlaps.
        names: The K classes in label order.
        iou: From where on a detection is right.
        threshold: The confusion matrix counts detections of at least this probability; one for all classes, or one
            a class.
    """

    def __init__(
        self, kind: Kind, names: Sequence[str], iou: float = 0.5, threshold: float | Sequence[float] = 0.5
    ) -> None:
        self._errors = ErrorCounter(kind, names, iou)
        self._confusion = ConfusionCounter(kind, names, iou, threshold)

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


def analyse(
    kind: Kind,
    truth: GroundTruth,
    results: Sequence[Result],
    *,
    iou: float = 0.5,
    threshold: float | Sequence[float] = 0.5,
) -> Analysis:
    """Say what is wrong with detections, in one pass over them.

    Args:
        kind: Whether boxes or masks overlap; results and objects must have them.
        truth: What is there.
        results: What was found, in any order, of pictures and classes of the data.
        iou: From where on a detection is right.
        threshold: The confusion matrix counts detections of at least this probability; one for all classes, or one
            a class.
    """
    analyser = Analyser(kind, list(truth.names.values()), iou, threshold)
    for scene in scenes(kind, truth, results):
        analyser.add(scene)
    return analyser.analysis()


def write(analysis: Analysis, path: Path | str) -> None:
    """Write it as JSON, in one step.

    Raises:
        OutputError: The file can't be written.
    """
    write_json(analysis.to_json(), path, indent=2)

"""Whether a probability of 0.8 is right in 8 of 10 cases.

References: Guo et al., On Calibration of Modern Neural Networks (1706.04599), section 2, expected calibration error.
Letters: N detections, K classes, E bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.verdicts import Judged


@dataclass(frozen=True)
class Calibration:
    """What detections say of themselves against how often they are right, in bins of equal width.

    Attributes:
        iou: From where on a detection is right.
        edges: (E + 1,) float64. Where bins begin and end, 0 to 1; a bin has its lower edge, the last one both.
        counts: (E,) int64. Detections in each bin.
        scores: (E,) float64. Their mean probability; nan in an empty bin.
        right: (E,) float64. Share of them that is right; nan in an empty bin.
        error: Expected calibration error: the mean distance of both over all detections; None without any.
        classes: The same for the detections of each class by name.
    """

    iou: float
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    scores: NDArray[np.float64]
    right: NDArray[np.float64]
    error: float | None
    classes: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """Return plain values; null in an empty bin."""
        full = self.counts > 0
        return {
            "iou": self.iou,
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "scores": [float(value) if there else None for value, there in zip(self.scores, full, strict=True)],
            "right": [float(value) if there else None for value, there in zip(self.right, full, strict=True)],
            "error": self.error,
            "classes": self.classes,
            "meaning": f"a detection is right where it finds an object of its class at IoU {self.iou:g}; error: mean "
            "distance of probability and share that is right, weighted by detections",
        }


def calibrate(judged: Judged, names: Sequence[str], iou: float = 0.5, bins: int = 10) -> Calibration:
    """Measure how far probabilities are those of being right.

    Args:
        judged: Detections of all pictures.
        names: The K classes in label order.
        iou: At which they were judged.
        bins: How many of equal width.

    >>> scores = np.array([0.95, 0.9, 0.9, 0.3])
    >>> right = np.array([True, True, False, False])
    >>> found = Judged(np.zeros(4, np.int64), scores, right, np.array([3]))
    >>> calibration = calibrate(found, ["cat"])
    >>> calibration.counts.tolist(), round(calibration.error, 4)
    ([0, 0, 0, 1, 0, 0, 0, 0, 0, 3], 0.2625)
    """
    edges = np.arange(bins + 1) / bins  # each the nearest to its decimal
    counts, scores, right = _binned(judged, edges)
    classes = {}
    for label, name in enumerate(names):
        own = judged.labels == label
        classes[name] = _error(*_binned(judged._replace(scores=judged.scores[own], right=judged.right[own]), edges))
    return Calibration(iou, edges, counts, scores, right, _error(counts, scores, right), classes)


def _binned(
    judged: Judged, edges: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return count, mean score and share that is right of each bin."""
    E = len(edges) - 1
    place = np.clip(np.searchsorted(edges, judged.scores, side="right") - 1, 0, E - 1)
    counts = np.bincount(place, minlength=E)
    with np.errstate(invalid="ignore"):  # an empty bin has no mean
        scores = np.bincount(place, weights=judged.scores, minlength=E) / counts
        right = np.bincount(place, weights=judged.right, minlength=E) / counts
    return counts, scores, right


def _error(counts: NDArray[np.int64], scores: NDArray[np.float64], right: NDArray[np.float64]) -> float | None:
    total = counts.sum()
    return float(np.nansum(counts * np.abs(scores - right)) / total) if total else None

"""From which probability on a detection of each class is best believed: the threshold with the highest F1.

Letters: N detections, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.errors import InputError, few
from maskrcnn.evaluation.verdicts import Judged
from maskrcnn.model.weights import read, rewrite
from maskrcnn.prediction.folder import SHOWN


class Threshold(NamedTuple):
    """The best threshold of a class, and what it leads to.

    Attributes:
        threshold: Detections above this probability are believed: half way between the last of them and the next, or
            0 where there is none. None where no threshold finds an object.
        f1: 2 right / (detections + objects), in [0, 1]; None where there are neither.
        precision: Share of the believed detections that is right; None without any.
        recall: Share of the objects that is found; None without any.
        objects: How many there are to find.
        believed: How many detections are above the threshold.
        detections: How many there are.
    """

    threshold: float | None
    f1: float | None
    precision: float | None
    recall: float | None
    objects: int
    believed: int
    detections: int


def best_thresholds(judged: Judged, names: Sequence[str]) -> dict[str, Threshold]:
    """Return the threshold with the highest F1 of each class, of equal ones the highest.

    Args:
        judged: Detections of all pictures.
        names: The K classes in label order.

    >>> right = np.array([True, False, True, False])
    >>> found = Judged(np.zeros(4, np.int64), np.array([0.9, 0.8, 0.7, 0.5]), right, np.array([2]))
    >>> best = best_thresholds(found, ["cat"])["cat"]
    >>> round(best.threshold, 3), round(best.f1, 3), best.believed
    (0.6, 0.8, 3)
    """
    return {
        name: _best(judged.scores[own], judged.right[own], int(judged.objects[label]))
        for label, name in enumerate(names)
        for own in [judged.labels == label]
    }


def _best(scores: NDArray[np.float64], right: NDArray[np.bool_], objects: int) -> Threshold:
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(right[order])
    n = len(scores)
    if not n or not objects or not hits[-1]:
        worst = 0.0 if n or objects else None
        return Threshold(None, worst, None, 0.0 if objects else None, objects, 0, n)
    last = np.append(np.diff(scores) < 0, True)  # of several with one score only all can be believed
    f1 = np.where(last, 2 * hits / (np.arange(1, n + 1) + objects), -1.0)
    at = int(f1.argmax())
    below = scores[at + 1] if at + 1 < n else 0.0
    return Threshold(
        float((scores[at] + below) / 2),
        float(f1[at]),
        float(hits[at] / (at + 1)),
        float(hits[at] / objects),
        objects,
        at + 1,
        n,
    )


def store_thresholds(model: Path | str, thresholds: Mapping[str, Threshold]) -> dict[str, float]:
    """Write thresholds into a model file, whole or not at all; `load` and `predict` use them from then on.

    A class without a threshold gets the one that it has, or 0.5.

    Args:
        model: A file that this package wrote.
        thresholds: The best threshold of classes by name; those that the model does not know are left out.

    Returns:
        What the file says now of every class of the model.

    Raises:
        WeightsError: It is not a model file of this package.
        InputError: The model knows none of the classes.
        OutputError: It can't be written.
    """
    path = Path(model)
    config = read(path).config
    if not thresholds.keys() & set(config.classes):
        raise InputError(
            f"{path}: expected thresholds of classes that the model knows ({few(config.classes, 10)}), "
            f"got those of {few(thresholds, 10)}"
        )
    stored = dict(zip(config.classes, config.detect.class_thresholds or [SHOWN] * len(config.classes), strict=True))
    best = {name: each.threshold for name, each in thresholds.items() if each.threshold is not None and name in stored}
    stored |= best
    rewrite(path, config.change(detect=config.detect.change(class_thresholds=tuple(stored.values()))))
    return stored

"""Which class is taken for which: objects against what the model calls them, with nothing as a class of its own.

In each picture the detections above the threshold of their class choose by falling score: each takes the free object,
of whatever class, that it overlaps most and by at least the IoU asked for, of equal ones the later. So an object
counts for what the model is surest that it is; what else is found on it is found where nothing is. A crowd is no
object; a detection that takes nothing is left out where it lies in a crowd of its class, or where its class was not
looked for.

Letters: D detections, G objects of a picture, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.coco import Kind
from maskrcnn.evaluation.scenes import Scene
from maskrcnn.evaluation.verdicts import NOTHING, choose, reaching


@dataclass(frozen=True)
class Confusion:
    """How often objects of each class are taken for each class.

    Attributes:
        kind: What overlaps.
        iou: From where on a detection takes an object.
        thresholds: (K,) float64. Only detections of at least this probability count, for each class.
        names: The K classes in label order.
        counts: (K + 1, K + 1) int64. Rows are what is there, columns what was found. The last row is found where
            nothing is, the last column is there and not found; its last cell is 0.
    """

    kind: Kind
    iou: float
    thresholds: NDArray[np.float64]
    names: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """(K + 1, K + 1) float64. Shares of each row; the diagonal is recall. 0 in a row of nothing."""
        rows: NDArray[np.float64] = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        return rows

    def mistaken(self, most: int | None = None) -> list[tuple[str, str, int]]:
        """List which class was taken for which other one and how often, the most frequent first.

        Args:
            most: At most so many.
        """
        cells = np.where(np.eye(len(self.names), dtype=np.bool_), 0, self.counts[:-1, :-1])
        rows, columns = np.nonzero(cells)
        order = np.argsort(-cells[rows, columns], kind="stable")[:most]
        return [(self.names[rows[i]], self.names[columns[i]], int(cells[rows[i], columns[i]])) for i in order]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "kind": self.kind,
            "iou": self.iou,
            "thresholds": self.thresholds.tolist(),
            "names": list(self.names),
            "counts": self.counts.tolist(),
            "meaning": "rows: what is there; columns: what was found; last row and column: nothing",
        }


class ConfusionCounter:
    """Counts one picture after another, in memory for the matrix alone.

    Args:
        kind: What overlaps.
        names: The K classes in label order.
        iou: From where on a detection takes an object.
        threshold: Only detections of at least this probability count; one for all classes, or one a class.
    """

    def __init__(
        self, kind: Kind, names: Sequence[str], iou: float = 0.5, threshold: float | Sequence[float] = 0.5
    ) -> None:
        K = len(names)
        self.kind = kind
        self.names = tuple(names)
        self.iou = iou
        self.thresholds = np.broadcast_to(np.asarray(threshold, dtype=np.float64), K)
        self._counts = np.zeros((K + 1, K + 1), dtype=np.int64)

    def add(self, scene: Scene) -> None:
        """Take the next picture."""
        K = len(self.names)
        seen = scene.scores >= self.thresholds[scene.found_labels]
        near = reaching(scene, self.iou) & seen[:, None]
        taken = choose(scene.ious, near & ~scene.crowds)
        in_crowd = (near & scene.crowds & (scene.found_labels[:, None] == scene.labels)).any(axis=1)
        false = seen & (taken == NOTHING) & ~in_crowd & ~scene.found_open
        hit = taken != NOTHING
        unfound = ~scene.crowds
        unfound[taken[hit]] = False
        np.add.at(self._counts, (scene.labels[taken[hit]], scene.found_labels[hit]), 1)
        self._counts[K, :K] += np.bincount(scene.found_labels[false], minlength=K)
        self._counts[:K, K] += np.bincount(scene.labels[unfound], minlength=K)

    def confusion(self) -> Confusion:
        """Return the matrix of all pictures so far."""
        return Confusion(self.kind, self.iou, self.thresholds.copy(), self.names, self._counts.copy())

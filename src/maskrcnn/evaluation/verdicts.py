"""What became of each detection: right, wrong or neither, as COCO decides it, and with which object.

References: pycocotools, `cocoeval.py`; LVIS (1908.03195) for classes that were not looked for.
Letters: D detections, G objects of a picture, N detections of all pictures, K classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.scenes import Scene

NOTHING = -1
"""In the place of an object: none."""


class Verdicts(NamedTuple):
    """What became of the D detections of a picture.

    Attributes:
        objects: (D,) int64. Which of the picture's G objects each one found; `NOTHING` where it found none.
        ignored: (D,) bool. Whether it counts as neither right nor wrong: it lies in a crowd of its class, or its class
            was not looked for.
    """

    objects: NDArray[np.int64]
    ignored: NDArray[np.bool_]

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """(D,) bool. What found nothing and is not ignored."""
        wrong: NDArray[np.bool_] = (self.objects == NOTHING) & ~self.ignored
        return wrong


def judge(scene: Scene, iou: float) -> Verdicts:
    """Let the detections of a picture choose objects of their class by falling score, as COCO does.

    Args:
        scene: The picture.
        iou: From where on a detection is right.
    """
    near = (scene.found_labels[:, None] == scene.labels) & reaching(scene, iou)
    objects = choose(scene.ious, near & ~scene.crowds)
    ignored = (objects == NOTHING) & (near[:, scene.crowds].any(axis=1) | scene.found_open)
    return Verdicts(objects, ignored)


def reaching(scene: Scene, iou: float) -> NDArray[np.bool_]:
    """Say which detections overlap which objects enough: (D, G) bool."""
    # as pycocotools: a whole overlap passes a threshold of 1
    return scene.ious >= min(iou, 1 - 1e-10)


def choose(ious: NDArray[np.float64], may: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Let each detection in turn take the free object that it overlaps most, of equal ones the later.

    Args:
        ious: (D, G) float64. In the order in which detections choose.
        may: (D, G) bool. Which objects a detection may take.

    Returns:
        (D,) int64. The object taken, or `NOTHING`.

    >>> ious = np.array([[0.6, 0.8], [0.5, 0.9], [0.7, 0.6]])
    >>> choose(ious, ious >= 0.5).tolist()
    [1, 0, -1]
    """
    rows, columns = np.nonzero(may)
    order = np.lexsort((-columns, -ious[rows, columns], rows))
    taken = np.full(len(ious), NOTHING, dtype=np.int64)
    free = np.ones(ious.shape[1], dtype=np.bool_)
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if taken[row] == NOTHING and free[column]:
            taken[row], free[column] = column, False
    return taken


class Judged(NamedTuple):
    """The N detections of all pictures that count.

    Attributes:
        labels: (N,) int64 in [0, K).
        scores: (N,) float64. Probabilities.
        right: (N,) bool. Whether each one found an object.
        objects: (K,) int64. How many objects of each class there are to find.
    """

    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    objects: NDArray[np.int64]

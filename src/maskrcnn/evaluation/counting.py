"""What every measure has in common: pictures go in one after another, numbers come out.

Letters: K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.coco import Kind, Values
from maskrcnn.evaluation.ground_truth import GroundTruth
from maskrcnn.evaluation.scenes import Scene


class Times(NamedTuple):
    """How often each picture counts, for measuring on pictures drawn with replacement.

    Attributes:
        ids: (B,) int64. Rising ids of pictures.
        counts: (B,) int64. How often each one counts, at least 0.
    """

    ids: NDArray[np.int64]
    counts: NDArray[np.int64]

    def of(self, pictures: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how often each of some pictures counts, given by id."""
        return self.counts[np.searchsorted(self.ids, pictures)]


def once(pictures: Iterable[int]) -> Times:
    """Let every picture count once."""
    ids = np.array(sorted(pictures), dtype=np.int64)
    return Times(ids, np.ones(len(ids), dtype=np.int64))


class Tally(NamedTuple):
    """The numbers of a measure by their names, without the kind; None where there is nothing to measure on.

    Attributes:
        overall: Over all classes.
        classes: Of each of the K classes; empty where a measure has no numbers for classes.
    """

    overall: Values
    classes: list[Values]


class Count(Protocol):
    """A measure of one kind of overlap that is being taken."""

    def add(self, scene: Scene) -> None:
        """Count the next picture."""

    def tally(self, times: Times) -> Tally:
        """Return the numbers of what was counted, where every picture counts so often."""


class Measure(Protocol):
    """A way to say how good detections are."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of overlap that it can be taken of."""

    @property
    def meanings(self) -> Mapping[str, str]:
        """What each of its numbers is, by its name without the kind."""

    def start(self, kind: Kind, truth: GroundTruth) -> Count:
        """Begin to count."""


def mean(values: NDArray[np.float64], weights: NDArray[np.int64] | None = None) -> float | None:
    """Average what is not nan; None where there is nothing to average."""
    defined = ~np.isnan(values)
    if weights is not None:
        defined &= weights > 0
    if not defined.any():
        return None
    return float(np.average(values[defined], weights=None if weights is None else weights[defined]))

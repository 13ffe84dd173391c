"""COCO's matching of detections to objects, for several areas and IoU thresholds at once, picture after picture.

The detections of a class choose by falling score; each takes the free object that it overlaps most. What a detection
came to is the same as in pycocotools, ties included. Detections of many pictures are matched together, the first ones
of every class and picture in one step, then the second ones: no loop over detections.

References: pycocotools, `cocoeval.py`; LVIS (1908.03195) for classes that were not looked for.
Letters: A area ranges, T IoU thresholds, D detections, G objects, K classes, P pairs of a detection and an object.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.areas import Area
from maskrcnn.evaluation.scenes import Scene

N = TypeVar("N", bound=np.generic)

WRONG, RIGHT, IGNORED = 0, 1, 2
PAIRS = 1 << 14
"""Pairs that are matched together: enough to share the cost of calls, few enough to stay small."""


@dataclass(frozen=True)
class Outcomes:
    """What every detection came to, and what there was to find.

    Attributes:
        areas: The A ranges.
        thresholds: The T IoU thresholds.
        classes: K.
        pictures: (D,) int64. The id of each detection's picture.
        labels: (D,) int32. Its class, in [0, K).
        scores: (D,) float64. Its probability.
        ranks: (D,) int32. How many of its class and picture come before it.
        came_to: (A, T, D) uint8. `WRONG`, `RIGHT`, or `IGNORED`, which is neither.
        object_pictures: (G,) int64. The id of each object's picture; crowds are left out.
        object_labels: (G,) int32. Its class.
        counted: (A, G) bool. Whether its area is in the range.
    """

    areas: tuple[Area, ...]
    thresholds: tuple[float, ...]
    classes: int
    pictures: NDArray[np.int64]
    labels: NDArray[np.int32]
    scores: NDArray[np.float64]
    ranks: NDArray[np.int32]
    came_to: NDArray[np.uint8]
    object_pictures: NDArray[np.int64]
    object_labels: NDArray[np.int32]
    counted: NDArray[np.bool_]

    def objects(self, area: int) -> NDArray[np.int64]:
        """Count the objects of each class whose area is in a range: (K,) int64."""
        return np.bincount(self.object_labels[self.counted[area]], minlength=self.classes)


class _Seen(NamedTuple):
    """What is kept of a picture until it is matched; places count its detections and objects."""

    image_id: int
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    ranks: NDArray[np.int64]
    found_areas: NDArray[np.float64]
    open: NDArray[np.bool_]
    object_labels: NDArray[np.int64]
    crowds: NDArray[np.bool_]
    areas: NDArray[np.float64]
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]]
    ious: NDArray[np.float64]


class Matcher:
    """Matches the detections of pictures as they come; memory grows by some bytes a detection.

    Args:
        areas: The A ranges of areas.
        thresholds: The T IoU thresholds.
        limit: Detections of a picture and class that are looked at, the best ones.
        classes: K.
    """

    def __init__(self, areas: Sequence[Area], thresholds: Sequence[float], limit: int, classes: int) -> None:
        self.areas = tuple(areas)
        self.thresholds = tuple(float(each) for each in thresholds)
        self.limit = limit
        self.classes = classes
        self._least = np.minimum(self.thresholds, 1 - 1e-10)  # as pycocotools: a whole overlap passes a threshold of 1
        self._waiting: list[_Seen] = []
        self._pairs = 0
        self._done: list[Outcomes] = []

    def add(self, scene: Scene) -> None:
        """Take the next picture."""
        ranks = ranks_of(scene.found_labels)
        near = (scene.ious >= self._least.min()) & (scene.found_labels[:, None] == scene.labels)
        near &= (ranks < self.limit)[:, None]
        pairs = np.nonzero(near)
        self._waiting.append(
            _Seen(
                scene.image_id,
                scene.found_labels,
                scene.scores,
                ranks,
                scene.found_areas,
                scene.found_open,
                scene.labels,
                scene.crowds,
                scene.areas,
                (pairs[0], pairs[1]),
                scene.ious[pairs],
            )
        )
        self._pairs += len(scene.scores) + len(pairs[0])
        if self._pairs >= PAIRS:
            self._match()

    def outcomes(self) -> Outcomes:
        """Return what all detections came to."""
        self._match()
        parts = self._done or [self._of([])]
        joined = Outcomes(
            self.areas,
            self.thresholds,
            self.classes,
            *(
                np.concatenate([getattr(part, name) for part in parts], axis=-1)
                for name in ("pictures", "labels", "scores", "ranks", "came_to")
            ),
            *(
                np.concatenate([getattr(part, name) for part in parts], axis=-1)
                for name in ("object_pictures", "object_labels", "counted")
            ),
        )
        self._done = [joined]
        return joined

    def _match(self) -> None:
        if self._waiting:
            self._done.append(self._of(self._waiting))
        self._waiting, self._pairs = [], 0

    def _of(self, seen: Sequence[_Seen]) -> Outcomes:
        """Match the detections of some pictures."""
        found = np.cumsum([0, *(len(one.scores) for one in seen)])
        there = np.cumsum([0, *(len(one.areas) for one in seen)])
        d = joined([one.pairs[0] + first for one, first in zip(seen, found, strict=False)], np.int64)
        g = joined([one.pairs[1] + first for one, first in zip(seen, there, strict=False)], np.int64)
        labels = joined([one.labels for one in seen], np.int64)
        pictures = np.repeat(np.arange(len(seen)), np.diff(found))
        crowds = joined([one.crowds for one in seen], np.bool_)
        areas = joined([one.areas for one in seen], np.float64)
        outside = np.array([area.outside(areas) for area in self.areas])
        ious = joined([one.ious for one in seen], np.float64)
        turns = _turns(d, pictures * self.classes + labels)
        came_to = self._choose(len(labels), _Pairs(d, g, ious, turns), outside | crowds, crowds)
        found_areas = joined([one.found_areas for one in seen], np.float64)
        unsure = np.array([area.outside(found_areas) for area in self.areas])
        unsure |= joined([one.open for one in seen], np.bool_)
        came_to[(came_to == WRONG) & unsure[:, None]] = IGNORED
        ranks = joined([one.ranks for one in seen], np.int32)
        kept = ranks < self.limit
        ids = np.array([one.image_id for one in seen], dtype=np.int64)
        object_pictures = np.repeat(ids, np.diff(there))
        object_labels = joined([one.object_labels for one in seen], np.int32)
        return Outcomes(
            self.areas,
            self.thresholds,
            self.classes,
            np.repeat(ids, np.diff(found))[kept],
            labels[kept].astype(np.int32),
            joined([one.scores for one in seen], np.float64)[kept],
            ranks[kept],
            came_to[..., kept],
            object_pictures[~crowds],
            object_labels[~crowds],
            ~outside[:, ~crowds],
        )

    def _choose(
        self, detections: int, pairs: _Pairs, ignored: NDArray[np.bool_], crowds: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        """Let every detection take an object, turn by turn: (A, T, D) uint8."""
        A, T = len(self.areas), len(self.thresholds)
        came_to = np.full((A, T, detections), WRONG, dtype=np.uint8)
        free = np.ones((A, T, len(crowds)), dtype=np.bool_)
        # of the objects of a detection the last one that may be taken is then the best; of equal ones it is the later
        order = np.lexsort((pairs.objects, pairs.ious, pairs.detections, pairs.turns))
        d, g, ious, turns = pairs.detections[order], pairs.objects[order], pairs.ious[order], pairs.turns[order]
        for begin, end in _runs(turns):
            objects, of = g[begin:end], d[begin:end]
            n = end - begin
            may = (ious[begin:end] >= self._least[:, None]) & (free[..., objects] | crowds[objects])
            # one that counts is taken before any that is ignored
            worth = np.arange(1, n + 1) + n * ~ignored[:, None, objects]
            starts = np.array([first for first, _ in _runs(of)])
            best = np.maximum.reduceat(np.where(may, worth, 0), starts, axis=-1)
            a, t, which = np.nonzero(best)
            taken = objects[(best[a, t, which] - 1) % n]
            free[a, t, taken] = False
            came_to[a, t, of[starts[which]]] = np.where(ignored[a, taken], IGNORED, RIGHT)
        return came_to


class _Pairs(NamedTuple):
    """P pairs of a detection and an object of its class and picture; `turns` says when the detection chooses."""

    detections: NDArray[np.int64]
    objects: NDArray[np.int64]
    ious: NDArray[np.float64]
    turns: NDArray[np.int64]


def ranks_of(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count for each entry how many of its group are before it.

    >>> ranks_of(np.array([7, 3, 7, 7, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(groups, kind="stable")
    ranks = np.empty(len(groups), dtype=np.int64)
    lengths = [end - begin for begin, end in _runs(groups[order])]
    ranks[order] = np.concatenate([np.arange(length) for length in lengths]) if lengths else 0
    return ranks


def _turns(detections: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each pair how many detections of its group with pairs choose before its own."""
    choosing, place = np.unique(detections, return_inverse=True)
    return ranks_of(groups[choosing])[place]


def _runs(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return begin and end of each stretch of equal values."""
    if not len(values):
        return []
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(itertools.pairwise(edges))


def joined(parts: Sequence[NDArray[Any]], dtype: type[N]) -> NDArray[N]:
    """Put arrays after each other; none at all give an empty one."""
    return np.concatenate([np.zeros(0, dtype=dtype), *parts]).astype(dtype)

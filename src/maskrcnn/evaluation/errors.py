"""Every wrong detection and missed object in one of six classes, and the AP that each class costs.

A class of errors costs what AP would gain if an oracle mended these errors and no others. What a detection is taken
for when it fits several classes, and which of several mended detections gets an object, is as in the authors' program.

References: TIDE (2008.08115), sections 2.2 and 2.3, and its program `tidecv`.
Letters: D detections, G objects of a picture, N detections of all pictures, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.scenes import Kind, Scene
from maskrcnn.evaluation.verdicts import NOTHING, Judged, Verdicts, judge

ErrorName = Literal["class", "localisation", "both", "duplicate", "background", "missed"]
ERRORS: tuple[ErrorName, ...] = get_args(ErrorName)
SUMMARY = ("false_positives", "false_negatives")
"""What all wrong detections together cost, and all objects that were not found."""
MEANING = {
    "class": "overlaps an object of another class by at least {iou:g}",
    "localisation": "overlaps an object of its class by {background:g} to {iou:g}",
    "both": "overlaps an object of another class by {background:g} to {iou:g}",
    "duplicate": "overlaps an object of its class that a more probable detection has found",
    "background": "overlaps no object by more than {background:g}",
    "missed": "an object that no detection found, not even with the wrong class or place",
    "false_positives": "all wrong detections, were they less probable than the right ones",
    "false_negatives": "all objects that were not found, were they not there",
}
_CLASS, _LOCALISATION, _BOTH, _DUPLICATE, _BACKGROUND, _MISSED = range(6)
_NO_ERROR = -1
_LEVELS = np.linspace(0.0, 1.0, 101)


class Case(NamedTuple):
    """One error.

    Attributes:
        error: Its class.
        image_id: The picture's id in the data.
        detection: Where the detection stands in the results; None for a missed object.
        object: Where the object it is about stands in `GroundTruth.objects`; None where there is none.
        iou: How far the two overlap.
        score: Probability of the detection; None for a missed object.
    """

    error: ErrorName
    image_id: int
    detection: int | None
    object: int | None
    iou: float
    score: float | None


class Cases(NamedTuple):
    """All N errors, in the order of the pictures.

    Attributes:
        errors: (N,) int8. Which of `ERRORS`.
        image_ids: (N,) int64. The picture's id in the data.
        detections: (N,) int64. Where the detection stands in the results; -1 for a missed object.
        objects: (N,) int64. Where the object it is about stands in `GroundTruth.objects`; -1 where there is none.
        labels: (N,) int64 in [0, K). Class of the detection, of the object where one is missed.
        ious: (N,) float64. How far the two overlap; 0 where there is one only.
        scores: (N,) float64. Probability of the detection; nan for a missed object.
    """

    errors: NDArray[np.int8]
    image_ids: NDArray[np.int64]
    detections: NDArray[np.int64]
    objects: NDArray[np.int64]
    labels: NDArray[np.int64]
    ious: NDArray[np.float64]
    scores: NDArray[np.float64]

    def of(self, error: ErrorName, most: int | None = None) -> list[Case]:
        """List the errors of one class, the most probable detections first, missed objects in order of the data.

        Args:
            error: Which class.
            most: At most so many.
        """
        places = np.flatnonzero(self.errors == ERRORS.index(error))
        order = places[np.argsort(-self.scores[places], kind="stable")]
        return [self._case(i) for i in order[:most]]

    def _case(self, i: int) -> Case:
        error, detection, thing = ERRORS[self.errors[i]], int(self.detections[i]), int(self.objects[i])
        return Case(
            error,
            int(self.image_ids[i]),
            None if detection == NOTHING else detection,
            None if thing == NOTHING else thing,
            float(self.ious[i]),
            None if error == "missed" else float(self.scores[i]),
        )


@dataclass(frozen=True)
class Errors:
    """What a model gets wrong, and what it costs.

    Attributes:
        kind: What overlaps.
        iou: From where on a detection is right.
        background: Up to where a detection overlaps nothing.
        ap: Average precision at `iou`, all areas, all detections; None without an object.
        costs: By how much AP would be higher without the errors of a class, of `ERRORS` and `SUMMARY`; None where
            no object is left then to measure it on.
        counts: How many errors of each class there are.
        classes: The same for each class of objects by name: `ap`, and the cost and the count of each class of errors,
            as `class`, `class_count`, and so on.
        cases: Every single error.
    """

    kind: Kind
    iou: float
    background: float
    ap: float | None
    costs: dict[str, float | None]
    counts: dict[str, int]
    classes: dict[str, dict[str, float | int | None]]
    cases: Cases = field(repr=False)

    def meaning(self, name: str) -> str:
        """Say what a class of errors is, one of `ERRORS` or `SUMMARY`."""
        return MEANING[name].format(iou=self.iou, background=self.background)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, without the single errors."""
        return {
            "kind": self.kind,
            "iou": self.iou,
            "background": self.background,
            "ap": self.ap,
            "costs": self.costs,
            "counts": self.counts,
            "classes": self.classes,
            "meaning": {name: self.meaning(name) for name in MEANING},
        }


class _Part(NamedTuple):
    """The D detections of one picture, and its false negatives, by class."""

    image_id: int
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    errors: NDArray[np.int8]
    mended: NDArray[np.int64]  # (D,) the class it is right for once it is mended; -1 where mending removes it
    positives: NDArray[np.int64]
    missed: NDArray[np.int64]
    unfound: NDArray[np.int64]
    cases: Cases


class ErrorCounter:
    """Sorts the errors of one picture after another; memory grows by some bytes a detection.

    Args:
        kind: What overlaps.
        names: The K classes in label order.
        iou: From where on a detection is right.
        background: Up to where it overlaps nothing.
    """

    def __init__(self, kind: Kind, names: Sequence[str], iou: float = 0.5, background: float = 0.1) -> None:
        self.kind = kind
        self.names = tuple(names)
        self.iou = iou
        self.background = background
        self._parts: list[_Part] = []

    def add(self, scene: Scene) -> Verdicts:
        """Take the next picture, and return what became of its detections."""
        verdicts = judge(scene, self.iou)
        self._parts.append(_sort(scene, verdicts, self.iou, self.background))
        return verdicts

    def judged(self) -> Judged:
        """Return the detections that count, of all pictures so far."""
        table = _Table.join(self._parts, len(self.names))
        return Judged(table.labels, table.scores, table.right, table.positives)

    def errors(self) -> Errors:
        """Return what is wrong with the detections of all pictures so far, and what it costs."""
        table = _Table.join(self._parts, len(self.names))
        before = table.precisions()
        after = {
            **{name: table.mend(i) for i, name in enumerate(ERRORS)},
            **dict(zip(SUMMARY, table.ideals(), strict=True)),
        }
        cases = _join_cases([part.cases for part in self._parts])
        return Errors(
            self.kind,
            self.iou,
            self.background,
            _mean(before),
            {name: _gain(before, values, name) for name, values in after.items()},
            dict(zip(ERRORS, np.bincount(cases.errors, minlength=len(ERRORS)).tolist(), strict=True)),
            {name: _class_row(label, before, after, cases) for label, name in enumerate(self.names)},
            cases,
        )


# ---- one picture


def _sort(scene: Scene, verdicts: Verdicts, iou: float, background: float) -> _Part:
    there = np.flatnonzero(~scene.crowds)
    found = np.isin(there, verdicts.objects)
    wrong = np.flatnonzero(verdicts.wrong)
    errors = np.full(len(scene.scores), _NO_ERROR, dtype=np.int8)
    about = np.full(len(scene.scores), NOTHING, dtype=np.int64)
    ious = np.zeros(len(scene.scores))
    if len(there) and len(wrong):
        own = scene.found_labels[wrong, None] == scene.labels[there]
        errors[wrong], at, ious[wrong] = _classify(scene.ious[np.ix_(wrong, there)], own, iou, background)
        about[wrong] = there[at]
    errors[wrong[about[wrong] == NOTHING]] = _BACKGROUND
    about[errors == _BACKGROUND] = NOTHING
    mended, usable = _mend(scene, errors, about, there[~found])
    unfound = there[~found]
    missed = unfound[~np.isin(unfound, usable)]
    K = int(max(scene.labels.max(initial=-1), scene.found_labels.max(initial=-1))) + 1
    return _Part(
        scene.image_id,
        scene.found_labels,
        scene.scores,
        verdicts.objects != NOTHING,
        verdicts.ignored,
        errors,
        mended,
        *(np.bincount(scene.labels[places], minlength=K) for places in (there, missed, unfound)),
        _cases(scene, errors, about, ious, missed),
    )


def _classify(
    ious: NDArray[np.float64], own: NDArray[np.bool_], iou: float, background: float
) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.float64]]:
    """Name what is wrong with detections: the class of error, the object it is about, their IoU."""
    rows = np.arange(len(ious))
    with_own, with_other = np.where(own, ious, 0.0), np.where(own, 0.0, ious)
    own_at, other_at, any_at = with_own.argmax(axis=1), with_other.argmax(axis=1), ious.argmax(axis=1)
    nearest, other, most = with_own[rows, own_at], with_other[rows, other_at], ious[rows, any_at]
    tests = [
        (background <= nearest) & (nearest <= iou),
        other >= iou,
        nearest >= iou,
        most <= background,
    ]
    kinds = np.select(tests, [_LOCALISATION, _CLASS, _DUPLICATE, _BACKGROUND], _BOTH).astype(np.int8)
    at = np.select(tests[:3], [own_at, other_at, own_at], any_at)
    return kinds, at, ious[rows, at]


def _mend(
    scene: Scene, errors: NDArray[np.int8], about: NDArray[np.int64], unfound: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Say for which class each detection is right once mended, -1 for none, and which objects that would find."""
    mended = np.full(len(errors), NOTHING, dtype=np.int64)
    hopeful = np.flatnonzero(np.isin(errors, (_CLASS, _LOCALISATION)) & np.isin(about, unfound))
    usable, first = np.unique(about[hopeful], return_index=True)  # the most probable one gets the object
    mended[hopeful[first]] = scene.labels[usable]
    return mended, usable


def _cases(
    scene: Scene,
    errors: NDArray[np.int8],
    about: NDArray[np.int64],
    ious: NDArray[np.float64],
    missed: NDArray[np.int64],
) -> Cases:
    wrong = np.flatnonzero(errors != _NO_ERROR)
    n, m = len(wrong), len(missed)
    things = np.full(n, NOTHING, dtype=np.int64)
    about_one = about[wrong] != NOTHING
    things[about_one] = scene.truths[about[wrong][about_one]]
    return Cases(
        np.concatenate([errors[wrong], np.full(m, _MISSED, dtype=np.int8)]),
        np.full(n + m, scene.image_id, dtype=np.int64),
        np.concatenate([scene.found[wrong], np.full(m, NOTHING, dtype=np.int64)]),
        np.concatenate([things, scene.truths[missed]]),
        np.concatenate([scene.found_labels[wrong], scene.labels[missed]]),
        np.concatenate([ious[wrong], np.zeros(m)]),
        np.concatenate([scene.scores[wrong], np.full(m, np.nan)]),
    )


def _join_cases(parts: Sequence[Cases]) -> Cases:
    empty = Cases(np.zeros(0, np.int8), *(np.zeros(0, np.int64) for _ in range(4)), np.zeros(0), np.zeros(0))
    return Cases(*(np.concatenate(columns) for columns in zip(empty, *parts, strict=True)))


# ---- all pictures


@dataclass(frozen=True)
class _Table:
    """The N detections of all pictures that count, by falling score, and the objects of each of K classes."""

    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    errors: NDArray[np.int8]
    mended: NDArray[np.int64]
    positives: NDArray[np.int64]
    missed: NDArray[np.int64]
    unfound: NDArray[np.int64]

    @classmethod
    def join(cls, parts: Sequence[_Part], K: int) -> _Table:
        """Put the pictures behind each other."""
        pictures = np.repeat(np.array([p.image_id for p in parts], dtype=np.int64), [len(p.scores) for p in parts])
        labels, scores, right, ignored, errors, mended = (
            np.concatenate([np.zeros(0, dtype), *(getattr(part, name) for part in parts)])
            for name, dtype in (
                ("labels", np.int64),
                ("scores", np.float64),
                ("right", np.bool_),
                ("ignored", np.bool_),
                ("errors", np.int8),
                ("mended", np.int64),
            )
        )
        order = np.lexsort((pictures, -scores))  # equal ones by picture, as in pycocotools
        order = order[~ignored[order]]
        sums = [np.zeros(K, dtype=np.int64) for _ in range(3)]
        for part in parts:
            for total, counts in zip(sums, (part.positives, part.missed, part.unfound), strict=True):
                total[: len(counts)] += counts
        return cls(labels[order], scores[order], right[order], errors[order], mended[order], *sums)

    def precisions(self) -> NDArray[np.float64]:
        """Return AP of each class as it is: (K,) float64, nan where it has no objects."""
        return self._precisions(self.labels, self.right, self.positives)

    def mend(self, error: int) -> NDArray[np.float64]:
        """Return AP of each class without the errors of one class."""
        if error == _MISSED:
            return self._precisions(self.labels, self.right, self.positives - self.missed)
        faulty = self.errors == error
        put_right = faulty & (self.mended != NOTHING)
        kept = ~faulty | put_right
        labels = np.where(put_right, self.mended, self.labels)
        return self._precisions(labels[kept], (self.right | put_right)[kept], self.positives)

    def ideals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return AP of each class with every wrong detection last, and with nothing that was not found."""
        order = np.argsort(~self.right, kind="stable")
        return (
            self._precisions(self.labels[order], self.right[order], self.positives),
            self._precisions(self.labels, self.right, self.positives - self.unfound),
        )

    def _precisions(
        self, labels: NDArray[np.int64], right: NDArray[np.bool_], positives: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        K = len(positives)
        order = np.argsort(labels, kind="stable")
        ends = np.cumsum(np.bincount(labels, minlength=K))
        found = np.split(right[order], ends[:-1]) if K else []
        values = [average_precision(each, int(count)) for each, count in zip(found, positives, strict=True)]
        return np.where(self.positives > 0, np.array(values, dtype=np.float64), np.nan)


def average_precision(right: NDArray[np.bool_], objects: int) -> float:
    """Average the best precision at each of 101 levels of recall or a higher one, as pycocotools.

    Args:
        right: (D,) bool. The detections of one class, by falling score.
        objects: How many there are to find. Without any it is 0, or nan where there is no detection either.

    >>> average_precision(np.array([True, False]), 1), average_precision(np.array([False, True]), 1)
    (1.0, 0.5)
    """
    if not objects:
        return 0.0 if len(right) else np.nan
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(hits / objects, _LEVELS)].mean())


def _mean(values: NDArray[np.float64]) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else None


def _gain(before: NDArray[np.float64], after: NDArray[np.float64], name: str) -> float | None:
    """Return what the mean over the classes gains."""
    base, mended = _mean(before), _mean(after)
    if base is None or mended is None:
        return None
    gain = mended - base
    return max(gain, 0.0) if name in ERRORS else gain  # as the authors' program: less is a matter of the 101 levels


def _class_row(
    label: int, before: NDArray[np.float64], after: dict[str, NDArray[np.float64]], cases: Cases
) -> dict[str, float | int | None]:
    def plain(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    counts = np.bincount(cases.errors[cases.labels == label], minlength=len(ERRORS)).tolist()
    row: dict[str, float | int | None] = {"ap": plain(before[label])}
    row |= {name: plain(values[label] - before[label]) for name, values in after.items()}
    return row | {f"{name}_count": count for name, count in zip(ERRORS, counts, strict=True)}

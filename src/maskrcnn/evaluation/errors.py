"""Every wrong detection and missed object in one of six classes, and the AP that each class costs.

A class of errors costs what AP would gain if an oracle mended these errors and no others. What a detection is taken
for when it fits several classes, and which of several mended detections gets an object, is as in the authors' program.

References: TIDE (2008.08115), sections 2.2 and 2.3, and its program `tidecv`.
Letters: D detections, G objects of a picture, N detections of all pictures, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.coco import KINDS, Kind
from maskrcnn.evaluation.counting import Tally, Times, mean
from maskrcnn.evaluation.curves import precision_at
from maskrcnn.evaluation.ground_truth import GroundTruth
from maskrcnn.evaluation.matching import RIGHT, WRONG, joined
from maskrcnn.evaluation.scenes import Scene
from maskrcnn.evaluation.verdicts import NOTHING, Judged, judge

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
    "false_positives": "all wrong detections, if they were less probable than the right ones",
    "false_negatives": "all objects that were not found, if they were not there to find",
}
_CLASS, _LOCALISATION, _BOTH, _DUPLICATE, _BACKGROUND, _MISSED = range(6)
_NO_ERROR = -1


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


@dataclass(frozen=True)
class TideErrors:
    """What errors cost, as a measure: `tide/class`, `tide/missed`, and so on.

    Attributes:
        iou: From where on a detection is right.
        background: Up to where it overlaps nothing.
    """

    iou: float = 0.5
    background: float = 0.1
    kinds: tuple[Kind, ...] = KINDS

    @property
    def meanings(self) -> Mapping[str, str]:
        """What each number is."""
        limits = {"iou": self.iou, "background": self.background}
        return {
            f"tide/{name}": f"AP at IoU {self.iou:.2f} that it costs: {words.format(**limits)}"
            for name, words in MEANING.items()
        }

    def start(self, kind: Kind, truth: GroundTruth) -> ErrorCounter:
        """Begin to count."""
        return ErrorCounter(kind, tuple(truth.names.values()), self.iou, self.background)


class _Part(NamedTuple):
    """The D detections and G objects of one picture, crowds left out."""

    pictures: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    errors: NDArray[np.int8]
    mended: NDArray[np.int64]  # (D,) the class it is right for once it is mended; -1 where mending removes it
    object_pictures: NDArray[np.int64]
    object_labels: NDArray[np.int64]
    unfound: NDArray[np.bool_]
    missed: NDArray[np.bool_]


_OF_DETECTIONS = ("pictures", "labels", "scores", "right", "ignored", "errors", "mended")
_TYPES: dict[type, tuple[type[np.generic], ...]] = {
    _Part: (
        *(np.int64, np.int64, np.float64, np.bool_, np.bool_, np.int8, np.int64),
        *(np.int64, np.int64, np.bool_, np.bool_),
    ),
    Cases: (np.int8, np.int64, np.int64, np.int64, np.int64, np.float64, np.float64),
}


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
        self._cases: list[Cases] = []

    def add(self, scene: Scene) -> None:
        """Take the next picture."""
        part, cases = _sort(scene, self.iou, self.background)
        self._parts.append(part)
        self._cases.append(cases)

    def judged(self) -> Judged:
        """Return the detections that count, of all pictures so far."""
        table = self._table()
        objects = np.bincount(table.object_labels, minlength=len(self.names))
        return Judged(table.labels, table.scores, table.right, objects)

    def errors(self) -> Errors:
        """Return what is wrong with the detections of all pictures so far, and what it costs."""
        before, after = _Oracles(self._table(), len(self.names)).precisions()
        cases = Cases(*_join(Cases, self._cases))
        return Errors(
            self.kind,
            self.iou,
            self.background,
            mean(before),
            {name: _gain(before, values, name) for name, values in after.items()},
            dict(zip(ERRORS, np.bincount(cases.errors, minlength=len(ERRORS)).tolist(), strict=True)),
            {name: _class_row(label, before, after, cases) for label, name in enumerate(self.names)},
            cases,
        )

    def tally(self, times: Times) -> Tally:
        """Return what each class of errors costs, where every picture counts so often."""
        before, after = _Oracles(self._table(), len(self.names), times).precisions()
        return Tally(
            {f"tide/{name}": _gain(before, values, name) for name, values in after.items()},
            [
                {f"tide/{name}": _plain(values[label] - before[label]) for name, values in after.items()}
                for label in range(len(self.names))
            ],
        )

    def _table(self) -> _Part:
        """Return all pictures behind each other: detections that count by falling score, equal ones by picture."""
        if len(self._parts) != 1:
            self._parts = [_Part(*_join(_Part, self._parts))]
        (table,) = self._parts
        order = np.lexsort((table.pictures, -table.scores))
        order = order[~table.ignored[order]]
        return table._replace(**{name: getattr(table, name)[order] for name in _OF_DETECTIONS})


# ---- one picture


def _sort(scene: Scene, iou: float, background: float) -> tuple[_Part, Cases]:
    verdicts = judge(scene, iou)
    there = np.flatnonzero(~scene.crowds)
    wrong = np.flatnonzero(verdicts.wrong)
    errors = np.full(len(scene.scores), _NO_ERROR, dtype=np.int8)
    about = np.full(len(scene.scores), NOTHING, dtype=np.int64)
    ious = np.zeros(len(scene.scores))
    errors[wrong] = _BACKGROUND
    if len(there) and len(wrong):
        own = scene.found_labels[wrong, None] == scene.labels[there]
        errors[wrong], at, ious[wrong] = _classify(scene.ious[np.ix_(wrong, there)], own, iou, background)
        about[wrong] = np.where(errors[wrong] == _BACKGROUND, NOTHING, there[at])
    unfound = ~np.isin(there, verdicts.objects)
    mended, usable = _mend(scene, errors, about, there[unfound])
    missed = unfound & ~np.isin(there, usable)
    part = _Part(
        np.full(len(scene.scores), scene.image_id, dtype=np.int64),
        scene.found_labels,
        scene.scores,
        verdicts.objects != NOTHING,
        verdicts.ignored,
        errors,
        mended,
        np.full(len(there), scene.image_id, dtype=np.int64),
        scene.labels[there],
        unfound,
        missed,
    )
    return part, _cases(scene, errors, about, ious, there[missed])


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


def _join(kind: type, parts: Sequence[tuple[NDArray[Any], ...]]) -> Iterator[NDArray[Any]]:
    """Put the columns of pictures behind each other."""
    for place, dtype in enumerate(_TYPES[kind]):
        yield joined([part[place] for part in parts], dtype)


# ---- all pictures


class _Oracles:
    """Average precision of each class, as it is and as it would be without some of the errors.

    Args:
        table: All pictures.
        classes: K.
        times: How often each picture counts; once if not given.
    """

    def __init__(self, table: _Part, classes: int, times: Times | None = None) -> None:
        self.table = table
        self.classes = classes
        self._found = np.ones(len(table.labels), dtype=np.int64) if times is None else times.of(table.pictures)
        there = table.object_pictures
        self._there = np.ones(len(there), dtype=np.int64) if times is None else times.of(there)
        self._objects = self._count(np.ones(len(there), dtype=np.bool_))

    def precisions(self) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """Return it as it is, (K,) float64, and by name as it would be; nan for a class without anything to find."""
        table = self.table
        as_it_is = np.arange(len(table.labels))
        after: dict[str, NDArray[np.float64]] = {
            name: self._mended(i) for i, name in enumerate(ERRORS) if name != "missed"
        }
        after["missed"] = self._of(as_it_is, table.labels, table.right, self._objects - self._count(table.missed))
        right_first = np.argsort(~table.right, kind="stable")
        after["false_positives"] = self._of(right_first, table.labels, table.right, self._objects)
        left = self._objects - self._count(table.unfound)
        after["false_negatives"] = self._of(as_it_is, table.labels, table.right, left)
        return self._of(as_it_is, table.labels, table.right, self._objects), after

    def _mended(self, error: int) -> NDArray[np.float64]:
        table = self.table
        faulty = table.errors == error
        put_right = faulty & (table.mended != NOTHING)
        kept = np.flatnonzero(~faulty | put_right)
        return self._of(kept, np.where(put_right, table.mended, table.labels), table.right | put_right, self._objects)

    def _count(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        counts = np.bincount(self.table.object_labels[chosen], self._there[chosen], self.classes)
        return counts.astype(np.int64)

    def _of(
        self, order: NDArray[np.int64], labels: NDArray[np.int64], right: NDArray[np.bool_], objects: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return AP of each class from chosen detections in their order."""
        order = order[np.argsort(labels[order], kind="stable")]
        ends = np.cumsum(np.bincount(labels[order], minlength=self.classes))
        values = np.full(self.classes, np.nan)
        for label, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
            own = order[begin:end]
            if objects[label]:
                came_to = np.where(right[own], RIGHT, WRONG).astype(np.uint8)
                values[label] = precision_at(came_to, int(objects[label]), times=self._found[own]).mean()
            elif self._objects[label] and self._found[own].any():
                values[label] = 0.0  # nothing is left to find, and something is found
        return values


def _gain(before: NDArray[np.float64], after: NDArray[np.float64], name: str) -> float | None:
    """Return what the mean over the classes gains."""
    base, mended = mean(before), mean(after)
    if base is None or mended is None:
        return None
    gain = mended - base
    return max(gain, 0.0) if name in ERRORS else gain  # as the authors' program: less is a matter of the 101 levels


def _class_row(
    label: int, before: NDArray[np.float64], after: dict[str, NDArray[np.float64]], cases: Cases
) -> dict[str, float | int | None]:
    counts = np.bincount(cases.errors[cases.labels == label], minlength=len(ERRORS)).tolist()
    row: dict[str, float | int | None] = {"ap": _plain(before[label])}
    row |= {name: _plain(values[label] - before[label]) for name, values in after.items()}
    return row | {f"{name}_count": count for name, count in zip(ERRORS, counts, strict=True)}


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

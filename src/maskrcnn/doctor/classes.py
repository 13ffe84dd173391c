"""What can be wrong with classes, and counts of the set as a whole.

Letters: K classes, N objects.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.findings import Finding
from maskrcnn.doctor.columns import Columns
from maskrcnn.errors import few

BACKGROUND = frozenset({"background", "_background_", "__background__", "bg", "__ignore__", "_ignore_"})

_RARE = 100  # times as many objects the most frequent class has
_STRAY_PIXELS, _STRAY_SHARE, _KNOWN = 25, 1000, 20
_NAMED = 5


@dataclass
class Tally:
    """What was counted of a set, thousand pictures by thousand.

    Attributes:
        dataset: The set.
        pictures: How many were looked at.
        empty: How many of them have no object.
        first_empty: The first of these.
        crowds: How many regions are ignored, on how many pictures.
        first_crowd: The first of them.
        boxes: How many objects have a box only.
        first_box: The first of them.
        labels: The label of each object that is not ignored, in pieces.
        areas: Its pixels.
        small: Findings that wait for the median of their class: label, pixels, and the finding without detail.
    """

    dataset: Dataset
    pictures: int = 0
    empty: int = 0
    first_empty: str = ""
    crowds: tuple[int, int] = (0, 0)
    first_crowd: str = ""
    boxes: int = 0
    first_box: str = ""
    labels: list[np.ndarray] = field(default_factory=list)
    areas: list[np.ndarray] = field(default_factory=list)
    small: list[tuple[int, float, Finding]] = field(default_factory=list)

    @property
    def objects(self) -> int:
        """How many objects there are, ignored ones too."""
        return sum(map(len, self.labels)) + self.crowds[0]

    def add(self, columns: Columns) -> None:
        """Count some more pictures."""
        self._pictures(columns)
        crowd = columns.crowd
        if crowd.any():
            self.first_crowd = self.first_crowd or _place(columns, int(np.flatnonzero(crowd)[0]))
            regions, pictures = self.crowds
            self.crowds = regions + int(crowd.sum()), pictures + len(np.unique(columns.picture[crowd]))
        alone = np.flatnonzero(~columns.masked & ~crowd)
        if len(alone):
            self.boxes += len(alone)
            self.first_box = self.first_box or _place(columns, int(alone[0]))
        self.labels.append(columns.label[~crowd])
        self.areas.append(columns.area[~crowd].astype(np.float32))
        for row in np.flatnonzero((columns.area <= _STRAY_PIXELS) & ~crowd).tolist():
            finding = columns.finding("G217", row, "")
            self.small.append((int(columns.label[row]), float(columns.area[row]), finding))

    def _pictures(self, columns: Columns) -> None:
        objects = np.bincount(columns.picture, minlength=len(columns.records))
        empty = np.flatnonzero(objects == 0)
        if len(empty):
            self.first_empty = self.first_empty or columns.records[empty[0]].name
        self.pictures += len(columns.records)
        self.empty += len(empty)

    def counts(self) -> np.ndarray:
        """Return (K) int64, the objects of each class."""
        labels = np.concatenate([np.zeros(0, dtype=np.int64), *self.labels])
        return np.bincount(labels, minlength=len(self.dataset.class_names))

    def findings(self) -> Iterator[Finding]:
        """Report on classes, counts and stray objects."""
        counts = self.counts()
        yield from self._names(counts)
        yield from self._whole(counts)
        yield from self._strays()

    def _about_set(self, code: str, detail: str) -> Finding:
        return Finding(code, str(self.dataset.source), "", "", detail)

    def _names(self, counts: np.ndarray) -> Iterator[Finding]:
        names = self.dataset.class_names
        said = [f"{name!r} ({_objects(count)})" for name, count in zip(names, counts.tolist(), strict=True)]
        for group in similar(names):
            yield self._about_set("C306", " and ".join(said[label] for label in group))
        for group in _plurals(names):
            yield self._about_set("C307", f"{' and '.join(said[label] for label in group)}: join them with --classes")
        for label, name in enumerate(names):
            if name.strip().lower() in BACKGROUND:
                detail = f"{name!r} has {_objects(int(counts[label]))}: drop it with --classes"
                yield self._about_set("C308", detail)
        unused = [name for name, count in zip(names, counts.tolist(), strict=True) if count == 0]
        if unused and counts.any():
            detail = f"{len(unused):,} of {len(names):,} classes have no object: {few(unused, _NAMED)}"
            yield self._about_set("C305", detail)
        rare = [
            label for label in np.argsort(counts, kind="stable").tolist() if 0 < counts[label] * _RARE < counts.max()
        ]
        if rare:
            listed = ", ".join(f"{names[label]} ({counts[label]:,})" for label in rare[:_NAMED])
            more = f" and {len(rare) - _NAMED} more" if len(rare) > _NAMED else ""
            most = int(counts.argmax())
            yield self._about_set("C309", f"{listed}{more} beside {names[most]} ({counts[most]:,})")

    def _whole(self, counts: np.ndarray) -> Iterator[Finding]:
        total = int(counts.sum())
        if total == 0:
            yield self._about_set("S401", f"{self.pictures:,} pictures, no object")
        elif self.empty:
            share = f"{self.empty:,} of {self.pictures:,} pictures ({self.empty / self.pictures:.0%})"
            yield self._about_set("S402", f"{share}, such as {self.first_empty}")
        if self.crowds[0]:
            regions, pictures = self.crowds
            yield self._about_set("S403", f"{regions:,} regions on {pictures:,} pictures, such as {self.first_crowd}")
        if self.boxes:
            yield self._about_set(
                "S409", f"{self.boxes:,} of {total:,} objects have a box only, such as {self.first_box}"
            )

    def _strays(self) -> Iterator[Finding]:
        if not self.small:
            return
        labels, areas = np.concatenate(self.labels), np.concatenate(self.areas)
        for label in sorted({label for label, *_ in self.small}):
            of_class = areas[labels == label]
            median = float(np.median(of_class))
            for small, pixels, finding in self.small:
                if small == label and len(of_class) >= _KNOWN and max(pixels, 1) * _STRAY_SHARE <= median:
                    detail = f"{pixels:,.0f} pixels, where the median of its class is {median:,.0f}"
                    yield Finding(finding.code, finding.file, finding.picture, finding.annotation, detail)


def plain(name: str) -> str:
    """Return a class name without capitals, white space, hyphens and underscores.

    >>> plain("Traffic-Light "), plain("traffic light")
    ('trafficlight', 'trafficlight')
    """
    return re.sub(r"[\s_-]+", "", name).casefold()


def similar(names: tuple[str, ...]) -> list[list[int]]:
    """List the labels whose names differ by capitals, white space, hyphens or underscores only."""
    alike: dict[str, list[int]] = defaultdict(list)
    for label, name in enumerate(names):
        alike[plain(name)].append(label)
    return [group for group in alike.values() if len(group) > 1]


def _plurals(names: tuple[str, ...]) -> list[list[int]]:
    first = {plain(name): label for label, name in reversed(list(enumerate(names)))}
    pairs = [[first[name], first[name + end]] for name in first for end in ("s", "es") if name + end in first]
    ies = [[first[name], first[name[:-1] + "ies"]] for name in first if name[-1:] == "y" and name[:-1] + "ies" in first]
    return [pair for pair in [*pairs, *ies] if len(names[pair[0]]) > 2]


def _place(columns: Columns, row: int) -> str:
    return f"{columns.annotations[row].name} of {columns.records[columns.picture[row]].name}"


def _objects(count: int) -> str:
    return f"{count:,} object{'' if count == 1 else 's'}"

"""A mended copy of a set, and a copy of a set without what another one has; the originals stay as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from maskrcnn.data.dataset import (
    Annotation,
    Dataset,
    LazyRecords,
    Record,
    Runs,
    annotations_of,
    border,
    clipped,
    drawn,
    head_of,
)
from maskrcnn.data.findings import RULES, Finding
from maskrcnn.data.images import read_image
from maskrcnn.doctor.classes import similar
from maskrcnn.doctor.copying import Copied, Progress, write_copy
from maskrcnn.doctor.examining import Examined, Visit, nothing
from maskrcnn.doctor.pictures import Album, as_stored
from maskrcnn.doctor.turning import turned_upright
from maskrcnn.errors import InputError

MENDED = frozenset(code for code, rule in RULES.items() if rule.mend and not code.startswith("S"))
"""Codes of findings that a mended copy does not have."""

_LOSING_PICTURES = frozenset({"P101", "P102", "P103", "P104", "P111"})
_LOSING_OBJECTS = frozenset({"G206", "G210"})
_TURNED = frozenset({"P108", "P109"})


def mend(visit: Visit, out: str | Path, *, ignore: Collection[str] = (), progress: Progress = nothing) -> Copied:
    """Write a copy of the first set, as COCO, in which what can be mended is.

    Every object is written as the pixels that it fills in its picture, with box and area to match. What was
    changed, and why, is listed in `fixes.json`.

    Args:
        visit: What `examine` found, with its pictures looked at.
        out: A new folder.
        ignore: Codes that are left as they are, as far as that is possible.
        progress: Called with pictures written and pictures in all.

    Raises:
        InputError: Nothing could be read of the set, or its pictures were not looked at.
        OutputError: The folder holds something else, or a file can't be written.
    """
    examined = visit.examined[0]
    dataset, album = _seen(examined)
    ignored = frozenset(ignore) - _LOSING_PICTURES
    findings = [each for each in examined.findings if each.code in MENDED - ignored]
    every = range(len(dataset.class_names))
    joined, labels = _joined_classes(examined) if "C306" not in ignored else (dataset, every)
    mended = joined.change(records=_Mended(dataset, album, findings, labels), left_out=())
    call = {"command": "mend", "set": dataset.fingerprint(), "ignore": sorted(ignored)}
    return write_copy(Path(out), call, mended, [_change(finding) for finding in findings], progress)


def deleak(visit: Visit, out: str | Path, *, progress: Progress = nothing) -> list[Copied]:
    """Write each set after the first without the pictures that a set before it has, as COCO.

    Args:
        visit: What `examine` found out about two sets at least, with their pictures looked at.
        out: A new folder; of several sets each goes into a folder in it, `2`, `3` and so on.
        progress: Called with pictures written and pictures in all.

    Raises:
        InputError: There is no other set, nothing could be read of one, its pictures were not looked at, or
            nothing is left of it.
        OutputError: A folder holds something else, or a file can't be written.
    """
    if not visit.shared:
        raise InputError("deleak: expected a second set, which is written without what the first one has; got one")
    later = list(zip(visit.examined[1:], visit.shared, strict=True))
    folders = [Path(out)] if len(later) == 1 else [Path(out) / str(number) for number in range(2, len(later) + 2)]
    written = []
    for folder, (examined, shared) in zip(folders, later, strict=True):
        dataset, _ = _seen(examined)
        lost = _unusable(examined)
        gone = set(shared.index)
        kept = [i for i in range(len(dataset)) if i not in gone and head_of(dataset.records, i).name not in lost]
        if not kept:
            raise InputError(f"{dataset.source}: nothing is left of it without the pictures that it shares")
        causes = ("S405", "S406", *_LOSING_PICTURES)
        changes = [_change(each) for each in [*shared.findings, *examined.findings] if each.code in causes]
        left = dataset.select(kept)
        call = {"command": "deleak", "set": left.fingerprint()}
        written.append(write_copy(folder, call, left, changes, progress))
    return written


def _seen(examined: Examined) -> tuple[Dataset, Album]:
    dataset, album = examined.opened.dataset, examined.album
    if dataset is None:
        raise InputError(f"{examined.source}: nothing of it can be read, so there is nothing to copy")
    if album is None or not any(album.digests):
        raise InputError(f"{examined.source}: expected pictures that were looked at, got --depth without pixels")
    return dataset, album


def _unusable(examined: Examined) -> set[str]:
    return {finding.picture for finding in examined.findings if finding.code in _LOSING_PICTURES}


def _change(finding: Finding) -> dict[str, str]:
    rule = finding.rule
    mended = "leaves it out" if finding.code.startswith("S") else rule.mend
    return {
        "code": finding.code,
        "name": rule.name,
        "picture": finding.picture,
        "annotation": finding.annotation,
        "found": finding.detail,
        "change": mended,
    }


class _Mended(LazyRecords):
    """The pictures that stay, with the objects that stay, as the pixels that they fill.

    Args:
        dataset: The set.
        album: What was seen of its pictures.
        findings: What is mended.
        labels: The new label of each old one.
    """

    def __init__(self, dataset: Dataset, album: Album, findings: Sequence[Finding], labels: Sequence[int]) -> None:
        self._dataset, self._album, self._findings, self._labels = dataset, album, findings, labels
        self._dropped = {(each.picture, each.annotation) for each in findings if each.code in _LOSING_OBJECTS}
        self._stored, self._anew = self._names({"P108"}), self._names(_TURNED)
        self._seen = {record.name: look for record, look in album.turned}
        gone, self._joined = self._again()
        lost = self._names(_LOSING_PICTURES)
        names = [head_of(dataset.records, i).name for i in range(len(dataset))]
        self._kept = [i for i, name in enumerate(names) if i not in gone and name not in lost]

    def __len__(self) -> int:
        return len(self._kept)

    def head(self, i: int) -> Record:
        record = replace(head_of(self._dataset.records, self._kept[i]), image_id=i + 1, annotations=())
        if record.labelled is not None:
            record = replace(record, labelled=frozenset(self._labels[label] for label in record.labelled))
        if record.name in self._anew and record.read is read_image:
            record = replace(record, read=partial(read_image))  # no plain file any more: it is stored anew
        size_hw = self._seen[record.name].size_hw if record.name in self._stored else None
        return record if size_hw is None else replace(record, size_hw=size_hw)

    def annotations(self, i: int) -> tuple[Annotation, ...]:
        records, number = self._dataset.records, self._kept[i]
        name, size_hw = head_of(records, number).name, self.head(i).size_hw
        own = annotations_of(records, number)
        others = [each for other in self._joined[number] for each in annotations_of(records, other)]
        found = [*(each for each in own if (name, each.name) not in self._dropped), *_new_ones(own, others)]
        if name in self._stored:
            found = self._turned(name, found)
        return tuple(_as_pixels(replace(each, label=self._labels[each.label]), size_hw) for each in found)

    def _names(self, codes: Collection[str]) -> set[str]:
        return {finding.picture for finding in self._findings if finding.code in codes}

    def _again(self) -> tuple[set[int], dict[int, list[int]]]:
        """Return pictures that are left out as they stand twice, and which give their objects to which."""
        codes = {finding.code for finding in self._findings}
        gone: set[int] = set()
        joined: dict[int, list[int]] = defaultdict(list)
        for one, other in self._album.twice if "F008" in codes else ():
            gone.add(other)
            joined[one].append(other)
        fullest: dict[int, int] = {}
        for one, other in self._album.same if codes & {"P105", "P106"} else ():
            best = fullest.get(one, one)
            more = self._album.objects[other] > self._album.objects[best]
            gone.add(best if more else other)
            fullest[one] = other if more else best
        return gone, joined

    def _turned(self, name: str, annotations: Sequence[Annotation]) -> list[Annotation]:
        """Turn the objects of a picture that was annotated as it is stored; those that seemed outside come back."""
        look = self._seen[name]
        stored = as_stored(look)
        lost = [left.annotation for left in self._dataset.left_out if left.picture == name and left.annotation]
        inside = [each for each in lost if _reaches_into(each, stored)]
        return [turned_upright(each, look.orientation, stored) for each in [*annotations, *inside]]


def _as_pixels(annotation: Annotation, size_hw: tuple[int, int]) -> Annotation:
    """Return an object as the pixels that it fills, or the part of its box that lies in the picture."""
    bitmap = drawn(annotation, size_hw)
    if bitmap is None:
        return replace(annotation, box=clipped(annotation, size_hw), area=None)
    runs = Runs.of(bitmap, size_hw)
    return replace(annotation, shape=runs, box=border(bitmap), area=runs.pixels)


def _new_ones(known: Collection[Annotation], others: Collection[Annotation]) -> list[Annotation]:
    """Return those objects whose shape and class none of the known ones has."""
    shapes = {_outline(each) for each in known}
    return [each for each in others if _outline(each) not in shapes]


def _outline(annotation: Annotation) -> tuple[object, ...]:
    shape = annotation.box if annotation.shape is None else annotation.shape.to_bytes()
    return annotation.label, shape


def _reaches_into(annotation: Annotation, size_hw: tuple[int, int]) -> bool:
    extent = annotation.extent()
    return extent is not None and extent[0] < size_hw[1] and extent[1] < size_hw[0] and min(extent[2:]) > 0


def _joined_classes(examined: Examined) -> tuple[Dataset, list[int]]:
    """Join classes whose names differ in writing only, each under the name with the most objects."""
    dataset, tally = examined.opened.dataset, examined.tally
    assert dataset is not None
    assert tally is not None
    counts = tally.counts()
    gone = {
        label: max(group, key=lambda each: int(counts[each]))
        for group in similar(dataset.class_names)
        for label in group
    }
    kept = [label for label in range(len(dataset.class_names)) if gone.get(label, label) == label]
    new = {label: i for i, label in enumerate(kept)}
    labels = [new[gone.get(label, label)] for label in range(len(dataset.class_names))]
    joined = dataset.change(
        class_names=[dataset.class_names[label].strip() for label in kept],
        category_ids=[dataset.category_ids[label] for label in kept],
        supercategories=[dataset.supercategories[label] for label in kept],
        left_out=(),
    )
    return joined, labels

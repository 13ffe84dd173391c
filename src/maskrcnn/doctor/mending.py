"""A mended copy of a set, and a copy of a set without what another one has; the originals stay as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from maskrcnn.data.dataset import Annotation, Dataset, Record
from maskrcnn.data.findings import RULES, Finding
from maskrcnn.doctor.classes import similar
from maskrcnn.doctor.copying import Copy, Written, claim, turned_upright, write_copy
from maskrcnn.doctor.examining import Examined, Visit, nothing
from maskrcnn.doctor.looking import Look
from maskrcnn.doctor.pictures import Album, as_stored
from maskrcnn.errors import InputError

MENDED = frozenset(code for code, rule in RULES.items() if rule.mend and not code.startswith("S"))
"""Codes of findings that a mended copy does not have."""

_LOSING_PICTURES = frozenset({"P101", "P102", "P103", "P104", "P111"})
_LOSING_OBJECTS = frozenset({"G206", "G210"})
_TURNED = frozenset({"P108", "P109"})

Progress = Callable[[int, int], None]


def mend(visit: Visit, out: str | Path, *, ignore: Collection[str] = (), progress: Progress = nothing) -> Written:
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
    claim(Path(out), dataset.source)
    joined, labels = _joined_classes(examined) if "C306" not in ignored else (dataset, None)
    work = _Work(dataset, album, findings, labels)
    changes = [_change(finding) for finding in findings]
    return write_copy(Path(out), joined, work.copies(), changes, _of(len(dataset), progress))


def deleak(visit: Visit, out: str | Path, *, progress: Progress = nothing) -> list[Written]:
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
        kept = [i for i in range(len(dataset)) if i not in gone and dataset.records[i].name not in lost]
        if not kept:
            raise InputError(f"{dataset.source}: nothing is left of it without the pictures that it shares")
        claim(folder, dataset.source)
        causes = ("S405", "S406", *_LOSING_PICTURES)
        changes = [_change(each) for each in [*shared.findings, *examined.findings] if each.code in causes]
        copies = (Copy(dataset.records[i]) for i in kept)
        written.append(write_copy(folder, dataset, copies, changes, _of(len(kept), progress)))
    return written


def _of(total: int, progress: Progress) -> Callable[[int], None]:
    return lambda done: progress(done, total)


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


@dataclass(frozen=True)
class _Work:
    dataset: Dataset
    album: Album
    findings: list[Finding]
    labels: list[int] | None  # the new label of each old one

    def copies(self) -> Iterator[Copy]:
        """Give the pictures that stay, with the objects that stay."""
        lost = self._names(_LOSING_PICTURES)
        dropped = {(each.picture, each.annotation) for each in self.findings if each.code in _LOSING_OBJECTS}
        gone, joined = self._again()
        stored, anew = self._names({"P108"}), self._names(_TURNED)
        seen = {record.name: look for record, look in self.album.turned}
        for number, record in enumerate(self.dataset.records):
            if number in gone or record.name in lost:
                continue
            others = [self.dataset.records[i].annotations for i in joined[number]]
            annotations = [each for each in record.annotations if (record.name, each.name) not in dropped]
            annotations += _new_ones(record.annotations, [each for some in others for each in some])
            record = replace(record, annotations=tuple(annotations))
            if record.name in stored:
                record = self._turned(record, seen[record.name])
            yield Copy(self._relabelled(record), record.name in anew)

    def _names(self, codes: Collection[str]) -> set[str]:
        return {finding.picture for finding in self.findings if finding.code in codes}

    def _again(self) -> tuple[set[int], dict[int, list[int]]]:
        """Return pictures that are left out as they stand twice, and which give their objects to which."""
        codes = {finding.code for finding in self.findings}
        gone: set[int] = set()
        joined: dict[int, list[int]] = defaultdict(list)
        for one, other in self.album.twice if "F008" in codes else ():
            gone.add(other)
            joined[one].append(other)
        fullest: dict[int, int] = {}
        for one, other in self.album.same if codes & {"P105", "P106"} else ():
            best = fullest.get(one, one)
            more = self.album.objects[other] > self.album.objects[best]
            gone.add(best if more else other)
            fullest[one] = other if more else best
        return gone, joined

    def _turned(self, record: Record, look: Look) -> Record:
        """Turn the objects of a picture that was annotated as it is stored; those that seemed outside come back."""
        assert look.size_hw is not None
        stored = as_stored(look)
        lost = [left.annotation for left in self.dataset.left_out if left.picture == record.name and left.annotation]
        inside = [each for each in lost if _reaches_into(each, stored)]
        turned = tuple(turned_upright(each, look.orientation, stored) for each in [*record.annotations, *inside])
        return replace(record, size_hw=look.size_hw, annotations=turned)

    def _relabelled(self, record: Record) -> Record:
        if self.labels is None:
            return record
        return replace(
            record, annotations=tuple(replace(each, label=self.labels[each.label]) for each in record.annotations)
        )


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

"""The whole visit: sets are opened, their records and pictures looked at, and compared with each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.findings import RULES, Finding
from maskrcnn.doctor.classes import Tally
from maskrcnn.doctor.columns import Columns, in_chunks
from maskrcnn.doctor.likeness import alike, groups, near_pairs
from maskrcnn.doctor.looking import Depth, look_at
from maskrcnn.doctor.opening import Opened, off_by_one, open_tolerantly
from maskrcnn.doctor.pairs import overlaps
from maskrcnn.doctor.pictures import Album
from maskrcnn.doctor.report import Patient, Report, in_order
from maskrcnn.doctor.shapes import QUICK, THOROUGH

Progress = Callable[[int, int], None]

_MOST_NAMED = 10


@dataclass(frozen=True)
class Examined:
    """A set, and what was seen of it.

    Attributes:
        opened: What could be read.
        tally: What was counted; None where nothing could be read.
        album: What was seen of its pictures; None where they were not looked at.
        findings: What is wrong with it by itself.
    """

    opened: Opened
    tally: Tally | None
    album: Album | None
    findings: list[Finding]

    @property
    def source(self) -> str:
        """The annotation file."""
        return self.opened.source

    def patient(self) -> Patient:
        """Say how much was read."""
        dataset, tally = self.opened.dataset, self.tally
        if dataset is None or tally is None:
            return Patient(self.source, "", 0, 0, 0)
        records = sum(error.code not in ("P101", "P102", "P103") for error in self.opened.faults)
        return Patient(self.source, dataset.format, tally.pictures, tally.objects, len(dataset.left_out) + records)


@dataclass(frozen=True)
class Shared:
    """Pictures of a set that another one has too.

    Attributes:
        index: Which pictures of the later set.
        findings: One for each.
    """

    index: tuple[int, ...]
    findings: list[Finding]


@dataclass(frozen=True)
class Visit:
    """Everything that a visit found out.

    Attributes:
        examined: The sets, in the order in which they were named.
        shared: For each set after the first, what it shares with those before it.
        report: What is said of it.
    """

    examined: tuple[Examined, ...]
    shared: tuple[Shared, ...]
    report: Report


def nothing(_done: int, _total: int) -> None:
    """Show no progress."""


def examine(
    *paths: str | Path | Dataset,
    depth: Depth = "pixels",
    format: str | None = None,  # noqa: A002  # as the door has it
    only: Collection[str] = (),
    ignore: Collection[str] = (),
    progress: Progress = nothing,
) -> Visit:
    """Look for everything that can be wrong with annotated pictures, and for what several sets share.

    ```python
    from maskrcnn.doctor.examining import examine

    for finding in examine("photos/train", "photos/val").report.findings:
        print(finding)
    ```

    Args:
        paths: Sets to look at; what later ones share with earlier ones is reported for the later.
        depth: `pixels` decodes every picture; `headers` reads sizes and EXIF only; `records` no picture at all.
        format: Of all the sets, where it is not to be recognised.
        only: Codes to report; all of them where none is named.
        ignore: Codes not to report.
        progress: Called with what is done and how much there is.
    """
    opened = [open_tolerantly(path, format) for path in paths]
    total = sum(len(each.dataset) for each in opened if each.dataset is not None)
    examined, before = list[Examined](), 0
    for each in opened:
        examined.append(_examine(each, depth, _moving(progress, before, total)))
        before += len(each.dataset) if each.dataset is not None else 0
    shared = [_shared(examined[:i], examined[i]) for i in range(1, len(examined))]
    findings = [finding for each in examined for finding in each.findings]
    findings += [finding for each in shared for finding in each.findings]
    wanted = (frozenset(only) or frozenset(RULES)) - frozenset(ignore)
    kept = in_order([finding for finding in findings if finding.code in wanted])
    return Visit(tuple(examined), tuple(shared), Report(tuple(each.patient() for each in examined), tuple(kept)))


def _moving(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    """Count the pictures of one set after those of the sets before it."""
    return lambda done: progress(before + done, total)


def _examine(opened: Opened, depth: Depth, progress: Callable[[int], None]) -> Examined:
    dataset = opened.dataset
    if dataset is None:
        return Examined(opened, None, None, opened.findings())
    tally, album, found = Tally(dataset), Album(dataset), list[Finding]()
    for columns in in_chunks(dataset, range(len(dataset))):
        tally.add(columns)
        found += _of_records(columns)
        if depth == "records":
            progress(tally.pictures)
        else:
            found += _of_pictures(columns, album, depth, progress)
    found += tally.findings()
    found += off_by_one(opened, {dataset.category_ids[label] for label in np.flatnonzero(tally.counts()).tolist()})
    if depth != "records":
        found += album.findings()
        found += album.look_alikes(_pairs(*album.hashes()))
    known = opened.findings()
    return Examined(opened, tally, album, [*known, *_without_echoes(found, known)])


def _without_echoes(found: list[Finding], known: list[Finding]) -> Iterator[Finding]:
    """Drop what was said before, and what only follows from a picture that was annotated unturned."""
    missing = {Path(finding.picture).name for finding in known if finding.code == "P101"}
    broken = {Path(finding.picture).name for finding in known if finding.code == "P102"}
    turned = {finding.picture for finding in found if finding.code == "P108"}
    for finding in found:
        name = Path(finding.picture).name
        said = (finding.code == "P101" and name in missing) or (finding.code == "P102" and name in broken)
        if not said and not (finding.code in ("G207", "G208") and finding.picture in turned):
            yield finding


def _of_records(columns: Columns) -> Iterator[Finding]:
    if len(columns):
        for check in (*QUICK, overlaps, *THOROUGH):
            yield from check(columns)


def _of_pictures(columns: Columns, album: Album, depth: Depth, progress: Callable[[int], None]) -> Iterator[Finding]:
    for record, look in zip(columns.records, look_at(columns.records, depth), strict=True):
        yield from album.add(record, look)
        progress(len(album.names))


def _pairs(which: NDArray[np.int64], hashes: NDArray[np.uint64], thumbs: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return pairs of pictures that look the same, by their place in the set."""
    pairs = near_pairs(hashes)
    one, other = which[pairs[alike(pairs, thumbs)]].T.tolist()
    return list(zip(one, other, strict=True))


def _shared(before: Sequence[Examined], examined: Examined) -> Shared:
    """Report what a set has in common with sets that were named before it."""
    findings: list[Finding] = []
    index: dict[int, None] = {}
    for earlier in before:
        for number, finding in _leaks(earlier, examined):
            findings.append(finding)
            index[number] = None
    if before:
        findings += _other_classes(before[0], examined)
    return Shared(tuple(sorted(index)), findings)


def _leaks(earlier: Examined, examined: Examined) -> Iterator[tuple[int, Finding]]:
    """Give the pictures that two sets share, by their place in the later one."""
    a, b = earlier.album, examined.album
    if a is None or b is None:
        return
    first_of = {digest: number for number, digest in reversed(list(enumerate(a.digests))) if digest}
    told: set[int] = set()
    for number, digest in enumerate(b.digests):
        if digest in first_of:
            told.add(number)
            detail = f"the same bytes as {a.names[first_of[digest]]} of {a.source}"
            yield number, Finding("S405", b.source, b.names[number], "", detail)
    for one, other in _pairs_between(a, b):
        if other not in told:
            told.add(other)
            detail = f"looks the same as {a.names[one]} of {a.source}"
            yield other, Finding("S406", b.source, b.names[other], "", detail)


def _pairs_between(a: Album, b: Album) -> Iterator[tuple[int, int]]:
    (which_a, hashes_a, thumbs_a), (which_b, hashes_b, thumbs_b) = a.hashes(), b.hashes()
    from_b = len(a.names)
    which = np.concatenate([which_a, which_b + from_b])
    pairs = _pairs(which, np.concatenate([hashes_a, hashes_b]), np.concatenate([thumbs_a, thumbs_b]))
    for first, *others in groups(pairs):
        yield from ((first, other - from_b) for other in others if first < from_b <= other)


def _other_classes(first: Examined, examined: Examined) -> Iterator[Finding]:
    """Report classes of objects that the first set does not have."""
    if first.tally is None or examined.tally is None:
        return
    known = set(first.tally.dataset.class_names)
    names = examined.tally.dataset.class_names
    foreign = [
        f"{name} ({count:,})"
        for name, count in zip(names, examined.tally.counts().tolist(), strict=True)
        if count and name not in known
    ]
    if foreign:
        more = f" and {len(foreign) - _MOST_NAMED} more" if len(foreign) > _MOST_NAMED else ""
        detail = f"objects of {', '.join(foreign[:_MOST_NAMED])}{more}, which {first.source} does not have"
        yield Finding("S407", examined.source, "", "", detail)

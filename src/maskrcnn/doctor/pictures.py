"""What can be wrong with pictures, each by itself and beside the others of its set."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Box, Dataset, Record
from maskrcnn.data.findings import Finding
from maskrcnn.data.images import IMAGE_SUFFIXES, read_image
from maskrcnn.doctor.likeness import groups
from maskrcnn.doctor.looking import THUMB, Look
from maskrcnn.errors import few

LARGE = 50_000_000
"""Pixels beyond which a picture is called oversized."""

_SIZELESS = ("via", "yolo")  # formats whose files do not say the size of a picture
_LISTING = ("coco", "createml", "cvat", "labelme", "lvis", "via", "voc", "vott", "yolo")  # masks are no pictures there
_SLACK = 0.02  # share of a side by which annotations may pass the border and still fit
_NAMED = 5


@dataclass
class Album:
    """What was seen of the pictures of a set.

    Attributes:
        dataset: The set.
        names: Of each picture that was looked at, in order.
        objects: How many each has.
        sizes: Height and width of each.
        digests: Of the bytes of each; empty where they were not read.
        looks: Where a picture has a hash: which picture, and the hash.
        thumbs: Small grey pictures of these.
        bands: How many each has; 0 where it was not decoded.
        turned: Pictures that EXIF turns, and what was seen of them.
        files: Where pictures lie that are files of their own.
        twice: Pictures that are listed twice: the first record and the later one.
    """

    dataset: Dataset
    names: list[str] = field(default_factory=list)
    objects: list[int] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    looks: list[tuple[int, int]] = field(default_factory=list)
    thumbs: list[bytes] = field(default_factory=list)
    bands: list[int] = field(default_factory=list)
    turned: list[tuple[Record, Look]] = field(default_factory=list)
    files: dict[Path, int] = field(default_factory=dict)
    twice: list[tuple[int, int]] = field(default_factory=list)

    @property
    def source(self) -> str:
        """The annotation file."""
        return str(self.dataset.source)

    def add(self, record: Record, look: Look) -> Iterator[Finding]:
        """Keep what was seen of a picture, and report what is wrong with it."""
        number = len(self.names)
        self.names.append(record.name)
        self.objects.append(len(record.annotations))
        self.sizes.append(record.size_hw)
        self.digests.append(look.digest)
        self.bands.append(look.bands)
        if look.look is not None:
            self.looks.append((number, look.look))
            self.thumbs.append(look.thumb)
        if record.read is read_image and self.files.setdefault(record.path, number) != number:
            self.twice.append((self.files[record.path], number))
        if look.orientation != 1:
            self.turned.append((record, look._replace(thumb=b"")))
        yield from self._alone(record, look)

    def _alone(self, record: Record, look: Look) -> Iterator[Finding]:
        if look.error is not None:
            yield self._about(look.error.code, record.name, str(look.error))
        if look.size_hw is None:
            return
        exchanged = look.orientation >= 5 and look.size_hw == record.size_hw[::-1]
        if look.size_hw != record.size_hw and not exchanged:
            got = f"{_by(record.size_hw)} (height x width) as the annotations say, got {_by(look.size_hw)}"
            hint = "; height and width are exchanged" if look.size_hw == record.size_hw[::-1] else ""
            yield self._about("P103", record.name, f"expected {got}{hint}")
        pixels = look.size_hw[0] * look.size_hw[1]
        if pixels > LARGE:
            size = f"{_by(look.size_hw)} are {pixels / 1e6:.0f} million pixels"
            yield self._about("P107", record.name, f"{size}; cut it into tiles with maskrcnn data crop")
        if look.flat is not None and record.annotations:
            yield self._about(
                "P112", record.name, f"every pixel is {look.flat:g}, and it has {_count(len(record.annotations))}"
            )

    def _about(self, code: str, picture: str, detail: str) -> Finding:
        return Finding(code, self.source, picture, "", detail)

    def findings(self) -> Iterator[Finding]:
        """Report what only shows beside the other pictures of the set."""
        yield from self.turns()
        yield from self._listed_twice()
        yield from self._same_bytes()
        yield from self._bands()
        yield from self._unlisted()

    def turns(self) -> Iterator[Finding]:
        """Say of each picture that EXIF turns whether it was annotated before or after."""
        lost: dict[str, list[Annotation]] = defaultdict(list)
        for left in self.dataset.left_out if self.turned else ():
            if left.annotation is not None:
                lost[left.picture].append(left.annotation)
        sized = not self.dataset.format.startswith(_SIZELESS)
        fits = [_fit(record, look, lost[record.name], sized) for record, look in self.turned]
        sure = set(fits) - {"both"}
        for (record, look), fit in zip(self.turned, fits, strict=True):
            yield self._turn(record, look, next(iter(sure)) if fit == "both" and len(sure) == 1 else fit)

    def _turn(self, record: Record, look: Look, fit: str) -> Finding:
        code, detail = {
            "upright": ("P109", "the annotations fit the turned picture"),
            "stored": (
                "P108",
                f"the annotations fit the picture as it is stored, {_by(as_stored(look))} (height x width)",
            ),
            "both": ("P110", "the objects fit both ways: look at it with maskrcnn data show"),
        }[fit]
        return self._about(code, record.name, f"EXIF orientation {look.orientation}; {detail}")

    def _listed_twice(self) -> Iterator[Finding]:
        for one, other in self.twice:
            detail = (
                f"{self.names[one]} is listed twice, with {_count(self.objects[one])} and {_count(self.objects[other])}"
            )
            yield self._about("F008", self.names[other], detail)

    def _same_bytes(self) -> Iterator[Finding]:
        for one, number in self.same:
            same = f"the same bytes as {self.names[one]}"
            if self._objects_of(one) == self._objects_of(number):
                yield self._about("P105", self.names[number], same)
            else:
                detail = f"which has {_count(self.objects[one])}; this one has {_count(self.objects[number])}"
                yield self._about("P106", self.names[number], f"{same}, {detail}")

    @property
    def same(self) -> list[tuple[int, int]]:
        """Pictures of the same bytes that are not the same file: the first and a later one."""
        first: dict[bytes, int] = {}
        again = {other for _, other in self.twice}
        numbered = [(number, digest) for number, digest in enumerate(self.digests) if digest and number not in again]
        pairs = [(first.setdefault(digest, number), number) for number, digest in numbered]
        return [(one, number) for one, number in pairs if one != number]

    def _objects_of(self, number: int) -> list[tuple[int, bytes | Box | None]]:
        annotations = self.dataset.records[number].annotations
        return [(each.label, each.box if each.shape is None else each.shape.to_bytes()) for each in annotations]

    def _bands(self) -> Iterator[Finding]:
        counted = Counter(bands for bands in self.bands if bands)
        if len(counted) < 2:
            return
        usual = counted.most_common(1)[0][0]
        for name, bands in zip(self.names, self.bands, strict=True):
            if bands not in (0, usual):
                yield self._about("P111", name, f"expected {usual} bands as in most pictures, got {bands}")

    def _unlisted(self) -> Iterator[Finding]:
        if not self.dataset.format.startswith(_LISTING):
            return
        listed = {path.resolve() for path in self.files}
        for folder in sorted({path.parent for path in listed}):
            inner = folder.iterdir() if folder.is_dir() else ()
            others = sorted(
                path.name
                for path in inner
                if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path not in listed
            )
            if others:
                are = "1 picture in {} is" if len(others) == 1 else f"{len(others):,} pictures in {{}} are"
                detail = f"{are.format(folder)} not in the file, such as {others[0]}"
                yield Finding("P113", self.source, "", "", detail)

    def hashes(self) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint8]]:
        """Return which pictures have a hash, the hashes, and the small grey pictures."""
        which = np.array([number for number, _ in self.looks], dtype=np.int64)
        hashes = np.array([look for _, look in self.looks], dtype=np.uint64)
        thumbs = np.frombuffer(b"".join(self.thumbs), dtype=np.uint8).reshape(-1, THUMB * THUMB)
        return which, hashes, thumbs

    def look_alikes(self, pairs: list[tuple[int, int]]) -> Iterator[Finding]:
        """Report groups of pictures that look the same, and those of a group with far fewer objects."""
        again = {other for _, other in self.twice}
        for group in groups(pairs):
            distinct = list({self.digests[number] or number: number for number in reversed(group)}.values())[::-1]
            members = sorted(number for number in distinct if number not in again)
            if len(members) < 2:
                continue
            named = [self.names[number] for number in members]
            yield self._about("S404", named[0], f"{len(members)} pictures look the same: {few(named, _NAMED)}")
            yield from self._fewer(members)

    def _fewer(self, members: list[int]) -> Iterator[Finding]:
        fullest = max(members, key=lambda number: self.objects[number])
        most, name = self.objects[fullest], self.names[fullest]
        for number in members:
            here = self.objects[number]
            if self.sizes[number] == self.sizes[fullest] and most - here >= 3 and here * 3 <= most:
                detail = f"it has {_count(here)}; {name}, which looks the same, has {_count(most)}"
                yield self._about("S408", self.names[number], detail)


def _fit(record: Record, look: Look, lost: list[Annotation], sized: bool) -> str:
    """Say for which picture the annotations were made: `upright`, `stored`, or `both` where either is possible."""
    upright, stored = look.size_hw, as_stored(look)
    if upright is None or upright == stored:
        return "both"
    if record.size_hw == stored:
        return "stored"
    extents = [each.extent() for each in [*record.annotations, *lost]]
    boxes = [extent for extent in extents if extent is not None]
    fits_upright, fits_stored = (all(_holds(size, box) for box in boxes) for size in (upright, stored))
    if fits_upright != fits_stored:
        return "upright" if fits_upright else "stored"
    return "upright" if sized else "both"


def as_stored(look: Look) -> tuple[int, int]:
    """Return height and width as the file holds them, before the EXIF orientation turns them."""
    assert look.size_hw is not None
    return look.size_hw[::-1] if look.orientation >= 5 else look.size_hw


def _holds(size_hw: tuple[int, int], box: Box) -> bool:
    (H, W), (x1, y1, x2, y2) = size_hw, box
    slack = 2 + _SLACK * max(H, W)
    return x1 >= -slack and y1 >= -slack and x2 <= W + slack and y2 <= H + slack


def _by(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[0]}x{size_hw[1]}"


def _count(objects: int) -> str:
    return f"{objects} object{'' if objects == 1 else 's'}"

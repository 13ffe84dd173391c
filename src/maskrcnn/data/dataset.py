"""A set of annotated pictures: kept small as it was read, decoded and drawn when a picture is asked for.

A shape is kept as its source says it, corners or run lengths, and becomes pixels per access. Objects that
cannot have pixels are listed in `left_out` when the set is opened, so that the objects of a picture and its
annotations always stand side by side: object i of `instances(k)` is `records[k].annotations[i]`.

Letters: V corners of a ring; H, W height and width of a picture; N objects of a picture.
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.images import header_size, read_image
from maskrcnn.errors import AnnotationError
from maskrcnn.ops.polygons import rasterise
from maskrcnn.ops.rle import Bitmap, clip, counts_to_bitmap, decompress, encode
from maskrcnn.structures import Bitmaps, Instances, Sample

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Rings:
    """A shape as the union of closed outlines.

    Attributes:
        rings: Each (V, 2) float64. x, y in continuous pixels, V at least 3; may leave the picture.
    """

    rings: tuple[NDArray[np.float64], ...]

    def bitmap(self, size_hw: tuple[int, int]) -> Bitmap:
        """Fill the outlines with the same pixels as pycocotools."""
        return rasterise(self.rings, size_hw)

    def extent(self) -> Box:
        """Return x1, y1, x2, y2 of the corners."""
        corners = np.concatenate(self.rings)
        (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return x1, y1, x2, y2

    def to_bytes(self) -> bytes:
        """Return what a fingerprint is made of."""
        return b"".join(len(ring).to_bytes(8, "little") + ring.astype("<f8").tobytes() for ring in self.rings)


@dataclass(frozen=True, slots=True)
class Runs:
    """A shape as COCO's compressed run lengths.

    Attributes:
        counts: The string; known to fit the picture.
        pixels: How many pixels are set.
    """

    counts: str
    pixels: int

    @classmethod
    def of(cls, bitmap: Bitmap, size_hw: tuple[int, int]) -> Runs:
        """Take the pixels of a window, as far as it lies in a picture of this size.

        >>> Runs.of(Bitmap(-1, 0, np.ones((1, 3), dtype=bool)), (1, 4)).pixels
        2
        """
        inside = clip(bitmap, size_hw)
        return cls(encode(inside, size_hw)["counts"], int(np.count_nonzero(inside.pixels)))

    def bitmap(self, size_hw: tuple[int, int]) -> Bitmap:
        """Draw the runs."""
        return counts_to_bitmap(decompress(self.counts), size_hw)

    def to_bytes(self) -> bytes:
        """Return what a fingerprint is made of."""
        return self.counts.encode("ascii")


class View(NamedTuple):
    """How much of an object can be seen, as KITTI counts it.

    Attributes:
        hidden: By other things: 0 nothing, 1 a part, 2 most of it, 3 not known.
        outside: Share of it that lies outside the picture, 0 to 1.
    """

    hidden: int
    outside: float


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotated object.

    Attributes:
        name: What errors call it, such as `annotation 1768` or `region 3`.
        label: Index into the class names of the set.
        shape: Its outline or run lengths; None where the source has a box only.
        box: x1, y1, x2, y2 as the source says, which may disagree with the shape; None where it says none.
        area: Pixels as the source says; None where it says none.
        crowd: True where the region holds many objects.
        view: How much of it can be seen; None where the source does not say.
    """

    name: str
    label: int
    shape: Rings | Runs | None
    box: Box | None = None
    area: float | None = None
    crowd: bool = False
    view: View | None = None

    def extent(self) -> Box | None:
        """Return the box of the outline or else the one that the source says."""
        return self.shape.extent() if isinstance(self.shape, Rings) else self.box


@dataclass(frozen=True, slots=True)
class Record:
    """One picture of a set and what is annotated on it.

    Attributes:
        name: The picture's file name as the annotation file says it.
        path: Where it lies.
        image_id: The id by which results name it.
        size_hw: Upright height and width, from the annotation file or else from the picture's header.
        annotations: Its objects.
        labelled: The labels of the classes that were looked for in this picture; None for all of them. An
            object of another class may be in it without an annotation.
        columns: What else is known of the picture, by which a set can be split: the background, the place.
        read: How the pixels are read from `path`, upright; can be pickled.
    """

    name: str
    path: Path
    image_id: int
    size_hw: tuple[int, int]
    annotations: tuple[Annotation, ...]
    labelled: frozenset[int] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[Path], NDArray[np.generic]] = read_image


class LazyRecords(Sequence[Record]):
    """Records that are made when they are asked for, of a large set or of another set's records."""

    @abstractmethod
    def head(self, i: int) -> Record:
        """Make record i, counted from 0, without its annotations."""

    @abstractmethod
    def annotations(self, i: int) -> tuple[Annotation, ...]:
        """Make the annotations of record i, counted from 0."""

    @overload
    def __getitem__(self, i: int) -> Record: ...
    @overload
    def __getitem__(self, i: slice) -> LazyRecords: ...
    def __getitem__(self, i: int | slice) -> Record | LazyRecords:
        """Make record i; a slice makes none."""
        if isinstance(i, slice):
            return self.select(range(len(self))[i])
        i = range(len(self))[i]
        return replace(self.head(i), annotations=self.annotations(i))

    def select(self, index: Iterable[int]) -> LazyRecords:
        """Return some of the records, none of which is made."""
        every = range(len(self))
        return _Selected(self, array("q", (every[i] for i in index)))


def head_of(records: Sequence[Record], i: int) -> Record:
    """Return record i, counted from 0, whose annotations are not asked for, and may be left away."""
    return records.head(range(len(records))[i]) if isinstance(records, LazyRecords) else records[i]


def annotations_of(records: Sequence[Record], i: int) -> tuple[Annotation, ...]:
    """Return the annotations of record i, counted from 0."""
    return records.annotations(i) if isinstance(records, LazyRecords) else records[i].annotations


class _Selected(LazyRecords):
    def __init__(self, records: LazyRecords, index: array[int]) -> None:
        self._records = records
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    def head(self, i: int) -> Record:
        return self._records.head(self._index[i])

    def annotations(self, i: int) -> tuple[Annotation, ...]:
        return self._records.annotations(self._index[i])


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An annotation that cannot become an object.

    Attributes:
        file: The annotation file.
        picture: The picture's file name.
        name: Which annotation it is.
        reason: Why.
        code: Which of `maskrcnn.data.findings.RULES` this is.
        annotation: What it said, where that is known.
    """

    file: Path
    picture: str
    name: str
    reason: str
    code: str
    annotation: Annotation | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.file}: {self.name} of {self.picture}: left out: {self.reason}"


class Dataset(Sequence[Sample]):
    """Annotated pictures, read one by one as they are asked for.

    Attributes:
        source: The annotation file.
        format: Its kind, such as `coco` or `via`.
        class_names: The K classes in label order.
        category_ids: The file's own id of each class; 1 to K where the format has none.
        records: The pictures with their annotations; a large set makes them when they are asked for.
        left_out: Annotations that cannot become an object.
        supercategories: The wider class of each of the K classes, as COCO has it; empty where it has none.

    Raises:
        AnnotationError: The set has no picture.
    """

    def __init__(
        self,
        source: Path,
        format: str,  # noqa: A002  # the attribute's name
        class_names: Sequence[str],
        category_ids: Sequence[int],
        records: Sequence[Record],
        left_out: Sequence[LeftOut] = (),
        supercategories: Sequence[str] = (),
    ) -> None:
        if not records:
            raise AnnotationError(f"{source}: expected at least one picture, got none")
        self.source = source
        self.format = format
        self.class_names = tuple(class_names)
        self.category_ids = tuple(category_ids)
        self.records = tuple(records) if isinstance(records, list) else records
        self.left_out = tuple(left_out)
        self.supercategories = tuple(supercategories) or ("",) * len(self.class_names)

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, i: int) -> Sample: ...
    @overload
    def __getitem__(self, i: slice) -> Dataset: ...
    def __getitem__(self, i: int | slice) -> Sample | Dataset:
        """Read picture i and draw its masks; a slice gives a smaller set.

        Raises:
            ImageError: The picture is missing or broken.
            AnnotationError: Its size is not the one that the annotations were made for.
        """
        if isinstance(i, slice):
            return self.select(range(len(self))[i])
        record = self.records[i]
        image = record.read(record.path)
        self._check_size(record, (image.shape[0], image.shape[1]))
        return Sample(image, self.instances(i), record.path, record.image_id, record.labelled)

    def select(self, index: Iterable[int]) -> Dataset:
        """Return the named pictures as a set of their own, with the same classes.

        Raises:
            AnnotationError: No picture is named.
        """
        every = self.records
        chosen = self.change(
            records=every.select(index) if isinstance(every, LazyRecords) else [every[i] for i in index], left_out=()
        )
        names = {head_of(chosen.records, i).name for i in range(len(chosen))} if self.left_out else ()
        return chosen.change(left_out=[left for left in self.left_out if left.picture in names])

    def change(self, **values: Any) -> Dataset:
        """Return the set with other values, named as the arguments it was made with."""
        names = ("source", "format", "class_names", "category_ids", "records", "left_out", "supercategories")
        return Dataset(**{name: getattr(self, name) for name in names} | values)

    def path(self, i: int) -> Path:
        """Return where picture i lies."""
        return head_of(self.records, i).path

    def image_id(self, i: int) -> int:
        """Return the id by which results name picture i."""
        return head_of(self.records, i).image_id

    def size_hw(self, i: int) -> tuple[int, int]:
        """Return the upright height and width of picture i, without decoding it."""
        return head_of(self.records, i).size_hw

    def instances(self, i: int) -> Instances:
        """Draw the objects of picture i, without decoding it.

        Boxes are the tight borders of the masks. A mask that covers the centre of no pixel gets the pixel
        nearest to its middle. A picture on which any object has a box only has no masks at all, and that
        object keeps its box.
        """
        record = self.records[i]
        masks = [drawn(annotation, record.size_hw) for annotation in record.annotations]
        boxes = [
            clipped(annotation, record.size_hw) if bitmap is None else border(bitmap)
            for annotation, bitmap in zip(record.annotations, masks, strict=True)
        ]
        bitmaps = [bitmap for bitmap in masks if bitmap is not None]
        return Instances(
            record.size_hw,
            np.array(boxes, dtype=np.float32).reshape(-1, 4),
            np.array([annotation.label for annotation in record.annotations], dtype=np.int64),
            self.class_names,
            Bitmaps(bitmaps, record.size_hw) if len(bitmaps) == len(masks) else None,
            crowd=np.array([annotation.crowd for annotation in record.annotations], dtype=np.bool_),
        )

    def fingerprint(self) -> str:
        """Return a SHA-256 over names, sizes and annotations, the same wherever the folder lies."""
        digest = hashlib.sha256(json.dumps([self.class_names, self.category_ids]).encode())
        for record in self.records:
            digest.update(json.dumps([record.name, record.image_id, record.size_hw]).encode())
            digest.update(b"" if record.labelled is None else json.dumps(sorted(record.labelled)).encode())
            digest.update(b"".join(chain.from_iterable(map(_to_bytes, record.annotations))))
        return digest.hexdigest()

    def _check_size(self, record: Record, size_hw: tuple[int, int]) -> None:
        if size_hw == record.size_hw:
            return
        hint = ""
        if size_hw == record.size_hw[::-1]:
            hint = "; height and width are exchanged: was it annotated without its EXIF orientation applied?"
        raise AnnotationError(
            f"{self.source}: {record.name}: expected a picture of {_by(record.size_hw)} (height x width), "
            f"got {_by(size_hw)} in {record.path}{hint}",
            code="P103",
        )


def sift(records: Iterable[Record], source: Path) -> tuple[list[Record], list[LeftOut]]:
    """Part the annotations that become objects from those that have no place in their picture."""
    kept, left_out = [], []
    for record in records:
        unfit = [(annotation, _unfit(annotation, record.size_hw)) for annotation in record.annotations]
        usable = tuple(annotation for annotation, why in unfit if why is None)
        kept.append(record if len(usable) == len(unfit) else replace(record, annotations=usable))
        left_out += [
            LeftOut(source, record.name, each.name, why[1], why[0], each) for each, why in unfit if why is not None
        ]
    return kept, left_out


def drawn(annotation: Annotation, size_hw: tuple[int, int]) -> Bitmap | None:
    """Return the pixels of an object in a picture of this size; None where it has a box only.

    A shape that covers the centre of no pixel gets the pixel nearest to its middle.
    """
    if annotation.shape is None:
        return None
    bitmap = annotation.shape.bitmap(size_hw)
    return bitmap if bitmap.pixels.size else _nearest_pixel(clipped(annotation, size_hw), size_hw)


def stated_or_header_size(path: Path, stated: tuple[int, int] | None) -> tuple[int, int]:
    """Return the size that an annotation file says, or else the one in the picture's header.

    Raises:
        ImageError: Neither is to be had.
    """
    return header_size(path) if stated is None else stated


def _unfit(annotation: Annotation, size_hw: tuple[int, int]) -> tuple[str, str] | None:
    """Return the code and the reason why an annotation cannot become an object, or None where it can."""
    if isinstance(annotation.shape, Runs) and annotation.shape.pixels:
        return None
    extent = annotation.extent()
    if extent is None:
        return "G204", "its mask covers no pixel and it has no box"
    x1, y1, x2, y2 = extent
    h, w = size_hw
    if x1 >= w or y1 >= h or x2 < 0 or y2 < 0 or (x2 == 0 > x1) or (y2 == 0 > y1):
        return "G203", f"it lies wholly outside of the picture of {_by(size_hw)} (height x width)"
    if annotation.shape is None and (x1 == x2 or y1 == y2):
        return "G202", "its box has no area"
    return None


def _to_bytes(annotation: Annotation) -> tuple[bytes, bytes]:
    """Return what a fingerprint is made of: the fields as `json.dumps` would write them, and the shape."""
    crowd, box = "true" if annotation.crowd else "false", annotation.box
    edges = "null" if box is None else f"[{', '.join(map(_json, box))}]"
    plain = f"[{annotation.label}, {crowd}, {edges}, {_json(annotation.area)}]"
    return plain.encode(), b"" if annotation.shape is None else annotation.shape.to_bytes()


def _json(value: float | None) -> str:
    if value is None:
        return "null"
    return int.__repr__(value) if isinstance(value, int) else float.__repr__(value)


def _nearest_pixel(box: Box, size_hw: tuple[int, int]) -> Bitmap:
    x1, y1, x2, y2 = box
    x, y = min(math.floor((x1 + x2) / 2), size_hw[1] - 1), min(math.floor((y1 + y2) / 2), size_hw[0] - 1)
    return Bitmap(x, y, np.ones((1, 1), dtype=np.bool_))


def clipped(annotation: Annotation, size_hw: tuple[int, int]) -> Box:
    """Return the part of an annotation's extent that lies in the picture."""
    extent = annotation.extent()
    assert extent is not None  # `_reason` has left out what has none
    (x1, y1, x2, y2), (h, w) = extent, size_hw
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(w)), min(y2, float(h))


def border(bitmap: Bitmap) -> Box:
    """Return x1, y1, x2, y2 of a window, tight where it is trimmed."""
    h, w = bitmap.pixels.shape
    return bitmap.x, bitmap.y, bitmap.x + w, bitmap.y + h


def _by(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[0]}x{size_hw[1]}"

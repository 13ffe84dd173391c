"""The annotations of COCO instances files.

They are checked many at a time. One about which anything is unusual, run lengths or a missing field for instance,
is checked by itself, so that its error says all.

References: cocodataset.org/#format-data.
Letters: K classes, N pictures, R annotations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.columns import (
    BY_ID,
    RINGS,
    Builder,
    Corners,
    Known,
    Placed,
    Rows,
)
from maskrcnn.data.dataset import Annotation, Box, Rings, Runs
from maskrcnn.data.formats.fields import (
    FARTHEST,
    expected,
    listing,
    mapping,
    number,
    numbers,
    polygon,
    whole,
)
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError
from maskrcnn.ops.rle import compress, decompress

_BATCH = 1024
_LARGEST_AREA = 1e12
_NUMBERS = frozenset({int, float})

Entry = Mapping[str, object]
NOTHING: Mapping[str, str] = {}


class Picture(NamedTuple):
    """An entry of `images`; `known` has ids of categories, and is None where all of them were looked for."""

    name: str
    image_id: int
    size_hw: tuple[int, int] | None
    known: Known | None
    columns: Mapping[str, str] = NOTHING


class Classes(NamedTuple):
    """The K classes in label order."""

    names: tuple[str, ...]
    ids: tuple[int, ...]
    supercategories: tuple[str, ...]


class Context:
    """What annotations refer to."""

    def __init__(self, source: Path, classes: Classes, pictures: Sequence[Picture]) -> None:
        self.source = source
        self.label_of = {category_id: label for label, category_id in enumerate(classes.ids)}
        self.picture_of = {picture.image_id: i for i, picture in enumerate(pictures)}
        self.pictures = pictures


def add_annotations(items: Iterable[object], builder: Builder, context: Context, reading: Reading) -> None:
    """Read `annotations` into arrays; what is wrong goes to `reading`."""
    numbered = enumerate(items)
    while batch := list(islice(numbered, _BATCH)):
        unusual = _add_plain(batch, builder, context)
        builder.add(list(reading.each(unusual, lambda each: _placed(*each, context))))


class _Plain(NamedTuple):
    """Annotations with nothing unusual about them, field by field."""

    position: Sequence[int]
    picture: Sequence[int]
    label: Sequence[int]
    number: Sequence[int]
    crowd: Sequence[int]
    area: Sequence[float]
    box_xywh: Sequence[list[float]]
    rings: Sequence[list[list[float]]]


def _add_plain(batch: list[tuple[int, object]], builder: Builder, context: Context) -> list[tuple[int, object]]:
    """Add those of a batch that are plain; return the others, or all where any value is out of bounds."""
    plain, unusual = [], []
    for position, item in batch:
        fields = _plain(position, item, context)
        if fields is None:
            unusual.append((position, item))
        else:
            plain.append(fields)
    if not plain:
        return batch
    try:
        positions, rows, corners = _rows(_Plain._make(zip(*plain, strict=True)))
    except (TypeError, ValueError, OverflowError):
        return batch
    builder.add_rings(positions, rows, corners)
    return unusual


def _plain(position: int, item: object, context: Context) -> tuple[Any, ...] | None:
    """Return the fields of an annotation with an id and outlines, in the order of `_Plain`; None for another."""
    if type(item) is not dict:
        return None
    get = item.get
    number, image, category, crowd = get("id"), get("image_id"), get("category_id"), get("iscrowd", 0)
    rings, box, area = get("segmentation"), get("bbox"), get("area")
    if not type(number) is type(image) is type(category) is type(crowd) is int or type(area) not in _NUMBERS:
        return None
    if not rings or not type(rings) is type(box) is list or len(box) != 4:
        return None
    for ring in rings:
        if type(ring) is not list or len(ring) < 6 or len(ring) % 2:
            return None
    picture, label = context.picture_of.get(image), context.label_of.get(category)
    if picture is None or label is None:
        return None
    return position, picture, label, number, crowd, area, box, rings


def _rows(plain: _Plain) -> tuple[NDArray[np.int64], Rows, Corners]:
    """Turn fields into arrays.

    Raises:
        ValueError: Something is out of bounds.
        TypeError: Something is no number.
        OverflowError: A number is too large for its type.
    """
    rings = list(chain.from_iterable(plain.rings))
    lengths = np.fromiter(map(len, rings), dtype=np.int64, count=len(rings)) // 2
    xy = np.array(list(chain.from_iterable(rings)), dtype=np.float64)
    counts = np.fromiter(map(len, plain.rings), dtype=np.int64, count=len(plain.rings))
    box, area, crowd = np.array(plain.box_xywh, dtype=np.float64), np.array(plain.area), np.array(plain.crowd)
    within = (
        set(map(type, chain.from_iterable(plain.box_xywh))) <= _NUMBERS
        and (np.abs(xy) <= FARTHEST).all()
        and (np.abs(box) <= FARTHEST).all()
        and (box[:, 2:] >= 0).all()
        and (np.abs(area) <= _LARGEST_AREA).all()
        and ((crowd == 0) | (crowd == 1)).all()
    )
    if not within:
        raise ValueError
    box[:, 2:] += box[:, :2]
    nothing, rows = np.zeros(len(box), dtype=np.int64), len(box)
    return (
        np.array(plain.position, dtype=np.int64),
        Rows(
            picture=np.array(plain.picture, dtype=np.int64),
            label=np.array(plain.label, dtype=np.int64),
            crowd=crowd.astype(np.bool_),
            box=box,
            area=area.astype(np.float64),
            kind=np.full(rows, RINGS, dtype=np.uint8),
            first=np.cumsum(counts) - counts,
            length=counts,
            pixels=nothing,
            naming=np.full(rows, BY_ID, dtype=np.uint8),
            number=np.array(plain.number, dtype=np.int64),
        ),
        Corners(lengths, xy.reshape(-1, 2)),
    )


def _placed(position: int, item: object, context: Context) -> Placed:
    """Check one annotation."""
    entry = mapping(item, f"{context.source}: annotations[{position}]", "annotation")
    name = f"annotation {entry['id']}" if "id" in entry else f"annotations[{position}]"
    where = f"{context.source}: {name}"
    image_id = whole(entry.get("image_id"), where, "image_id")
    picture = context.picture_of.get(image_id)
    if picture is None:
        raise coded("F005", expected("the id of one of the images", image_id, where, "image_id"))
    category_id = whole(entry.get("category_id"), where, "category_id")
    label = context.label_of.get(category_id)
    if label is None:
        raise coded("C301", expected("the id of one of the categories", category_id, where, "category_id"))
    size_hw = context.pictures[picture].size_hw
    assert size_hw is not None  # `sized` has seen to that
    shape = shape_of(entry.get("segmentation"), where, size_hw)
    return Placed(position, picture, annotation_of(entry, name, where, label, shape))


def coded(code: str, error: AnnotationError) -> AnnotationError:
    """Return an error under another code than its usual one."""
    error.code = code
    return error


def annotation_of(entry: Entry, name: str, where: str, label: int, shape: Rings | Runs | None) -> Annotation:
    """Read what an annotation states besides its shape.

    Args:
        entry: `bbox`, `area` and `iscrowd`, as COCO has them.
        name: What it is called.
        where: Where it stands, for the error.
        label: Its class.
        shape: What its pixels are.

    Raises:
        AnnotationError: A field is not what COCO says.
    """
    box = _box(entry.get("bbox"), where)
    if shape is None and box is None:
        raise AnnotationError(f"{where}: expected a segmentation or a bbox, got neither")
    area = entry.get("area")
    crowd = entry.get("iscrowd") or 0
    if crowd not in (0, 1):
        raise expected("0 or 1", crowd, where, "iscrowd")
    return Annotation(
        name,
        label,
        shape,
        box,
        None if area is None else number(area, where, "area", _LARGEST_AREA),
        crowd == 1,
    )


def _box(value: object, where: str) -> Box | None:
    if value is None:
        return None
    xywh = [number(single, where, "bbox") for single in listing(value, where, "bbox")]
    if len(xywh) != 4 or min(xywh[2:]) < 0:
        raise expected("x, y, width and height, the last two from 0 up", value, where, "bbox")
    x, y, w, h = xywh
    return x, y, x + w, y + h


def shape_of(value: object, where: str, size_hw: tuple[int, int]) -> Rings | Runs | None:
    """Read a `segmentation`: outlines or run lengths; None where there is none.

    Raises:
        AnnotationError: It is something else, or run lengths do not fit the picture.
    """
    if value is None or value == []:
        return None
    if isinstance(value, dict):
        return _runs(value, where, size_hw)
    if not isinstance(value, list):
        raise expected("polygons or run lengths", value, where, "segmentation")
    return Rings(tuple(_ring(part, where, i) for i, part in enumerate(value)))


def _ring(value: object, where: str, i: int) -> NDArray[np.float64]:
    field = f"segmentation[{i}]"
    xy = numbers(value, where, field)
    if len(xy) % 2:
        raise AnnotationError(f"{where}: {field}: expected x and y in turn, got {len(xy)} numbers")
    return polygon(xy.reshape(-1, 2), where)


def _runs(value: Entry, where: str, size_hw: tuple[int, int]) -> Runs:
    if value.get("size") != [*size_hw]:
        raise coded("G205", expected(f"{[*size_hw]} as the picture's", value.get("size"), where, "segmentation: size"))
    try:
        counts = _counts(value.get("counts"), where)
    except AnnotationError as error:
        raise coded("G205", error) from None
    pixels = size_hw[0] * size_hw[1]
    if ((counts < 0) | (counts > pixels)).any() or counts.sum() != pixels:
        raise AnnotationError(
            f"{where}: segmentation: expected runs from 0 up that sum to {pixels} for a picture of "
            f"{size_hw[0]}x{size_hw[1]}, got a sum of {counts.sum()}",
            code="G205",
        )
    return Runs(compress(counts), int(counts[1::2].sum()))


def _counts(value: object, where: str) -> NDArray[np.int64]:
    if isinstance(value, str):
        try:
            return decompress(value)
        except AnnotationError as error:
            raise AnnotationError(f"{where}: segmentation: {error}") from None
    runs = listing(value, where, "segmentation: counts")
    checked = [whole(run, where, "segmentation: counts") for run in runs]
    return np.array(checked, dtype=np.int64)

"""The records of COCO instances files and of those that are written like them.

Annotations are checked many at a time. One about which anything is unusual, run lengths or a missing field for
instance, is checked by itself, so that its error says all.

References: cocodataset.org/#format-data.
Letters: K classes, N pictures, R annotations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.columns import (
    BY_ID,
    RINGS,
    Builder,
    ColumnRecords,
    Columns,
    Corners,
    Known,
    Pictures,
    Placed,
    Rows,
    label_sets,
)
from maskrcnn.data.dataset import Annotation, Box, Dataset, LeftOut, Rings, Runs, stated_or_header_size
from maskrcnn.data.formats.fields import (
    FARTHEST,
    expected,
    listing,
    mapping,
    number,
    numbers,
    polygon,
    stated_size,
    text,
    whole,
)
from maskrcnn.data.formats.json_stream import elements_at, find_sections, is_large
from maskrcnn.data.formats.pictures import as_it_is, places
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.index_cache import Index, fetch, keep
from maskrcnn.errors import AnnotationError, DataError
from maskrcnn.machine import collection_paused
from maskrcnn.ops.rle import compress, decompress

_SECTIONS = ("images", "annotations", "categories")
_BATCH = 1024
_FEW_FILES = 16  # that are all parsed to see what they are
_LISTS = re.compile(rb'"(images|categories|info|licenses)"\s*:|^\s*\{\s*"annotations"\s*:')
_LARGEST_AREA = 1e12
_CONTENT = re.compile("^(instances|person_keypoints|panoptic|stuff|labels|lvis(_v[0-9.]+)?)_")
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


def _file_name(entry: Entry, where: str) -> str:
    return text(entry.get("file_name"), where, "file_name")


def _looked_for(entry: Entry, where: str) -> Known | None:
    """Return what a set that this package wrote says; any other use of the name is none of ours."""
    value = entry.get("labelled")
    return Known([whole(each, where, "labelled") for each in value]) if isinstance(value, list) else None


def _columns(entry: Entry) -> Mapping[str, str]:
    """Likewise."""
    value = entry.get("columns")
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else NOTHING


@dataclass(frozen=True)
class Dialect:
    """In what a kind of file differs from COCO instances.

    Attributes:
        format: The name of the kind.
        name: Returns a picture's name.
        known: Returns the ids of the categories that were looked for in a picture; None for all.
        spellings: Gives the names under which a picture may lie.
    """

    format: str
    name: Callable[[Entry, str], str] = _file_name
    known: Callable[[Entry, str], Known | None] = _looked_for
    spellings: Callable[[str], Sequence[str]] = as_it_is


def read_as(dialect: Dialect, source: Path, reading: Reading) -> Dataset:
    """Read a file of a dialect; the index of a large one is kept in the cache.

    Args:
        dialect: Which.
        source: The JSON file.
        reading: What becomes of faults; pictures may be missing as long as the file says their sizes.

    Raises:
        AnnotationError: The file is broken, or a field of it is not what COCO says.
        ImageError: Pictures are missing.
    """
    large = source not in reading.parsed and is_large(source)
    index = fetch(source, dialect.format) if large else None
    if index is not None:
        names = list(index.columns.pictures.names)
        paths = places(names, folders_of(source), source, reading, dialect.spellings)
        return _indexed(index, dialect, source, paths)
    with collection_paused():
        dataset, keepable = _read(dialect, source, reading)
    return _kept(dataset, dialect) if large and keepable else dataset


def sections_of(source: Path, reading: Reading) -> Callable[[str], Iterator[object]]:
    """Open a file with the lists `images`, `annotations` and `categories`; a large one is read as a stream.

    Returns:
        Gives the elements of one of the lists; it raises an AnnotationError where there is no such list.

    Raises:
        AnnotationError: The file is broken, or no object.
    """
    if source in reading.parsed or not is_large(source):
        root = mapping(reading.json(source), str(source), "top level")
        return lambda key: iter(listing(root.get(key), str(source), key))
    offsets = find_sections(source, _SECTIONS)

    def section(key: str) -> Iterator[object]:
        if key not in offsets:
            raise expected("a list", None, str(source), key)
        return elements_at(source, offsets[key], key)

    return section


def _read(dialect: Dialect, source: Path, reading: Reading) -> tuple[Dataset, bool]:
    """Read a file; say too whether the set follows from the file alone: no fault, no size from a picture."""
    section = sections_of(source, reading)
    noting = _Noting(reading)
    classes = classes_of(section("categories"), source, noting.reading)
    stated = list(pictures_of(section("images"), dialect, source, noting.reading))
    found = places([picture.name for picture in stated], folders_of(source), source, reading, dialect.spellings)
    pictures, paths = sized(stated, found, noting.reading)
    builder, context = Builder(), _Context(source, classes, pictures)
    _add_annotations(section("annotations"), builder, context, noting.reading)
    columns, left_out = builder.finish(side_by_side(pictures), source)
    records = ColumnRecords(_labelled(columns, pictures, context), paths)
    dataset = Dataset(source, dialect.format, classes.names, classes.ids, records, left_out, classes.supercategories)
    return dataset, not noting.count and all(picture.size_hw for picture in stated)


class _Noting:
    """Counts the faults on their way."""

    def __init__(self, reading: Reading) -> None:
        self.count = 0
        self._fault = reading.fault
        self.reading = replace(reading, fault=self._note)

    def _note(self, error: DataError) -> None:
        self.count += 1
        self._fault(error)


def candidates(place: Place) -> list[Path]:
    """List the JSON files of a place and of its `annotations` folder that may have COCO's lists."""
    inner = place.inside("annotations")
    paths = [*place.ending(".json"), *(inner.ending(".json") if inner else ())]
    return paths if len(paths) <= _FEW_FILES else [path for path in paths if _LISTS.search(place.head(path))]


def first_of(document: object, key: str) -> Entry:
    """Return the first entry of a list of parsed JSON, empty where there is no such list or it is no COCO file."""
    if not isinstance(document, dict) or not document.keys() >= {*_SECTIONS}:
        return {}
    entries = document[key]
    first = entries[0] if isinstance(entries, list) and entries else None
    return first if isinstance(first, dict) else {}


def folders_of(source: Path) -> list[Path]:
    """List where the pictures of an annotation file may lie, the likeliest first."""
    (here, above), split = folders_up(source, 2), _CONTENT.sub("", source.stem)
    named = [above / split, here / split, above / "images" / split, here / "images" / split]
    return [*named, here, here / "images", above / "images", above]


def _kept(dataset: Dataset, dialect: Dialect) -> Dataset:
    """Keep the index of a set, and return the set as it is read from there."""
    assert isinstance(dataset.records, ColumnRecords)
    rest = {
        "classes": [dataset.class_names, dataset.category_ids, dataset.supercategories],
        "left out": [[left.picture, left.name, left.reason, left.code] for left in dataset.left_out],
    }
    index = keep(Index(dataset.records.columns, rest), dataset.source, dialect.format)
    return _indexed(index, dialect, dataset.source, dataset.records.paths)


def _indexed(index: Index, dialect: Dialect, source: Path, paths: Sequence[Path]) -> Dataset:
    left_out = [LeftOut(source, *fields) for fields in index.rest["left out"]]
    class_names, category_ids, supercategories = index.rest["classes"]
    records = ColumnRecords(index.columns, paths)
    return Dataset(source, dialect.format, class_names, category_ids, records, left_out, supercategories)


# Classes and pictures


def classes_of(items: Iterable[object], source: Path, reading: Reading) -> Classes:
    """Read `categories`.

    Raises:
        AnnotationError: One is broken, an id or a name comes twice, or there is none.
    """
    found: dict[int, tuple[str, str]] = {}
    names: set[str] = set()

    def parse(numbered: tuple[int, object]) -> None:
        i, item = numbered
        where = f"{source}: categories[{i}]"
        category = mapping(item, where, "category")
        category_id = whole(category.get("id"), where, "id")
        name = text(category.get("name"), where, "name")
        if category_id in found or name in names:
            raise AnnotationError(
                f"{where}: expected every id and every name once, got {category_id} {name!r} a second time", code="F004"
            )
        wider = category.get("supercategory")
        found[category_id] = name, wider.strip() if isinstance(wider, str) else ""
        names.add(name)

    for _ in reading.each(enumerate(items), parse):
        pass
    if not found:
        raise AnnotationError(f"{source}: categories: expected at least one, got none")
    ids = tuple(sorted(found))
    return Classes(tuple(found[i][0] for i in ids), ids, tuple(found[i][1] for i in ids))


def pictures_of(items: Iterable[object], dialect: Dialect, source: Path, reading: Reading) -> Iterator[Picture]:
    """Read `images`.

    Raises:
        AnnotationError: One is broken, or an id comes twice.
    """
    seen: set[int] = set()

    def parse(numbered: tuple[int, object]) -> Picture:
        i, item = numbered
        where = f"{source}: images[{i}]"
        entry = mapping(item, where, "image")
        image_id = whole(entry.get("id"), where, "id")
        if image_id in seen:
            raise AnnotationError(f"{where}: expected every id once, got {image_id} a second time", code="F004")
        name, size_hw = dialect.name(entry, where), stated_size(entry.get("height"), entry.get("width"), where)
        picture = Picture(name, image_id, size_hw, dialect.known(entry, where), _columns(entry))
        seen.add(image_id)
        return picture

    return reading.each(enumerate(items), parse)


def sized(
    pictures: Sequence[Picture], paths: Sequence[Path], reading: Reading
) -> tuple[Sequence[Picture], Sequence[Path]]:
    """Take sizes that are not stated from the pictures' headers.

    Raises:
        ImageError: A picture whose size is needed is missing or broken.
    """
    if all(picture.size_hw for picture in pictures):
        return pictures, paths

    def parse(located: tuple[Picture, Path]) -> tuple[Picture, Path]:
        picture, path = located
        return picture._replace(size_hw=stated_or_header_size(path, picture.size_hw)), path

    known = list(reading.each(zip(pictures, paths, strict=True), parse))
    return [picture for picture, _ in known], [path for _, path in known]


def side_by_side(pictures: Sequence[Picture]) -> Pictures:
    """Lay out pictures whose sizes are known as arrays."""
    sizes = [picture.size_hw for picture in pictures if picture.size_hw is not None]
    names, ids = [picture.name for picture in pictures], [picture.image_id for picture in pictures]
    return Pictures.of(names, ids, sizes, [picture.columns for picture in pictures])


def _labelled(columns: Columns, pictures: Sequence[Picture], context: _Context) -> Columns:
    """Add what was looked for in each picture, where the file says it."""
    if all(picture.known is None for picture in pictures):
        return columns

    def labels(ids: Sequence[int]) -> list[int]:
        return [context.label_of[i] for i in ids if i in context.label_of]

    known = [
        each and Known(labels(each.labels), each.objects, labels(each.open)) for each in (p.known for p in pictures)
    ]
    return replace(columns, pictures=label_sets(columns, known))


# Annotations


class _Context:
    """What annotations refer to."""

    def __init__(self, source: Path, classes: Classes, pictures: Sequence[Picture]) -> None:
        self.source = source
        self.label_of = {category_id: label for label, category_id in enumerate(classes.ids)}
        self.picture_of = {picture.image_id: i for i, picture in enumerate(pictures)}
        self.pictures = pictures


def _add_annotations(items: Iterable[object], builder: Builder, context: _Context, reading: Reading) -> None:
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


def _add_plain(batch: list[tuple[int, object]], builder: Builder, context: _Context) -> list[tuple[int, object]]:
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


def _plain(position: int, item: object, context: _Context) -> tuple[Any, ...] | None:
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


def _placed(position: int, item: object, context: _Context) -> Placed:
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

"""The records of COCO instances files and of those that are written like them.

References: cocodataset.org/#format-data.
Letters: K classes, N pictures, R annotations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maskrcnn.data.columns import (
    Builder,
    ColumnRecords,
    Columns,
    Known,
    Pictures,
    label_sets,
)
from maskrcnn.data.dataset import Dataset, LeftOut, stated_or_header_size
from maskrcnn.data.formats.coco_annotations import NOTHING, Classes, Context, Entry, Picture, add_annotations
from maskrcnn.data.formats.fields import (
    expected,
    listing,
    mapping,
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

_SECTIONS = ("images", "annotations", "categories")
_FEW_FILES = 16  # that are all parsed to see what they are
_LISTS = re.compile(rb'"(images|categories|info|licenses)"\s*:|^\s*\{\s*"annotations"\s*:')
_CONTENT = re.compile("^(instances|person_keypoints|panoptic|stuff|labels|lvis(_v[0-9.]+)?)_")


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
    builder, context = Builder(), Context(source, classes, pictures)
    add_annotations(section("annotations"), builder, context, noting.reading)
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


def _labelled(columns: Columns, pictures: Sequence[Picture], context: Context) -> Columns:
    """Add what was looked for in each picture, where the file says it."""
    if all(picture.known is None for picture in pictures):
        return columns

    def labels(ids: Sequence[int]) -> list[int]:
        return [context.label_of[i] for i in ids if i in context.label_of]

    known = [
        each and Known(labels(each.labels), each.objects, labels(each.open)) for each in (p.known for p in pictures)
    ]
    return replace(columns, pictures=label_sets(columns, known))

"""COCO panoptic: a JSON file, and a PNG for each picture whose colours are the ids of segments.

A segment's id is R + 256 G + 65536 B; pixels of id 0 belong to none. Categories with `isthing` become classes.
The others are stuff, regions such as sky that have no instances: they are no classes, and their segments are
not read. `iscrowd` is taken over. A file in which nothing is a thing is refused.

References: cocodataset.org/#format-data, panoptic.
Letters: H, W height and width of a picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.columns import Builder, ColumnRecords, Placed
from maskrcnn.data.dataset import Dataset, Runs
from maskrcnn.data.formats.coco_annotations import Classes, Picture, annotation_of, coded
from maskrcnn.data.formats.coco_records import (
    Dialect,
    candidates,
    classes_of,
    first_of,
    folders_of,
    pictures_of,
    sections_of,
    side_by_side,
    sized,
)
from maskrcnn.data.formats.fields import expected, listing, mapping, text, whole
from maskrcnn.data.formats.pictures import places
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import read_image
from maskrcnn.errors import AnnotationError
from maskrcnn.ops.rle import Bitmap

_PANOPTIC = Dialect("coco-panoptic")


class _Map(NamedTuple):
    """An entry of `annotations`: the PNG of a picture and its segments."""

    position: int
    picture: int
    size_hw: tuple[int, int]
    name: str
    segments: list[object]


def find(place: Place) -> list[Path]:
    """List the panoptic files of a place or of its `annotations` folder."""
    marks = {"segments_info", "file_name"}
    return [path for path in candidates(place) if marks <= first_of(place.json(path), "annotations").keys()]


def read(source: Path, reading: Reading) -> Dataset:
    """Read a panoptic file; its PNGs are decoded now, so this takes a while for many.

    Args:
        source: The JSON file.
        reading: What becomes of faults; pictures may be missing as long as the file says their sizes.

    Raises:
        AnnotationError: The file is broken, nothing in it is a thing, or a PNG does not fit it.
        ImageError: Pictures or PNGs are missing or broken.
    """
    section = sections_of(source, reading)
    entries = list(section("categories"))
    every = classes_of(entries, source, reading)
    things = _things(every, entries, source)
    stated = list(pictures_of(section("images"), _PANOPTIC, source, reading))
    found = places([picture.name for picture in stated], folders_of(source), source, reading)
    pictures, paths = sized(stated, found, reading)
    maps = list(_maps(section("annotations"), pictures, source, reading))
    pngs = places([each.name for each in maps], _map_folders(source), source, replace(reading, pictures="required"))
    labels = dict.fromkeys(every.ids) | {category_id: label for label, category_id in enumerate(things.ids)}
    builder = Builder()
    for segments in reading.each(zip(maps, pngs, strict=True), lambda located: _segments(*located, source)):
        placed = reading.each(segments, partial(_placed, labels=labels))
        builder.add([each for each in placed if each is not None])
    columns, left_out = builder.finish(side_by_side(pictures), source)
    records = ColumnRecords(columns, paths)
    return Dataset(source, _PANOPTIC.format, things.names, things.ids, records, left_out, things.supercategories)


def _things(every: Classes, entries: Sequence[object], source: Path) -> Classes:
    """Keep the classes that are things, which those are too about which nothing is said."""
    stuff = [entry.get("id") for entry in entries if isinstance(entry, dict) and not entry.get("isthing", 1)]
    kept = [i for i, category_id in enumerate(every.ids) if category_id not in stuff]
    if not kept:
        raise AnnotationError(
            f"{source}: categories: expected at least one with isthing 1, got none; stuff has no instances"
        )
    return Classes(
        tuple(every.names[i] for i in kept),
        tuple(every.ids[i] for i in kept),
        tuple(every.supercategories[i] for i in kept),
    )


def _map_folders(source: Path) -> list[Path]:
    here, above = folders_up(source, 2)
    return [here / source.stem, here, above / source.stem, above]


def _maps(items: Iterator[object], pictures: Sequence[Picture], source: Path, reading: Reading) -> Iterator[_Map]:
    picture_of = {picture.image_id: i for i, picture in enumerate(pictures)}
    seen: set[int] = set()

    def parse(numbered: tuple[int, object]) -> _Map:
        i, item = numbered
        where = f"{source}: annotations[{i}]"
        entry = mapping(item, where, "annotation")
        image_id = whole(entry.get("image_id"), where, "image_id")
        picture = picture_of.get(image_id)
        if picture is None:
            raise coded("F005", expected("the id of one of the images", image_id, where, "image_id"))
        if picture in seen:
            raise AnnotationError(f"{where}: expected one entry a picture, got a second of {image_id}", code="F004")
        name = text(entry.get("file_name"), where, "file_name")
        segments = listing(entry.get("segments_info"), where, "segments_info")
        size_hw = pictures[picture].size_hw
        assert size_hw is not None  # `sized` has seen to that
        seen.add(picture)
        return _Map(i, picture, size_hw, name, segments)

    return reading.each(enumerate(items), parse)


class _Segment(NamedTuple):
    """An entry of `segments_info` with what its PNG has."""

    where: str
    map: _Map
    item: object
    ids: NDArray[np.uint32]


def _segments(found: _Map, path: Path, source: Path) -> list[_Segment]:
    """Read the PNG of a picture."""
    ids = _ids(read_image(path))
    where = f"{source}: {found.name}"
    if ids.shape != found.size_hw:
        raise AnnotationError(
            f"{where}: expected a PNG of {found.size_hw[0]}x{found.size_hw[1]} (height x width) as its picture, "
            f"got {ids.shape[0]}x{ids.shape[1]}",
            code="P103",
        )
    known = [item.get("id") for item in found.segments if isinstance(item, dict)]
    unknown = [number for number in np.unique(ids).tolist() if number and number not in known]
    if unknown:
        raise expected("the id of one of the segments", unknown[0], where, "colour")
    return [_Segment(where, found, item, ids) for item in found.segments]


def _ids(colours: NDArray[np.generic]) -> NDArray[np.uint32]:
    red, green, blue = (colours[..., band % colours.shape[2]].astype(np.uint32) for band in range(3))
    return red + 256 * green + 65536 * blue


def _placed(segment: _Segment, labels: Mapping[int, int | None]) -> Placed | None:
    """Check a segment; None where it is stuff."""
    entry = mapping(segment.item, segment.where, "segment")
    number = whole(entry.get("id"), segment.where, "id", 1)
    name = f"segment {number}"
    where = f"{segment.where}: {name}"
    category_id = whole(entry.get("category_id"), where, "category_id")
    if category_id not in labels:
        raise coded("C301", expected("the id of one of the categories", category_id, where, "category_id"))
    label = labels[category_id]
    if label is None:
        return None
    shape = Runs.of(Bitmap(0, 0, segment.ids == number), segment.map.size_hw)
    annotation = annotation_of(entry, name, where, label, shape)
    if not shape.pixels:  # then a box alone would be no more than a claim
        annotation = replace(annotation, box=None)
    return Placed(segment.map.position, segment.map.picture, annotation)

"""Annotations as the COCO evaluation wants them: boxes and areas as their file states them, where it does.

The published numbers of COCO need the file's own `bbox` and `area`: they come from polygons, not from pixels.
In the wild a `bbox` may contradict its outline (corners instead of width and height is usual); such a box is
taken from the mask instead, and counted in the notes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskrcnn.data.dataset import Rings
from maskrcnn.data.formats.json_stream import elements_at, find_sections
from maskrcnn.ops.rle import RLE, Bitmap, encode

if TYPE_CHECKING:
    from maskrcnn.data.dataset import Annotation, Box, Dataset, Runs, View

BOX_TOLERANCE = 2.0
"""Pixels by which an edge of a file's `bbox` may differ from its outline before the outline is believed."""


class Truth(NamedTuple):
    """One annotated object: `bbox` is x, y, width, height; `area` decides small, medium or large; `view`, if known."""

    image_id: int
    category_id: int
    bbox: list[float]
    area: float
    crowd: bool
    rle: RLE | None
    view: View | None = None


@dataclass(frozen=True)
class GroundTruth:
    """What detections are measured against.

    Attributes:
        sizes_hw: Height and width of each picture, by its id.
        names: The name of each class, by its id, in label order.
        objects: All annotated objects, crowds too, picture by picture.
        notes: What the reader of the numbers should know about the annotations.
        labelled: The ids of the classes that were looked for in a picture, by its id; pictures in which all were
            are not named.
        frequencies: How often each class occurs, by its id: LVIS's `r`, `c` or `f`; none where it is not known.
    """

    sizes_hw: dict[int, tuple[int, int]]
    names: dict[int, str]
    objects: tuple[Truth, ...]
    notes: tuple[str, ...] = ()
    labelled: Mapping[int, frozenset[int]] = field(default_factory=dict)
    frequencies: Mapping[int, str] = field(default_factory=dict)


def from_dataset(dataset: Dataset) -> GroundTruth:
    """Take the annotations of a data set; boxes alone are objects without a mask."""
    taken: Counter[str] = Counter()
    objects = [
        _truth(annotation, record.image_id, dataset.category_ids[annotation.label], record.size_hw, taken)
        for record in dataset.records
        for annotation in record.annotations
    ]
    notes = [f"{count} of {len(objects)} annotations: {what}" for what, count in sorted(taken.items())]
    if dataset.left_out:
        notes.append(f"{len(dataset.left_out)} annotations are left out, such as {dataset.left_out[0]}")
    sizes = {record.image_id: record.size_hw for record in dataset.records}
    names = dict(zip(dataset.category_ids, dataset.class_names, strict=True))
    labelled = {
        record.image_id: frozenset(dataset.category_ids[label] for label in record.labelled)
        for record in dataset.records
        if record.labelled is not None
    }
    return GroundTruth(sizes, names, tuple(objects), tuple(notes), labelled, _frequencies(dataset))


def _frequencies(dataset: Dataset) -> dict[int, str]:
    """Return how often each class of an LVIS file occurs, by its id."""
    if dataset.format != "lvis" or not dataset.source.is_file():
        return {}
    sections = find_sections(dataset.source, ["categories"])
    if "categories" not in sections:
        return {}
    entries = elements_at(dataset.source, sections["categories"], "categories")
    return {
        entry["id"]: entry["frequency"]
        for entry in entries
        if isinstance(entry, dict) and "frequency" in entry and entry.get("id") in dataset.category_ids
    }


def from_coco(values: Mapping[str, Any], source: str = "ground truth") -> GroundTruth:
    """Take the content of a COCO annotation file, whose pictures need not be there.

    Args:
        values: `images`, `annotations` and `categories`.
        source: Where they come from, for the error.

    Raises:
        AnnotationError: They are not what COCO says.
    """
    from maskrcnn.data.formats import coco
    from maskrcnn.data.formats.reading import Reading

    path = Path(source)
    return from_dataset(coco.read(path, Reading(pictures="optional", parsed={path: dict(values)})))


def _truth(
    annotation: Annotation, image_id: int, category_id: int, size_hw: tuple[int, int], taken: Counter[str]
) -> Truth:
    if annotation.shape is None:
        assert annotation.box is not None  # an annotation with neither is refused or left out on reading
        box, area, rle = annotation.box, annotation.area or _box_area(annotation.box), None
    else:
        box, area, rle = _measure(annotation, annotation.shape, size_hw, taken)
    x1, y1, x2, y2 = box
    return Truth(image_id, category_id, [x1, y1, x2 - x1, y2 - y1], area, annotation.crowd, rle, annotation.view)


def _measure(
    annotation: Annotation, shape: Rings | Runs, size_hw: tuple[int, int], taken: Counter[str]
) -> tuple[Box, float, RLE]:
    """Choose a mask's box and area: what the file states, unless it states none or contradicts the mask."""
    rle, pixels, drawn = _drawn(shape, size_hw)
    outline = shape.extent() if isinstance(shape, Rings) else drawn
    if annotation.box is None:
        return drawn, annotation.area or pixels, rle
    if np.abs(np.subtract(annotation.box, outline)).max() > BOX_TOLERANCE:
        taken[f"bbox is off the outline by more than {BOX_TOLERANCE:g} pixels; taken from the mask"] += 1
        return drawn, pixels, rle
    return annotation.box, annotation.area or pixels, rle


def _drawn(shape: Rings | Runs, size_hw: tuple[int, int]) -> tuple[RLE, float, Box]:
    """Return a shape's run lengths, its pixels, and the box of what is set; of nothing set, that of its outline."""
    from faster_coco_eval.core.mask import toBbox

    if isinstance(shape, Rings):
        bitmap = shape.bitmap(size_hw)
        pixels = float(np.count_nonzero(bitmap.pixels))
        return encode(bitmap, size_hw), pixels, _border(bitmap) if pixels else shape.extent()
    rle = RLE(size=[*size_hw], counts=shape.counts)
    x, y, w, h = toBbox([rle])[0].tolist()
    return rle, float(shape.pixels), (x, y, x + w, y + h)


def _border(bitmap: Bitmap) -> Box:
    h, w = bitmap.pixels.shape
    return float(bitmap.x), float(bitmap.y), float(bitmap.x + w), float(bitmap.y + h)


def _box_area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])

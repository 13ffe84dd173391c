"""COCO instances JSON read, and the objects of a picture as it says them.

A segmentation is a list of polygons, or run lengths as a list or as COCO's string. An annotation without one
has a box only. Labels follow the category ids, which need not be contiguous; every declared category is a
class, whether any object has it or not.

References: cocodataset.org/#format-data; pycocotools.
Letters: K classes, N objects of a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_records import Dialect, candidates, first_of, read_as
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.structures import Instances

_INSTANCES = "instances_*.json"
_COCO = Dialect("coco")


def find(place: Place) -> list[Path]:
    """List the COCO instances files of a place or of its `annotations` folder; results are not annotations."""
    paths = candidates(place)
    named = [path for path in paths if path.match(_INSTANCES)]
    likely = named or [path for path in paths if not place.is_folder or not path.stem.endswith("results")]
    return [path for path in likely if _recognises(place.json(path))]


def _recognises(document: object) -> bool:
    """Say whether parsed JSON is a COCO instances file; captions, LVIS and panoptic sets are not."""
    if not isinstance(document, dict) or not {"images", "annotations", "categories"} <= document.keys():
        return False
    annotation, image = first_of(document, "annotations"), first_of(document, "images")
    return not ({"segments_info", "caption"} & annotation.keys() or "neg_category_ids" in image)


def read(source: Path, reading: Reading) -> Dataset:
    """Read a COCO instances file; the index of a large one is kept in the cache.

    Args:
        source: The JSON file.
        reading: What becomes of faults; pictures may be missing as long as the file says their sizes.

    Raises:
        AnnotationError: The file is broken, or a field of it is not what COCO says.
        ImageError: Pictures are missing.
    """
    return read_as(_COCO, source, reading)


# Writing


def encode_instances(
    instances: Instances, image_id: int, first_id: int, category_ids: Sequence[int]
) -> list[dict[str, object]]:
    """Write the objects of a picture as COCO annotations; masks are kept exactly.

    Args:
        instances: The N objects.
        image_id: The picture's id.
        first_id: The first object's id; the others follow.
        category_ids: The id of each of the K classes.
    """
    areas = _areas(instances)
    return [
        {"id": first_id + i, **entry, "area": areas[i], "iscrowd": int(instances.crowd[i])}
        for i, entry in enumerate(_located(instances, image_id, category_ids))
    ]


def encode_results(instances: Instances, image_id: int, category_ids: Sequence[int]) -> list[dict[str, object]]:
    """Write the detections of a picture as COCO results.

    Args:
        instances: The N detections.
        image_id: The picture's id.
        category_ids: The id of each of the K classes.
    """
    scores = instances.scores.tolist()
    return [
        {**entry, "score": score}
        for entry, score in zip(_located(instances, image_id, category_ids), scores, strict=True)
    ]


def _areas(instances: Instances) -> list[float]:
    if instances.masks is not None:
        areas: list[float] = instances.masks.areas().tolist()
        return areas
    sides = instances.boxes[:, 2:].astype(np.float64) - instances.boxes[:, :2]
    return [w * h for w, h in sides.tolist()]


def _located(instances: Instances, image_id: int, category_ids: Sequence[int]) -> list[dict[str, object]]:
    boxes = instances.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    entries: list[dict[str, object]] = [
        {"image_id": image_id, "category_id": int(category_ids[label]), "bbox": box}
        for label, box in zip(instances.labels.tolist(), boxes.tolist(), strict=True)
    ]
    if instances.masks is not None:
        for entry, rle in zip(entries, instances.masks.rle(), strict=True):
            entry["segmentation"] = rle
    return entries

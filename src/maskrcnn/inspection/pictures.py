"""The pictures of the page: which are shown, with what is annotated on them, and single objects enlarged.

Letters: P pictures, N objects, K classes.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.geometry import crop, resize
from maskrcnn.draw.bars import TIMES
from maskrcnn.draw.overlay import displayable, names, overlay
from maskrcnn.errors import DataError
from maskrcnn.inspection.survey import Survey
from maskrcnn.structures import Instances, Sample

SIDE = 640  # pixels of a shown picture's long edge
CROP_SIDE = 240
MOST_NAMES = 30  # objects of a picture whose name is written on it
_MOST_ZOOM = 8
_CONTEXT = 1.5  # of a small object's own sides, round it
_LEAST_WINDOW = 24  # pixels of a crop's sides
_GREY = 128


class Shot(NamedTuple):
    """A picture of the set with its objects drawn on it.

    Attributes:
        image: As it is shown, shrunk or enlarged.
        name: The picture's file name.
        size_hw: Its own height and width.
        objects: How many of each class, as it is named on the picture, the most frequent first.
        fault: Why it could not be read; its objects are then drawn on grey.
    """

    image: Image.Image
    name: str
    size_hw: tuple[int, int]
    objects: tuple[tuple[int, str, int], ...]
    fault: str


class Crop(NamedTuple):
    """One object, enlarged or shrunk, with some of what is round it.

    Attributes:
        image: As it is shown.
        class_name: What it is.
        place: Its size and its upper left corner.
        picture: The file name of its picture.
        name: Which annotation it is.
        fault: Why its picture could not be read.
    """

    image: Image.Image
    class_name: str
    place: str
    picture: str
    name: str
    fault: str


def choose_pictures(survey: Survey, classes: int, count: int, seed: int) -> list[int]:
    """Choose pictures to show, in the set's order.

    Up to half of the places go to one picture each of classes that are on none of the others, the rarest class
    first. The rest is drawn at random.

    Args:
        survey: The set's numbers.
        classes: K.
        count: How many, at most P.
        seed: The choice follows from it.
    """
    pictures = len(survey.size_hw)
    if count >= pictures:
        return list(range(pictures))
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    frequency = np.bincount(survey.label, minlength=classes)
    by_label = np.argsort(survey.label, kind="stable")
    groups = np.split(survey.picture[by_label], np.cumsum(frequency)[:-1]) if classes else []
    for label in np.argsort(frequency, kind="stable").tolist():
        if len(chosen) == count // 2:
            break
        if len(groups[label]) and not np.isin(groups[label], chosen).any():
            chosen.append(int(rng.choice(groups[label])))
    rest = [int(i) for i in rng.permutation(pictures)[: 2 * count] if int(i) not in chosen]
    return sorted([*chosen, *rest[: count - len(chosen)]])


def shoot(dataset: Dataset, i: int) -> Shot:
    """Draw picture i with its objects, large enough to be looked at."""
    record = dataset.records[i]
    sample, fault = read_or_grey(dataset, i)
    h, w = record.size_hw
    long = max(h, w)
    if long > SIDE:
        sample = resize(sample, (max(1, round(h * SIDE / long)), max(1, round(w * SIDE / long))))
    zoom = max(1, min(_MOST_ZOOM, SIDE // long))
    shown = sample.instances
    image = overlay(sample.image, shown, captions=largest_names(shown), zoom=zoom)
    counts = Counter(zip(shown.labels.tolist(), names(shown), strict=True))
    objects = tuple((label, name, count) for (label, name), count in counts.most_common())
    return Shot(image, record.name, record.size_hw, objects, fault)


def cut_out(dataset: Dataset, survey: Survey, objects: Sequence[int]) -> list[Crop]:
    """Cut objects out of their pictures, each of which is read once.

    Args:
        dataset: The set.
        survey: Its numbers.
        objects: Which of the N.
    """
    crops: dict[int, Crop] = {}
    for i, own in itertools.groupby(sorted(objects), lambda each: int(survey.picture[each])):
        sample, fault = read_or_grey(dataset, i)
        crops |= {each: _crop(dataset, i, each - survey.first_of(i), survey.boxes[each], sample, fault) for each in own}
    return [crops[each] for each in objects]


def _crop(dataset: Dataset, i: int, j: int, box: NDArray[np.float64], sample: Sample, fault: str) -> Crop:
    """Cut object j of picture i out."""
    record = dataset.records[i]
    annotation = record.annotations[j]
    x, y, size_hw = window(box, record.size_hw)
    shown = crop(replace(sample, instances=sample.instances[[j]]), x, y, size_hw)
    long = max(size_hw)
    if long > CROP_SIDE:
        shown = resize(shown, (max(1, size_hw[0] * CROP_SIDE // long), max(1, size_hw[1] * CROP_SIDE // long)))
    zoom = max(1, CROP_SIDE // long)
    image = overlay(shown.image, shown.instances, captions=[""] * len(shown.instances), zoom=zoom)
    x1, y1, x2, y2 = box.tolist()
    place = f"{x2 - x1:.4g} {TIMES} {y2 - y1:.4g} px at x {x1:.4g}, y {y1:.4g}"
    return Crop(image, dataset.class_names[annotation.label], place, record.name, annotation.name, fault)


def window(box: NDArray[np.float64], size_hw: tuple[int, int]) -> tuple[int, int, tuple[int, int]]:
    """Lay a square window round a box and cut it off at the picture's border.

    Args:
        box: (4) float64 x1, y1, x2, y2.
        size_hw: Height and width of the picture.

    Returns:
        The window's left column, its upper row, and its height and width.

    >>> window(np.array([40.0, 10.0, 44.0, 12.0]), (100, 200))
    (30, 0, (24, 24))
    """
    x1, y1, x2, y2 = box.tolist()
    long = max(x2 - x1, y2 - y1)
    side = max(_LEAST_WINDOW, math.ceil(min(long * (1 + 2 * _CONTEXT), long + CROP_SIDE / 4)))
    h, w = min(side, size_hw[0]), min(side, size_hw[1])
    x = min(max(math.floor((x1 + x2 - w) / 2), 0), size_hw[1] - w)
    y = min(max(math.floor((y1 + y2 - h) / 2), 0), size_hw[0] - h)
    return x, y, (h, w)


def read_or_grey(dataset: Dataset, i: int) -> tuple[Sample, str]:
    """Read a picture as RGB; where it can't be read, take grey and say why."""
    try:
        sample = dataset[i]
    except DataError as error:
        record = dataset.records[i]
        grey = np.full((*record.size_hw, 3), _GREY, dtype=np.uint8)
        return Sample(grey, dataset.instances(i), record.path, record.image_id), str(error)
    return Sample(displayable(sample.image), sample.instances, sample.path, sample.image_id), ""


def largest_names(instances: Instances) -> list[str]:
    """Name the largest objects and leave the others without a name, so that the picture can still be seen."""
    captions = names(instances)
    sides = instances.boxes[:, 2:] - instances.boxes[:, :2]
    for i in np.argsort(-sides.prod(axis=1), kind="stable")[MOST_NAMES:].tolist():
        captions[i] = ""
    return captions

"""Pictures of a report: each once, shrunk, with what is annotated and what was found as outlines that a browser draws.

The outlines follow the pixels of the shown masks exactly. As they are drawn over the picture and not into it, one
picture serves for the truth, for the prediction and for their differences.

Letters: G annotated objects of a picture, D detections in it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import Result
from maskrcnn.data.geometry import crop_instances, resize_instances
from maskrcnn.draw.differences import differences
from maskrcnn.draw.labels import font, place
from maskrcnn.draw.page import data_uri
from maskrcnn.evaluation.coco import Kind
from maskrcnn.evaluation.ground_truth import GroundTruth
from maskrcnn.evaluation.scenes import Viewer, by_picture
from maskrcnn.evaluation.verdicts import NOTHING
from maskrcnn.inspection.pictures import read_or_grey, window
from maskrcnn.ops.polygons import trace
from maskrcnn.ops.rle import Bitmap, decode
from maskrcnn.reporting.cases import Case, Judged, Wrong, judged
from maskrcnn.structures import Bitmaps, Instances, Sample

State = Literal["right", "missed", "false", "ignored"]
SIDE = 640  # pixels of a shown picture's long edge at most
CROP_SIDE = 200
MOST_NAMES = 12  # objects of a picture whose name is written on it
QUALITY = 78  # of JPEG
_LETTERS = 17  # height of a plate's letters where the long edge is SIDE


class Outline(NamedTuple):
    """One object as a browser draws it.

    Attributes:
        path: What SVG calls `d`, in pixels of the shown picture.
        label: Its class.
        state: What became of it.
        words: What a pointer on it shows.
    """

    path: str
    label: int
    state: State
    words: str


class Plate(NamedTuple):
    """A name on a picture whose long edge is `SIDE`."""

    x: int
    y: int
    width: int
    height: int
    text: str
    label: int


class Layer(NamedTuple):
    """What is drawn over a picture: outlines, large ones first, and the names of the largest objects."""

    outlines: tuple[Outline, ...]
    plates: tuple[Plate, ...]


@dataclass(frozen=True)
class Shot:
    """A picture and what is drawn over it.

    Attributes:
        name: Its file name.
        uri: The picture.
        size_wh: Its width and height as shown.
        truth: What is annotated.
        found: What was found by each run.
        fault: Why it could not be read; it is then grey.
    """

    name: str
    uri: str
    size_wh: tuple[int, int]
    truth: Layer
    found: tuple[Layer, ...]
    fault: str

    @property
    def enlarged(self) -> float:
        """How much larger the unit of the names is than a pixel of the shown picture."""
        return max(self.size_wh) / SIDE


class Scenery(NamedTuple):
    """A picture with its objects and the judged detections of each run.

    Attributes:
        name: Its file name.
        sample: The picture, RGB, with its annotations.
        fault: Why it could not be read.
        judged: Of each run.
        found: The instances of each run, in the order of its scene.
    """

    name: str
    sample: Sample
    fault: str
    judged: tuple[Judged, ...]
    found: tuple[Instances, ...]


def sceneries(
    dataset: Dataset,
    kind: Kind,
    truth: GroundTruth,
    results: Sequence[Sequence[Result]],
    least: Sequence[NDArray[np.float64]],
    image_ids: Collection[int],
) -> Iterator[Scenery]:
    """Read some pictures of a data set one after another, each with what is there and what each run found.

    Args:
        dataset: The set.
        kind: Whether boxes or masks are judged.
        truth: Its objects.
        results: The detections of each run.
        least: Of each run (K) float64. The score from which on a detection of each class is sure.
        image_ids: Which pictures.
    """
    viewer = Viewer(truth)
    places = [by_picture(each) for each in results]
    for i in range(len(dataset)):
        image_id = dataset.image_id(i)
        if image_id not in image_ids:
            continue
        sample, fault = read_or_grey(dataset, i)
        runs = []
        for each, own, limits in zip(results, places, least, strict=True):
            at = own.get(image_id, [])
            runs.append(judged(viewer.see(kind, image_id, [each[n] for n in at], at), limits))
        found = [_instances(sample, one, each) for one, each in zip(runs, results, strict=True)]
        yield Scenery(dataset.records[i].name, sample, fault, tuple(runs), tuple(found))


def _instances(sample: Sample, one: Judged, results: Sequence[Result]) -> Instances:
    """Make instances of the detections of a picture."""
    own = [results[i] for i in one.scene.found.tolist()]
    size = sample.instances.size_hw
    bitmaps = [decode(each["segmentation"]) for each in own if "segmentation" in each]
    boxes = [each.get("bbox", (0.0, 0.0, 0.0, 0.0)) for each in own]
    edges = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    edges[:, 2:] += edges[:, :2]
    masks = Bitmaps(bitmaps, size) if len(bitmaps) == len(own) else None
    if masks is not None and any("bbox" not in each for each in own):
        edges = masks.boxes()
    return Instances(
        size,
        edges,
        one.scene.found_labels,
        sample.instances.class_names,
        masks,
        one.scene.scores.astype(np.float32),
    )


def shoot(scenery: Scenery) -> Shot:
    """Shrink a picture and draw what is on it: every object, and the detections that are sure."""
    sample = scenery.sample
    h, w = sample.instances.size_hw
    part = min(1.0, SIDE / max(h, w))
    size_hw = (max(1, round(h * part)), max(1, round(w * part)))
    missed = scenery.judged[0].missed
    layers = []
    for one, found in zip(scenery.judged, scenery.found, strict=True):
        sure = np.flatnonzero(one.sure)
        words = [_found_words(one, found, int(d)) for d in sure]
        layers.append(_layer(found[sure], size_hw, [_state(one, int(d)) for d in sure], words))
    truth = sample.instances
    states = [_truth_state(bool(crowd), bool(lost)) for crowd, lost in zip(truth.crowd, missed, strict=True)]
    words = [f"{each}, annotated{_TOLD[state]}" for each, state in zip(truth.names, states, strict=True)]
    layer = _layer(truth, size_hw, states, words)
    uri = _uri(sample.image, size_hw)
    return Shot(scenery.name, uri, (size_hw[1], size_hw[0]), layer, tuple(layers), scenery.fault)


def differing(scenery: Scenery) -> Image.Image:
    """Draw what the first run missed, what it found that is not there, and what it found, into the picture."""
    one, found, sample = scenery.judged[0], scenery.found[0], scenery.sample
    shown = np.flatnonzero(one.sure & ~one.verdicts.ignored)
    zoom = max(1, SIDE // max(sample.instances.size_hw))
    image = differences(sample.image, sample.instances, found[shown], one.verdicts.objects[shown], zoom=zoom)
    image.thumbnail((SIDE, SIDE))
    return image


_TOLD: dict[State, str] = {"right": "", "missed": ": missed", "ignored": ": a crowd", "false": ""}


def _truth_state(crowd: bool, missed: bool) -> State:
    if crowd:
        return "ignored"
    return "missed" if missed else "right"


def _state(one: Judged, d: int) -> State:
    if one.verdicts.objects[d] != NOTHING:
        return "right"
    return "ignored" if one.verdicts.ignored[d] else "false"


def _found_words(one: Judged, found: Instances, d: int) -> str:
    name = f"{found.class_names[found.labels[d]]} {one.scene.scores[d]:.2f}"
    g = int(one.verdicts.objects[d])
    if g != NOTHING:
        return f"{name}: right, IoU {one.scene.ious[d, g]:.2f}"
    return f"{name}: {'in a crowd or not looked for' if one.verdicts.ignored[d] else 'false'}"


def _uri(image: NDArray[np.generic], size_hw: tuple[int, int]) -> str:
    picture = Image.fromarray(image.astype(np.uint8, copy=False))
    if picture.size != size_hw[::-1]:
        picture = picture.resize(size_hw[::-1], Image.Resampling.BICUBIC)
    return data_uri(picture, QUALITY)


def _layer(instances: Instances, size_hw: tuple[int, int], states: Sequence[State], words: Sequence[str]) -> Layer:
    """Draw instances on a picture that is shown at another size."""
    shown = resize_instances(instances, size_hw)
    areas = (shown.boxes[:, 2:] - shown.boxes[:, :2]).prod(axis=1)
    order = np.argsort(-areas, kind="stable").tolist()
    outlines = tuple(Outline(_path(shown, i), int(shown.labels[i]), states[i], words[i]) for i in order)
    return Layer(outlines, _plates(shown, words, order[:MOST_NAMES]))


def _path(instances: Instances, i: int) -> str:
    if instances.masks is not None:
        return mask_path(instances.masks.crop(i))
    x1, y1, x2, y2 = (f"{edge:.1f}" for edge in instances.boxes[i].tolist())
    return f"M{x1} {y1}H{x2}V{y2}H{x1}z"


def mask_path(bitmap: Bitmap) -> str:
    """Write the exact outline of a mask, holes too, as SVG's path data of whole numbers.

    >>> mask_path(Bitmap(5, 7, np.array([[1, 1]], dtype=bool)))
    'M5 7h2v1h-2z'
    """
    rings = [ring for polygon in trace(bitmap) for ring in (polygon.exterior, *polygon.holes)]
    return "".join(_ring(ring.astype(np.int64)) for ring in rings)


def _ring(corners: NDArray[np.int64]) -> str:
    """Write a ring of corners (V, 2), whose sides are level and upright by turns."""
    steps = np.diff(corners, axis=0).tolist()
    (x, y), sides = corners[0].tolist(), (f"h{dx}" if dx else f"v{dy}" for dx, dy in steps)
    return f"M{x} {y}{''.join(sides)}z"


def _plates(instances: Instances, words: Sequence[str], order: Sequence[int]) -> tuple[Plate, ...]:
    """Find a place for the names of the largest objects, clear of each other if there is room."""
    h, w = instances.size_hw
    scale = SIDE / max(h, w)
    size_wh = (round(w * scale), round(h * scale))
    plates: list[Plate] = []
    taken: list[tuple[int, int, int, int]] = []
    for i in order:
        text = words[i].split(":")[0].split(", annotated")[0]
        extent = (math.ceil(font(_LETTERS).getlength(text) * 1.05) + _LETTERS // 2, round(_LETTERS * 1.35))
        x1, y1, x2, y2 = (round(edge * scale) for edge in instances.boxes[i].tolist())
        at = place(extent, (x1, y1, x2, y2), taken, size_wh)
        taken.append(at)
        plates.append(Plate(at[0], at[1], at[2] - at[0], at[3] - at[1], text, int(instances.labels[i])))
    return tuple(plates)


class Crop(NamedTuple):
    """One missed object or one false detection, with some of what is round it.

    Attributes:
        uri: The picture.
        size_wh: Its width and height.
        outlines: What is annotated and found there, and the case itself as the last one.
        case: What it is.
        name: The picture's file name.
        words: What it is, in words.
    """

    uri: str
    size_wh: tuple[int, int]
    outlines: tuple[Outline, ...]
    case: Case
    name: str
    words: str


def cut_out(scenery: Scenery, case: Case, of: Wrong) -> Crop:
    """Cut a case out of its picture, enlarged or shrunk, with the object or detection nearest to it."""
    sample, found, one = scenery.sample, scenery.found[0], scenery.judged[0]
    own = sample.instances if of == "missed" else found
    x, y, size_hw = window(own.boxes[case.place].astype(np.float64), sample.instances.size_hw)
    shown: list[Outline] = []
    other = found[one.sure] if of == "missed" else sample.instances
    scale = CROP_SIDE / max(size_hw)
    new_hw = (max(1, round(size_hw[0] * scale)), max(1, round(size_hw[1] * scale)))
    parts: tuple[tuple[Instances, State], ...] = (
        (_inside(other, x, y, size_hw), "ignored"),
        (own[[case.place]], of),
    )
    for instances, state in parts:
        part = crop_instances(instances, x, y, size_hw, min_share=0.0)
        shown += _layer(part, new_hw, [state] * len(part), [""] * len(part)).outlines
    image = sample.image[y : y + size_hw[0], x : x + size_hw[1]]
    words = _words(case, of, own.class_names)
    return Crop(_uri(image, new_hw), (new_hw[1], new_hw[0]), tuple(shown), case, scenery.name, words)


def _inside(instances: Instances, x: int, y: int, size_hw: tuple[int, int]) -> Instances:
    """Leave out what has no part in a window, before masks are cut."""
    x1, y1, x2, y2 = instances.boxes.T
    return instances[(x1 < x + size_hw[1]) & (x2 > x) & (y1 < y + size_hw[0]) & (y2 > y)]


def _words(case: Case, of: Wrong, names: Sequence[str]) -> str:
    near = case.near
    if of == "missed":
        if near is None:
            return "nothing was found there"
        return f"nearest: {names[near.label]} {near.score:.2f}, IoU {near.iou:.2f}"
    if near is None:
        return "on background"
    what = "its class" if near.label == case.label else names[near.label]
    return f"on {what}, IoU {near.iou:.2f}"

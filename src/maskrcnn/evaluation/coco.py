"""COCO's average precision and recall of boxes and masks, over all classes and per class.

The matching is faster-coco-eval's; the numbers are those that pycocotools gives for the same two files. In a picture
where a class was not looked for, a detection of it that matches no object is neither right nor wrong.

References: https://cocodataset.org/#detection-eval; LVIS (1908.03195), whose federated evaluation that is.
Letters: T IoU thresholds, R recall levels, K classes, A area ranges, L limits of detections.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.formats.coco_results import Result, write_json
from maskrcnn.errors import AnnotationError, InputError, few
from maskrcnn.evaluation.ground_truth import GroundTruth, Truth, from_coco, from_dataset
from maskrcnn.ops.rle import Bitmap, decompress, encode

if TYPE_CHECKING:
    from rich.table import Table

    from maskrcnn.data.dataset import Dataset

Kind = Literal["box", "mask"]
KINDS: tuple[Kind, ...] = ("box", "mask")
AREAS = ("all", "small", "medium", "large")
_AREA_WORDS = {
    "all": "all areas",
    "small": "small (under 32² pixels)",
    "medium": "medium (32² to 96² pixels)",
    "large": "large (over 96² pixels)",
}
_IOU_TYPE: dict[Kind, str] = {"box": "bbox", "mask": "segm"}


class Number(NamedTuple):
    """One number of the COCO evaluation: `iou` is None for the mean over 0.50, 0.55 ... 0.95."""

    name: str
    quantity: Literal["precision", "recall"]
    iou: float | None
    area: str
    detections: int

    @property
    def iou_range(self) -> str:
        """The IoU range in words, `0.50:0.95` or one threshold."""
        return "0.50:0.95" if self.iou is None else f"{self.iou:.2f}"

    def describe(self) -> str:
        """Say what the number is.

        >>> numbers()[1].describe()
        'average precision, IoU 0.50, all areas, at most 100 detections a picture and class'
        """
        limit = f"at most {self.detections} detection{'' if self.detections == 1 else 's'} a picture and class"
        return f"average {self.quantity}, IoU {self.iou_range}, {_AREA_WORDS[self.area]}, {limit}"


def numbers(detections: Sequence[int] = (1, 10, 100)) -> tuple[Number, ...]:
    """List COCO's numbers in their usual order: precision at the largest limit, then recall.

    Args:
        detections: Limits of detections a picture and class, rising.
    """
    most = detections[-1]
    return (
        Number("AP", "precision", None, "all", most),
        Number("AP50", "precision", 0.5, "all", most),
        Number("AP75", "precision", 0.75, "all", most),
        *(Number(f"AP_{area}", "precision", None, area, most) for area in AREAS[1:]),
        *(Number(f"AR{limit}", "recall", None, "all", limit) for limit in detections),
        *(Number(f"AR_{area}", "recall", None, area, most) for area in AREAS[1:]),
    )


@dataclass(frozen=True)
class Metrics:
    """The outcome of an evaluation; a number is None where the data has nothing to measure it on.

    Attributes:
        values: `box/AP`, `box/AP50`, ..., `mask/AR_large` over all classes; no keys for a kind that was
            not measured.
        classes: The same for each class by name, and its counts of `objects` and `detections`.
        images: Number of pictures.
        objects: Number of annotated objects, without crowds.
        crowds: Number of crowd regions.
        detections: Number of detections.
        limits: Detections a picture and class that are looked at, rising.
        notes: What the reader should know, a sentence each.
    """

    values: dict[str, float | None]
    classes: dict[str, dict[str, float | int | None]]
    images: int
    objects: int
    crowds: int
    detections: int
    limits: tuple[int, ...] = (1, 10, 100)
    notes: tuple[str, ...] = field(default=())

    def __getitem__(self, key: str) -> float | None:
        return self.values[key]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What was measured: `box`, `mask` or both."""
        return tuple(kind for kind in KINDS if f"{kind}/AP" in self.values)

    def to_json(self) -> dict[str, Any]:
        """Return plain values: the numbers at the top, what they mean and the classes below."""
        meaning = {number.name: number.describe() for number in numbers(self.limits)}
        return {
            **self.values,
            "images": self.images,
            "objects": self.objects,
            "crowds": self.crowds,
            "detections": self.detections,
            "notes": list(self.notes),
            "meaning": meaning,
            "classes": self.classes,
        }


def evaluate_results(
    ground_truth: Dataset | Mapping[str, Any],
    results: Sequence[Result],
    *,
    detections: Sequence[int] = (1, 10, 100),
    source: str = "results",
) -> Metrics:
    """Measure detections against annotations.

    Boxes are measured where every record has a `bbox`, masks where every record and every object has a mask;
    what could not be measured is said in the notes.

    Args:
        ground_truth: A data set, or the content of a COCO annotation file.
        results: Detections as COCO results, in any order; `read_results` and `to_coco_results` make them.
        detections: Limits of detections a picture and class, for the recall; precision uses the largest.
        source: Where the results come from, for errors.

    Raises:
        AnnotationError: Records name pictures or classes that the data does not have, a mask has another size
            than its picture, or records have neither all boxes nor all masks.
        InputError: A limit is below 1.
    """
    limits = tuple(sorted(set(detections)))
    if not limits or limits[0] < 1:
        raise InputError(f"detections: expected one or more limits of at least 1, got {list(detections)}")
    truth = from_coco(ground_truth) if isinstance(ground_truth, Mapping) else from_dataset(ground_truth)
    _check(results, truth, source)
    kinds, notes = _measurable(results, truth, source)
    notes += _open_note(results, truth)
    values: dict[str, float | None] = {}
    classes = _counts(results, truth)
    for kind in kinds:
        overall, per_class = _measure(kind, truth, results, limits)
        values.update(overall)
        for name, row in zip(truth.names.values(), per_class, strict=True):
            classes[name].update(row)
    crowds = sum(one.crowd for one in truth.objects)
    return Metrics(
        values,
        classes,
        images=len(truth.sizes_hw),
        objects=len(truth.objects) - crowds,
        crowds=crowds,
        detections=len(results),
        limits=limits,
        notes=(*truth.notes, *notes),
    )


def _check(results: Sequence[Result], truth: GroundTruth, source: str) -> None:
    """Refuse records that do not belong to the data."""
    for key, known, what in (
        ("image_id", truth.sizes_hw.keys(), "pictures"),
        ("category_id", truth.names.keys(), "classes"),
    ):
        ids = Counter(result[key] for result in results)  # type: ignore[literal-required]
        unknown = {one: count for one, count in ids.items() if one not in known}
        if unknown:
            raise AnnotationError(
                f"{source}: expected the {key} of {what} in the data, "
                f"got others in {sum(unknown.values())} of {len(results)} records: {few(sorted(unknown), 5)}"
            )
    for i, result in enumerate(results):
        size = list(truth.sizes_hw[result["image_id"]])
        if "segmentation" in result and result["segmentation"]["size"] != size:
            got = result["segmentation"]["size"]
            hint = "; height and width are swapped" if got == size[::-1] else ""
            raise AnnotationError(
                f"{source}: record {i}: segmentation: expected size {size} of picture {result['image_id']}, "
                f"got {got}{hint}"
            )


def _measurable(results: Sequence[Result], truth: GroundTruth, source: str) -> tuple[list[Kind], list[str]]:
    """Decide what can be measured, and say why the rest can't."""
    without = {
        "box": sum("bbox" not in result for result in results),
        "mask": sum("segmentation" not in result for result in results),
    }
    maskless = sum(one.rle is None for one in truth.objects)
    kinds: list[Kind] = [kind for kind in KINDS if not without[kind] and not (kind == "mask" and maskless)]
    notes = [
        f"no {kind} numbers: {count} of {len(results)} results have no {kind}"
        for kind, count in without.items()
        if count
    ]
    if maskless:
        notes.append(f"no mask numbers: {maskless} of {len(truth.objects)} annotated objects have no mask")
    if not kinds:
        raise AnnotationError(f"{source}: nothing can be measured: {'; '.join(notes)}")
    return kinds, notes


def _counts(results: Sequence[Result], truth: GroundTruth) -> dict[str, dict[str, float | int | None]]:
    objects = Counter(one.category_id for one in truth.objects if not one.crowd)
    found = Counter(result["category_id"] for result in results)
    return {name: {"objects": objects[i], "detections": found[i]} for i, name in truth.names.items()}


Values = dict[str, float | None]


def _measure(
    kind: Kind, truth: GroundTruth, results: Sequence[Result], limits: tuple[int, ...]
) -> tuple[Values, list[Values]]:
    """Return the numbers over all classes, and those of each class in the order of `truth.names`."""
    arrays = _accumulate(kind, truth, results, limits)
    order = {category_id: k for k, category_id in enumerate(sorted(truth.names))}
    all_numbers = numbers(limits)
    overall = {f"{kind}/{number.name}": _mean(_pick(arrays, number, limits)) for number in all_numbers}
    per_class: list[Values] = [
        {f"{kind}/{number.name}": _mean(_pick(arrays, number, limits)[..., order[i]]) for number in all_numbers}
        for i in truth.names
    ]
    return overall, per_class


_IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)


def _pick(arrays: dict[str, NDArray[np.float64]], number: Number, limits: tuple[int, ...]) -> NDArray[np.float64]:
    """Cut what a number is the mean of out of precision (T, R, K, A, L) or recall (T, K, A, L): (..., K)."""
    chosen = arrays[number.quantity][..., AREAS.index(number.area), limits.index(number.detections)]
    if number.iou is None:
        return chosen
    return chosen[np.isclose(_IOU_THRESHOLDS, number.iou)]


def _mean(values: NDArray[np.float64]) -> float | None:
    """Average what is defined; -1 marks classes without an object in the area range."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None


def _accumulate(
    kind: Kind, truth: GroundTruth, results: Sequence[Result], limits: tuple[int, ...]
) -> dict[str, NDArray[np.float64]]:
    """Match detections to objects: precision (T, R, K, A, L) and recall (T, K, A, L), -1 where undefined."""
    if not truth.objects or not truth.names:
        K, A, L = len(truth.names), len(AREAS), len(limits)
        return {"precision": np.full((10, 101, K, A, L), -1.0), "recall": np.full((10, K, A, L), -1.0)}
    from faster_coco_eval import COCO, COCOeval_faster

    def say_nothing(*_: object) -> None: ...

    head = {
        "images": [{"id": i, "height": h, "width": w} for i, (h, w) in truth.sizes_hw.items()],
        "categories": [{"id": i, "name": name} for i, name in truth.names.items()],
    }
    objects = [*truth.objects, *_open_regions(truth)]
    judged = _judged(results, truth)
    annotated = COCO({**head, "annotations": _annotations(kind, objects)}, print_function=say_nothing)
    found = COCO({**head, "annotations": _detections(kind, judged)}, print_function=say_nothing)
    evaluation = COCOeval_faster(annotated, found, _IOU_TYPE[kind], print_function=say_nothing)
    evaluation.params.maxDets = list(limits)
    evaluation.evaluate()
    evaluation.accumulate()
    return {quantity: np.asarray(evaluation.eval[quantity]) for quantity in ("precision", "recall")}


# Classes that were not looked for in a picture


def _is_open(image_id: int, category_id: int, truth: GroundTruth) -> bool:
    """Say whether there may be objects of a class in a picture that are not annotated."""
    return image_id in truth.labelled and category_id not in truth.labelled[image_id]


def _open_regions(truth: GroundTruth) -> list[Truth]:
    """Make a crowd as large as the picture where an open class has objects: what matches none of them is ignored."""
    pairs = sorted({(one.image_id, one.category_id) for one in truth.objects})
    regions = []
    for image_id, category_id in pairs:
        if _is_open(image_id, category_id, truth):
            h, w = truth.sizes_hw[image_id]
            rle = encode(Bitmap(0, 0, np.ones((h, w), dtype=np.bool_)), (h, w))
            box = [-float(w), -float(h), 3.0 * w, 3.0 * h]  # a box that leaves the picture is inside of it too
            regions.append(Truth(image_id, category_id, box, float(h * w), True, rle))
    return regions


def _judged(results: Sequence[Result], truth: GroundTruth) -> list[Result]:
    """Leave out the detections of an open class in pictures where no object of it is annotated."""
    annotated = {(one.image_id, one.category_id) for one in truth.objects}
    found = ((result["image_id"], result["category_id"]) for result in results)
    judged = [pair in annotated or not _is_open(*pair, truth) for pair in found]
    return list(itertools.compress(results, judged))


def _open_note(results: Sequence[Result], truth: GroundTruth) -> list[str]:
    count = sum(_is_open(result["image_id"], result["category_id"], truth) for result in results)
    if not count:
        return []
    return [
        f"{count} of {len(results)} detections are of a class that was not looked for in their picture: "
        "they are right where they match an object and else not counted"
    ]


def _annotations(kind: Kind, objects: Iterable[Truth]) -> list[dict[str, Any]]:
    return [
        {
            "id": i,
            "image_id": one.image_id,
            "category_id": one.category_id,
            "iscrowd": int(one.crowd),
            "area": one.area,
            "bbox": one.bbox,
            **({"segmentation": one.rle} if kind == "mask" else {}),
        }
        for i, one in enumerate(objects, start=1)
    ]


def _detections(kind: Kind, results: Iterable[Result]) -> list[dict[str, Any]]:
    return [
        {
            "id": i,
            "image_id": result["image_id"],
            "category_id": result["category_id"],
            "iscrowd": 0,
            "score": result["score"],
            **_measures(kind, result),
        }
        for i, result in enumerate(results, start=1)
    ]


def _measures(kind: Kind, result: Result) -> dict[str, Any]:
    if kind == "box":
        return {"bbox": result["bbox"], "area": result["bbox"][2] * result["bbox"][3]}
    rle = result["segmentation"]
    if "bbox" in result:  # as pycocotools: a record's box, where it has one, decides whether it is small or large
        return {"segmentation": rle, "area": result["bbox"][2] * result["bbox"][3]}
    return {"segmentation": rle, "area": float(decompress(rle["counts"])[1::2].sum())}


def write(metrics: Metrics, path: Path | str) -> None:
    """Write the numbers as JSON, in one step; undefined ones are null.

    Raises:
        OutputError: The file can't be written.
    """
    write_json(metrics.to_json(), path, indent=2)


def table(metrics: Metrics) -> Table:
    """Lay out the numbers over all classes for the terminal, each with IoU range, area and limit."""
    from rich.table import Table

    caption = f"{metrics.images} pictures, {metrics.objects} objects, {metrics.detections} detections"
    out = Table(title="COCO evaluation", caption="\n".join([caption, *metrics.notes]), title_justify="left")
    for heading in ("number", "IoU", "area", "detections"):
        out.add_column(heading, justify="right" if heading == "detections" else "left", no_wrap=True)
    for kind in metrics.kinds:
        out.add_column(kind, justify="right", style="bold")
    for i, number in enumerate(numbers(metrics.limits)):
        row = (f"A{number.quantity[0].upper()}", number.iou_range, number.area, f"≤ {number.detections}")
        shown = (_show(metrics[f"{kind}/{number.name}"]) for kind in metrics.kinds)
        out.add_row(*row, *shown, end_section=i == 5)
    return out


def class_table(metrics: Metrics) -> Table:
    """Lay out AP of every class for the terminal, all areas and the largest limit of detections."""
    from rich.table import Table

    caption = f"all areas, at most {metrics.limits[-1]} detections a picture and class"
    out = Table(title="AP per class", caption=caption, title_justify="left")
    out.add_column("class")
    out.add_column("objects", justify="right")
    columns = [(kind, number) for kind in metrics.kinds for number in numbers(metrics.limits)[:3]]
    for kind, number in columns:
        out.add_column(f"{kind}\nIoU {number.iou_range}", justify="right")
    for name, row in metrics.classes.items():
        shown = (_show(row[f"{kind}/{number.name}"]) for kind, number in columns)
        out.add_row(name, str(row["objects"]), *shown)
    return out


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

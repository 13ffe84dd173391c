"""COCO's numbers of precision and recall, and the outcome of an evaluation as tables and JSON.

References: https://cocodataset.org/#detection-eval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from maskrcnn.data.formats.coco_results import write_json
from maskrcnn.evaluation.areas import ALL, AREAS, Area

if TYPE_CHECKING:
    from rich.table import Table

Kind = Literal["box", "mask", "boundary"]
KINDS: tuple[Kind, ...] = ("box", "mask")
"""What is measured unless something else is asked for."""
BOUNDARY: Kind = "boundary"
Values = dict[str, float | None]


class Interval(NamedTuple):
    """Between which values a number lies with 95 % confidence."""

    low: float
    high: float


class Cost(NamedTuple):
    """What a run took.

    Attributes:
        seconds: From the first picture to the last, reading and measuring too.
        pictures: How many there were.
        memory: The most that the process has held, in bytes; None where the system does not say.
        device_memory: The most that tensors have held on a GPU, in bytes; None without one.
        where: What ran the network.
    """

    seconds: float
    pictures: int
    memory: int | None
    device_memory: int | None
    where: str

    def describe(self) -> str:
        """Say it in words.

        >>> Cost(20.0, 100, 3 * 2**30, None, "torch, fp32, on cpu").describe()
        '5.0 pictures a second (200 ms each) with torch, fp32, on cpu; at most 3.0 GiB of memory'
        """
        speed = (
            f"{self.pictures / self.seconds:.1f} pictures a second ({1000 * self.seconds / self.pictures:.0f} ms each)"
        )
        sizes = [
            f"at most {size / 2**30:.1f} GiB of {what}"
            for size, what in ((self.memory, "memory"), (self.device_memory, "the GPU's memory"))
            if size is not None
        ]
        return "; ".join([f"{speed} with {self.where}", *sizes])


class Number(NamedTuple):
    """One number of the COCO evaluation: `iou` is None for the mean over 0.50, 0.55 ... 0.95."""

    name: str
    quantity: Literal["precision", "recall"]
    iou: float | None
    area: Area
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
        return f"average {self.quantity}, IoU {self.iou_range}, {self.area.words}, {limit}"


def numbers(detections: Sequence[int] = (1, 10, 100)) -> tuple[Number, ...]:
    """List COCO's numbers in their usual order: precision at the largest limit, then recall.

    Args:
        detections: Limits of detections a picture and class, rising.
    """
    most = detections[-1]
    return (
        Number("AP", "precision", None, ALL, most),
        Number("AP50", "precision", 0.5, ALL, most),
        Number("AP75", "precision", 0.75, ALL, most),
        *(Number(f"AP_{area.name}", "precision", None, area, most) for area in AREAS[1:]),
        *(Number(f"AR{limit}", "recall", None, ALL, limit) for limit in detections),
        *(Number(f"AR_{area.name}", "recall", None, area, most) for area in AREAS[1:]),
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
        meanings: What each number is, by its name.
        intervals: Between which values a number lies with 95 % confidence, by its name; empty where nobody asked.
        cost: Time and memory, where a model was run.
    """

    values: dict[str, float | None]
    classes: dict[str, dict[str, float | int | None]]
    images: int
    objects: int
    crowds: int
    detections: int
    limits: tuple[int, ...] = (1, 10, 100)
    notes: tuple[str, ...] = field(default=())
    meanings: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    cost: Cost | None = None

    def __getitem__(self, key: str) -> float | None:
        return self.values[key]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What COCO's numbers are of: `box`, `mask`, `boundary`."""
        return tuple(kind for kind in (*KINDS, BOUNDARY) if f"{kind}/AP" in self.values)

    def to_json(self) -> dict[str, Any]:
        """Return plain values: the numbers at the top, what they mean and the classes below."""
        meaning = {number.name: number.describe() for number in numbers(self.limits)} if self.kinds else {}
        asked = {name: words for name, words in self.meanings.items() if "/" in name.partition("/")[2]}
        return {
            **self.values,
            "images": self.images,
            "objects": self.objects,
            "crowds": self.crowds,
            "detections": self.detections,
            "notes": list(self.notes),
            "meaning": meaning | asked,
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "cost": self.cost._asdict() if self.cost else None,
            "classes": self.classes,
        }


def write(metrics: Metrics, path: Path | str) -> None:
    """Write the numbers as JSON, in one step; undefined ones are null.

    Raises:
        OutputError: The file can't be written.
    """
    write_json(metrics.to_json(), path, indent=2)


def sentences(metrics: Metrics) -> list[str]:
    """Return what stands below the numbers: how much was measured, and what to know about it."""
    counts = f"{metrics.images} pictures, {metrics.objects} objects, {metrics.detections} detections"
    return [counts, *metrics.notes]


def table(metrics: Metrics) -> Table:
    """Lay out the numbers over all classes for the terminal, each with IoU range, area and limit."""
    from rich.table import Table

    out = Table(title="COCO evaluation", caption="\n".join(sentences(metrics)), title_justify="left")
    for heading in ("number", "IoU", "area", "detections"):
        out.add_column(heading, justify="right" if heading == "detections" else "left", no_wrap=True)
    for kind in metrics.kinds:
        out.add_column(kind, justify="right", style="bold")
    for i, number in enumerate(numbers(metrics.limits)):
        row = (f"A{number.quantity[0].upper()}", number.iou_range, number.area.name, f"≤ {number.detections}")
        shown = (show(metrics[f"{kind}/{number.name}"]) for kind in metrics.kinds)
        out.add_row(*row, *shown, end_section=i == 5)
    return out


def class_table(metrics: Metrics) -> Table:
    """Lay out AP of every class for the terminal, all areas and the largest limit of detections."""
    from rich.table import Table

    caption = f"all areas, at most {metrics.limits[-1]} detections a picture and class"
    out = Table(title="AP per class", caption=caption, title_justify="left")
    out.add_column("class")
    out.add_column("objects", justify="right")
    shown_of = {kind: 3 if kind in KINDS else 1 for kind in metrics.kinds}
    columns = [(kind, number) for kind, count in shown_of.items() for number in numbers(metrics.limits)[:count]]
    for kind, number in columns:
        out.add_column(f"{kind}\nIoU {number.iou_range}", justify="right")
    for name, row in metrics.classes.items():
        shown = (show(row[f"{kind}/{number.name}"]) for kind, number in columns)
        out.add_row(name, str(row["objects"]), *shown)
    return out


def show(value: float | None) -> str:
    """Write a number for a person; a dash where there is nothing to measure."""
    return "-" if value is None else f"{value:.3f}"

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

    def __getitem__(self, key: str) -> float | None:
        return self.values[key]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What COCO's numbers are of: `box`, `mask`, `boundary`."""
        return tuple(kind for kind in (*KINDS, BOUNDARY) if f"{kind}/AP" in self.values)

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
        row = (f"A{number.quantity[0].upper()}", number.iou_range, number.area.name, f"≤ {number.detections}")
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

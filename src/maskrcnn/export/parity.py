"""How well an exported file agrees with the model that it came from: both find objects in the same pictures.

Letters: N objects of the model, M objects of the file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.files import write_text
from maskrcnn.ops.rle import Bitmap
from maskrcnn.prediction import Picture, Predictor
from maskrcnn.structures import Instances

if TYPE_CHECKING:
    from rich.table import Table

SAME_IOU = 0.5
_ROUNDS = 3


class Agreement(NamedTuple):
    """What a model and its file say of the same pictures.

    Attributes:
        pictures: How many.
        found: Objects that the model found.
        matched: How many of them the file found too: the same class, IoU of at least 0.5.
        extra: Objects that only the file found.
        box: Largest distance of two edges, in pixels of the picture.
        score: Largest difference of two probabilities.
        mask: Share of the pixels of all boxes that belong to the object for one of the two only.
    """

    pictures: int
    found: int
    matched: int
    extra: int
    box: float
    score: float
    mask: float


@dataclass(frozen=True)
class Report:
    """What was exported, and how well it agrees with the model.

    Attributes:
        file: Name of the file.
        format: A key of `FORMATS`.
        takes: Which pictures it takes: `network`, `uint8` or `float32`, as in `About`.
        precision: Of its arithmetic.
        bytes: Size of the file, with the one beside it that holds the weights if there is one.
        opset: Of ONNX's operators; None in other formats.
        operators: How often each operator occurs in it.
        agreement: On pictures.
        model_ms: Milliseconds that the model takes for a picture, the median, with all that goes before and after.
        file_ms: The same of the file, measured in turns with the model.
        model_ap: COCO's numbers of the model on a data set, if one was given.
        file_ap: The same of the file.
        notes: What a reader should know, a sentence each.
    """

    file: str
    format: str
    takes: str
    precision: str
    bytes: int
    opset: int | None
    operators: Mapping[str, int]
    agreement: Agreement
    model_ms: float
    file_ms: float
    model_ap: Mapping[str, float | None] = field(default_factory=dict)
    file_ap: Mapping[str, float | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def speed_up(self) -> float:
        """How many times faster than the model the file is."""
        return self.model_ms / self.file_ms

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {**asdict(self), "agreement": self.agreement._asdict(), "speed_up": self.speed_up}

    def write(self, path: Path) -> None:
        """Write it as JSON.

        Raises:
            OutputError: It can't be written.
        """
        write_text(path, json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n")

    def table(self) -> Table:
        """Show it to a person."""
        from rich.table import Table

        rows = Table.grid(padding=(0, 2))
        for name, text in self._facts():
            rows.add_row(name, text)
        return rows

    def _facts(self) -> list[tuple[str, str]]:
        same = self.agreement
        opset = "" if self.opset is None else f", opset {self.opset}"
        rows = [
            ("file", f"{self.file}, {self.bytes / 1e6:.1f} MB"),
            ("format", f"{self.format}{opset}, {self.precision}, {len(self.operators)} kinds of operator"),
            ("pictures", f"{same.pictures}, {self.takes} input"),
            ("objects", f"{same.found} of the model, {same.matched} of them in the file, {same.extra} more"),
            ("largest difference", f"boxes {same.box:.2g} pixels, probabilities {same.score:.2g}"),
            ("mask pixels that differ", f"{100 * same.mask:.2g} % of those of the boxes"),
            ("time a picture", f"model {self.model_ms:.0f} ms, file {self.file_ms:.0f} ms: {self.speed_up:.2f} times"),
        ]
        rows += [
            (name, f"model {before:.4f}, file {after:.4f}")
            for name in ("box/AP", "mask/AP")
            if (before := self.model_ap.get(name)) is not None and (after := self.file_ap.get(name)) is not None
        ]
        return rows


# ---- comparing


def compare(model: Sequence[Instances], file: Sequence[Instances]) -> Agreement:
    """Compare what a model and its file found in the same pictures."""
    matched = extra = 0
    box = score = 0.0
    wrong = area = 0
    for ours, theirs in zip(model, file, strict=True):
        pairs = match(ours, theirs)
        matched += len(pairs)
        extra += len(theirs) - len(pairs)
        for i, j in pairs:
            box = max(box, float(np.abs(ours.boxes[i] - theirs.boxes[j]).max()))
            score = max(score, abs(float(ours.scores[i]) - float(theirs.scores[j])))
            wrong += _pixels_apart(_mask(ours, i), _mask(theirs, j))
            area += _mask(ours, i).pixels.size
    found = sum(map(len, model))
    return Agreement(len(model), found, matched, extra, box, score, wrong / max(area, 1))


def match(ours: Instances, theirs: Instances) -> list[tuple[int, int]]:
    """Pair objects of one class with the most overlap, one to one, by falling score."""
    overlap = np.where(ours.labels[:, None] == theirs.labels, _iou(ours.boxes, theirs.boxes), 0.0)
    pairs = []
    for i in range(len(ours)):
        j = int(overlap[i].argmax()) if len(theirs) else -1
        if j >= 0 and overlap[i, j] >= SAME_IOU:
            pairs.append((i, j))
            overlap[:, j] = 0.0
    return pairs


def _iou(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    import torch

    from maskrcnn.ops.boxes import iou

    found: NDArray[np.float32] = iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    return found


def _mask(instances: Instances, i: int) -> Bitmap:
    masks = instances.masks
    assert masks is not None, "a model always draws masks"
    return masks.crop(i)


def _pixels_apart(first: Bitmap, second: Bitmap) -> int:
    """Count the pixels that only one of two masks has."""
    left, top = min(first.x, second.x), min(first.y, second.y)
    right, bottom = (
        max(first.x + first.pixels.shape[1], second.x + second.pixels.shape[1]),
        max(first.y + first.pixels.shape[0], second.y + second.pixels.shape[0]),
    )
    planes = np.zeros((2, bottom - top, right - left), dtype=np.bool_)
    for plane, (x, y, pixels) in zip(planes, (first, second), strict=True):
        plane[y - top : y - top + pixels.shape[0], x - left : x - left + pixels.shape[1]] = pixels
    return int(np.count_nonzero(planes[0] != planes[1]))


class Ran(NamedTuple):
    """What a model and its file found, and the median milliseconds a picture of each."""

    model: list[Instances]
    file: list[Instances]
    model_ms: float
    file_ms: float


def run_both(model: Predictor, file: Predictor, pictures: Sequence[Picture]) -> Ran:
    """Find the objects of pictures with both, in turns, the first picture once before the clock starts."""
    found = [[each.predict(picture) for each in (model, file)] for picture in pictures]
    times: list[list[float]] = [[], []]
    for _ in range(_ROUNDS):
        for picture in pictures:
            for spent, each in zip(times, (model, file), strict=True):
                start = time.perf_counter()
                each.predict(picture)
                spent.append(1000 * (time.perf_counter() - start))
    return Ran([one for one, _ in found], [two for _, two in found], median(times[0]), median(times[1]))

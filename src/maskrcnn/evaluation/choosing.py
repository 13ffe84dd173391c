"""Measures by their names, as the command line takes them: `coco,boundary,sizes:16:64`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from maskrcnn.errors import InputError
from maskrcnn.evaluation.averages import boundary, coco, mapping, sizes
from maskrcnn.evaluation.bowl import DataScienceBowl, PoseBowl
from maskrcnn.evaluation.counting import Measure
from maskrcnn.evaluation.kitti import Kitti
from maskrcnn.evaluation.lvis import Lvis
from maskrcnn.evaluation.voc import Voc

Limits = Sequence[int]
Figures = Sequence[float]


class _Entry(NamedTuple):
    """A measure: what it is, what figures may follow its name, and how it is made of limits and figures."""

    words: str
    figures: str
    make: Callable[[Limits, Figures], Measure]


MEASURES = {
    "coco": _Entry("COCO's AP and AR of boxes and masks", "", lambda limits, _: coco(limits)),
    "lvis": _Entry("LVIS's AP and AR, 300 detections a picture", "", lambda *_: Lvis()),
    "boundary": _Entry("Boundary AP: COCO's AP, where edges of masks matter", "", lambda limits, _: boundary(limits)),
    "voc": _Entry("Pascal VOC's AP at IoU 0.50", "", lambda *_: Voc()),
    "mapping": _Entry(
        "AP and AR at one IoU", "the IoU, 0.5", lambda limits, figures: mapping(limits, figures or (0.5,))
    ),
    "sizes": _Entry(
        "AP and AR by size", "the borders, 32:96", lambda limits, figures: sizes(limits, figures or (32, 96))
    ),
    "dsb": _Entry(
        "the Data Science Bowl's score", "the least probability, 0.5", lambda _, figures: DataScienceBowl(*figures[:1])
    ),
    "pose": _Entry("the Pose Bowl's score, mean IoU of one box a picture", "", lambda *_: PoseBowl()),
    "kitti": _Entry(
        "KITTI's AP of boxes", "the IoUs, 0.7:0.5", lambda _, figures: Kitti(tuple(figures) or Kitti().ious)
    ),
}


def choose_measures(words: str, detections: Limits = (1, 10, 100)) -> tuple[Measure, ...]:
    """Return measures by their names.

    Args:
        words: Names with commas between them; figures follow a name after colons.
        detections: Limits of detections a picture and class, rising.

    >>> [measure.kinds for measure in choose_measures("coco,boundary,sizes:16:64")]
    [('box', 'mask'), ('boundary',), ('box', 'mask')]

    Raises:
        InputError: A name is not known, or its figures are not what it takes.
    """
    return tuple(_measure(word.strip(), detections) for word in words.split(","))


def _measure(word: str, detections: Limits) -> Measure:
    name, *figures = word.split(":")
    if name not in MEASURES:
        raise InputError(f"measures: expected names of {', '.join(MEASURES)}, got {name or 'nothing'}")
    entry = MEASURES[name]
    if figures and not entry.figures:
        raise InputError(f"measures: expected {name} alone, got {word}")
    try:
        values = [float(figure) for figure in figures]
    except ValueError:
        raise InputError(f"measures: expected numbers after {name}: ({entry.figures}), got {word}") from None
    return entry.make(detections, values)

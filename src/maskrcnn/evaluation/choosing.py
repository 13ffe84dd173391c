"""Measures by their names, as the command line takes them: `coco,boundary,sizes:16:64`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from maskrcnn.errors import InputError
from maskrcnn.evaluation.averages import boundary, coco, mapping, sizes
from maskrcnn.evaluation.bowl import DataScienceBowl, PoseBowl
from maskrcnn.evaluation.counting import Measure
from maskrcnn.evaluation.errors import TideErrors
from maskrcnn.evaluation.kitti import Kitti
from maskrcnn.evaluation.lvis import Lvis
from maskrcnn.evaluation.proposals import ProposalRecall
from maskrcnn.evaluation.voc import Voc

Limits = Sequence[int]
Figures = Sequence[float]


class _Entry(NamedTuple):
    """A measure.

    Attributes:
        words: What it is.
        make: Makes it of limits and figures.
        figures: Which ones may follow its name.
        most: How many of them.
    """

    words: str
    make: Callable[[Limits, Figures], Measure]
    figures: str = ""
    most: int = 0


MEASURES = {
    "coco": _Entry("COCO's AP and AR of boxes and masks", lambda limits, _: coco(limits)),
    "boundary": _Entry("Boundary AP: COCO's AP where edges of masks matter", lambda limits, _: boundary(limits)),
    "lvis": _Entry("LVIS's AP and AR, 300 detections a picture", lambda *_: Lvis()),
    "voc": _Entry("Pascal VOC's AP at IoU 0.50", lambda *_: Voc()),
    "kitti": _Entry(
        "KITTI's AP of boxes", lambda _, figures: Kitti(tuple(figures) or Kitti().ious), "IoUs, 0.7 and 0.5", 9
    ),
    "dsb": _Entry(
        "the Data Science Bowl's score",
        lambda _, figures: DataScienceBowl(figures[0] if figures else 0.5),
        "the least probability, 0.5",
        1,
    ),
    "pose": _Entry("the Pose Bowl's score: mean IoU of one object a picture", lambda *_: PoseBowl()),
    "mapping": _Entry(
        "AP and AR at single IoUs", lambda limits, figures: mapping(limits, figures or (0.5,)), "IoUs, 0.5", 9
    ),
    "sizes": _Entry(
        "AP and AR by size", lambda limits, figures: sizes(limits, figures or (32, 96)), "borders, 32 and 96", 99
    ),
    "tide": _Entry("AP that classes of errors cost, as TIDE", lambda *_: TideErrors()),
    "proposals": _Entry("recall of the first stage's proposals; needs a model", lambda *_: ProposalRecall()),
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
    if len(figures) > entry.most:
        raise InputError(f"measures: expected at most {entry.most} figures after {name}, got {word}")
    try:
        values = [float(figure) for figure in figures]
    except ValueError:
        raise InputError(f"measures: expected {entry.figures} after {name}, with colons between, got {word}") from None
    return entry.make(detections, values)

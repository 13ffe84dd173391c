"""What the page of one picture shows of every stage: the numbers of a trace as figures and tables.

Letters: H, W height and width of the padded picture; N anchors that were looked at; P proposals; Q pairs of proposal
and class; D detections; K classes; C channels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from maskrcnn.config import ModelConfig
from maskrcnn.draw.bars import TIMES
from maskrcnn.draw.heat import heat, shrink, tiles
from maskrcnn.draw.page import Share, Table
from maskrcnn.draw.palette import palette
from maskrcnn.inspection.figures import Figure, Line, Map, Rect, Shape, rect
from maskrcnn.ops.boxes import iou
from maskrcnn.prediction.tracing import LEVELS, Trace

MOST_BOXES = 50  # of a figure
MOST_BARS = 12  # regions
MOST_CLASSES = 4  # of a region
CHANNELS = 8  # of a level
MAP_SIDE = 96  # cells of a map
TILES = 3  # maps a row
LIMITS = (0.5, 0.75)  # IoU from which an object counts as found

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """A trace and what is asked of it again and again.

    Attributes:
        trace: The way of the picture.
        config: The settings of the model.
        colours: Of each class, as CSS has it.
        shown: How many of the detections are shown, the best ones.
    """

    trace: Trace
    config: ModelConfig
    colours: Sequence[str]
    shown: int

    @classmethod
    def of(cls, trace: Trace, config: ModelConfig, shown: int) -> View:
        """Look at a trace."""
        return cls(trace, config, ["#{:02x}{:02x}{:02x}".format(*each) for each in palette(config.classes)], shown)

    @property
    def whole(self) -> Rect:
        """The padded picture."""
        H, W = self.trace.padded_hw
        return 0.0, 0.0, float(W), float(H)

    def tensor(self, stage: str, name: str) -> NDArray[Any]:
        """Return a tensor of the trace."""
        return self.trace[stage][name]

    def kept(self) -> Whole:
        """Return which of the Q pairs each of the shown detections is."""
        kept: Whole = self.tensor("detections", "kept")[self.trace.origins.slot[: self.shown]]
        return kept

    def candidates(self) -> Whole:
        """Return which of the N anchors each of the shown detections came from, -1 for none."""
        found: Whole = self.tensor("proposals", "candidate")[self.trace.origins.proposal[: self.shown]]
        return found

    def caption(self, i: int) -> str:
        """Name a detection: its number, class and probability."""
        instances = self.trace.instances
        return f"{i + 1} {instances.names[i]} {instances.scores[i]:.2f}"

    def colour(self, i: int) -> str:
        """Return the colour of a detection."""
        return self.colours[int(self.trace.instances.labels[i])]


def backwards(places: Whole) -> dict[int, tuple[int, ...]]:
    """Say which detections came from each place.

    >>> backwards(np.array([5, 3, 5]))
    {5: (0, 2), 3: (1,)}
    """
    found: defaultdict[int, list[int]] = defaultdict(list)
    for i, place in enumerate(places.tolist()):
        found[place].append(i)
    return {place: tuple(each) for place, each in found.items()}


def sigmoid(logits: NDArray[Any]) -> Floats:
    """Turn logits into probabilities."""
    found: Floats = (1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -60, 60)))).astype(np.float32)
    return found


# ---- input and maps


def input_table(view: View) -> Table:
    """Say what each band is as it was read and as the network sees it."""
    config = view.config.input
    pixels, seen = view.tensor("input", "pixels"), view.tensor("input", "normalised")
    y, x = view.trace.corner
    h, w = view.trace.size_hw
    inside = np.s_[y : y + h, x : x + w]
    names = ("red", "green", "blue") if config.bands == 3 else tuple(str(i + 1) for i in range(config.bands))
    rows = []
    for i, name in enumerate(names):
        read, own = pixels[i][inside].astype(np.float64), seen[i][inside].astype(np.float64)
        rows.append([name, read.mean(), config.mean[i], config.std[i], own.min(), own.max()])
    columns = ("band", "mean of\nthe picture", "taken off", "divided\nby", "seen\nfrom", "to")
    note = "What the network sees is the value less what is taken off, divided."
    return Table("Pixels", columns, rows, note, digits=2)


class MapSheet(NamedTuple):
    """Feature maps of a level: the mean of all channels, then those that vary most."""

    name: str
    about: str
    image: Image.Image


def map_sheets(view: View, stage: str) -> list[MapSheet]:
    """Draw the feature maps of a stage, a sheet a level."""
    sheets = []
    for name, maps in view.trace[stage].items():
        small = shrink(np.asarray(maps), MAP_SIDE)
        spread = small.std(axis=(1, 2))
        order = np.argsort(-spread, kind="stable")[:CHANNELS].tolist()
        dead = int((np.ptp(np.asarray(maps).reshape(len(maps), -1), axis=1) == 0).sum())
        C, h, w = maps.shape
        quiet = f", {dead} of them the same everywhere" if dead else ""
        about = f"{C} channels of {h} {TIMES} {w} cells{quiet}; channels {', '.join(map(str, order))}"
        sheets.append(MapSheet(name, about, tiles([np.abs(small).mean(axis=0), *small[order]], TILES)))
    return sheets


# ---- anchors and objectness


def anchor_figures(view: View) -> list[Figure]:
    """Draw the anchors of the middle cell of every level, and those that became detections."""
    per_cell = view.config.anchors.per_cell
    origins = view.trace.origins
    figures = []
    for level, (name, anchors) in enumerate(view.trace["anchors"].items()):
        rows, columns = _grid(view, name)
        middle = (rows // 2 * columns + columns // 2) * per_cell
        own = backwards(np.where(origins.level[: view.shown] == level, origins.anchor[: view.shown], -1))
        shapes = [
            Shape(rect(anchors[i]), "anchor", _size_text(anchors[i]), own.get(i, ()))
            for i in range(middle, middle + per_cell)
        ]
        shapes += [
            Shape(rect(anchors[place]), "moved", f"anchor of {_numbers(of)}", of)
            for place, of in own.items()
            if place >= 0
        ]
        note = f"{len(anchors):,} anchors: {rows} {TIMES} {columns} cells with {per_cell} each"
        used = sum(len(of) for place, of in own.items() if place >= 0)
        note += f"; {used} of the detections shown came from here" if used else ""
        figures.append(Figure(name, _round_all(shapes, view.whole), note, shapes))
    return figures


def _round_all(shapes: Sequence[Shape], whole: Rect) -> Rect:
    """Return the smallest view that has the picture and all boxes in it."""
    corners = np.array([whole, *(shape.box for shape in shapes)])
    return rect(np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)]))


def objectness_figures(view: View) -> list[Figure]:
    """Lay over the picture how much the best anchor of every cell looks like an object."""
    per_cell = view.config.anchors.per_cell
    figures = []
    for name in LEVELS:
        best = sigmoid(view.tensor("rpn", f"logits {name}")).max(axis=2)
        corner, (down, across) = _pitch(view.tensor("anchors", name), best.shape, per_cell)
        x, y = corner[0] - across / 2, corner[1] - down / 2
        rows, columns = best.shape
        box = (x, y, x + columns * across, y + rows * down)
        note = f"highest {best.max():.3f}, mean {best.mean():.3f}"
        figures.append(Figure(name, view.whole, note, maps=[Map(heat(best, 0, 1), box)]))
    return figures


def _grid(view: View, name: str) -> tuple[int, int]:
    rows, columns = view.tensor("rpn", f"logits {name}").shape[:2]
    return rows, columns


def _pitch(anchors: Floats, grid: Sequence[int], per_cell: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the centre of the first cell's anchors, x and y, and the pixels from cell to cell, down and across."""
    centres = ((anchors[::per_cell, :2] + anchors[::per_cell, 2:]) / 2).reshape(*grid, 2)
    down = float(centres[1, 0, 1] - centres[0, 0, 1]) if grid[0] > 1 else 0.0
    across = float(centres[0, 1, 0] - centres[0, 0, 0]) if grid[1] > 1 else 0.0
    x, y = centres[0, 0].tolist()
    return (x, y), (down or across or 64.0, across or down or 64.0)


def _size_text(box: NDArray[np.floating]) -> str:
    return f"{box[2] - box[0]:.0f} {TIMES} {box[3] - box[1]:.0f} px"


def _numbers(of: Sequence[int]) -> str:
    """Name detections.

    >>> _numbers((0,)), _numbers((0, 4))
    ('detection 1', 'detections 1, 5')
    """
    return f"detection{'s' if len(of) > 1 else ''} {', '.join(str(i + 1) for i in of)}"


# ---- proposals


def proposal_figures(view: View) -> list[Figure]:
    """Draw the best anchors as they stand, moved, clipped, and what is left of them."""
    part = view.trace["candidates"]
    logits = part["logits"]
    best = np.argsort(-logits, kind="stable")[:MOST_BOXES]
    source = backwards(view.candidates())
    rank = {place: i + 1 for i, place in enumerate(best.tolist())}
    names = [
        f"{LEVELS[level]}, objectness {value:.3f}"
        for level, value in zip(part["level"].tolist(), sigmoid(logits).tolist(), strict=True)
    ]
    wanted = [*best.tolist(), *(place for place in source if place >= 0 and place not in rank)]

    def drawn(boxes: Floats, kind: str) -> list[Shape]:
        return [Shape(rect(boxes[i]), kind, names[i], source.get(i, ())) for i in wanted]

    lines = [Line(_from_to(part["anchors"][i], part["moved"][i]), source.get(i, ())) for i in wanted]
    kept = view.tensor("proposals", "candidate")[:MOST_BOXES]
    source_of_proposal = backwards(view.trace.origins.proposal[: view.shown])
    places = [*range(len(kept)), *(i for i in source_of_proposal if i >= len(kept))]
    boxes = view.tensor("proposals", "boxes")
    left = [
        Shape(rect(boxes[i]), "kept", f"proposal {i + 1}, objectness {value:.3f}", source_of_proposal.get(i, ()))
        for i, value in zip(places, sigmoid(view.tensor("proposals", "logits")[places]).tolist(), strict=True)
    ]
    total = f"of {len(logits):,} that were looked at"
    moved = drawn(part["anchors"], "anchor") + drawn(part["moved"], "moved")
    return [
        Figure(
            "The best anchors",
            view.whole,
            f"the {len(best)} with the highest objectness, {total}",
            drawn(part["anchors"], "anchor"),
        ),
        Figure("Moved", view.whole, "dashed before, solid after; the line joins the centres", moved, lines),
        Figure("Clipped to the picture", view.whole, "", drawn(part["boxes"], "moved")),
        Figure("After suppression", view.whole, f"the best {len(kept)} of {len(boxes):,} proposals", left),
    ]


def _from_to(first: NDArray[np.floating], second: NDArray[np.floating]) -> Rect:
    (x1, y1), (x2, y2) = ((box[:2] + box[2:]) / 2 for box in (first, second))
    return rect(np.array([x1, y1, x2, y2]))


def recall_table(view: View, objects: Floats) -> Table:
    """Say at each step how many of the objects a box lies on.

    Args:
        view: The trace.
        objects: (G, 4) float32. In the coordinates of the trace.
    """
    part = view.trace["candidates"]
    steps = {
        "all anchors": np.concatenate(list(view.trace["anchors"].values())),
        "best anchors": part["anchors"],
        "moved": part["moved"],
        "clipped": part["boxes"],
        "after suppression: proposals": view.tensor("proposals", "boxes"),
        "moved by the box head": view.tensor("detections", "boxes"),
        "detections": view.tensor("masks", "boxes"),
    }
    rows: list[list[Any]] = []
    for name, boxes in steps.items():
        best = best_overlaps(objects, boxes)
        rows.append([name, len(boxes), *(Share((best >= limit).mean()) for limit in LIMITS), float(best.mean())])
    columns = ("step", "boxes", *(f"found at\nIoU {limit:g}" for limit in LIMITS), "mean\nbest IoU")
    return Table(
        "Recall of the objects", columns, rows, "An object is found where a box of any class overlaps it so much."
    )


def best_overlaps(objects: NDArray[np.floating], boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how much the best box overlaps each object: (G) float64."""
    if not len(boxes) or not len(objects):
        return np.zeros(len(objects))
    best: NDArray[np.float64] = overlaps(objects, boxes).max(axis=1).astype(np.float64)
    return best


def overlaps(first: NDArray[np.floating], second: NDArray[np.floating]) -> Floats:
    """Return the IoU of every pair of boxes."""
    found: Floats = iou(
        *(torch.from_numpy(np.ascontiguousarray(each, dtype=np.float32)) for each in (first, second))
    ).numpy()
    return found


# ---- regions


def region_figures(view: View) -> list[Figure]:
    """Draw the proposals on the level that their features are cut from."""
    boxes, level = view.tensor("proposals", "boxes"), view.tensor("regions", "level")
    source = backwards(view.trace.origins.proposal[: view.shown])
    figures = []
    for i, name in enumerate(LEVELS[:4]):
        own = (level == i).nonzero()[0]
        wanted = sorted({*own[:MOST_BOXES].tolist(), *(place for place in source if level[place] == i)})
        shapes = [
            Shape(rect(boxes[j]), "kept", f"proposal {j + 1}, {_size_text(boxes[j])}", source.get(j, ()))
            for j in wanted
        ]
        shown = f", {len(wanted)} of them drawn" if len(wanted) < len(own) else ""
        figures.append(Figure(f"From {name}", view.whole, f"{len(own):,} proposals{shown}", shapes))
    return figures


class Bar(NamedTuple):
    """A probability: of which class, the share, and its colour."""

    name: str
    share: float
    colour: str


class RegionBars(NamedTuple):
    """The probabilities of a region, the highest first, and the background; which detections came from it."""

    name: str
    bars: tuple[Bar, ...]
    of: tuple[int, ...]


def region_bars(view: View) -> list[RegionBars]:
    """Show what the surest regions look like, one class after another."""
    probabilities = view.tensor("box head", "probabilities")
    source = backwards(view.trace.origins.proposal[: view.shown])
    best = _one_class_after_another(probabilities[:, :-1], view.config.detect.score_threshold)[:MOST_BARS]
    return [RegionBars(f"proposal {i + 1}", bars_of(view, i), source.get(i, ())) for i in best]


def _one_class_after_another(probabilities: Floats, least: float) -> list[int]:
    """Order regions: the surest of each class, then the second ones, and so on; last those that are of none."""
    label, value = probabilities.argmax(axis=1), probabilities.max(axis=1)
    order = np.argsort(-value, kind="stable")
    turn = np.zeros(len(order), dtype=np.int64)
    for k in np.unique(label):
        own = order[label[order] == k]
        turn[own] = np.arange(len(own))
    turn[value <= least] = len(order)
    ordered: list[int] = order[np.argsort(turn[order], kind="stable")].tolist()
    return ordered


def bars_of(view: View, proposal: int) -> tuple[Bar, ...]:
    """Show the probabilities of one region: the highest classes, then the background."""
    own = view.tensor("box head", "probabilities")[proposal]
    order = np.argsort(-own[:-1], kind="stable")[:MOST_CLASSES].tolist()
    found = [Bar(view.config.classes[k], float(own[k]), view.colours[k]) for k in order]
    return (*found, Bar("background", float(own[-1]), "var(--soft)"))


def refinement_figure(view: View) -> Figure:
    """Draw the surest regions before and after the box head moves them."""
    probabilities = view.tensor("box head", "probabilities")[:, :-1]
    boxes, moved = view.tensor("proposals", "boxes"), view.tensor("detections", "moved")
    source = backwards(view.trace.origins.proposal[: view.shown])
    best = np.argsort(-probabilities.max(axis=1), kind="stable")[: MOST_BOXES // 2].tolist()
    wanted = [*best, *(i for i in source if i not in best)]
    shapes, lines = [], []
    for i in wanted:
        label = int(probabilities[i].argmax())
        after, of = moved[i, min(label, moved.shape[1] - 1)], source.get(i, ())
        name = f"proposal {i + 1}, {view.config.classes[label]} {probabilities[i, label]:.2f}"
        shapes += [
            Shape(rect(boxes[i]), "anchor", name, of),
            Shape(rect(after), "found", name, of, view.colours[label]),
        ]
        lines.append(Line(_from_to(boxes[i], after), of))
    note = f"the {len(wanted)} regions with the highest probability of a class; dashed before, solid after"
    return Figure("Moved by the box head", view.whole, note, shapes, lines)


# ---- suppression a class


def suppressors(view: View) -> Whole:
    """Say which detection made each of the Q pairs go: its place among all detections of the network, -1 for none."""
    part = view.trace["detections"]
    kept, boxes, labels = part["kept"], part["boxes"], part["labels"]
    found = np.full(len(boxes), -1, dtype=np.int64)
    if not len(kept) or not len(boxes):
        return found
    hit = overlaps(boxes, boxes[kept]) > view.config.detect.nms_iou
    hit &= labels[:, None] == labels[kept][None]
    hit &= np.arange(len(boxes))[:, None] > kept[None]  # the better ones come first
    found = np.where(hit.any(axis=1), hit.argmax(axis=1), -1)
    found[kept] = -1
    return found


def suppression_figure(view: View, by: Whole) -> Figure:
    """Draw what stays and what better ones of its class made go; `by` from `suppressors`."""
    part = view.trace["detections"]
    number = {slot: i for i, slot in enumerate(view.trace.origins.slot.tolist())}
    shapes = []
    dropped = (by >= 0).nonzero()[0][:MOST_BOXES]
    for j in dropped.tolist():
        i = number.get(int(by[j]), -1)
        name = f"{view.config.classes[part['labels'][j]]} {part['scores'][j]:.2f}, gone for detection {i + 1}"
        shapes.append(Shape(rect(part["boxes"][j]), "dropped", name, (i,) if 0 <= i < view.shown else ()))
    for i, j in enumerate(view.kept().tolist()):
        shapes.append(Shape(rect(part["boxes"][j]), "found", view.caption(i), (i,), view.colour(i)))
    note = f"solid stays, dotted goes; {len(dropped)} of {int((by >= 0).sum()):,} that go are drawn"
    return Figure("What stays in its class", view.whole, note, shapes)


def suppression_table(view: View, by: Whole) -> Table:
    """Count, for each class, what could become a detection and what came of it."""
    part = view.trace["detections"]
    kept = np.zeros(len(by), dtype=np.bool_)
    kept[part["kept"]] = True
    rows: list[list[Any]] = []
    for label in np.unique(part["labels"]).tolist():
        own = part["labels"] == label
        stays, goes = int((own & kept).sum()), int((own & (by >= 0)).sum())
        rows.append([view.config.classes[label], int(own.sum()), goes, int(own.sum()) - stays - goes, stays])
    config = view.config.detect
    columns = ("class", "above the\nleast probability", "gone for\na better one", "beyond the\nmost detections", "stay")
    note = (
        f"Probability above {config.score_threshold:g}; a box goes where a better one of its class overlaps it by "
        f"more than {config.nms_iou:g}; at most {config.detections} stay."
    )
    return Table("Pairs of region and class", columns, rows, note)


# ---- time


class Time(NamedTuple):
    """How long a stage took, in milliseconds, and what share of the longest one that is."""

    name: str
    milliseconds: float
    share: float


def times(trace: Trace) -> list[Time]:
    """Show how long every stage took."""
    longest = max(stage.seconds for stage in trace)
    return [Time(stage.name, 1000 * stage.seconds, stage.seconds / max(longest, 1e-9)) for stage in trace]

"""The page of one picture's way through a model, and the order in which it is made."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.geometry import resize
from maskrcnn.data.images import to_array
from maskrcnn.draw.bars import TIMES
from maskrcnn.draw.overlay import displayable, overlay
from maskrcnn.draw.page import Headline, Table, render
from maskrcnn.errors import InputError
from maskrcnn.files import write_text
from maskrcnn.inspection import stages
from maskrcnn.inspection.figures import Figure, Shape, rect
from maskrcnn.inspection.learning import labelled_sample, learn
from maskrcnn.inspection.stages import MapSheet, RegionBars, Time, View
from maskrcnn.inspection.teaching import Teaching, teach
from maskrcnn.inspection.ways import Way, ways
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.prediction import Predictor, load
from maskrcnn.prediction.folder import SHOWN
from maskrcnn.prediction.tracing import Trace
from maskrcnn.structures import Instances, Sample
from maskrcnn.version import __version__

SIDE = 960  # pixels of the picture's long edge on the page
MOST_ZOOM = 8
MOST_DETECTIONS = 20
LEAST_DETECTIONS = 5  # shown however improbable they are

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PicturePage:
    """Everything on the page; whatever is empty is left out.

    Attributes:
        title: The picture's name.
        lead: One sentence below it.
        headlines: The numbers that matter most.
        padded_hw: Height and width of what the network saw.
        place: x1, y1, x2, y2 of the picture in it.
        seen: The picture.
        found: The picture with what was found.
        result: Where the detections are in it.
        ways: Where they came from.
        input: The bands.
        backbone: Feature maps C2 to C5.
        pyramid: Feature maps P2 to P6.
        anchors: A level each.
        objectness: A level each.
        proposals: From the best anchors to the proposals.
        regions: Proposals on their levels.
        bars: What the surest regions look like.
        refinement: Regions before and after the box head.
        suppression: What stays in its class.
        suppressed: The same, counted.
        times: How long each stage took.
        tensors: Every tensor behind the page, with its shape.
        teaching: What the annotations tell.
        facts: Names and values.
    """

    title: str
    lead: str
    headlines: Sequence[Headline]
    padded_hw: tuple[int, int]
    place: tuple[float, float, float, float]
    seen: Image.Image
    found: Image.Image
    result: Figure
    ways: Sequence[Way]
    input: Table
    backbone: Sequence[MapSheet]
    pyramid: Sequence[MapSheet]
    anchors: Sequence[Figure]
    objectness: Sequence[Figure]
    proposals: Sequence[Figure]
    regions: Sequence[Figure]
    bars: Sequence[RegionBars]
    refinement: Figure
    suppression: Figure
    suppressed: Table
    times: Sequence[Time]
    tensors: Table
    teaching: Teaching | None
    facts: dict[str, str]


def inspect_picture(
    model: str | Path | Predictor,
    picture: str | Path,
    out: str | Path,
    *,
    data: str | Path | Dataset | None = None,
    progress: Progress | None = None,
) -> Path:
    """Follow a picture through a model and write what is seen: one HTML page that needs nothing else.

    Args:
        model: A model file, address or name, as `load` takes them, or a loaded model; not an exported one.
        picture: A file; with `data` also the name of one of its pictures.
        out: The page to write.
        data: Annotated pictures with this one among them: the page then says too what was found of its objects and
            what a training step would learn from it.
        progress: Called with steps done and steps in all.

    Returns:
        The page.

    Raises:
        InputError: The model was exported, or the picture is not in the data.
        MaskRCNNError: Model, picture or data can't be read.
        OutputError: The page can't be written.
    """
    tell = progress or _silent
    predictor = model if isinstance(model, Predictor) else load(model)
    sample = None if data is None else _annotated(predictor, picture, data)
    tell(1, 4)
    image = to_array(picture) if sample is None else sample.image
    trace = predictor.trace(image)
    tell(2, 4)
    view = View.of(trace, predictor.config, _shown(trace.instances))
    teaching = None
    if sample is not None:
        lesson = learn(_on_cpu(predictor), trace, sample)
        teaching = teach(view, lesson, sample)
    tell(3, 4)
    page = contents(view, image, Path(picture).name, teaching, predictor.choice)
    write_text(Path(out), picture_page(page))
    tell(4, 4)
    return Path(out)


def _on_cpu(predictor: Predictor) -> MaskRCNN:
    """Return the network where the trace's tensors are."""
    return predictor.model if predictor.device.type == "cpu" else copy.deepcopy(predictor.model).cpu()


def _annotated(predictor: Predictor, picture: str | Path, data: str | Path | Dataset) -> Sample:
    """Find the picture among annotated ones."""
    from maskrcnn.data import open_dataset

    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    return labelled_sample(dataset, find_picture(dataset, picture), predictor.class_names)


def find_picture(dataset: Dataset, picture: str | Path) -> int:
    """Return which picture of a set a path or a name means.

    Raises:
        InputError: None, or several of that name.
    """
    place = Path(picture).absolute()
    names = [i for i, record in enumerate(dataset.records) if str(picture) in (record.name, record.path.name)]
    same = [i for i, record in enumerate(dataset.records) if record.path.absolute() == place]
    if not same and place.is_file():
        same = [i for i, record in enumerate(dataset.records) if record.path.resolve() == place.resolve()]
    found = same or names
    if len(found) != 1:
        got = f"none of {len(dataset.records):,}" if not found else f"{len(found)} of that name"
        raise InputError(f"{dataset.source}: expected a set with the picture {picture}, got {got}")
    return found[0]


def _shown(instances: Instances) -> int:
    """Choose how many detections are followed: the probable ones, but not too many and not too few."""
    sure = int((instances.scores >= SHOWN).sum())
    return min(max(sure, LEAST_DETECTIONS), MOST_DETECTIONS, len(instances))


def contents(view: View, image: np.ndarray, name: str, teaching: Teaching | None, choice: str) -> PicturePage:
    """Put a trace into figures, tables and words."""
    trace = view.trace
    (y, x), (h, w) = trace.corner, trace.size_hw
    by = stages.suppressors(view)
    seen, found = _grounds(view, image)
    return PicturePage(
        title=name,
        lead=_lead(view),
        headlines=_headlines(view),
        padded_hw=trace.padded_hw,
        place=(float(x), float(y), float(x + w), float(y + h)),
        seen=seen,
        found=found,
        result=_result(view),
        ways=ways(view, by),
        input=stages.input_table(view),
        backbone=stages.map_sheets(view, "backbone"),
        pyramid=stages.map_sheets(view, "pyramid"),
        anchors=stages.anchor_figures(view),
        objectness=stages.objectness_figures(view),
        proposals=stages.proposal_figures(view),
        regions=stages.region_figures(view),
        bars=stages.region_bars(view),
        refinement=stages.refinement_figure(view),
        suppression=stages.suppression_figure(view, by),
        suppressed=stages.suppression_table(view, by),
        times=stages.times(trace),
        tensors=_tensor_table(trace),
        teaching=teaching,
        facts=_facts(view, choice),
    )


def picture_page(page: PicturePage) -> str:
    """Make the page, a whole HTML document."""
    return render("picture.html", "maskrcnn.inspection", page=page, version=__version__)


def _grounds(view: View, image: np.ndarray) -> tuple[Image.Image, Image.Image]:
    """Draw the picture as it is shown: with nothing on it, and with what was found."""
    shown = displayable(image)
    sample = Sample(shown, view.trace.instances[: view.shown], Path(), 0)
    long = max(shown.shape[:2])
    if long > SIDE:
        h, w = (max(1, round(side * SIDE / long)) for side in shown.shape[:2])
        sample = resize(sample, (h, w))
    zoom = max(1, min(MOST_ZOOM, SIDE // long))
    captions = [view.caption(i) for i in range(len(sample.instances))]
    found = overlay(sample.image, sample.instances, captions=captions, zoom=zoom)
    return Image.fromarray(np.asarray(sample.image)), found


def _result(view: View) -> Figure:
    boxes, slots = view.tensor("masks", "boxes"), view.trace.origins.slot
    shapes = [Shape(rect(boxes[slots[i]]), "hit", view.caption(i), (i,), view.colour(i)) for i in range(view.shown)]
    return Figure("What was found", view.whole, "", shapes, ground="result")


def _lead(view: View) -> str:
    total, shown = len(view.trace.instances), view.shown
    more = f"; the {shown} most probable ones are followed here" if shown < total else ""
    return f"{total} detection{'' if total == 1 else 's'}{more}. Point at one, or tap it, to see where it came from."


def _headlines(view: View) -> list[Headline]:
    trace = view.trace
    anchors = sum(len(each) for each in trace["anchors"].values())
    seconds = sum(stage.seconds for stage in trace)
    return [
        Headline(f"{anchors:,}", "anchors", f"{len(trace['candidates']['level']):,} were looked at"),
        Headline(f"{len(trace['proposals']['boxes']):,}", "proposals", "after suppression"),
        Headline(f"{len(trace['detections']['boxes']):,}", "pairs of region and class", "above the least probability"),
        Headline(
            f"{len(trace.instances):,}",
            "detections",
            f"{int((trace.instances.scores >= SHOWN).sum())} from {SHOWN:g} up",
        ),
        Headline(f"{1000 * seconds:,.0f} ms", "in the network", "reading and resizing not counted"),
    ]


def _tensor_table(trace: Trace) -> Table:
    rows = [
        [stage.name, name, f" {TIMES} ".join(map(str, tensor.shape)), str(tensor.dtype)]
        for stage in trace
        for name, tensor in stage.tensors.items()
    ]
    return Table(
        "Tensors", ("stage", "tensor", "shape", "numbers"), rows, "model.trace(picture)[stage][tensor] gives each."
    )


def _facts(view: View, choice: str) -> dict[str, str]:
    config, (h, w), (H, W) = view.config, view.trace.size_hw, view.trace.padded_hw
    return {
        "Network": f"{config.backbone.depth}, norms {config.backbone.norm}, {len(config.classes)} classes",
        "Run by": choice,
        "Picture": f"{h} {TIMES} {w} pixels of {H} {TIMES} {W} with padding",
        "Resizing": f"{config.input.resize}, edges of {config.input.min_size} and at most {config.input.max_size} px",
        "Anchors": ", ".join("/".join(f"{size:g}" for size in level) for level in config.anchors.sizes)
        + f" px; height / width {', '.join(f'{ratio:g}' for ratio in config.anchors.ratios)}",
        "Proposals": f"suppressed from IoU {config.rpn.nms_iou:g}, at most {config.rpn.proposals:,}",
        "Regions": f"level by {config.regions.level}, sampler {config.regions.sampler}",
    }


def _silent(_done: int, _total: int) -> None:
    """Tell nobody."""

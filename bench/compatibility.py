"""Measure what getting each difference between the projects wrong does; writes `bench/compatibility.md`.

The golden weights of a project are written to a file of its own format, read, and run on golden pictures: the
reference. Then exactly one difference is answered wrongly, by a fold that does something else or by a setting, and the
results are compared.

    python bench/compatibility.py [--golden ../shared/golden] [--out bench/compatibility.md]

References: `docs/compatibility.md`, whose numbers the rows have.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from machine import table
from maskrcnn.config import ModelConfig
from maskrcnn.data.batches import collate
from maskrcnn.errors import WeightsError
from maskrcnn.model import mask_rcnn
from maskrcnn.model.mask_targets import covered_cells
from maskrcnn.model.weights import build_filled
from maskrcnn.ops.resize import padded_size
from maskrcnn.prediction.predictor import Predictor
from maskrcnn.prediction.preparing import prepare
from maskrcnn.structures import Instances, Sample
from maskrcnn.zoo import Foreign, detectron2, folds, keras, read_foreign, torchvision
from maskrcnn.zoo.folds import Own

BEST = 30  # detections of the reference a picture that are looked for
SAME = 0.95  # IoU of a detection that is found again
TIE = 1e-3  # weight of scores among boxes that lie on one another
OBJECTS = 10  # detections a picture that losses are measured against
Picture = NDArray[np.uint8]
Values = Mapping[str, Any]
AS_IT_IS: Values = {}


# ---- the golden models


class Project(NamedTuple):
    """A golden model: its file, what its golden run was given, and pictures."""

    name: str
    file: Path
    settings: Values
    pictures: list[Picture]


SMALL = {"input": {"min_size": 256, "max_size": 384}, "rpn": {"proposals": 300}}
SMALL_SQUARE = {
    "input": {"min_size": 192, "max_size": 256},
    "anchors": {"sizes": [[16.0], [32.0], [64.0], [128.0], [256.0]]},
    "rpn": {"proposals": 100},
}


def load_module(path: Path) -> Any:
    """Import a file that lies outside of everything."""
    description = importlib.util.spec_from_file_location(path.stem, path)
    assert description is not None
    assert description.loader is not None
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


def drawn(golden: Path, name: str) -> tuple[dict[str, Tensor], list[Picture]]:
    """Draw the weights and pictures of a golden file, and its first picture once more at twice the size."""
    fill, arrays = load_module(golden / "fill.py"), np.load(golden / f"{name}.npz")
    seed = int(arrays["seed"])
    weights = {}
    for tensor, (kind, shape, gain) in json.loads(bytes(arrays["spec"]))["tensors"].items():
        numbers = fill.values(tensor, tuple(shape), kind, seed)
        weights[tensor] = torch.from_numpy(numbers if kind == "var" else numbers * np.float32(gain))
    sizes = arrays["image_hw"].tolist()
    pictures = [fill.image(h, w, seed * 10 + i) for i, (h, w) in enumerate(sizes)]
    return weights, [*pictures, fill.image(2 * sizes[0][0], 2 * sizes[0][1], seed * 10)]


def write_torchvision(golden: Path, folder: Path) -> Project:
    """Write the golden model of torchvision."""
    weights, pictures = drawn(golden, "torchvision_v1")
    torch.save(weights, folder / "tv.pth")
    return Project("TV", folder / "tv.pth", SMALL, pictures)


def write_detectron2(golden: Path, folder: Path) -> Project:
    """Write the golden model of Detectron2."""
    weights, pictures = drawn(golden, "detectron2_r50")
    content = {"model": {name: tensor.numpy() for name, tensor in weights.items()}, "__author__": "bench"}
    (folder / "d2.pkl").write_bytes(pickle.dumps(content))
    return Project("D2", folder / "d2.pkl", SMALL, pictures)


def write_matterport(golden: Path, folder: Path) -> Project:
    """Write the golden model of Matterport."""
    load_module(golden / "matterport/make_weights.py").main(str(folder / "mp.h5"))
    single, cases = (np.load(golden / f"matterport/{name}.npz") for name in ("detect", "detect_cases"))
    pictures = [single["image"], *(cases[f"{name}_image"] for name in ("down_tall", "wide"))]
    return Project("MP", folder / "mp.h5", SMALL_SQUARE, pictures)


# ---- mistakes


class Swap(NamedTuple):
    """A name in a module that means something else for a while."""

    module: ModuleType
    name: str
    instead: Any


class Mistake(NamedTuple):
    """One difference answered wrongly: by settings, by other folds, or both."""

    number: str
    what: str
    project: str
    settings: Values = AS_IT_IS
    swaps: tuple[Swap, ...] = ()


@contextmanager
def swapped(swaps: Sequence[Swap]) -> Iterator[None]:
    """Let names mean something else."""
    with ExitStack() as stack:
        for module, name, instead in swaps:
            stack.enter_context(patch.object(module, name, instead))
        yield


def nothing(*_: object) -> None:
    """Leave everything as it is."""


_delta_order = folds.delta_order
_drop_background = folds.drop_background
_channels_last_in_fc1 = folds.channels_last_in_fc1


def order_kept(own: Own, pattern: str, std: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> None:
    """Scale deltas and leave their order."""
    _delta_order(own, pattern, std)
    _delta_order(own, pattern)  # swapped back


def scale_kept(own: Own, pattern: str, _: Sequence[float] = ()) -> None:
    """Reorder deltas and leave their scale."""
    _delta_order(own, pattern)


def last_dropped(part: str) -> Callable[[Own, str, int], None]:
    """Drop the last rows of one output instead of the first."""

    def drop(own: Own, pattern: str, rows: int) -> None:
        if part not in pattern:
            _drop_background(own, pattern, rows)
            return
        for name in own.matching(pattern):
            own.change(name, own.tensors[name][:-rows])

    return drop


def object_logit_alone(own: Own, pattern: str) -> None:
    """Take the second of the two logits as it is."""
    for name in own.matching(pattern):
        own.change(name, own.tensors[name][1::2])


def biases_dropped(own: Own) -> None:
    """Forget the biases before norms."""
    for name in own.matching(r".*\.conv\.bias"):
        if name.removesuffix("conv.bias") + "norm.running_mean" in own.tensors:
            own.take(name)


def epsilon_zero(own: Own) -> None:
    """Do what belongs to the first published weights alone."""
    folds.norm_epsilon(own, 0.0)
    _channels_last_in_fc1(own)


def norm_dropped(own: Own, _: str, norm: str) -> None:
    """Forget a norm of the heads."""
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        own.take(f"{norm}.{leaf}")


MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
CLAMP = 4.135166556742356
MISTAKES = (
    Mistake("1", "deltas taken as dx, dy, dw, dh", "MP", swaps=(Swap(folds, "delta_order", order_kept),)),
    Mistake("2", "deltas of the RPN not scaled", "MP", swaps=(Swap(folds, "delta_order", scale_kept),)),
    Mistake("3", "background taken as last", "MP", swaps=(Swap(folds, "background_last", nothing),)),
    Mistake("3", "background taken as last", "TV", swaps=(Swap(torchvision, "background_last", nothing),)),
    Mistake("4", "all rows of boxes kept", "TV", swaps=(Swap(torchvision, "drop_background", nothing),)),
    Mistake(
        "4",
        "last row of boxes dropped, not the first",
        "TV",
        swaps=(Swap(torchvision, "drop_background", last_dropped("box_head")),),
    ),
    Mistake(
        "5",
        "last row of masks dropped, not the first",
        "TV",
        swaps=(Swap(torchvision, "drop_background", last_dropped("mask_head")),),
    ),
    Mistake(
        "6", "logit of the object without the background's", "MP", swaps=(Swap(folds, "one_logit", object_logit_alone),)
    ),
    Mistake("7", "weights for BGR given RGB", "D2", swaps=(Swap(detectron2, "swap_colours", nothing),)),
    Mistake("8", "biases before norms dropped", "MP", swaps=(Swap(folds, "biases_into_means", biases_dropped),)),
    Mistake("9", "epsilon 1e-5 for 1e-3", "MP", swaps=(Swap(keras, "_EPS", 1e-5),)),
    Mistake("9", "epsilon 0 for 1e-5", "TV", swaps=(Swap(torchvision, "channels_last_in_fc1", epsilon_zero),)),
    Mistake("10", "inputs of fc1 left channel first", "D2", swaps=(Swap(detectron2, "channels_last_in_fc1", nothing),)),
    Mistake("11", "ratios taken as height / width", "MP", swaps=(Swap(folds, "anchors_reversed", nothing),)),
    Mistake("12", "mean of Detectron2", "MP", {"input": {"mean": MEAN}}),
    Mistake("12", "std of torchvision", "D2", {"input": {"std": STD}}),
    Mistake("12", "std 1", "TV", {"input": {"std": (1.0, 1.0, 1.0)}}),
    Mistake("13", "score .05, NMS .5", "MP", {"detect": {"score_threshold": 0.05, "nms_iou": 0.5}}),
    Mistake("13", "score .7, NMS .3", "TV", {"detect": {"score_threshold": 0.7, "nms_iou": 0.3}}),
    Mistake("14", "2 samples", "D2", {part: {"sampling_ratio": 2} for part in ("box_head", "mask_head")}),
    Mistake("14", "as many as cells", "TV", {part: {"sampling_ratio": 0} for part in ("box_head", "mask_head")}),
    Mistake("15", "RPN of two convolutions", "TV", {"rpn": {"depth": 2}}),
    Mistake("15", "RPN of the pyramid's width", "MP", {"rpn": {"channels": 0}}),
    Mistake("16", "clamp log(1000 / 16)", "MP", {"delta_clamp": CLAMP}),
    Mistake("16", "no clamp", "TV", {"delta_clamp": None}),
    Mistake("18", "stride in the 3x3", "D2", {"backbone": {"stride_in": "3x3"}}),
    Mistake("18", "stride in the 1x1", "TV", {"backbone": {"stride_in": "1x1"}}),
    Mistake("19", "floor", "MP", {"regions": {"level": "floor"}}),
    Mistake("19", "round", "D2", {"regions": {"level": "round"}}),
    Mistake("19", "floor, 1e-8 inside", "TV", {"regions": {"level": "floor"}}),
    Mistake("20", "average at exact places", "MP", {"regions": {"sampler": "average"}}),
    Mistake("20", "average, half a cell on", "D2", {"regions": {"sampler": "unaligned"}}),
    Mistake("20", "average at exact places", "TV", {"regions": {"sampler": "average"}}),
    Mistake("21", "boxes end behind the last pixel", "MP", {"anchors": {"corners": "exclusive"}}),
    Mistake("21", "whole pixels", "D2", {"anchors": {"rounding": "whole"}}),
    Mistake("21", "exact", "TV", {"anchors": {"rounding": "exact"}}),
    Mistake("22", "of each level", "MP", {"rpn": {"ranking": "level"}}),
    Mistake("22", "of all levels together", "D2", {"rpn": {"ranking": "all"}}),
    Mistake("23", "every one over the threshold", "MP", {"detect": {"choice": "every"}}),
    Mistake("23", "the best one", "TV", {"detect": {"choice": "best"}}),
    Mistake("24", "centres of pixels", "MP", {"mask_head": {"paste": "centres"}}),
    Mistake("24", "padded by a cell", "D2", {"mask_head": {"paste": "padded"}}),
    Mistake("24", "centres of pixels", "TV", {"mask_head": {"paste": "centres"}}),
    Mistake("26", "square, in the corner", "MP", {"input": {"resize": "square"}}),
    Mistake("26", "averaged where it shrinks", "MP", {"input": {"sampling": "antialias"}}),
    Mistake("26", "bilinear without averaging", "D2", {"input": {"sampling": "plain"}}),
    Mistake("26", "Pillow's bilinear", "TV", {"input": {"sampling": "antialias"}}),
    Mistake("28", "norms of the heads dropped", "MP", swaps=(Swap(keras, "_norm_into", norm_dropped),)),
    Mistake("pool", "max-pooling over both borders", "MP", {"backbone": {"pool_padding": "both"}}),
)


# ---- running a model


class Outcome(NamedTuple):
    """For each picture what was found, and P2 to P6."""

    found: list[Instances]
    features: list[list[Tensor]]


def configured(foreign: Foreign, *changes: Values) -> ModelConfig:
    """Change nested settings of an imported model."""
    values = foreign.config.model_dump(mode="json")
    for change in changes:
        for name, given in change.items():
            values[name] = {**values[name], **given} if isinstance(given, Mapping) else given
    return ModelConfig.parse(values)


def predictor(foreign: Foreign, *changes: Values) -> Predictor:
    """Make a model of imported weights."""
    return Predictor(build_filled(configured(foreign, *changes), foreign.tensors, foreign.kind))


def run(ready: Predictor, pictures: Sequence[Picture]) -> Outcome:
    """Find the objects of every picture alone."""
    features: list[list[Tensor]] = []
    hook = ready.model.pyramid.register_forward_hook(lambda _, __, levels: features.append(list(levels)))
    found = [ready.predict(picture) for picture in pictures]
    hook.remove()
    return Outcome(found, features)


# ---- comparing


class Effect(NamedTuple):
    """What a mistake does.

    Attributes:
        features: Largest difference of a level of the pyramid over its standard deviation; NaN for another size.
        counts: Detections of the reference and with the mistake.
        again: Share of the reference's detections that are found again.
        pixels: Of those, the largest distance of a side.
        score: The largest difference of the score.
        mask: The mean IoU of the masks; NaN where nothing is found again.
    """

    features: float
    counts: tuple[int, int]
    again: float
    pixels: float
    score: float
    mask: float


def overlaps(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the IoU of every box with every other, (N, M)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    iou: NDArray[np.float32] = shared / np.maximum(union, 1e-9)
    return iou


def mask_overlap(a: Instances, i: int, b: Instances, j: int) -> float:
    """Return the IoU of two masks; 1 for two without pixels."""
    assert a.masks is not None
    assert b.masks is not None
    planes = [masks.select([k]).dense()[0] for masks, k in ((a.masks, i), (b.masks, j))]
    union = np.count_nonzero(planes[0] | planes[1])
    return np.count_nonzero(planes[0] & planes[1]) / union if union else 1.0


def distance(right: Sequence[Tensor], wrong: Sequence[Tensor]) -> float:
    """Return the largest difference of features in standard deviations of their level."""
    if any(a.shape != b.shape for a, b in zip(right, wrong, strict=True)):
        return float("nan")
    return max(float((a - b).abs().max() / a.std()) for a, b in zip(right, wrong, strict=True))


def compare(right: Outcome, wrong: Outcome) -> Effect:
    """Look for the best detections of the reference among those with the mistake."""
    pixels, score, masks, sought = [0.0], [0.0], [], 0
    for a, b in zip(right.found, wrong.found, strict=True):
        iou = np.where(a.labels[:, None] == b.labels[None], overlaps(a.boxes, b.boxes), 0.0)
        for i in range(min(BEST, len(a))):
            sought += 1
            if iou[i].max(initial=0.0) < SAME:
                continue
            apart = np.abs(a.scores[i] - b.scores)
            j = int((iou[i] - TIE * apart).argmax())
            pixels.append(float(np.abs(a.boxes[i] - b.boxes[j]).max()))
            score.append(float(apart[j]))
            masks.append(mask_overlap(a, i, b, j))
    return Effect(
        max(distance(a, b) for a, b in zip(right.features, wrong.features, strict=True)),
        (sum(map(len, right.found)), sum(map(len, wrong.found))),
        len(masks) / sought,
        max(pixels),
        max(score),
        float(np.mean(masks)) if masks else float("nan"),
    )


def cells(effect: Effect) -> list[str]:
    """Write an effect as cells of the table."""

    def number(value: float, spec: str) -> str:
        return "-" if np.isnan(value) else format(value, spec)

    return [
        number(effect.features, ".2g"),
        " → ".join(map(str, effect.counts)),
        f"{100 * effect.again:.0f} %",
        number(effect.pixels, ".2f") if not np.isnan(effect.mask) else "-",
        number(effect.score, ".2g") if not np.isnan(effect.mask) else "-",
        number(effect.mask, ".4f"),
    ]


def effect_row(mistake: Mistake, project: Project, foreign: Foreign, right: Outcome) -> list[str]:
    """Measure one mistake."""
    start = [mistake.number, mistake.project, mistake.what]
    try:
        with swapped(mistake.swaps):
            wrong = read_foreign(project.file) if mistake.swaps else foreign
        ready = predictor(wrong, project.settings, mistake.settings)
    except WeightsError:
        return [*start, "-", "-", "refused: other shapes", "-", "-", "-"]
    return [*start, *cells(compare(right, run(ready, project.pictures)))]


# ---- losses


def rounded_cells(*given: Any) -> Tensor:
    """Give every cell of a mask's target to the object or not."""
    return covered_cells(*given).round()


LOSSES: tuple[tuple[Mistake, tuple[str, ...]], ...] = (
    *(
        (
            Mistake("17", f"beta {name} for 0", "D2", {part: {"beta": beta} for part in ("rpn", "box_head")}),
            ("proposal_box", "box"),
        )
        for name, beta in (("1/9", 1 / 9), ("1", 1.0))
    ),
    (
        Mistake("25", "rounded cells for shares", "D2", swaps=(Swap(mask_rcnn, "covered_cells", rounded_cells),)),
        ("mask",),
    ),
)


def losses(foreign: Foreign, settings: Values, pictures: Sequence[Picture], changes: Values) -> dict[str, float]:
    """Sum the losses over pictures whose objects are what the unchanged model finds best."""
    config = configured(foreign, settings)
    right = predictor(foreign, settings, {"input": {"resize": "none"}})
    model = build_filled(configured(foreign, settings, changes), foreign.tensors, foreign.kind).train()
    totals: dict[str, float] = {}
    for picture in pictures:
        resized = prepare(picture, config.input).pixels.permute(1, 2, 0).numpy()
        sample = Sample(resized, right.predict(resized)[:OBJECTS], Path("golden"), 1)
        batch = collate([sample], [0], padded_size(sample.instances.size_hw, config.input))
        with torch.no_grad():
            for name, loss in model.losses(batch).items():
                totals[name] = totals.get(name, 0.0) + float(loss.mean)
    return totals


def loss_row(mistake: Mistake, names: Sequence[str], project: Project, foreign: Foreign) -> list[str]:
    """Measure what a mistake does to losses; detections are those of the reference."""
    pictures = project.pictures[:2]
    right = losses(foreign, project.settings, pictures, {})
    with swapped(mistake.swaps):
        wrong = losses(foreign, project.settings, pictures, mistake.settings)
    said = ", ".join(f"`{name}` times {wrong[name] / right[name]:.3f}" for name in names)
    return [mistake.number, mistake.project, mistake.what, "0", "the same", f"100 %; {said}", "0.00", "0", "1.0000"]


# ---- the table

HEAD = [
    "#",
    "model",
    "done instead",
    "features, std",
    "detections",
    "found again",
    "box, pixels",
    "score",
    "mask IoU",
]
NOTES = f"""\
Numbers are those of `docs/compatibility.md`. Golden models of random weights: MP ResNet-50 with anchors of 16 to 256,
256x256, 100 proposals, three pictures; D2 and TV R-50 at 256 to 384 pixels, 300 proposals, two pictures and the first
of them at twice the size.
Scores of MP and D2 lie near 1, those of TV between 0.05 and 1.
The correct import is the reference; every row has exactly one difference answered wrongly.

- **features**: largest difference anywhere in P2 to P6, in standard deviations of the level; - for another size.
- **detections**: of the reference and with the mistake, all pictures together.
- **found again**: of the {BEST} best detections a picture of the reference, those with one of the same class and an
  IoU of {SAME} or more.
- **box, score, mask**: of those found again, the largest distance of a side, the largest difference of the score, and
  the mean IoU of the masks.

Number 17 and 25 change training only: losses over their right values, with the {OBJECTS} best detections a picture as
objects, and the random numbers of a step equal. Number 27 is equal everywhere. `pool` is `backbone.pool_padding`.

What is found again in full here can be lost elsewhere. A clamp (16) acts only on sides that grow more than 62 times.
A level (19) differs only for some sizes, by rounding from 79 to 112 pixels, 158 to 224, and so on. Ranking (22) acts
where counts bind. Above a score of .5 a region has one class at most (23). Masks of random weights are speckled, so
that their IoU falls further than that of real ones.
"""


def measure(golden: Path) -> Iterator[list[str]]:
    """Make the rows, one project after the other."""
    for write in (write_matterport, write_detectron2, write_torchvision):
        with tempfile.TemporaryDirectory() as folder:
            project = write(golden, Path(folder))
            foreign = read_foreign(project.file)
            right = run(predictor(foreign, project.settings), project.pictures)
            for mistake in MISTAKES:
                if mistake.project == project.name:
                    yield effect_row(mistake, project, foreign, right)
            for mistake, names in LOSSES:
                if mistake.project == project.name:
                    yield loss_row(mistake, names, project, foreign)


def place(row: Sequence[str]) -> tuple[float, int]:
    """Return where a row belongs: by number, then by project."""
    return (float(row[0]) if row[0].isdigit() else float("inf"), ("MP", "D2", "TV").index(row[1]))


def main() -> None:
    """Run every mistake and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", type=Path, default=Path(__file__).parents[1] / "../shared/golden")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    rows = []
    for row in measure(options.golden):
        print(" | ".join(row), flush=True)
        rows.append(row)
    text = f"# What getting a difference wrong does\n\n{NOTES}\n{table(HEAD, sorted(rows, key=place))}"
    options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

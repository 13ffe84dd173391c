"""Models of Detectron2: its R-50, R-101 and X-101 with a pyramid, the newer recipes with norms in the heads.

References: Detectron2, `configs/COCO-InstanceSegmentation`, `configs/new_baselines`.
Letters: A anchors a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from maskrcnn.settings import merge
from maskrcnn.zoo.coco_names import names_of_count
from maskrcnn.zoo.folds import Own, channels_last_in_fc1, swap_colours
from maskrcnn.zoo.kinds import SETTINGS as SAYS
from maskrcnn.zoo.kinds import Kind, as_it_is, no_fold, no_names
from maskrcnn.zoo.names import CLASSIFIER, FROM_ONE, FROM_TWO, LEAF, STEP_COUNT, Rule

_SETTINGS_RULES = (
    Rule(r"pixel_(mean|std)", f"{SAYS}input.{{0}}"),
    Rule(r"proposal_generator\.anchor_generator\.cell_anchors\.(\d)", f"{SAYS}anchors.{{0}}"),
)


def _residual(prefix: str) -> tuple[Rule, ...]:
    return (
        Rule(rf"{prefix}stem\.conv1\.weight", "backbone.stem.conv1.conv.weight"),
        Rule(rf"{prefix}stem\.conv1\.norm\.{LEAF}", "backbone.stem.conv1.norm.{0}"),
        Rule(rf"{prefix}(res[2-5]\.\d+\.(?:conv[1-3]|shortcut))\.weight", "backbone.{0}.conv.weight"),
        Rule(rf"{prefix}(res[2-5]\.\d+\.(?:conv[1-3]|shortcut))\.norm\.{LEAF}", "backbone.{0}.norm.{1}"),
    )


_RULES = (
    *_residual(r"backbone\.bottom_up\."),
    *(
        rule
        for side in ("lateral", "output")
        for rule in (
            Rule(rf"backbone\.fpn_{side}([2-5])\.(weight|bias)", f"pyramid.{side}.{{0}}.conv.{{1}}", FROM_TWO),
            Rule(rf"backbone\.fpn_{side}([2-5])\.norm\.{LEAF}", f"pyramid.{side}.{{0}}.norm.{{1}}", FROM_TWO),
        )
    ),
    Rule(r"proposal_generator\.rpn_head\.conv\.(weight|bias)", "rpn.head.convs.0.{0}"),
    Rule(r"proposal_generator\.rpn_head\.conv\.conv(\d)\.(weight|bias)", "rpn.head.convs.{0}.{1}"),
    Rule(r"proposal_generator\.rpn_head\.objectness_logits\.(weight|bias)", "rpn.head.objectness.{0}"),
    Rule(r"proposal_generator\.rpn_head\.anchor_deltas\.(weight|bias)", "rpn.head.deltas.{0}"),
    Rule(r"roi_heads\.box_head\.(fc[12])\.(weight|bias)", "box_head.body.{0}.{1}"),
    Rule(r"roi_heads\.box_head\.conv([1-4])\.(weight|bias)", "box_head.body.convs.{0}.conv.{1}", FROM_ONE),
    Rule(rf"roi_heads\.box_head\.conv([1-4])\.norm\.{LEAF}", "box_head.body.convs.{0}.norm.{1}", FROM_ONE),
    Rule(r"roi_heads\.box_predictor\.cls_score\.(weight|bias)", "box_head.logits.{0}"),
    Rule(r"roi_heads\.box_predictor\.bbox_pred\.(weight|bias)", "box_head.deltas.{0}"),
    Rule(r"roi_heads\.mask_head\.mask_fcn([1-8])\.(weight|bias)", "mask_head.convs.{0}.conv.{1}", FROM_ONE),
    Rule(rf"roi_heads\.mask_head\.mask_fcn([1-8])\.norm\.{LEAF}", "mask_head.convs.{0}.norm.{1}", FROM_ONE),
    Rule(r"roi_heads\.mask_head\.deconv\.(weight|bias)", "mask_head.upsample.{0}"),
    Rule(r"roi_heads\.mask_head\.predictor\.(weight|bias)", "mask_head.logits.{0}"),
    *_SETTINGS_RULES,
)
_RGB_MEAN = (123.675, 116.28, 103.53)
_X101_STD = (58.395, 57.12, 57.375)
SETTINGS: dict[str, Any] = {
    "input": {
        "mean": _RGB_MEAN,
        "std": (1.0, 1.0, 1.0),
        "resize": "short_edge",
        "sampling": "antialias",
        "min_size": 800,
        "max_size": 1333,
        "divisor": 32,
    },
    "backbone": {"stride_in": "1x1"},
    "rpn": {
        "beta": 0.0,
        "pre_nms_train": 2000,
        "pre_nms": 1000,
        "proposals_train": 1000,
        "proposals": 1000,
        "nms_iou": 0.7,
        "min_side": 1e-6,  # more than none; coordinates of float32 are no finer
    },
    "regions": {"level": "floor", "sampler": "average"},
    "box_head": {"sampling_ratio": 0, "beta": 0.0},
    "mask_head": {"sampling_ratio": 0, "paste": "centres"},
    "detect": {"score_threshold": 0.05, "nms_iou": 0.5, "detections": 100, "min_side": 0.0},
}
RESNEXT: dict[str, Any] = {"input": {"std": _X101_STD}, "backbone": {"stride_in": "3x3"}}
_CLOSE = 0.01  # of a mean that a file says


def _fold(own: Own) -> None:
    if not _reads_rgb(own):
        swap_colours(own)
    channels_last_in_fc1(own)


def _said(own: Own, name: str) -> tuple[float, ...] | None:
    """Return the numbers of a small tensor of the file that says something about the settings."""
    tensor = own.settings.get(f"{SAYS}{name}")
    return None if tensor is None else tuple(tensor.double().flatten().tolist())


def _reads_rgb(own: Own) -> bool:
    """Tell whether the file's own mean is in the order RGB, as in recipes from torchvision's backbones."""
    mean = _said(own, "input.mean")
    if mean is None or len(mean) != len(_RGB_MEAN):
        return False
    return max(abs(a - b) for a, b in zip(mean, _RGB_MEAN, strict=True)) < _CLOSE


def is_resnext(own: Own) -> bool:
    """Tell whether the 3x3 convolutions have groups."""
    shape = own.tensors["backbone.res2.0.conv2.conv.weight"].shape
    return shape[0] != shape[1]


def _refined(own: Own) -> dict[str, Any]:
    rgb = _reads_rgb(own)
    recipe = RESNEXT if is_resnext(own) else {}
    order = 1 if rgb else -1
    said = {name: _said(own, f"input.{name}") for name in ("mean", "std")}
    return merge(
        recipe,
        {"backbone": {"stride_in": "3x3"}} if rgb else {},
        {"input": {name: _rounded(values[::order]) for name, values in said.items() if values}},
        _anchors(own),
    )


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    """Undo the rounding to float32 of numbers with few digits."""
    return tuple(round(value, 3) for value in values)


def _anchors(own: Own) -> dict[str, Any]:
    """Read sizes and ratios off the anchors in the file."""
    cells = [own.settings.get(f"{SAYS}anchors.{i}") for i in range(5)]
    if any(cell is None for cell in cells):
        return {}
    shapes = [_sizes_and_ratios(cell) for cell in cells if cell is not None]
    return {"anchors": {"sizes": [sizes for sizes, _ in shapes], "ratios": shapes[0][1]}}


def _sizes_and_ratios(cell: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Read them off (A, 4) x1, y1, x2, y2 round the origin, sizes outside, ratios inside."""
    sides = cell.double()[:, 2:] - cell.double()[:, :2]
    sizes = tuple(dict.fromkeys(_rounded(sides.prod(1).sqrt().tolist())))
    ratios = _rounded((sides[:, 1] / sides[:, 0]).tolist())
    return sizes, ratios[: len(ratios) // len(sizes)]


DETECTRON2 = Kind(
    name="detectron2",
    complete=True,
    marks=(r"backbone\.bottom_up\..*", r"roi_heads\..*"),
    rules=_RULES,
    skips=(),
    fold=_fold,
    settings=SETTINGS,
    refine=_refined,
    classes=names_of_count,
)
DETECTRON2_BACKBONE = Kind(
    name="detectron2 backbone",
    complete=False,
    marks=(r"stem\.conv1\.weight", r"res2\.0\.conv1\.weight"),
    rules=_residual(""),
    skips=(STEP_COUNT, CLASSIFIER),
    fold=no_fold,
    settings={"backbone": {"stride_in": "3x3"}, "input": {"mean": _RGB_MEAN, "std": _X101_STD}},
    refine=as_it_is,
    classes=no_names,
)

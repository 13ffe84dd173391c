"""Models of MMDetection, from its second version on.

References: MMDetection, `configs/mask_rcnn`, `mmdet/models`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from maskrcnn.settings import merge
from maskrcnn.zoo.coco_names import names_of_count
from maskrcnn.zoo.detectron2 import is_resnext
from maskrcnn.zoo.folds import Own, channels_last_in_fc1, swap_colours
from maskrcnn.zoo.kinds import Kind
from maskrcnn.zoo.names import LEAF, STEP_COUNT, Rule, Skip, residual_rules

_PYRAMID = {"lateral": "lateral", "fpn": "output"}
_RULES = (
    *residual_rules("backbone."),
    Rule(r"neck\.(lateral|fpn)_convs\.([0-3])\.conv\.(weight|bias)", "pyramid.{0}.{1}.conv.{2}", _PYRAMID),
    Rule(rf"neck\.(lateral|fpn)_convs\.([0-3])\.[bg]n\.{LEAF}", "pyramid.{0}.{1}.norm.{2}", _PYRAMID),
    Rule(r"rpn_head\.rpn_conv\.(weight|bias)", "rpn.head.convs.0.{0}"),
    Rule(r"rpn_head\.rpn_conv\.(\d)\.conv\.(weight|bias)", "rpn.head.convs.{0}.{1}"),
    Rule(r"rpn_head\.rpn_cls\.(weight|bias)", "rpn.head.objectness.{0}"),
    Rule(r"rpn_head\.rpn_reg\.(weight|bias)", "rpn.head.deltas.{0}"),
    Rule(r"roi_head\.bbox_head\.shared_fcs\.([01])\.(weight|bias)", "box_head.body.fc{0}.{1}", {"0": "1", "1": "2"}),
    Rule(r"roi_head\.bbox_head\.shared_convs\.([0-3])\.conv\.(weight|bias)", "box_head.body.convs.{0}.conv.{1}"),
    Rule(rf"roi_head\.bbox_head\.shared_convs\.([0-3])\.[bg]n\.{LEAF}", "box_head.body.convs.{0}.norm.{1}"),
    Rule(r"roi_head\.bbox_head\.fc_cls\.(weight|bias)", "box_head.logits.{0}"),
    Rule(r"roi_head\.bbox_head\.fc_reg\.(weight|bias)", "box_head.deltas.{0}"),
    Rule(r"roi_head\.mask_head\.convs\.(\d)\.conv\.(weight|bias)", "mask_head.convs.{0}.conv.{1}"),
    Rule(rf"roi_head\.mask_head\.convs\.(\d)\.[bg]n\.{LEAF}", "mask_head.convs.{0}.norm.{1}"),
    Rule(r"roi_head\.mask_head\.upsample\.(weight|bias)", "mask_head.upsample.{0}"),
    Rule(r"roi_head\.mask_head\.conv_logits\.(weight|bias)", "mask_head.logits.{0}"),
)
_SKIPS = (
    STEP_COUNT._replace(pattern=r"backbone\..*num_batches_tracked"),
    Skip(r"data_preprocessor\.(mean|std)", "the mean and std are taken from the recipe in the file"),
)
_RGB = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
_CAFFE_RGB = {"mean": (123.675, 116.28, 103.53), "std": (1.0, 1.0, 1.0)}
SETTINGS: dict[str, Any] = {
    "input": {
        "resize": "short_edge",
        "sampling": "plain",
        "min_size": 800,
        "max_size": 1333,
        "divisor": 32,
    },
    "rpn": {
        "beta": 0.0,
        "pre_nms_train": 2000,
        "pre_nms": 1000,
        "proposals_train": 1000,
        "proposals": 1000,
        "nms_iou": 0.7,
        "min_side": 1e-6,
    },
    "regions": {"level": "floor", "sampler": "average"},
    "box_head": {"sampling_ratio": 0, "beta": 0.0},
    "mask_head": {"sampling_ratio": 0, "paste": "centres"},
    "detect": {"score_threshold": 0.05, "nms_iou": 0.5, "detections": 100, "min_side": 0.0},
}


def _recipe(own: Own) -> str:
    """Return the text of the recipe in the file, empty where there is none."""
    meta = own.notes.get("meta")
    texts = [meta.get(name) for name in ("cfg", "config")] if isinstance(meta, Mapping) else []
    return next((text for text in texts if isinstance(text, str)), "")


def _reads_bgr(own: Own) -> bool:
    """Tell whether pictures keep the order BGR; the recipe says so, else only those for grouped networks do."""
    recipe = _recipe(own)
    if not recipe:
        return is_resnext(own)
    return re.search(r"(to_rgb|bgr_to_rgb)\s*=\s*False", recipe) is not None


def _fold(own: Own) -> None:
    if _reads_bgr(own):
        swap_colours(own)
    channels_last_in_fc1(own)


def _refined(own: Own) -> dict[str, Any]:
    recipe, bgr = _recipe(own), _reads_bgr(own)
    caffe = re.search(r"style\s*=\s*['\"]caffe", recipe) is not None
    order = -1 if bgr else 1
    said = {name: _numbers(recipe, name) for name in ("mean", "std")}
    return merge(
        {
            "input": _CAFFE_RGB if caffe else _RGB,
            "backbone": {"norm": "frozen", "stride_in": "1x1" if caffe else "3x3"},
        },
        {"input": {name: values[::order] for name, values in said.items() if values}},
    )


def _numbers(recipe: str, name: str) -> tuple[float, ...]:
    """Read the three numbers that a recipe gives a name."""
    number = r"\s*([\d.]+)\s*,?"
    match = re.search(rf"\b{name}\s*=\s*[\[(]{number * 3}\s*[\])]", recipe)
    return tuple(float(text) for text in match.groups()) if match else ()


def _classes(own: Own, count: int) -> Sequence[str] | None:
    """Take the names from the file, else COCO's where there are as many."""
    meta = own.notes.get("meta")
    if isinstance(meta, Mapping):
        inner = meta.get("dataset_meta")
        places = [meta, inner] if isinstance(inner, Mapping) else [meta]
        for names in (place.get(key) for place in places for key in ("CLASSES", "classes")):
            if isinstance(names, Sequence) and not isinstance(names, str) and len(names) == count:
                return [str(name) for name in names]
    return names_of_count(own, count)


MMDETECTION = Kind(
    name="mmdetection",
    complete=True,
    marks=(r"backbone\.(conv1|layer1)\..*", r"roi_head\..*"),
    rules=_RULES,
    skips=_SKIPS,
    fold=_fold,
    settings=SETTINGS,
    refine=_refined,
    classes=_classes,
)

"""Models of the first Detectron, from Caffe 2, and its classifiers of ImageNet.

References: Detectron, `detectron/modeling`; how its successor reads them, `c2_model_loading.py`.
"""

from __future__ import annotations

from typing import Any

from maskrcnn.zoo import folds
from maskrcnn.zoo.coco_names import names_of_count
from maskrcnn.zoo.detectron2 import is_resnext
from maskrcnn.zoo.folds import Own
from maskrcnn.zoo.kinds import Kind, no_names, of_backbone
from maskrcnn.zoo.names import FROM_ONE, FROM_TWO, Rule, Skip

_NORM = "(?:bn|gn)_(s|b|rm|riv|gamma|beta|running_mean|running_var)"
_WORDS = {
    "w": "weight",
    "b": "bias",
    "s": "weight",
    "rm": "running_mean",
    "riv": "running_var",
    "gamma": "weight",
    "beta": "bias",
    "branch2a": "conv1",
    "branch2b": "conv2",
    "branch2c": "conv3",
    "branch1": "shortcut",
}
_FROM_ONE = {**_WORDS, **FROM_ONE}
_LEVELS = {**_WORDS, **FROM_TWO}
_RESIDUAL = (
    Rule(r"conv1_w", "backbone.stem.conv1.conv.weight"),
    Rule(rf"(?:res_)?conv1_{_NORM}", "backbone.stem.conv1.norm.{0}", _WORDS),
    Rule(r"(res[2-5])_(\d+)_(branch2[abc]|branch1)_w", "backbone.{0}.{1}.{2}.conv.weight", _WORDS),
    Rule(rf"(res[2-5])_(\d+)_(branch2[abc]|branch1)_{_NORM}", "backbone.{0}.{1}.{2}.norm.{3}", _WORDS),
)
_RULES = (
    *_RESIDUAL,
    Rule(r"fpn_inner_res([2-5])_\d+_sum(?:_lateral)?_([wb])", "pyramid.lateral.{0}.conv.{1}", _LEVELS),
    Rule(rf"fpn_inner_res([2-5])_\d+_sum(?:_lateral)?_{_NORM}", "pyramid.lateral.{0}.norm.{1}", _LEVELS),
    Rule(r"fpn_res([2-5])_\d+_sum_([wb])", "pyramid.output.{0}.conv.{1}", _LEVELS),
    Rule(rf"fpn_res([2-5])_\d+_sum_{_NORM}", "pyramid.output.{0}.norm.{1}", _LEVELS),
    Rule(r"conv_rpn_fpn2_([wb])", "rpn.head.convs.0.{0}", _WORDS),
    Rule(r"rpn_cls_logits_fpn2_([wb])", "rpn.head.objectness.{0}", _WORDS),
    Rule(r"rpn_bbox_pred_fpn2_([wb])", "rpn.head.deltas.{0}", _WORDS),
    Rule(r"(fc[67])_([wb])", "box_head.body.{0}.{1}", {**_WORDS, "fc6": "fc1", "fc7": "fc2"}),
    Rule(r"head_conv([1-4])_([wb])", "box_head.body.convs.{0}.conv.{1}", _FROM_ONE),
    Rule(rf"head_conv([1-4])_{_NORM}", "box_head.body.convs.{0}.norm.{1}", _FROM_ONE),
    Rule(r"cls_score_([wb])", "box_head.logits.{0}", _WORDS),
    Rule(r"bbox_pred_([wb])", "box_head.deltas.{0}", _WORDS),
    Rule(r"_\[mask\]_fcn([1-8])_([wb])", "mask_head.convs.{0}.conv.{1}", _FROM_ONE),
    Rule(rf"_\[mask\]_fcn([1-8])_{_NORM}", "mask_head.convs.{0}.norm.{1}", _FROM_ONE),
    Rule(r"conv5_mask_([wb])", "mask_head.upsample.{0}", _WORDS),
    Rule(r"mask_fcn_logits_([wb])", "mask_head.logits.{0}", _WORDS),
)
_SKIPS = (
    Skip(r".*_momentum", "the optimiser's, not the model's"),
    Skip(r"conv1_b", "a bias that the first convolution of this project does not add"),
    Skip(r"lr|weight_order", "a number of the training"),
)
_TOP = Skip(r"(pred|fc1000|last_out_L1000)_[wb]", "the classifier of ImageNet")
_MEAN = (122.7717, 115.9465, 102.9801)
SETTINGS: dict[str, Any] = {
    "input": {
        "mean": _MEAN,
        "std": (1.0, 1.0, 1.0),
        "resize": "short_edge",
        "sampling": "plain",
        "min_size": 800,
        "max_size": 1333,
        "divisor": 32,
    },
    "backbone": {"stride_in": "1x1"},
    "rpn": {
        "beta": 1 / 9,
        "pre_nms_train": 2000,
        "pre_nms": 1000,
        "proposals_train": 2000,
        "proposals": 1000,
        "nms_iou": 0.7,
        "min_side": 0.0,
    },
    "regions": {"level": "floor", "sampler": "unaligned"},
    "box_head": {"sampling_ratio": 2, "beta": 1.0},
    "mask_head": {"sampling_ratio": 2, "paste": "padded"},
    "detect": {"score_threshold": 0.05, "nms_iou": 0.5, "detections": 100, "min_side": 0.0},
}


def _fold(own: Own) -> None:
    _backbone_fold(own)
    folds.channels_last_in_fc1(own)
    folds.background_last(own)
    folds.drop_background(own, r"box_head\.deltas\.(weight|bias)", 4)
    if own.tensors.get("mask_head.logits.bias") is not None and own.tensors["mask_head.logits.bias"].shape[0] > 1:
        folds.drop_background(own, r"mask_head\.logits\.(weight|bias)", 1)


def _backbone_fold(own: Own) -> None:
    folds.swap_colours(own)
    if not any("_gn_" in name for name in own.names):
        folds.unit_statistics(own)


def _refined(own: Own) -> dict[str, Any]:
    return {"backbone": {"stride_in": "3x3"}} if is_resnext(own) else {}


DETECTRON = Kind(
    name="detectron",
    complete=True,
    marks=(r"conv1_w", r"(cls_score|mask_fcn_logits|conv_rpn_fpn2)_w"),
    rules=_RULES,
    skips=_SKIPS,
    fold=_fold,
    settings=SETTINGS,
    refine=_refined,
    classes=names_of_count,
)
DETECTRON_BACKBONE = Kind(
    name="detectron backbone",
    complete=False,
    marks=(r"conv1_w", r"res2_0_branch2a_w"),
    rules=_RESIDUAL,
    skips=(*_SKIPS, _TOP),
    fold=_backbone_fold,
    settings=of_backbone(SETTINGS),
    refine=_refined,
    classes=no_names,
)

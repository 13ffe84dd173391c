"""Models of torchvision: `maskrcnn_resnet50_fpn`, its version 2, and what its helpers build; classifiers of ImageNet.

References: torchvision, `torchvision.models.detection`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from maskrcnn.zoo.coco_names import names_of_count_or_ids
from maskrcnn.zoo.folds import Own, background_last, channels_last_in_fc1, drop_background, norm_epsilon
from maskrcnn.zoo.kinds import Kind, as_it_is, no_fold, no_names, of_backbone
from maskrcnn.zoo.names import CLASSIFIER, FROM_ONE, LEAF, STEP_COUNT, Rule, residual_rules

_PYRAMID = {"inner": "lateral", "layer": "output"}
_RULES = (
    *residual_rules("backbone.body."),
    Rule(r"backbone\.fpn\.(inner|layer)_blocks\.(\d)(?:\.0)?\.(weight|bias)", "pyramid.{0}.{1}.conv.{2}", _PYRAMID),
    Rule(rf"backbone\.fpn\.(inner|layer)_blocks\.(\d)\.1\.{LEAF}", "pyramid.{0}.{1}.norm.{2}", _PYRAMID),
    Rule(r"rpn\.head\.conv\.(weight|bias)", "rpn.head.convs.0.{0}"),
    Rule(r"rpn\.head\.conv\.(\d)\.0\.(weight|bias)", "rpn.head.convs.{0}.{1}"),
    Rule(r"rpn\.head\.cls_logits\.(weight|bias)", "rpn.head.objectness.{0}"),
    Rule(r"rpn\.head\.bbox_pred\.(weight|bias)", "rpn.head.deltas.{0}"),
    Rule(r"roi_heads\.box_head\.(fc6|fc7)\.(weight|bias)", "box_head.body.{0}.{1}", {"fc6": "fc1", "fc7": "fc2"}),
    Rule(r"roi_heads\.box_head\.([0-3])\.0\.(weight|bias)", "box_head.body.convs.{0}.conv.{1}"),
    Rule(rf"roi_heads\.box_head\.([0-3])\.1\.{LEAF}", "box_head.body.convs.{0}.norm.{1}"),
    Rule(r"roi_heads\.box_head\.5\.(weight|bias)", "box_head.body.fc1.{0}"),
    Rule(r"roi_heads\.box_predictor\.cls_score\.(weight|bias)", "box_head.logits.{0}"),
    Rule(r"roi_heads\.box_predictor\.bbox_pred\.(weight|bias)", "box_head.deltas.{0}"),
    Rule(
        r"roi_heads\.mask_head\.mask_fcn([1-8])\.(weight|bias)",
        "mask_head.convs.{0}.conv.{1}",
        FROM_ONE,
    ),
    Rule(r"roi_heads\.mask_head\.(\d)\.0\.(weight|bias)", "mask_head.convs.{0}.conv.{1}"),
    Rule(rf"roi_heads\.mask_head\.(\d)\.1\.{LEAF}", "mask_head.convs.{0}.norm.{1}"),
    Rule(r"roi_heads\.mask_predictor\.conv5_mask\.(weight|bias)", "mask_head.upsample.{0}"),
    Rule(r"roi_heads\.mask_predictor\.mask_fcn_logits\.(weight|bias)", "mask_head.logits.{0}"),
)
SETTINGS: dict[str, Any] = {
    "input": {
        "mean": (123.675, 116.28, 103.53),
        "std": (58.395, 57.12, 57.375),
        "resize": "short_edge",
        "sampling": "plain",
        "min_size": 800,
        "max_size": 1333,
        "divisor": 32,
    },
    "backbone": {"stride_in": "3x3"},
    "anchors": {"rounding": "whole"},
    "rpn": {
        "beta": 1 / 9,
        "pre_nms_train": 2000,
        "pre_nms": 1000,
        "proposals_train": 2000,
        "proposals": 1000,
        "nms_iou": 0.7,
        "min_side": 1e-3,
    },
    "regions": {"level": "floor_after", "sampler": "unaligned"},
    "box_head": {"sampling_ratio": 2, "beta": 1 / 9},
    "mask_head": {"sampling_ratio": 2, "paste": "padded"},
    "detect": {"score_threshold": 0.05, "nms_iou": 0.5, "detections": 100, "min_side": 1e-2},
}
_FIRST_WEIGHTS = "bf2d0c1e"  # start of the SHA-256 of `COCO_V1`, which torchvision runs with an epsilon of 0
_OLD_NAME = "rpn.head.conv.weight"  # as files were written before torchvision 0.13, that one among them


def _fold(own: Own) -> None:
    if _OLD_NAME in own.names and _sha256(own.path).startswith(_FIRST_WEIGHTS):
        norm_epsilon(own, 0.0)
    channels_last_in_fc1(own)
    background_last(own)
    drop_background(own, r"box_head\.deltas\.(weight|bias)", 4)
    drop_background(own, r"mask_head\.logits\.(weight|bias)", 1)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


TORCHVISION = Kind(
    name="torchvision",
    complete=True,
    marks=(r"backbone\.body\..*", r"roi_heads\..*"),
    rules=_RULES,
    skips=(),
    fold=_fold,
    settings=SETTINGS,
    refine=as_it_is,
    classes=names_of_count_or_ids,
)
TORCHVISION_BACKBONE = Kind(
    name="torchvision backbone",
    complete=False,
    marks=(r"conv1\.weight", r"layer1\.0\.conv1\.weight"),
    rules=residual_rules(""),
    skips=(STEP_COUNT, CLASSIFIER),
    fold=no_fold,
    settings=of_backbone(SETTINGS),
    refine=as_it_is,
    classes=no_names,
)

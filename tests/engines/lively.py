"""A small model that finds much: fresh weights so large that its objects differ in score, class and mask."""

from __future__ import annotations

import torch

from maskrcnn.config import (
    AnchorConfig,
    BackboneConfig,
    BoxHeadConfig,
    DetectConfig,
    InputConfig,
    MaskHeadConfig,
    ModelConfig,
    PyramidConfig,
    RPNConfig,
)
from maskrcnn.model.mask_rcnn import MaskRCNN, build

CONFIG = ModelConfig(
    classes=("cat", "dog", "horse"),
    input=InputConfig(min_size=64, max_size=96),
    backbone=BackboneConfig(depth="resnet18"),
    pyramid=PyramidConfig(channels=16),
    anchors=AnchorConfig(sizes=((8.0,), (16.0,), (32.0,), (64.0,), (128.0,))),
    rpn=RPNConfig(pre_nms=50, proposals=20),
    box_head=BoxHeadConfig(channels=32),
    mask_head=MaskHeadConfig(channels=16, convs=1),
    detect=DetectConfig(score_threshold=0.3, detections=15),
)


def lively(config: ModelConfig = CONFIG) -> MaskRCNN:
    """Make the model."""
    torch.manual_seed(0)
    model = build(config).eval()
    with torch.no_grad():
        for layer, factor in (
            (model.rpn.head.objectness, 30),
            (model.rpn.head.deltas, 5),
            (model.box_head.logits, 30),
            (model.box_head.deltas, 300),
            (model.mask_head.logits, 300),
        ):
            layer.weight.mul_(factor)
        model.box_head.logits.bias.zero_()
    return model

"""Small models and batches that every test can have."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from maskrcnn.config import (
    AnchorConfig,
    BackboneConfig,
    BoxHeadConfig,
    InputConfig,
    MaskHeadConfig,
    ModelConfig,
    PyramidConfig,
    RPNConfig,
)
from maskrcnn.data.batches import mask_table
from maskrcnn.model.mask_rcnn import build
from maskrcnn.structures import Batch, Bitmap

# laws on tensors take their time on a busy machine; the number of examples bounds it
settings.register_profile("repository", deadline=None, derandomize=True)
settings.load_profile("repository")

# commands that tests call in this process leave its allocator alone
os.environ["MASKRCNN_MALLOC"] = "system"

# what is started in the background ignores interrupts, and so would the commands that tests interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

# fixtures hold no examples to run, and several files of one name can't be imported as examples
collect_ignore_glob = ["conftest.py", "*/conftest.py"]

TINY = ModelConfig(
    classes=("cat", "dog", "horse"),
    input=InputConfig(min_size=64, max_size=96),
    backbone=BackboneConfig(depth="resnet18", norm="group"),
    pyramid=PyramidConfig(channels=16, norm="group"),
    anchors=AnchorConfig(sizes=((8.0,), (16.0,), (32.0,), (64.0,), (128.0,))),
    rpn=RPNConfig(pre_nms_train=60, proposals_train=40, pre_nms=50, proposals=20, samples=32),
    box_head=BoxHeadConfig(channels=32, samples=16),
    mask_head=MaskHeadConfig(channels=16, convs=1),
)


@pytest.fixture(scope="session")
def tiny() -> ModelConfig:
    """The settings of a model small enough for a test, for three classes and pictures of 64x96."""
    return TINY


Boxes = list[tuple[int, int, int, int, int]]  # x, y, w, h, label


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Make a batch of 64x96 pictures with full rectangles for masks."""

    def make(objects: list[Boxes], slots: int = 4, ignored: int = 0) -> Batch:
        B = len(objects)
        generator = torch.Generator().manual_seed(0)
        boxes, labels = torch.zeros(B, slots, 4), torch.full((B, slots), -1)
        masks = []
        for b, picture in enumerate(objects):
            for g, (x, y, w, h, label) in enumerate(picture):
                boxes[b, g] = torch.tensor([x, y, x + w, y + h], dtype=torch.float32)
                labels[b, g] = label
            masks.append([Bitmap(x, y, np.ones((h, w), dtype=np.bool_)) for x, y, w, h, _ in picture])
        return Batch(
            torch.randint(0, 256, (B, 3, 64, 96), dtype=torch.uint8, generator=generator),
            torch.tensor([[64, 96]] * B),
            boxes,
            labels,
            torch.zeros(B, ignored, 4),
            mask_table(masks, slots),
            torch.arange(B) + 1000,
            torch.zeros(B, 0, dtype=torch.bool),
        )

    return make


# ---- files of another project

_TORCHVISION = (
    (r"backbone\.stem\.conv1\.conv\.", "backbone.body.conv1."),
    (r"backbone\.stem\.conv1\.norm\.", "backbone.body.bn1."),
    (r"backbone\.res(\d)\.(\d+)\.shortcut\.conv", lambda m: f"backbone.body.layer{int(m[1]) - 1}.{m[2]}.downsample.0"),
    (r"backbone\.res(\d)\.(\d+)\.shortcut\.norm", lambda m: f"backbone.body.layer{int(m[1]) - 1}.{m[2]}.downsample.1"),
    (r"backbone\.res(\d)\.(\d+)\.conv(\d)\.conv", lambda m: f"backbone.body.layer{int(m[1]) - 1}.{m[2]}.conv{m[3]}"),
    (r"backbone\.res(\d)\.(\d+)\.conv(\d)\.norm", lambda m: f"backbone.body.layer{int(m[1]) - 1}.{m[2]}.bn{m[3]}"),
    (r"pyramid\.lateral\.(\d)\.conv", r"backbone.fpn.inner_blocks.\1.0"),
    (r"pyramid\.output\.(\d)\.conv", r"backbone.fpn.layer_blocks.\1.0"),
    (r"rpn\.head\.convs\.(\d)", r"rpn.head.conv.\1.0"),
    (r"rpn\.head\.objectness", "rpn.head.cls_logits"),
    (r"rpn\.head\.deltas", "rpn.head.bbox_pred"),
    (r"box_head\.body\.fc1", "roi_heads.box_head.fc6"),
    (r"box_head\.body\.fc2", "roi_heads.box_head.fc7"),
    (r"box_head\.logits", "roi_heads.box_predictor.cls_score"),
    (r"box_head\.deltas", "roi_heads.box_predictor.bbox_pred"),
    (r"mask_head\.convs\.(\d)\.conv", r"roi_heads.mask_head.\1.0"),
    (r"mask_head\.upsample", "roi_heads.mask_predictor.conv5_mask"),
    (r"mask_head\.logits", "roi_heads.mask_predictor.mask_fcn_logits"),
)
_ROWS_BEFORE = {"roi_heads.box_predictor.bbox_pred": 4, "roi_heads.mask_predictor.mask_fcn_logits": 1}


def _foreign_name(name: str) -> str:
    for pattern, replacement in _TORCHVISION:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name)
    raise KeyError(name)


def _foreign_tensor(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Put the background first, as torchvision does."""
    layer = name.rpartition(".")[0]
    if layer == "roi_heads.box_predictor.cls_score":
        return tensor.roll(1, 0)
    return torch.cat([torch.zeros_like(tensor[: _ROWS_BEFORE[layer]]), tensor]) if layer in _ROWS_BEFORE else tensor


@pytest.fixture(scope="session")
def foreign_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small Mask R-CNN (`model.pth`) and a classifier (`resnet18.pth`), as torchvision saves them.

    ResNet-18 with frozen norms, whose numbers differ from layer to layer, and three classes without names.
    """
    folder = tmp_path_factory.mktemp("foreign")
    narrow = {"backbone": BackboneConfig(depth="resnet18"), "pyramid": PyramidConfig(channels=16)}
    state = build(TINY.change(**narrow)).state_dict()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in state.items():
        if ".norm." in name:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    named = {_foreign_name(name): tensor for name, tensor in state.items()}
    torch.save({name: _foreign_tensor(name, tensor) for name, tensor in named.items()}, folder / "model.pth")
    body = {name.removeprefix("backbone.body."): tensor for name, tensor in named.items() if ".body." in name}
    torch.save({**body, "fc.weight": torch.zeros(5, 512), "fc.bias": torch.zeros(5)}, folder / "resnet18.pth")
    return folder


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """The outputs of other projects' own code, where they are at hand."""
    folder = Path(__file__).parents[1] / "../shared/golden"
    if not folder.exists():
        pytest.skip("../shared/golden is not here")
    return folder

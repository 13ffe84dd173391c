from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from maskrcnn.config import BackboneConfig, ModelConfig
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.settings import merge
from maskrcnn.zoo.export import export
from maskrcnn.zoo.reading import read_foreign

HEADS = ["box_head.deltas.weight", "box_head.deltas.bias", "mask_head.logits.weight", "mask_head.logits.bias"]


def model_of(tiny: ModelConfig, **changes: Any) -> MaskRCNN:
    """Build a small model with random weights, also in its norms."""
    torch.manual_seed(0)
    model = build(ModelConfig.parse(merge(tiny.model_dump(), changes)))
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.1, 1)
    return model


VARIANTS = {
    "frozen": {"backbone": {"norm": "frozen"}, "pyramid": {"norm": "none"}},
    "batch everywhere, 4conv1fc": {
        "backbone": {"norm": "batch"},
        "pyramid": {"norm": "batch"},
        "rpn": {"depth": 2},
        "box_head": {"kind": "4conv1fc", "conv_channels": 8, "norm": "batch"},
        "mask_head": {"norm": "batch", "convs": 2},
    },
    "group everywhere": {"box_head": {"kind": "4conv1fc", "conv_channels": 16, "norm": "group"}},
}


@pytest.mark.parametrize("kind", ["torchvision", "detectron2"])
@pytest.mark.parametrize("name", VARIANTS)
def test_there_and_back_every_bit_is_the_same(kind: Any, name: str, tiny: ModelConfig, tmp_path: Path) -> None:
    model = model_of(tiny, **VARIANTS[name])
    torch.save(export(model, kind).tensors, tmp_path / "out.pth")
    foreign = read_foreign(tmp_path / "out.pth", classes=tiny.classes)
    own = model.state_dict()
    assert foreign.kind == kind
    assert sorted(foreign.tensors) == sorted(own)
    assert all(torch.equal(foreign.tensors[name], own[name]) for name in own)
    for part in ("pyramid", "rpn", "box_head", "mask_head"):
        for field in ("channels", "norm", "depth", "kind", "convs", "pool", "class_agnostic"):
            mine, theirs = (getattr(getattr(c, part), field, None) for c in (model.config, foreign.config))
            assert mine == theirs, (part, field)
    assert foreign.config.backbone.norm == model.config.backbone.norm
    assert foreign.config.classes == tiny.classes


def test_one_box_and_mask_for_all_classes_becomes_one_each(tiny: ModelConfig) -> None:
    model = model_of(tiny, box_head={"class_agnostic": True}, mask_head={"class_agnostic": True})
    tensors = export(model, "torchvision").tensors
    deltas = tensors["roi_heads.box_predictor.bbox_pred.bias"].view(4, 4)
    own = model.state_dict()
    assert deltas.tolist() == [[0.0] * 4, *[own["box_head.deltas.bias"].tolist()] * 3]
    assert tensors["roi_heads.mask_predictor.mask_fcn_logits.weight"].shape == (4, 16, 1, 1)
    assert export(model, "detectron2").tensors["roi_heads.box_predictor.bbox_pred.bias"].shape == (4,)


def test_the_notes_name_each_difference_once(tiny: ModelConfig) -> None:
    changes = {"delta_clamp": None, "rpn": {"channels": 24}, "detect": {"choice": "best", "nms_iou": 0.3}}
    exported = export(model_of(tiny, **changes), "torchvision")
    notes = "\n".join(exported.notes)
    assert "rpn.head.conv: 24 channels" in notes
    assert "detect.choice is best, the models of torchvision have every: it has no such formula" in notes
    assert "detect.nms_iou is 0.3, the models of torchvision have 0.5: set it there" in notes
    assert "delta_clamp is None" in notes
    assert "backbone" not in notes
    assert notes.count("nms_iou") == 1


def test_a_model_of_the_project_itself_has_nothing_to_note_but_unused_rows(tiny: ModelConfig, tmp_path: Path) -> None:
    config = tiny.change(backbone=BackboneConfig(depth="resnet18", norm="frozen"))
    for kind, most in (("torchvision", 1), ("detectron2", 1)):
        torch.save(export(build(config), kind).tensors, tmp_path / "a.pth")  # type: ignore[arg-type]
        foreign = read_foreign(tmp_path / "a.pth")
        model = build(foreign.config)
        assert len(export(model, kind).notes) == most  # type: ignore[arg-type]

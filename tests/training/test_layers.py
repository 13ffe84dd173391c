"""Exactly the named parts learn, and the batch statistics of the others stay as they are."""

from __future__ import annotations

import pytest
import torch

from maskrcnn.config import BackboneConfig, Stage, TrainConfig
from maskrcnn.model.mask_rcnn import build
from maskrcnn.training.layers import freeze
from maskrcnn.training.module import TrainingModule, build_optimiser

FROZEN = {
    "all": [],
    "3+": ["stem", "res2"],
    "4+": ["stem", "res2", "res3"],
    "5+": ["stem", "res2", "res3", "res4"],
    "heads": ["stem", "res2", "res3", "res4", "res5"],
}


def is_frozen(name: str, layers: str) -> bool:
    return any(name.startswith(f"backbone.{part}.") for part in FROZEN[layers])


def learn(model, batch) -> None:
    """Take two steps, as the first may begin with branches that give nothing yet."""
    optimiser = build_optimiser(model, TrainConfig(weight_decay=0.1))
    for _ in range(2):
        optimiser.zero_grad()
        torch.stack([loss.mean for loss in model.losses(batch).values()]).sum().backward()
        optimiser.step()


@pytest.fixture
def batch(make_batch):
    return make_batch([[(10, 10, 30, 20, 0), (50, 20, 25, 30, 2)], [(20, 5, 40, 40, 1)]])


@pytest.mark.parametrize("layers", FROZEN)
def test_steps_change_the_named_parts_and_nothing_else(shrunk, tiny, batch, layers):
    torch.manual_seed(0)
    model = build(tiny.change(backbone=BackboneConfig(depth="resnet18", norm="batch"))).train()
    freeze(model, layers)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    learn(model, batch)
    unchanged = {name for name, value in model.state_dict().items() if torch.equal(value, before[name])}
    assert {name for name in unchanged if name.startswith("backbone.")} == {
        name for name in before if is_frozen(name, layers)
    }
    assert not unchanged & {"pyramid.output.0.conv.weight", "rpn.head.objectness.weight", "box_head.logits.weight"}
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == {
        name for name, _ in model.named_parameters() if is_frozen(name, layers)
    }


@pytest.mark.parametrize("layers", FROZEN)
def test_a_frozen_norm_never_changes(shrunk, tiny, batch, layers):
    model = build(tiny.change(backbone=BackboneConfig(depth="resnet18", norm="frozen"))).train()
    freeze(model, layers)
    before = {name: value.clone() for name, value in model.named_buffers() if ".norm." in name}
    assert len(before) > 30
    learn(model, batch)
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers() if name in before)


def test_a_later_stage_lets_more_learn_and_a_smaller_one_less(shrunk, tiny):
    model = build(tiny)
    for layers in ("heads", "all", "4+"):
        freeze(model, layers)
        learning = {name for name, p in model.named_parameters() if p.requires_grad}
        assert learning == {name for name, _ in model.named_parameters() if not is_frozen(name, layers)}


def test_entering_a_stage_again_freezes_statistics_that_a_validation_has_let_go(shrunk, tiny):
    model = build(tiny.change(backbone=BackboneConfig(depth="resnet18", norm="batch")))
    module = TrainingModule(model, TrainConfig(stages=(Stage(layers="heads"),)), 1, 1)
    model.eval()
    module.enter_stage()
    assert model.training
    assert not any(part.training for part in model.backbone.res5.modules())
    assert model.pyramid.training

"""The learning rate by hand, stages, what decays, and means that add up over processes."""

from __future__ import annotations

import math
from itertools import product
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from maskrcnn.config import Stage, TrainConfig
from maskrcnn.errors import InputError
from maskrcnn.model import mask_rcnn
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.ops.nms import nms_static
from maskrcnn.training import module
from maskrcnn.training.module import KEY, TrainingModule, build_optimiser, compiled, rate_factor, stage_of


def test_the_rate_warms_up_in_equal_steps_and_then_stays():
    factor = rate_factor(TrainConfig(stages=(Stage(epochs=2),), warmup=3, schedule="constant"), 4)
    assert [factor(step) for step in range(8)] == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]


def test_the_cosine_falls_from_one_to_a_hundredth():
    factor = rate_factor(TrainConfig(stages=(Stage(epochs=4),), warmup=0), 25)
    assert factor(0) == 1
    assert factor(50) == pytest.approx((1 + 0.01) / 2)
    assert factor(100) == pytest.approx(0.01)
    assert factor(200) == pytest.approx(0.01)  # a step too many does not rise again
    quarter = 0.01 + 0.99 * (1 + math.sqrt(0.5)) / 2
    assert factor(25) == pytest.approx(quarter)


def test_steps_fall_tenfold_at_two_thirds_and_eight_ninths():
    factor = rate_factor(TrainConfig(stages=(Stage(epochs=9),), warmup=0, schedule="step"), 1)
    assert [factor(step) for step in range(9)] == pytest.approx([1] * 6 + [0.1] * 2 + [0.01])


def test_a_stage_scales_the_rate_of_its_epochs_only():
    stages = (Stage(layers="heads", epochs=1), Stage(epochs=2, rate=0.5), Stage(epochs=1, rate=0.1))
    factor = rate_factor(TrainConfig(stages=stages, warmup=0, schedule="constant"), 2)
    assert [factor(step) for step in range(10)] == pytest.approx([1, 1, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1])


def test_an_epoch_belongs_to_one_stage():
    config = TrainConfig(stages=(Stage(epochs=1), Stage(epochs=3), Stage(epochs=1)))
    assert [stage_of(epoch, config) for epoch in range(7)] == [0, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_matrices_decay_and_biases_and_norms_do_not(name):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Linear(4, 2, bias=False))
    optimiser = build_optimiser(model, TrainConfig(optimiser=name, weight_decay=0.3, learning_rate=0.2, momentum=0.7))
    decayed, others = optimiser.param_groups
    assert [group["weight_decay"] for group in (decayed, others)] == [0.3, 0.0]
    assert [p.shape for p in decayed["params"]] == [(4, 3, 3, 3), (2, 4)]
    assert [p.shape for p in others["params"]] == [(4,), (4,), (4,)]
    assert all(group["lr"] == 0.2 for group in optimiser.param_groups)
    assert name == "adamw" or decayed["momentum"] == 0.7


def module_of(world: int, reduced: torch.Tensor | None = None) -> TrainingModule:
    model = nn.Linear(1, 1)
    model.losses = None
    module = TrainingModule(model, TrainConfig(), 1, 4)
    strategy = SimpleNamespace(reduce=lambda counts, reduce_op: reduced)
    module._trainer = SimpleNamespace(world_size=world, strategy=strategy)
    return module


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_only_fp16_whose_scale_a_fused_optimiser_would_undo_too_late_goes_without(name):
    fused = {
        precision: build_optimiser(nn.Linear(2, 2), TrainConfig(optimiser=name, precision=precision)).defaults["fused"]
        for precision in ("auto", "fp32", "bf16", "fp16")
    }
    assert fused == {"auto": True, "fp32": True, "bf16": True, "fp16": False}


@pytest.mark.parametrize(("longest", "expected"), [(2.0, 2.0), (50.0, 10.0), (0.0, 10.0), (None, 10.0)])
def test_a_gradient_that_is_too_long_is_shortened(tiny, longest, expected):
    learner = TrainingModule(build(tiny), TrainConfig(), 1, 1)
    first = next(learner.parameters())
    first.grad = torch.full_like(first, 10 / first.numel() ** 0.5)  # of length 10
    learner.configure_gradient_clipping(build_optimiser(learner.model, TrainConfig()), longest, "norm")
    assert first.grad.norm().item() == pytest.approx(expected, rel=1e-4)


def test_a_compiled_step_is_compiled_for_shapes_and_not_for_the_sizes_of_masks(tiny, make_batch, monkeypatch):
    """Run an accelerator's way on a CPU where torch itself would give up at once: two shapes, two sizes of each."""
    few = tiny.change(rpn=tiny.rpn.change(pre_nms_train=4, proposals_train=4))
    counter = CompileCounter()
    monkeypatch.setattr(module, "COMPILER", counter)
    monkeypatch.setattr(mask_rcnn, "filled_slots", lambda valid: torch.arange(valid.numel()))
    monkeypatch.setattr(MaskRCNN, "_nms", lambda self, like: nms_static)
    losses = compiled(build(few).train())
    with torch._dynamo.config.patch(recompile_limit=1):
        for slots, side in product((1, 2), (20, 30)):
            losses(make_batch([[(5, 5, side, side, 0)]], slots=slots))
    assert counter.frame_count == 2


def test_a_loss_is_the_mean_over_its_samples_and_zero_without_any():
    divisors = module_of(1)._divisors(torch.tensor([3.0, 0, 2, 4, 0]))
    assert (torch.tensor([6.0, 0, 8, 1, 0]) / divisors).tolist() == [2, 0, 4, 0.25, 0]


def test_two_processes_divide_by_the_mean_of_their_counts():
    joint = torch.tensor([2.0, 0.5, 4.0, 1.0, 0.0])  # of 1 and 3, 1 and 0, 4 and 4, 0 and 2, 0 and 0 samples
    mine = torch.tensor([6.0, 3, 8, 0, 0]) / module_of(2, joint)._divisors(torch.tensor([1.0, 1, 4, 0, 0]))
    other = torch.tensor([2.0, 0, 8, 5, 0]) / module_of(2, joint)._divisors(torch.tensor([3.0, 0, 4, 2, 0]))
    # the mean of the two is the sum of all samples divided by their number
    assert ((mine + other) / 2).tolist() == [8 / 4, 3 / 1, 16 / 8, 5 / 2, 0]


def test_a_checkpoint_of_another_model_or_number_of_processes_is_refused(tiny):
    config, checkpoint = TrainConfig(), {}
    TrainingModule(build(tiny), config, 3, 4).on_save_checkpoint(checkpoint)
    TrainingModule(build(tiny), config, 3, 4).on_load_checkpoint(checkpoint)
    with pytest.raises(InputError, match=r"^checkpoint: expected 4 pictures a step over all processes, got 8; resume"):
        TrainingModule(build(tiny), config, 3, 8).on_load_checkpoint(checkpoint)
    other = build(tiny.change(classes=["cat", "dog"]))
    with pytest.raises(InputError, match=r"expected one of the model in settings\.json"):
        TrainingModule(other, config, 3, 4).on_load_checkpoint(checkpoint)
    with pytest.raises(InputError, match=r"expected one of the model in settings\.json"):
        TrainingModule(build(tiny), config, 3, 4).on_load_checkpoint({})
    assert set(checkpoint) == {KEY}


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("first", ["heads", "all"])
def test_what_learns_from_a_later_stage_on_is_taken_up(name, first):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    stages = (Stage(layers=first), Stage())
    optimiser = build_optimiser(model, TrainConfig(optimiser=name, stages=stages, learning_rate=0.1))
    for learning in (first == "all", True):
        model[0].requires_grad_(learning)
        before = model[0].weight.detach().clone()
        optimiser.zero_grad()
        model(torch.ones(1, 2)).square().sum().backward()
        optimiser.step()
        assert torch.equal(model[0].weight, before) is not learning

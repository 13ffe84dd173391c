"""A batch in parts and blocks computed twice have the gradient of the whole; memory that runs out is survived."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from maskrcnn.config import BackboneConfig, TrainConfig
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import build
from maskrcnn.training.module import TrainingModule
from maskrcnn.training.parts import ran_out, split

PICTURES = [
    [(10, 10, 30, 20, 0), (50, 20, 25, 30, 2)],
    [(20, 5, 40, 40, 1)],
    [],
    [(5, 5, 60, 50, 1)],
    [(40, 30, 30, 30, 0)],
]
CPU_MESSAGE = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"


@pytest.fixture
def batch(make_batch):
    return make_batch(PICTURES)


def module_of(model, said=None, **settings) -> TrainingModule:
    say = (lambda _: None) if said is None else said.append
    module = TrainingModule(model, TrainConfig(**settings), 1, 5, say)
    module._trainer = SimpleNamespace(world_size=1, precision_plugin=None)
    return module


def step(module, batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    module.model.train()
    module.training_step(batch, 0).backward()
    return module.means, {name: p.grad.clone() for name, p in module.model.named_parameters() if p.requires_grad}


def same(first, second, **tolerance) -> None:
    torch.testing.assert_close(first[0], second[0], **tolerance)
    assert first[1].keys() == second[1].keys()
    for name, value in first[1].items():
        torch.testing.assert_close(value, second[1][name], msg=lambda text, name=name: f"{name}: {text}", **tolerance)


@pytest.fixture
def model(shrunk, tiny):
    torch.manual_seed(0)
    return build(tiny.change(backbone=BackboneConfig(depth="resnet18", norm="frozen")))


@pytest.mark.parametrize(("parts", "sizes"), [(1, [5]), (2, [2, 3]), (4, [1, 1, 2, 1]), (8, [1] * 5)])
def test_parts_have_every_picture_once(batch, parts, sizes):
    pieces = split(batch, parts)
    assert [len(piece.images) for piece in pieces] == sizes
    assert torch.cat([piece.keys for piece in pieces]).tolist() == batch.keys.tolist()
    assert torch.equal(torch.cat([piece.masks.start for piece in pieces]), batch.masks.start)
    assert all(piece.masks.sums is batch.masks.sums for piece in pieces)


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_the_gradient_of_the_parts_is_that_of_the_whole(model, batch, parts):
    same(step(module_of(model), batch), step(module_of(model, parts=parts), batch), rtol=2e-4, atol=1e-6)


def test_the_gradient_is_that_of_the_mean_losses(model, batch):
    means, gradients = step(module_of(model), batch)
    model.zero_grad()
    parts = [loss.mean for loss in model.losses(batch).values()]
    torch.stack(parts).sum().backward()
    assert means[0].item() == pytest.approx(sum(part.item() for part in parts))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-6)


class Narrow:
    """The losses of a model whose memory holds no more than so many pictures, forward or backward."""

    def __init__(self, model, most, error):
        self.losses, self.most, self.error, self.tried = model.losses, most, error, []
        self.backward = False

    def __call__(self, batch):
        self.tried.append(len(batch.images))
        too_many = len(batch.images) > self.most
        if too_many and not self.backward:
            raise self.error
        losses = self.losses(batch)
        if too_many and torch.is_grad_enabled():
            losses["mask"].total.register_hook(self.fail)
        return losses

    def fail(self, _):
        raise self.error


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(CPU_MESSAGE), MemoryError()]
)
def test_a_step_without_memory_is_taken_in_halves_with_the_same_gradient(model, batch, backward, error):
    whole = step(module_of(model), batch)
    said: list[str] = []
    module = module_of(model, said)
    module._losses = narrow = Narrow(model, 2, error)
    narrow.backward = backward
    same(whole, step(module, batch), rtol=2e-4, atol=1e-6)
    assert module.parts == 4
    assert narrow.tried[0] == 5
    assert max(narrow.tried[-4:]) <= 2
    assert len(said) == 2
    assert said[1].startswith("memory ran out in a step of 5 pictures: it is taken in 4 parts")
    narrow.tried.clear()
    same(whole, step(module, batch), rtol=2e-4, atol=1e-6)
    assert max(narrow.tried) <= 2  # remembered
    assert len(said) == 2


def test_the_processes_agree_once_a_batch_however_often_one_begins_again(model, batch):
    module = module_of(model)
    reduced: list[torch.Tensor] = []
    strategy = SimpleNamespace(reduce=lambda counts, reduce_op: reduced.append(counts) or counts)
    module._trainer = SimpleNamespace(world_size=2, precision_plugin=None, strategy=strategy)
    module._losses = narrow = Narrow(model, 1, torch.OutOfMemoryError())
    narrow.backward = True
    step(module, batch)
    assert len(reduced) == 1
    step(module, batch)
    assert len(reduced) == 2


def test_memory_for_no_picture_is_one_sentence(model, batch):
    module = module_of(model)
    module._losses = Narrow(model, 0, torch.OutOfMemoryError())
    with pytest.raises(
        MaskRCNNError, match=r"^memory: expected enough for a step of one picture, got less; set train\."
    ):
        step(module, batch)


def test_other_errors_are_not_taken_for_it(model, batch):
    module = module_of(model)
    module._losses = Narrow(model, 0, RuntimeError("mat1 and mat2"))
    with pytest.raises(RuntimeError, match="mat1"):
        step(module, batch)
    assert not ran_out(KeyError("DefaultCPUAllocator: can't allocate"))


@pytest.mark.parametrize("norm", ["frozen", "batch", "group"])
def test_blocks_computed_twice_give_the_same_to_the_bit(shrunk, tiny, batch, norm):
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = build(tiny.change(backbone=BackboneConfig(depth="resnet18", norm=norm)))
        results.append(step(module_of(model, checkpointing=checkpointing), batch))
        results[-1] = (*results[-1], {name: value.clone() for name, value in model.named_buffers()})
        assert all("forward" not in vars(module) for module in model.modules())
    same(results[0], results[1], rtol=0, atol=0)
    for name, value in results[0][2].items():
        assert name.endswith("num_batches_tracked") or torch.equal(value, results[1][2][name]), name

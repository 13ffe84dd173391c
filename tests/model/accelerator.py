"""A device that is not there: tensors with a shape and a place and no values, so that an accelerator's way can be run.

Run as a program, since the device is registered for a whole process: prints a line of JSON, each case with what was
wrong in it, or nothing. Mixing devices is refused by torch's fake tensors; what else is, `Watch` says.

References: torch's FakeTensorMode, and its backends written in Python (PrivateUse1).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from maskrcnn.config import BackboneConfig, BoxHeadConfig, MaskHeadConfig, ModelConfig, RegionsConfig, TrainConfig
from maskrcnn.engines.eager import EagerEngine
from maskrcnn.engines.plain import PlainEngine
from maskrcnn.model import mask_rcnn
from maskrcnn.model.mask_rcnn import build
from maskrcnn.prediction.predictor import Predictor
from maskrcnn.prediction.preparing import Prepared
from maskrcnn.structures import Batch, MaskTable
from maskrcnn.training.fitting import try_step
from maskrcnn.training.module import TrainingModule, build_optimiser


class Backend(backend_registration._DummyBackendModule):
    """What torch wants to know of the device."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """List the precisions of autocast."""
        return [torch.bfloat16]


backend_registration._setup_privateuseone_for_python_backend("pretended", Backend())
DEVICE = torch.device("pretended", 0)
READS = ("_local_scalar_dense", "item", "is_nonzero", "equal")
LOOKS = (*READS, "nonzero", "masked_select", "bincount", "_unique2")
MOVES = ("lift_fresh", "detach_", "device", "_to_copy", "to")  # what a tensor of the main memory may go through
MOST_MOVED = 64  # numbers: a few facts of the pyramid, and no table


class Watch(TorchDispatchMode):
    """Notes where an operation has a tensor in the main memory, or waits for the device.

    Nothing is raised: gradients are computed in a thread of the device.

    Args:
        answers: Whether values may be looked at; each is true, or 1.
    """

    def __init__(self, answers: bool = False) -> None:
        super().__init__()
        self.answers = answers
        self.seen: set[str] = set()
        self.faults: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.__name__.split(".")[0]
        self.seen.add(name)
        given = _tensors((args, kwargs))
        if self.answers and name in READS:
            return True
        if name in LOOKS and given[0].device == DEVICE:
            self.faults.add(f"{name} waits for the device")
        if name in ("index", "index_put", "index_put_") and any(t.dtype is torch.bool for t in _tensors(args[1])):
            self.faults.add("a boolean index waits for the device")
        result = func(*args, **kwargs)
        self._look_at(name, kwargs, [t for t in [*given, *_tensors(result)] if t.device != DEVICE])
        return result

    def _look_at(self, name: str, kwargs: Mapping[str, Any], near: Sequence[Tensor]) -> None:
        """Look at what an operation has in the main memory."""
        if not near:
            return
        if name not in MOVES:
            self.faults.add(f"{name} has a tensor in the main memory")
        elif name in ("_to_copy", "to") and not kwargs.get("non_blocking"):
            self.faults.add("a copy to the device waits")
        elif max(t.numel() for t in near) > MOST_MOVED:
            self.faults.add("a large tensor is moved")

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        assert exception[0] is not None or not self.faults, "; ".join(sorted(self.faults))


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def apply(module: nn.Module, function: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """Do what `Module._apply` does, which can't put one fake tensor in the place of another."""
    for child in module.modules():
        for name, parameter in child._parameters.items():
            if parameter is not None:
                child._parameters[name] = nn.Parameter(function(parameter.detach()), parameter.requires_grad)
        for name, buffer in child._buffers.items():
            child._buffers[name] = None if buffer is None else function(buffer)
    return module


# ---- what is run


def batch(pictures: int = 2, ignored: int = 0, classes: int = 0) -> Batch:
    """Make a batch on the device, of 64x96 pictures with four slots each."""
    B, G = pictures, 4
    make = lambda *shape, dtype=torch.int64: torch.empty(shape, dtype=dtype, device=DEVICE)  # noqa: E731
    return Batch(
        make(B, 3, 64, 96, dtype=torch.uint8),
        make(B, 2),
        make(B, G, 4, dtype=torch.float32),
        make(B, G),
        make(B, ignored, 4, dtype=torch.float32),
        MaskTable(make(999, dtype=torch.int32), make(B, G), make(B, G, 4), make(B, G, dtype=torch.bool)),
        make(B),
        make(B, classes, dtype=torch.bool),
    )


def step(config: ModelConfig, settings: dict[str, Any] | None = None, **more: int) -> Watch:
    """Take a whole training step."""
    model = build(config)
    module = TrainingModule(model, TrainConfig.parse(settings or {}), 1, 2)
    module.to(DEVICE)
    module._trainer = SimpleNamespace(world_size=1, precision_plugin=None, current_epoch=0)
    module.enter_stage()
    given = batch(**more)
    with Watch() as watch:
        module.training_step(given, 0).backward()
        module.configure_gradient_clipping(build_optimiser(model, module.settings), 1.0)
    learning = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.device == DEVICE for p in learning)
    assert module.means.device == DEVICE
    assert {"embedding_bag_backward", "_embedding_bag_backward", "_embedding_bag_dense_backward"} & watch.seen
    return watch


def trial(config: ModelConfig) -> None:
    """Take the step that tells how much memory one needs."""
    model, given = build(config).to(DEVICE).train(), batch()
    with Watch():
        try_step(model, TrainConfig(checkpointing=True), given, None)


def find(config: ModelConfig, make: Callable[[mask_rcnn.MaskRCNN], Any]) -> None:
    """Find the objects of pictures that are on the device; suppression looks at values."""
    engine = make(build(config))
    given = batch()
    with Watch(answers=True):
        found = engine(given.images, given.size_hw)
    for each in found:
        assert each.device == DEVICE
        assert each.dtype in (torch.float32, torch.int64)


def find_near(config: ModelConfig, make: Callable[[mask_rcnn.MaskRCNN], Any]) -> None:
    """Find the objects of pictures in the main memory, and bring them back there."""
    predictor = Predictor(make(build(config)))
    pictures = [Prepared(torch.empty(3, 60, 90, dtype=torch.uint8), (60, 90))] * 2
    with mock.patch.object(mask_rcnn, "nms", mask_rcnn.nms_static):  # reads no values, which are not there
        found = predictor._run(pictures)
    assert {each.device.type for each in found} == {"cpu"}


def eager(precision: str) -> Callable[[mask_rcnn.MaskRCNN], EagerEngine]:
    """Choose the prepared network."""
    return lambda model: EagerEngine(model, precision, DEVICE)


def plain(model: mask_rcnn.MaskRCNN) -> PlainEngine:
    """Choose the network as it is."""
    return PlainEngine(model, DEVICE)


# ---- faults that must be found


@contextmanager
def planted(name: str, fault: Callable[..., Any]) -> Iterator[None]:
    """Put a fault in the place of a function of the model."""
    with mock.patch.object(mask_rcnn, name, fault):
        yield


def of_main_memory(deltas: Tensor, labels: Tensor) -> Tensor:
    """Pick the deltas of a class with rows that were counted in the main memory."""
    return deltas[torch.arange(len(labels)), labels.clamp(max=deltas.shape[1] - 1)]


def with_a_copy_that_waits(deltas: Tensor, labels: Tensor) -> Tensor:
    """Pick likewise, with rows that are brought to the device."""
    rows = torch.tensor([0] * len(labels), device=labels.device)
    return deltas[rows, labels.clamp(max=deltas.shape[1] - 1)]


def of_few(valid: Tensor) -> Tensor:
    """Choose the filled slots, as on a CPU."""
    return valid.flatten().nonzero()[:, 0]


def backward_in_main_memory(deltas: Tensor, labels: Tensor) -> Tensor:
    """Pick any, with a gradient on whose way a tensor is made in the main memory."""
    own = deltas[:, 0] + 0 * labels[:, None]

    def hook(gradient: Tensor) -> Tensor:
        torch.arange(4)
        return gradient

    own.register_hook(hook)
    return own


def cases(tiny: ModelConfig) -> dict[str, Callable[[], Any]]:
    """List what is run, by name."""
    frozen = tiny.change(backbone=BackboneConfig(depth="resnet18", norm="frozen"))
    agnostic = tiny.change(
        backbone=BackboneConfig(depth="resnet18", norm="batch"),
        box_head=BoxHeadConfig(class_agnostic=True, channels=32, samples=16),
        mask_head=MaskHeadConfig(class_agnostic=True, norm="batch", channels=16, convs=1),
    )
    other = tiny.change(
        input=tiny.input.change(resize="centred_square", max_size=96),
        anchors=tiny.anchors.change(rounding="whole", corners="inclusive"),
        regions=RegionsConfig(level="round", sampler="corners"),
        rpn=tiny.rpn.change(ranking="all"),
        box_head=BoxHeadConfig(kind="4conv1fc", conv_channels=16, channels=32, norm="group", samples=16),
        detect=tiny.detect.change(choice="best"),
    )
    faults = {"_of_class": (of_main_memory, with_a_copy_that_waits, backward_in_main_memory), "filled_slots": (of_few,)}
    return {
        "step": lambda: step(tiny),
        "step, frozen stages": lambda: step(frozen, {"stages": [{"layers": "4+"}], "optimiser": "sgd"}),
        "step, two parts, class-agnostic": lambda: step(agnostic, {"parts": 2}),
        "step, checkpointing": lambda: step(frozen, {"checkpointing": True}),
        "step, crowds, classes not looked for": lambda: step(tiny, ignored=2, classes=3),
        "step, another project's ways": lambda: step(other),
        "trial": lambda: trial(frozen),
        "find, plain": lambda: find(frozen, plain),
        "find, fp32": lambda: find(frozen, eager("fp32")),
        "find, bf16": lambda: find(other, eager("bf16")),
        "find, fp16": lambda: find(agnostic, eager("fp16")),
        "find near, plain": lambda: find_near(frozen, plain),
        "find near, bf16": lambda: find_near(frozen, eager("bf16")),
        **{
            f"fault, {fault.__name__}": planted(name, fault)(lambda: step(tiny))
            for name, each in faults.items()
            for fault in each
        },
    }


def outcome(case: Callable[[], Any]) -> str:
    """Run a case; return what was wrong."""
    with ExitStack() as ways:
        # constants stay in the main memory until they are moved, as where the device has no values
        ways.enter_context(mock.patch.object(FakeTensorMode, "avoid_device_init", True))
        ways.enter_context(FakeTensorMode())
        ways.enter_context(mock.patch.object(nn.Module, "_apply", apply))
        try:
            case()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    torch.set_num_threads(1)
    config = ModelConfig.model_validate_json(sys.argv[1])
    config = config.change(rpn=config.rpn.change(pre_nms_train=6, pre_nms=6))  # a step of suppression a box
    sys.stdout.write(json.dumps({name: outcome(case) for name, case in cases(config).items()}) + "\n")

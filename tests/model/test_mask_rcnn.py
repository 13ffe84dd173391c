from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from maskrcnn.config import BoxHeadConfig, InputConfig, MaskHeadConfig, ModelConfig
from maskrcnn.model import mask_rcnn
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.ops.nms import nms_static
from maskrcnn.structures import Batch

MakeBatch = Callable[..., Batch]
CAT, DOG = (10, 10, 20, 24, 0), (40, 20, 30, 30, 1)


@pytest.fixture
def model(tiny: ModelConfig) -> MaskRCNN:
    torch.manual_seed(0)
    return build(tiny)


def test_the_five_losses_of_a_step(model: MaskRCNN, make_batch: MakeBatch) -> None:
    losses = model.train().losses(make_batch([[CAT, DOG], [CAT]]))
    assert list(losses) == ["objectness", "proposal_box", "class", "box", "mask"]
    assert all(loss.mean.isfinite() and loss.mean > 0 for loss in losses.values())
    assert losses["objectness"].samples == 2 * 32
    assert losses["class"].samples == 2 * 16


def test_every_parameter_learns_even_from_nothing(model: MaskRCNN, make_batch: MakeBatch) -> None:
    """Every parameter gets a gradient (zeros count): processes that train together wait for all of them."""
    for objects in ([[CAT], [DOG]], [[], []]):
        model.zero_grad()
        losses = model.train().losses(make_batch(objects))
        torch.stack([loss.mean for loss in losses.values()]).sum().backward()
        missing = [name for name, p in model.named_parameters() if p.grad is None]
        assert missing == []


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param([[], [CAT]], id="a picture without objects"),
        pytest.param([[], []], id="a batch without objects"),
        pytest.param([[(5, 5, 1, 1, 2)], [(95, 63, 1, 1, 0)]], id="one-pixel objects"),
        pytest.param([[(0, 0, 96, 64, 0)], [CAT]], id="an object as large as the picture"),
        pytest.param([[(2 * i, i, 9, 9, i % 3) for i in range(40)], []], id="more objects than samples"),
    ],
)
def test_ordinary_extremes(model: MaskRCNN, make_batch: MakeBatch, objects: list[Any]) -> None:
    losses = model.train().losses(make_batch(objects, slots=40))
    assert all(loss.mean.isfinite() for loss in losses.values())


def test_crowds_are_not_background(model: MaskRCNN, make_batch: MakeBatch) -> None:
    """With the whole picture ignored there is nothing to sample but the objects."""
    batch = make_batch([[]], ignored=1)
    batch.ignored[0, 0] = torch.tensor([-500.0, -500, 600, 600])
    losses = model.train().losses(batch)
    assert losses["objectness"].samples == 0
    assert losses["class"].samples == 0


def test_masks_are_learnt_only_where_they_are_known(model: MaskRCNN, make_batch: MakeBatch) -> None:
    batch = make_batch([[CAT, DOG]])
    boxes_only = batch._replace(masks=batch.masks._replace(known=torch.zeros_like(batch.masks.known)))
    assert model.train().losses(batch)["mask"].samples > 0
    losses = model.losses(boxes_only)
    assert losses["mask"].samples == 0
    assert losses["box"].mean > 0


def test_a_picture_gives_the_same_losses_whatever_stands_beside_it(model: MaskRCNN, make_batch: MakeBatch) -> None:
    """The joint batch is the sum of its pictures: what processes that train together rely on."""
    joint = make_batch([[CAT, DOG], [DOG]])

    def single(i: int) -> Batch:
        masks = joint.masks._replace(**{n: getattr(joint.masks, n)[i : i + 1] for n in ("start", "window", "known")})
        return Batch(*(masks if name == "masks" else getattr(joint, name)[i : i + 1] for name in Batch._fields))

    model.train()
    together = model.losses(joint)
    apart = [model.losses(single(i)) for i in range(2)]
    for name, loss in together.items():
        assert torch.allclose(loss.total, apart[0][name].total + apart[1][name].total, rtol=1e-4), name
        assert loss.samples == apart[0][name].samples + apart[1][name].samples


def test_objects_of_a_class_that_was_not_looked_for_cost_less(model: MaskRCNN, make_batch: MakeBatch) -> None:
    """Only the class loss changes, only of background, and not at all where every class is named as looked for."""
    batch = make_batch([[CAT], [DOG]])
    all_named = batch._replace(labelled=torch.ones(2, 3, dtype=torch.bool))
    one_missing = batch._replace(labelled=torch.tensor([[True, True, True], [False, True, True]]))
    plain, named, missing = (model.train().losses(each) for each in (batch, all_named, one_missing))
    for name, loss in plain.items():
        assert loss.total.item() == named[name].total.item(), name
        assert name == "class" or loss.total.item() == missing[name].total.item(), name
    assert missing["class"].samples == plain["class"].samples
    assert missing["class"].total < plain["class"].total


class NoLooking(TorchDispatchMode):
    """Fails on every operation that would wait for a device's values."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "item", "is_nonzero", "equal")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.split(".")[0]
        assert name not in self.FORBIDDEN, f"{name} waits for the device"
        if name in ("index", "index_put_", "index_put"):
            indices = [t for t in args[1] if t is not None]
            assert all(t.dtype is not torch.bool for t in indices), "a boolean index waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("labelled", [torch.ones(2, 0), torch.tensor([[1, 1, 1], [0, 1, 1]])])
def test_a_training_step_on_an_accelerator_never_waits(
    model: MaskRCNN, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch, labelled: Tensor
) -> None:
    """Run the accelerator's way on the CPU under a mode that refuses to look at values, and get the same losses."""
    batch = make_batch([[CAT, DOG], []])._replace(labelled=labelled.bool())
    model.train()
    expected = model.losses(batch)
    monkeypatch.setattr(mask_rcnn, "filled_slots", lambda valid: torch.arange(valid.numel()))
    monkeypatch.setattr(MaskRCNN, "_nms", lambda self, like: nms_static)
    with NoLooking():
        losses = model.losses(batch)
        torch.stack([loss.mean for loss in losses.values()]).sum().backward()
    for name, loss in losses.items():
        assert torch.allclose(loss.total, expected[name].total, rtol=1e-4), name
        assert loss.samples == expected[name].samples


def test_a_training_step_on_an_accelerator_is_one_graph(
    model: MaskRCNN, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = make_batch([[CAT, DOG], []])
    model.train()
    expected = model.losses(batch)
    monkeypatch.setattr(mask_rcnn, "filled_slots", lambda valid: torch.arange(valid.numel()))
    monkeypatch.setattr(MaskRCNN, "_nms", lambda self, like: nms_static)
    losses = torch.compile(model.losses, dynamic=False, fullgraph=True, backend="eager")(batch)
    for name, loss in losses.items():
        assert torch.allclose(loss.total, expected[name].total, rtol=1e-4), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode:UserWarning")  # torch says so whenever it is used
@pytest.mark.parametrize("mixed", [False, True])
def test_a_training_step_on_a_gpu_never_waits(model: MaskRCNN, make_batch: MakeBatch, mixed: bool) -> None:
    batch = make_batch([[CAT, DOG], []])
    masks = batch.masks._replace(**{name: value.cuda() for name, value in batch.masks._asdict().items()})
    values = {name: value.cuda() for name, value in batch._asdict().items() if name != "masks"}
    batch = batch._replace(**values, masks=masks)
    model.cuda().train()

    def step() -> None:
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=mixed):
            losses = model.losses(batch)
        torch.stack([loss.mean for loss in losses.values()]).sum().backward()

    step()  # libraries make themselves ready
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_guard_itself_refuses_to_look() -> None:
    with NoLooking(), pytest.raises(AssertionError, match="waits for the device"):
        torch.ones(2).nonzero()
    with NoLooking(), pytest.raises(AssertionError, match="waits for the device"):
        bool(torch.ones(1) > 0)


def fixed(model: MaskRCNN) -> Tensor:
    return torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_detections_have_fixed_shapes(model: MaskRCNN) -> None:
    model.eval()
    with torch.inference_mode():
        found = model(fixed(model), torch.tensor([[64, 96], [50, 70]]))
    assert found.boxes.shape == (2, 60, 4)  # 20 proposals of 3 classes are less than 100
    assert found.masks.shape == (2, 60, 28, 28)
    empty = found.labels < 0
    assert found.scores[empty].abs().sum() == 0
    assert found.masks[empty].abs().sum() == 0
    assert (found.boxes[1, :, 2] <= 70).all()
    assert (found.boxes[1, :, 3] <= 50).all()
    assert (found.scores.diff(dim=1) <= 0).all()


def test_nothing_is_found_where_nothing_is_sure(tiny: ModelConfig) -> None:
    sure = build(tiny.change(detect=tiny.detect.change(score_threshold=1.0))).eval()
    with torch.inference_mode():
        found = sure(fixed(sure), torch.tensor([[64, 96]] * 2))
    assert (found.labels == -1).all()


def test_stages_called_alone_give_what_the_whole_gives(model: MaskRCNN) -> None:
    images, size_hw = fixed(model), torch.tensor([[64, 96]] * 2)
    model.eval()
    with torch.inference_mode():
        whole = model(images, size_hw)
        features = model.features(images, size_hw)
        proposals = model.propose(features, size_hw)
        table = model.table(features)
        boxes, scores, labels = model.detect(table, proposals, size_hw)
        masks = model.masks(table, boxes, labels)
    for part, expected in zip((boxes, scores, labels, masks), whole, strict=True):
        assert torch.equal(part, expected)


@pytest.mark.parametrize(
    "change",
    [
        {"input": InputConfig(mean=(10.0,) * 5, std=(2.0,) * 5, min_size=64, max_size=96)},
        {"box_head": BoxHeadConfig(kind="4conv1fc", conv_channels=16, channels=32, norm="group", samples=16)},
        {"box_head": BoxHeadConfig(class_agnostic=True, sampling_ratio=0, channels=32, samples=16)},
        {"mask_head": MaskHeadConfig(class_agnostic=True, norm="batch", channels=16, convs=1, sampling_ratio=0)},
    ],
)
def test_other_parts(tiny: ModelConfig, make_batch: MakeBatch, change: dict[str, Any]) -> None:
    model = build(tiny.change(**change))
    batch = make_batch([[CAT, DOG], []])
    bands = model.config.input.bands
    batch = batch._replace(images=batch.images[:, :1].expand(-1, bands, -1, -1).float() * 3)
    losses = model.train().losses(batch)
    assert all(loss.mean.isfinite() for loss in losses.values())
    with torch.inference_mode():
        assert model.eval()(batch.images, batch.size_hw).masks.shape[2:] == (28, 28)


def test_padding_is_zero_after_normalising_and_pixels_by_hand(model: MaskRCNN) -> None:
    """A band of value mean + 2 std becomes 2; what lies outside the picture becomes 0."""
    config = model.config.input
    value = torch.tensor(config.mean) + 2 * torch.tensor(config.std)
    images = value[None, :, None, None].expand(1, 3, 64, 96)
    out = model.normalise(images, torch.tensor([[60, 90]]))
    assert torch.allclose(out[..., :60, :90], torch.full((1, 3, 60, 90), 2.0), atol=1e-4)
    assert out[..., 60:, :].abs().sum() == 0
    assert out[..., 90:].abs().sum() == 0

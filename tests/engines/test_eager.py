"""The prepared network beside the plain one, with layers wide enough for every short way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from maskrcnn.config import BackboneConfig, BoxHeadConfig, MaskHeadConfig, ModelConfig, PyramidConfig
from maskrcnn.engines import compiled
from maskrcnn.engines import planar as planar_parts
from maskrcnn.engines.choice import BACKENDS, choose
from maskrcnn.engines.eager import EagerEngine, prepare
from maskrcnn.engines.planar import PlanarBody, PlanarMaskHead, PlanarPyramid, PlanarRPNHead
from maskrcnn.engines.winograd import available
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.model.norm import FrozenNorm
from maskrcnn.model.postprocess import Detections

CPU = torch.device("cpu")
DEPTHS = {"basic blocks": "resnet18", "bottlenecks": "resnet50"}


def wide(tiny: ModelConfig, depth: str = "resnet18", body: str = "2fc", **mask_head: object) -> MaskRCNN:
    torch.manual_seed(1)
    config = tiny.change(
        backbone=BackboneConfig(depth=depth),
        pyramid=PyramidConfig(channels=64),
        box_head=BoxHeadConfig(kind=body, channels=32, conv_channels=64),
        mask_head=MaskHeadConfig(channels=64, convs=2, **mask_head),
    )
    model = build(config).eval()
    for layer in model.modules():
        if isinstance(layer, FrozenNorm):
            layer.weight.uniform_(0.4, 0.6)
            layer.running_mean.normal_(0, 0.1)
    with torch.no_grad():
        model.box_head.logits.weight.normal_(0, 0.3)
        model.box_head.logits.bias[:3] = 4.0
        model.mask_head.logits.weight.normal_(0, 0.3)
    return model


def given(batch: int, H: int = 192, W: int = 224) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(batch)
    images = torch.randint(0, 256, (batch, 3, H, W), dtype=torch.uint8, generator=generator)
    return images, torch.tensor([[H - 3 * i, W - 17 * i] for i in range(batch)])


def assert_same(found: Detections, expected: Detections, pixels: float = 1e-3, share: float = 1e-4) -> None:
    assert (expected.labels >= 0).sum() > 5
    assert torch.equal(found.labels, expected.labels)
    assert (found.boxes - expected.boxes).abs().max() < pixels
    assert (found.scores - expected.scores).abs().max() < share
    assert (found.masks - expected.masks).abs().max() < share


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("depth", DEPTHS.values(), ids=DEPTHS)
def test_the_prepared_network_finds_the_same(tiny: ModelConfig, depth: str, batch: int) -> None:
    model = wide(tiny, depth)
    engine = EagerEngine(model, "fp32", CPU)
    for size in ((192, 224), (160, 256)):
        pictures = given(batch, *size)
        with torch.inference_mode():
            expected = model(*pictures)
        assert_same(engine(*pictures), expected)


@pytest.mark.parametrize("changes", [{"class_agnostic": True}, {"norm": "group"}])
@pytest.mark.parametrize("body", ["2fc", "4conv1fc"])
def test_so_do_other_heads(tiny: ModelConfig, body: str, changes: dict[str, object]) -> None:
    model = wide(tiny, body=body, **changes)
    with torch.inference_mode():
        expected = model(*given(2))
    assert_same(EagerEngine(model, "fp32", CPU)(*given(2)), expected)


@pytest.mark.skipif(not available(), reason="this build of torch has no NNPACK")
def test_every_part_that_gains_is_replaced_and_group_norms_keep_theirs(tiny: ModelConfig) -> None:
    copy = prepare(wide(tiny, body="4conv1fc"), CPU)
    parts = (copy.pyramid, copy.rpn.head, copy.box_head.body, copy.mask_head)
    assert [type(part) for part in parts] == [PlanarPyramid, PlanarRPNHead, PlanarBody, PlanarMaskHead]
    assert not isinstance(prepare(wide(tiny, norm="group"), CPU).mask_head, PlanarMaskHead)


def test_a_picture_is_found_the_same_in_any_company(tiny: ModelConfig) -> None:
    engine = EagerEngine(wide(tiny), "fp32", CPU)
    images, size_hw = given(3)
    together = engine(images, size_hw)
    for i in range(3):
        alone = engine(images[i : i + 1], size_hw[i : i + 1])
        assert_same(Detections(*(each[i : i + 1] for each in together)), alone, pixels=1e-4, share=1e-5)


def test_nothing_found_is_an_ordinary_value(tiny: ModelConfig) -> None:
    model = wide(tiny)
    with torch.no_grad():
        model.box_head.logits.bias[:3] = -99.0
    found = EagerEngine(model, "fp32", CPU)(*given(2))
    assert (found.labels == -1).all()
    assert not found.masks.any()


def test_the_network_that_was_given_is_not_touched(tiny: ModelConfig) -> None:
    model = wide(tiny)
    with torch.inference_mode():
        expected = model(*given(1))
        EagerEngine(model, "fp32", CPU)(*given(1))
        again = model(*given(1))
    assert all(torch.equal(a, b) for a, b in zip(again, expected, strict=True))


def test_several_threads_at_once(tiny: ModelConfig) -> None:
    engine = EagerEngine(wide(tiny), "fp32", CPU)
    pictures = [given(1 + i % 2) for i in range(8)]
    expected = [engine(*each) for each in pictures]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: engine(*each), pictures))
    for ours, alone in zip(found, expected, strict=True):
        assert_same(ours, alone, pixels=1e-4, share=1e-5)


def test_bf16_is_near_and_leaves_boxes_and_scores_in_fp32(tiny: ModelConfig) -> None:
    model = wide(tiny)
    engine = EagerEngine(model, "bf16", CPU)
    assert engine.prepared.backbone.stem.conv1.conv.weight.dtype == torch.bfloat16
    assert model.backbone.stem.conv1.conv.weight.dtype == torch.float32
    found = engine(*given(1))
    assert [each.dtype for each in found] == [torch.float32, torch.float32, torch.int64, torch.float32]
    with torch.inference_mode():
        exact = model.features(*given(1))
        near = engine.prepared.features(*given(1))
    assert 0 < (near[0].float() - exact[0]).std() < 0.03 * exact[0].std()


def test_compiled_the_network_finds_the_same_at_any_size(tiny: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "COMPILER", "eager")  # captured and run, not translated, which takes a minute
    model = wide(tiny)
    engine = choose("compile", "fp32", CPU).make(model)
    assert isinstance(engine, compiled.CompiledEngine)
    engine.compile_heads()
    for pictures in (given(1), given(1, 128, 160), given(2, 160, 192)):
        with torch.inference_mode():
            expected = model(*pictures)
        assert_same(engine(*pictures), expected)


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert (
        BACKENDS["compile"].missing() == "torch.compile needs a C++ compiler, and no-such-compiler is not on the PATH"
    )


def test_masks_of_many_regions_are_drawn_in_parts(tiny: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    model = prepare(wide(tiny), CPU)
    with torch.inference_mode():
        whole = model(*given(2))
        monkeypatch.setattr(planar_parts, "AT_ONCE", 7)
        parts = model(*given(2))
    assert_same(parts, whole)

"""The operators of graphs give what the model's own suppression and RoIAlign give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from maskrcnn.config import InputConfig
from maskrcnn.engines.graphs import programs
from maskrcnn.engines.graphs.capture import quietly
from maskrcnn.engines.graphs.network import GRAPH_LEVEL_RULES
from maskrcnn.engines.graphs.onnx_operators import OPSET, translations
from maskrcnn.engines.graphs.operators import looped_nms, named_nms, named_pool
from maskrcnn.engines.graphs.whole import SAMPLINGS, SCALES
from maskrcnn.ops.nms import Kept, nms
from maskrcnn.ops.resize import target_size
from maskrcnn.ops.roi_align import LEVEL_RULES, SAMPLERS, build_table, roi_align

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

STRIDES = (4, 8, 16, 32)
THRESHOLD = 0.5


def runs_in_onnx(module: nn.Module, arguments: tuple[Tensor, ...], axes: list[dict[int, Any]]) -> Callable[..., Any]:
    """Write a module as ONNX and return what runs it, on arguments whose named axes may vary."""
    shapes = {"arguments": tuple(axes)}
    with quietly(), torch.no_grad():
        program = torch.export.export(module.eval(), arguments, dynamic_shapes=shapes, strict=False)
        made = torch.onnx.export(
            program, (), dynamo=True, verbose=False, opset_version=OPSET, custom_translation_table=translations()
        )
    session = onnxruntime.InferenceSession(made.model_proto.SerializeToString())
    names = [each.name for each in session.get_inputs()]

    def run(*given: Tensor) -> list[Tensor]:
        feed = {name: each.numpy() for name, each in zip(names, given, strict=True)}
        return [torch.from_numpy(each) for each in session.run(None, feed)]

    return run


# ---- suppression


class Suppress(nn.Module):
    def forward(self, *arguments: Tensor) -> Kept:
        boxes, scores, valid, groups = arguments
        return named_nms(boxes, scores, THRESHOLD, valid=valid, limit=20, groups=groups, count=3)


@pytest.fixture(scope="module")
def onnx_nms() -> Callable[..., Any]:
    return runs_in_onnx(Suppress(), boxes_of(0, 2), [{0: Dim("rows")}] * 4)


def boxes_of(seed: int, rows: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sixty crowded boxes a row whose scores are often equal, some of them not valid, in three groups."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(rows, 60, 2, generator=generator) * 30
    boxes = torch.cat([corner, corner + torch.rand(rows, 60, 2, generator=generator) * 20], dim=2)
    scores = torch.randint(0, 8, (rows, 60), generator=generator).float() / 8
    groups = torch.randint(0, 3, (rows, 60), generator=generator)
    return boxes, scores, torch.rand(rows, 60, generator=generator) > 0.2, groups


def same(found: Any, wanted: Kept) -> None:
    indices, valid = found
    assert torch.equal(valid, wanted.valid)
    assert torch.equal(indices[valid], wanted.indices[valid])


def wanted_of(boxes: Tensor, scores: Tensor, valid: Tensor, groups: Tensor) -> Kept:
    return nms(boxes, scores, THRESHOLD, valid=valid, limit=20, groups=groups)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_onnx_suppresses_as_the_model_does(onnx_nms: Callable[..., Any], rows: int) -> None:
    for seed in range(5):
        given = boxes_of(seed, rows)
        same(onnx_nms(*given), wanted_of(*given))


def test_onnx_suppresses_where_nothing_is_valid_and_scores_are_negative(onnx_nms: Callable[..., Any]) -> None:
    boxes, scores, valid, groups = boxes_of(0, 2)
    valid[0] = False
    given = boxes, scores - 5, valid, groups
    wanted = wanted_of(*given)
    assert not wanted.valid[0].any()
    assert wanted.valid[1].any()
    same(onnx_nms(*given), wanted)


def test_boxes_without_area_do_not_suppress_one_another(onnx_nms: Callable[..., Any]) -> None:
    boxes, scores, valid, groups = boxes_of(0, 1)
    given = torch.zeros_like(boxes), scores, valid, groups
    assert wanted_of(*given).valid.sum() == 20
    same(onnx_nms(*given), wanted_of(*given))


@pytest.mark.parametrize("count", [1, 3])
def test_torchscript_suppresses_as_the_model_does(count: int) -> None:
    for seed in range(5):
        boxes, scores, valid, groups = boxes_of(seed, 2)
        wanted = nms(boxes, scores, THRESHOLD, valid=valid, limit=20, groups=groups if count > 1 else None)
        same(programs.suppress(boxes, scores, valid, groups, THRESHOLD, 20, count), wanted)


class Loop(nn.Module):
    def forward(self, *arguments: Tensor) -> Kept:
        boxes, scores, valid, groups = arguments
        return looped_nms(boxes, scores, THRESHOLD, valid=valid, limit=20, groups=groups)


def test_the_loop_of_an_exported_program_suppresses_as_the_model_does() -> None:
    rows = Dim("rows")
    given = boxes_of(0, 2)
    shapes = {"arguments": tuple({0: rows} for _ in given)}
    with torch.no_grad():
        program = torch.export.export(Loop().eval(), given, dynamic_shapes=shapes, strict=False).module()
    for seed in range(3):
        given = boxes_of(seed, 1 + seed)
        same(program(*given), wanted_of(*given))


# ---- RoIAlign


class Pool(nn.Module):
    def __init__(self, sampler: str, bins: int, samples: int) -> None:
        super().__init__()
        self.sampler, self.bins, self.samples = sampler, bins, samples

    def forward(self, *arguments: Tensor) -> Tensor:
        *levels, boxes, picture, level = arguments
        table = build_table(levels, STRIDES)
        return named_pool(table, boxes, picture, level, self.bins, self.samples, self.sampler)


def pyramid(height: int, width: int, generator: torch.Generator) -> list[Tensor]:
    return [torch.randn(2, 3, height // s, width // s, generator=generator) for s in STRIDES]


def regions(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Boxes inside the picture, over its border, as large as it, and without area."""
    corner = torch.rand(40, 2, generator=generator) * torch.tensor([width, height])
    inside = torch.cat([corner, corner + torch.rand(40, 2, generator=generator) * 80], dim=1)
    limit = torch.tensor([width, height, width, height], dtype=torch.float32)
    whole = torch.tensor([[0.0, 0, width, height], [0, 0, width - 1, height - 1], [5, 5, 5, 5]])
    return torch.cat([inside, torch.minimum(inside, limit), torch.minimum(inside, limit - 1), whole, inside - 40])


@pytest.mark.parametrize(
    ("sampler", "bins", "samples"),
    [("average", 7, 2), ("average", 3, 0), ("unaligned", 7, 2), ("corners", 7, 2), ("corners", 1, 2)],
)
def test_onnx_pools_as_the_model_does(sampler: str, bins: int, samples: int) -> None:
    generator = torch.Generator().manual_seed(0)
    levels = pyramid(96, 128, generator)
    count = len(regions(96, 128, generator))
    given = (*levels, torch.zeros(count, 4), torch.zeros(count, dtype=torch.int64), torch.arange(count) % 4)
    axes = [{2: Dim(f"h{i}"), 3: Dim(f"w{i}")} for i in range(4)]
    run = runs_in_onnx(Pool(sampler, bins, samples), given, [*axes, *[{0: Dim("regions")}] * 3])
    for height, width in [(96, 128), (32, 32), (160, 64)]:
        levels, boxes = pyramid(height, width, generator), regions(height, width, generator)
        picture = torch.randint(0, 2, (len(boxes),), generator=generator)
        for level in (torch.randint(0, 4, (len(boxes),), generator=generator), torch.full((len(boxes),), 2)):
            table = build_table(levels, STRIDES)
            wanted = roi_align(table, boxes, picture, level, bins, samples, SAMPLERS[sampler])
            found = run(*levels, boxes, picture, level)[0]
            sound = torch.ones(len(boxes), dtype=torch.bool)
            if samples == 0:  # a box without area has no samples in ONNX, one here; it is never a proposal
                sound = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
            assert (found - wanted)[sound].abs().max() < 1e-4, (height, width)


# ---- sizes


@pytest.mark.parametrize("padded_hw", [(800, 1344), (1024, 1024), (64, 96)])
def test_levels_follow_the_models_rule(padded_hw: tuple[int, int]) -> None:
    side = torch.cat([torch.arange(1.0, 1000), 224 * 2.0 ** torch.arange(-6, 3)])
    for name, rule in LEVEL_RULES.items():
        assert torch.equal(GRAPH_LEVEL_RULES[name](side, padded_hw), rule(side, padded_hw)), name


class Sizes(nn.Module):
    def __init__(self, config: InputConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, *arguments: Tensor) -> Tensor:
        h, w = arguments[0].shape
        scale = SCALES[self.config.resize](h, w, self.config)
        sides = [torch.sym_max(1, SAMPLINGS[self.config.sampling].side(side, scale)) for side in (h, w)]
        return torch.stack([torch.full((), side, dtype=torch.int64) for side in sides])


@pytest.mark.parametrize(
    "config",
    [
        InputConfig(),
        InputConfig(sampling="plain"),
        InputConfig(resize="square", sampling="plain", max_size=1000),
        InputConfig(resize="centred_square", sampling="zero_edge", min_size=800, max_size=1024),
        InputConfig(resize="centred", sampling="zero_edge", min_size=128, min_scale=1.5),
    ],
    ids=lambda config: f"{config.resize}-{config.sampling}",
)
def test_onnx_computes_sizes_in_double_precision(config: InputConfig) -> None:
    run = runs_in_onnx(Sizes(config), (torch.zeros(60, 70),), [{0: Dim("h"), 1: Dim("w")}])
    generator = torch.Generator().manual_seed(0)
    for h, w in [*torch.randint(1, 900, (150, 2), generator=generator).tolist(), [49, 49], [800, 1333], [1280, 1284]]:
        assert tuple(run(torch.zeros(h, w))[0].tolist()) == target_size((h, w), config), (h, w)

"""The way of a picture: what comes out is what is predicted, and every detection leads back to its anchor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from maskrcnn.config import ModelConfig
from maskrcnn.engines.choice import choose
from maskrcnn.errors import InputError
from maskrcnn.model.fpn import STRIDES
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.prediction import Predictor
from maskrcnn.prediction.tracing import Trace, walk

SIZE = (150, 200)


def spread(config: ModelConfig) -> MaskRCNN:
    """Make a model with fresh weights so large that its objects differ in score, class, place and size."""
    torch.manual_seed(0)
    model = build(config).eval()
    with torch.no_grad():
        for layer, factor in (
            (model.rpn.head.objectness, 30),
            (model.rpn.head.deltas, 5),
            (model.box_head.logits, 30),
            (model.box_head.deltas, 100),
            (model.mask_head.logits, 300),
        ):
            layer.weight.mul_(factor)
        model.box_head.logits.bias.zero_()
    return model


def picture(seed: int = 3) -> NDArray[np.uint8]:
    blocks = np.random.default_rng(seed).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    return blocks.repeat(SIZE[0] // 10, axis=0).repeat(SIZE[1] // 10, axis=1)


def usual(tiny: ModelConfig) -> ModelConfig:
    return tiny.change(detect=tiny.detect.change(score_threshold=0.2, detections=12))


CHANGES: dict[str, Callable[[ModelConfig], ModelConfig]] = {
    "usual": lambda config: config,
    "ranked as one": lambda config: config.change(rpn=config.rpn.change(ranking="all", pre_nms=30, proposals=40)),
    "every other cell": lambda config: config.change(rpn=config.rpn.change(stride=2)),
    "centred": lambda config: config.change(input=config.input.change(resize="centred_square", max_size=128)),
    "thresholds a class": lambda config: config.change(
        detect=config.detect.change(class_thresholds=(0.5, 0.3, 0.45), detections=40, nms_iou=0.7)
    ),
    "last pixels": lambda config: config.change(anchors=config.anchors.change(corners="inclusive")),
}


@pytest.fixture(scope="module", params=CHANGES)
def predictor(request: pytest.FixtureRequest, tiny: ModelConfig) -> Predictor:
    return Predictor(spread(CHANGES[request.param](usual(tiny))))


@pytest.fixture(scope="module")
def trace(predictor: Predictor) -> Trace:
    return predictor.trace(picture())


def moved(box: NDArray[np.floating], deltas: NDArray[np.floating]) -> NDArray[np.float64]:
    """Move a box, as R-CNN's equations say."""
    x1, y1, x2, y2 = box.astype(float)
    dx, dy, dw, dh = deltas.astype(float)
    w, h = x2 - x1, y2 - y1
    x, y = x1 + w / 2 + dx * w, y1 + h / 2 + dy * h
    w, h = w * np.exp(dw), h * np.exp(dh)
    return np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])


def test_what_comes_out_is_what_is_predicted(predictor: Predictor, trace: Trace) -> None:
    found = predictor.predict(picture())
    assert len(found) > 5
    if predictor.config.detect.class_thresholds:
        assert len(found) < len(trace["masks"]["boxes"])
    assert len(set(found.labels.tolist())) > 1
    for name in ("boxes", "scores", "labels"):
        assert np.array_equal(getattr(trace.instances, name), getattr(found, name)), name
    assert found.masks is not None
    assert trace.instances.masks is not None
    assert np.array_equal(trace.instances.masks.dense(), found.masks.dense())


def test_the_prepared_network_is_traced_where_it_runs(tiny: ModelConfig) -> None:
    model = spread(tiny.change(detect=tiny.detect.change(score_threshold=0.2)))
    eager = Predictor(choose("torch", "fp32", torch.device("cpu")).make(model))
    found = eager.predict(picture())
    assert np.array_equal(eager.trace(picture()).instances.boxes, found.boxes)
    assert len(found) > 5


def test_every_detection_leads_back_to_its_anchor(predictor: Predictor, trace: Trace) -> None:
    """Followed by hand: the anchor of its cell, moved by its deltas, is its proposal, and that one moved its box."""
    config, per_cell = predictor.config, predictor.config.anchors.per_cell
    made = 0
    for i, label in enumerate(trace.instances.labels.tolist()):
        level, anchor, proposal = (int(getattr(trace.origins, name)[i]) for name in ("level", "anchor", "proposal"))
        box = trace["proposals"]["boxes"][proposal]
        if anchor >= 0:
            made += 1
            name = f"P{level + 2}"
            row, column = trace.origins.cell[i]
            start = trace["anchors"][name][anchor]
            every = STRIDES[level] * config.rpn.stride
            overhang = 0.5 if config.anchors.corners == "inclusive" else 0.0
            assert ((start[:2] + start[2:]) / 2 + overhang).tolist() == pytest.approx([column * every, row * every])
            assert anchor % per_cell == trace.origins.shape[i]
            logits = trace["rpn"][f"logits {name}"][row, column, trace.origins.shape[i]]
            assert logits == trace["proposals"]["logits"][proposal]
            deltas = trace["rpn"][f"deltas {name}"][row, column, trace.origins.shape[i]]
            inside = np.abs(box - moved(start, deltas)) < 1e-2
            y, x = trace.corner
            border = np.isclose(box[:, None], [0, x, y, *trace.padded_hw, *np.add((y, x), trace.size_hw)], atol=1.01)
            assert (inside | border.any(axis=1)).all(), i
        own = trace["box head"]["deltas"][proposal, label] * np.array(config.box_head.delta_std)
        after = moved(box, own)
        slot = trace.origins.slot[i]
        found = trace["masks"]["boxes"][slot]
        y, x = trace.corner
        h, w = trace.size_hw
        last = 1 if config.anchors.corners == "inclusive" else 0
        assert (
            np.abs(
                found - np.clip(after, [x, y, x, y], np.array([x + w, y + h] * 2) - last * np.array([0, 0, 1, 1]))
            ).max()
            < 1.01
        )
        assert trace["box head"]["probabilities"][proposal, label] == pytest.approx(trace.instances.scores[i])
    assert made > 3


def test_stages_agree_with_one_another(predictor: Predictor, trace: Trace) -> None:
    H, W = trace.padded_hw
    for i in range(2, 6):
        assert trace["backbone"][f"C{i}"].shape[1:] == trace["pyramid"][f"P{i}"].shape[1:] == (H >> i, W >> i)
    part = trace["candidates"]
    assert len(part["level"]) == len(part["anchors"]) == len(part["boxes"]) > 20
    for level in range(5):
        own = part["level"] == level
        anchors = trace["anchors"][f"P{level + 2}"]
        assert np.array_equal(part["anchors"][own], anchors[part["anchor"][own]])
        logits = trace["rpn"][f"logits P{level + 2}"].reshape(-1)
        assert np.array_equal(part["logits"][own], logits[part["anchor"][own]])
    place = trace["proposals"]["candidate"]
    there = place >= 0
    assert there.any()
    assert np.array_equal(part["boxes"][place[there]], trace["proposals"]["boxes"][there])
    chosen = trace["detections"]
    assert np.array_equal(chosen["boxes"][chosen["kept"]], trace["masks"]["boxes"])
    assert (np.diff(chosen["scores"]) <= 0).all()
    assert np.allclose(trace["box head"]["probabilities"].sum(axis=1), 1, atol=1e-5)
    assert trace["masks"]["probabilities"].shape[1:] == (28, 28)
    assert trace.origins.region_level.tolist() == trace["regions"]["level"][trace.origins.proposal].tolist()


def test_the_input_is_the_picture_at_its_place(trace: Trace) -> None:
    (y, x), (h, w) = trace.corner, trace.size_hw
    pixels = trace["input"]["pixels"]
    assert pixels.dtype == np.uint8
    assert pixels.shape[1:] == trace.padded_hw
    assert not pixels[:, :y].any()
    assert not pixels[:, y + h :].any()
    assert not pixels[:, :, x + w :].any()
    assert pixels[:, y : y + h, x : x + w].any(axis=0).all()


def test_nothing_found_is_an_ordinary_trace(tiny: ModelConfig) -> None:
    config = tiny.change(detect=tiny.detect.change(score_threshold=1.0))
    trace = Predictor(spread(config)).trace(picture())
    assert len(trace.instances) == 0
    assert trace.origins.cell.shape == (0, 2)
    assert trace["masks"]["probabilities"].shape == (0, 28, 28)


def test_printed_it_lists_stages_and_shapes(trace: Trace) -> None:
    text = str(trace)
    assert [stage.name for stage in trace] == [
        "input", "backbone", "pyramid", "anchors", "rpn", "candidates", "proposals", "regions", "box head",
        "detections", "masks",
    ]  # fmt: skip
    for stage in trace:
        assert stage.seconds >= 0
        assert stage.about in text
    P3 = trace["pyramid"]["P3"]
    assert " x ".join(map(str, P3.shape)) in text


def test_an_unknown_stage_is_a_sentence(trace: Trace) -> None:
    with pytest.raises(InputError, match=r"stage: expected one of input, backbone, .*, got 'C2'"):
        trace["C2"]


def test_the_network_is_left_as_it_was(tiny: ModelConfig) -> None:
    model = spread(tiny)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = torch.from_numpy(picture()[:128, :192].copy()).permute(2, 0, 1)[None]
    walk(model, images, torch.tensor([[128, 192]]))
    assert not model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_stages_keep_what_they_held_when_later_ones_have_run(tiny: ModelConfig) -> None:
    """Nothing later may write into a tensor that is given out."""
    model = spread(tiny)
    images = torch.from_numpy(picture()[:128, :192].copy()).permute(2, 0, 1)[None]
    size_hw = torch.tensor([[128, 192]])
    stages = {stage.name: stage.tensors for stage in walk(model, images, size_hw).stages}
    with torch.inference_mode():
        maps = model.backbone(model.normalise(images, size_hw))
        for i, (level, above) in enumerate(
            zip(maps, model.pyramid([each.clone() for each in maps])[:4], strict=True), 2
        ):
            assert np.array_equal(stages["backbone"][f"C{i}"], level[0].numpy())
            assert np.allclose(stages["pyramid"][f"P{i}"], above[0].numpy(), atol=1e-5)

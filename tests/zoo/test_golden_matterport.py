"""Outputs of Matterport's code, stage by stage, from its own file format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from stages import SCORES, assert_close, assert_same_instances, head_outputs, load_module, order_of
from torch import Tensor

from maskrcnn.config import ModelConfig
from maskrcnn.engines.eager import prepare
from maskrcnn.model.losses import box_loss, class_loss, mask_loss, objectness_loss
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.matching import adopt_orphans, match
from maskrcnn.model.rpn import AnchorScores, Proposals
from maskrcnn.model.weights import build_filled
from maskrcnn.ops.boxes import encode
from maskrcnn.ops.paste import paste_zero_edge
from maskrcnn.ops.resize import padded_size, place, resize_image, target_size, to_tensor
from maskrcnn.ops.roi_align import SAMPLERS, build_table, roi_align
from maskrcnn.prediction.objects import to_instances
from maskrcnn.zoo import Foreign, read_foreign

GOLDEN = Path(__file__).parents[2] / "../shared/golden/matterport"
MEAN = np.array([123.7, 116.8, 103.9])
# what the golden runs were given, beside the project's defaults
SMALL: dict[str, Any] = {
    "input": {"min_size": 192, "max_size": 256},
    "anchors": {"sizes": [[16.0], [32.0], [64.0], [128.0], [256.0]]},
    "rpn": {"proposals": 100},
    "detect": {"score_threshold": 0.0, "detections": 30},
}
PAD64 = {"resize": "centred", "min_size": 128}
CASES: dict[str, dict[str, Any]] = {
    "batch2": {},
    "none": {"input": {"resize": "none"}},
    "pad64": {"input": PAD64},
    "pad64_scale": {"input": {**PAD64, "min_scale": 1.5}},
    "stride2": {"rpn": {"stride": 2}},
    "zeropad": {"rpn": {"nms_iou": 0.05, "pre_nms": 1000}},
    "default": {"rpn": {"proposals": 1000}, "detect": {"score_threshold": 0.7, "detections": 100}},
}


class Given(NamedTuple):
    """A batch as their network saw it."""

    images: Tensor
    size_hw: Tensor


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Foreign:
    pytest.importorskip("h5py")
    if not GOLDEN.exists():
        pytest.skip("../shared/golden is not here")
    path = tmp_path_factory.mktemp("matterport") / "w.h5"
    load_module(GOLDEN / "make_weights.py").main(str(path))
    found = read_foreign(path)
    path.unlink()
    return found


@pytest.fixture(scope="module")
def single(foreign: Foreign) -> Any:
    return np.load(GOLDEN / "detect.npz")


@pytest.fixture(scope="module", params=["as it is", "prepared"])
def model(request: pytest.FixtureRequest, foreign: Foreign) -> MaskRCNN:
    plain = make(foreign, {})
    return plain if request.param == "as it is" else prepare(plain, torch.device("cpu"))


def make(foreign: Foreign, *changes: dict[str, Any]) -> MaskRCNN:
    values = foreign.config.model_dump(mode="json")
    for change in (SMALL, *changes):
        for part, given in change.items():
            values[part].update(given)
    return build_filled(ModelConfig.parse(values), foreign.tensors, "golden")


def given(molded: np.ndarray, window: np.ndarray) -> Given:
    """Take the mean out of their input again, which leaves whole numbers."""
    images = np.round(molded + MEAN).astype(np.uint8)
    size_hw = np.stack([window[:, 2] - window[:, 0], window[:, 3] - window[:, 1]], axis=1)
    return Given(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(size_hw))


def shares(boxes: Tensor, images: Tensor) -> np.ndarray:
    """Turn boxes of the model into theirs: y1, x1, y2, x2, as shares of the last pixel."""
    last = torch.tensor(images.shape[-2:]).repeat(2) - 1
    return (boxes[..., [1, 0, 3, 2]] / last).numpy()


def pixels(boxes: np.ndarray, images: Tensor) -> np.ndarray:
    last = np.tile(np.array(images.shape[-2:]) - 1, 2)
    return (boxes * last)[..., [1, 0, 3, 2]].astype(np.float32)


def their_results(golden: Any, name: str) -> tuple[np.ndarray, ...]:
    boxes = golden[f"{name}rois"][:, [1, 0, 3, 2]].astype(np.float32)
    return boxes, golden[f"{name}scores"], golden[f"{name}class_ids"] - 1, golden[f"{name}masks"].transpose(2, 0, 1)


def test_features(model: MaskRCNN, single: Any) -> None:
    layers = np.load(GOLDEN / "activations_small.npz")
    images, size_hw = given(single["molded_image"], single["window"])
    with torch.inference_mode():
        normalised = model.normalise(images, size_hw)
        assert np.abs(normalised.permute(0, 2, 3, 1).numpy() - single["molded_image"]).max() < 1e-4
        stages = model.backbone(normalised)
        names = ["res2c_out", "res3d_out", "res4f_out", "res5c_out", *(f"fpn_p{i}" for i in range(2, 7))]
        for name, level in zip(names, [*stages, *model.pyramid(stages)], strict=True):
            positions = torch.from_numpy(layers[f"{name}__ix"])
            found = level.permute(0, 2, 3, 1).flatten()[positions]
            assert_close(found, layers[f"{name}__val"], float(layers[f"{name}__meanstd"][1]))


def test_anchors_and_their_scores(model: MaskRCNN, single: Any) -> None:
    """Their anchors of a cell go by width / height, ours by height / width; deltas have a unit there."""
    images, size_hw = given(single["molded_image"], single["window"])
    with torch.inference_mode():
        features = model.features(images, size_hw)
        scores = model.rpn(features)
        anchors = torch.cat([model.frame.enter(level) for level in model.lay_anchors(features)])
    logits, deltas = (torch.cat(list(levels), dim=1)[0] for levels in scores)
    order = torch.arange(len(anchors)).view(-1, 3).flip(1).flatten()
    assert np.abs(shares(anchors[order], images) - single["anchors_norm"]).max() < 1e-5
    assert np.abs(logits[order].sigmoid().numpy() - single["out_rpn_class"][0, :, 1]).max() <= SCORES
    units = torch.tensor([0.1, 0.1, 0.2, 0.2])
    assert_close((deltas[order] / units)[:, [1, 0, 3, 2]], single["out_rpn_bbox"][0])


def compare(model: MaskRCNN, batch: Given, golden: Any, prefix: str) -> Any:
    """Compare proposals, heads on their boxes, and detections; give what the whole model finds, with these masks.

    Masks are drawn in their boxes: where a box ends on the last pixel, its last bit decides whether a sample is zero.
    """
    rois, detections = golden[f"{prefix}rpn_rois"], golden[f"{prefix}detections"]
    with torch.inference_mode():
        features = model.features(*batch)
        proposals = model.propose(features, batch.size_hw)
        for boxes, logits, own in zip(proposals.boxes, proposals.logits, rois, strict=True):
            order_of(boxes.numpy(), logits.sigmoid().numpy(), pixels(own, batch.images))
        _, class_logits, deltas = head_outputs(model, features, list(pixels(rois, batch.images)))
        probabilities = class_logits.softmax(dim=1).roll(1, 1).view(golden[f"{prefix}mrcnn_class"].shape)
        assert np.abs(probabilities.numpy() - golden[f"{prefix}mrcnn_class"]).max() <= SCORES
        theirs = golden[f"{prefix}mrcnn_bbox"][:, :, 1:].reshape(len(deltas), -1, 4)
        assert_close(deltas[..., [1, 0, 3, 2]], theirs)
        table = model.table(features)
        boxes, scores, labels = model.detect(table, proposals, batch.size_hw)
        theirs_in_pixels = torch.from_numpy(pixels(detections[..., :4], batch.images))
        patches = model.masks(table, theirs_in_pixels, torch.from_numpy(detections[..., 4]).long() - 1)
        found = model(*batch)
    masks, drawn = golden[f"{prefix}mrcnn_mask"], torch.zeros(found.masks.shape)
    for i, own in enumerate(detections):
        n = int((own[:, 4] > 0).sum())
        assert (labels[i] >= 0).sum() == n
        order = order_of(boxes[i, :n].numpy(), scores[i, :n].numpy(), pixels(own[:n, :4], batch.images))
        assert np.abs(scores[i].numpy()[order] - own[:n, 5]).max() <= SCORES
        assert np.array_equal(labels[i].numpy()[order] + 1, own[:n, 4])
        expected = masks[i][np.arange(n), :, :, own[:n, 4].astype(int)]
        assert np.abs(patches[i, :n].numpy() - expected).max() < 1e-3
        drawn[i, torch.from_numpy(order)] = patches[i, :n]
    return found._replace(masks=drawn)


def test_one_picture(model: MaskRCNN, single: Any) -> None:
    batch = given(single["molded_image"], single["window"])
    found = compare(model, batch, single, "out_")
    instances = to_instances(found, 0, tuple(batch.size_hw[0].tolist()), single["image"].shape[:2], model.config)
    assert_same_instances(instances, *their_results(single, ""))


@pytest.mark.parametrize("name", CASES)
def test_other_settings(foreign: Foreign, name: str) -> None:
    golden = np.load(GOLDEN / "detect_extra.npz")
    model = make(foreign, CASES[name])
    batch = given(golden[f"{name}_molded"], golden[f"{name}_window"])
    found = compare(model, batch, golden, f"{name}_out_")
    for i, size_hw in enumerate(batch.size_hw.tolist()):
        instances = to_instances(found, i, tuple(size_hw), golden[f"{name}_{i}_image"].shape[:2], model.config)
        assert_same_instances(instances, *their_results(golden, f"{name}_{i}_"))


@pytest.mark.parametrize("name", ["down_tall", "exact", "tiny", "wide"])
def test_other_sizes(model: MaskRCNN, name: str) -> None:
    golden = np.load(GOLDEN / "detect_cases.npz")
    batch = given(golden[f"{name}_molded"], golden[f"{name}_window"])
    with torch.inference_mode():
        found = model(*batch)
    instances = to_instances(
        found, 0, tuple(batch.size_hw[0].tolist()), golden[f"{name}_image"].shape[:2], model.config
    )
    assert_same_instances(instances, *their_results(golden, f"{name}_"))


def resizings() -> list[tuple[str, dict[str, Any]]]:
    square, pad64 = {"resize": "centred_square"}, {"resize": "centred", "divisor": 64}
    return [
        ("sq_up", {**square, "min_size": 192, "max_size": 256}),
        ("sq_down", {**square, "min_size": 192, "max_size": 256}),
        ("sq_noise_up", {**square, "min_size": 128, "max_size": 192, "divisor": 64}),
        ("sq_minscale", {**square, "min_size": 1, "max_size": 256, "min_scale": 2.0}),
        ("sq_clip", {**square, "min_size": 192, "max_size": 256}),
        ("pad64", {**pad64, "min_size": 128}),
        ("pad64_scale2", {**pad64, "min_size": 1, "min_scale": 2.0}),
    ]


@pytest.mark.parametrize(("name", "changes"), resizings())
def test_resized_pictures_and_their_place(foreign: Foreign, name: str, changes: dict[str, Any]) -> None:
    """Their libraries' versions differ by one grey level on up to 1.7 % of the values."""
    golden = np.load(GOLDEN / "utils_golden.npz")
    config = foreign.config.input.change(**changes)
    image, expected = golden[f"resize_{name}_in"], golden[f"resize_{name}_out"]
    resized_hw = target_size(image.shape[:2], config)
    resized = resize_image(to_tensor(image), resized_hw, config.sampling)
    room = torch.zeros(3, *padded_size(resized_hw, config), dtype=torch.uint8)
    y, x = place(resized, room, config.resize)
    assert [y, x, y + resized_hw[0], x + resized_hw[1]] == golden[f"resize_{name}_window"].tolist()
    difference = np.abs(room.permute(1, 2, 0).numpy().astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 0.017


@pytest.mark.parametrize("i", range(6))
def test_pasted_masks(i: int) -> None:
    if not GOLDEN.exists():
        pytest.skip("../shared/golden is not here")
    golden = np.load(GOLDEN / "utils_golden.npz")
    box = golden[f"unmold{i}_box"][[1, 0, 3, 2]].astype(np.float32)
    x, y, pixels = paste_zero_edge(golden[f"unmold{i}_mask"], box, (80, 90))
    plane = np.zeros((80, 90), dtype=np.bool_)
    plane[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    assert (plane != golden[f"unmold{i}_out"]).sum() <= 1


@pytest.mark.parametrize("bins", [7, 14, 1])
def test_cut_regions(bins: int) -> None:
    """Boxes are shares of the last pixel of a picture; here of a level itself."""
    if not GOLDEN.exists():
        pytest.skip("../shared/golden is not here")
    golden = np.load(GOLDEN / "utils_golden.npz")
    level = torch.from_numpy(golden["cr_feat"]).permute(0, 3, 1, 2)
    boxes = torch.from_numpy(pixels(golden["cr_boxes"], level))
    zero = torch.zeros(len(boxes), dtype=torch.int64)
    picture = torch.from_numpy(golden["cr_ix"]).long()
    found = roi_align(build_table([level], [1]), boxes, picture, zero, bins, 2, SAMPLERS["corners"])
    assert_close(found.permute(0, 2, 3, 1), golden[f"cr_{bins}x{bins}"])


TRAINING: dict[str, Any] = {"anchors": {"sizes": [[8.0], [16.0], [32.0], [64.0], [128.0]]}}


class Step(NamedTuple):
    """One training batch of theirs, and what our model makes of it on their regions."""

    golden: Any
    model: MaskRCNN
    images: Tensor
    scores: AnchorScores
    proposals: Proposals
    logits: Tensor
    deltas: Tensor
    masks: Tensor


@pytest.fixture(scope="module")
def step(foreign: Foreign) -> Step:
    golden = np.load(GOLDEN / "train_golden.npz")
    model = make(foreign, TRAINING).train()
    torch.nn.init.zeros_(model.rpn.head.deltas.weight)  # as their recorded deltas are, so that proposals are anchors
    torch.nn.init.zeros_(model.rpn.head.deltas.bias)
    images, size_hw = given(golden["in_images"], golden["in_image_meta"][:, 7:11])
    with torch.inference_mode():
        features = model.features(images, size_hw)
        scores = model.rpn(features)
        proposals = model.propose(features, size_hw)
        regions = pixels(golden["heads_output_rois"], images)
        _, logits, deltas = head_outputs(model, features, list(regions))
        labels = torch.from_numpy(golden["heads_t_class_ids"]).long() - 1
        masks = model.masks(model.table(features), torch.from_numpy(regions), labels)
    return Step(golden, model, images, scores, proposals, logits, deltas, masks)


def theirs_in_order(step: Step) -> tuple[Tensor, Tensor]:
    """Give our logits and deltas of all anchors in their order, unit and sides."""
    logits, deltas = (torch.cat(list(levels), dim=1) for levels in step.scores)
    order = torch.arange(logits.shape[1]).view(-1, 3).flip(1).flatten()
    units = torch.tensor([0.1, 0.1, 0.2, 0.2])
    return logits[:, order], (deltas[:, order] / units)[..., [1, 0, 3, 2]]


def test_a_training_step_sees_the_same(step: Step) -> None:
    logits, deltas = theirs_in_order(step)
    two = step.golden["heads_rpn_class_logits"]
    assert_close(logits, two[..., 1] - two[..., 0])
    assert not deltas.any()
    assert not step.golden["heads_rpn_bbox"].any()
    for boxes, scores, valid, own in zip(*step.proposals, step.golden["heads_rpn_rois"], strict=True):
        own = own[: int(valid.sum())]
        assert own.any(axis=1).all()
        order_of(boxes[valid].numpy(), scores[valid].sigmoid().numpy(), pixels(own, step.images))
    shape = step.golden["heads_mrcnn_class_logits"].shape
    assert_close(step.logits.roll(1, 1).view(shape), step.golden["heads_mrcnn_class_logits"])
    assert_close(step.deltas[..., [1, 0, 3, 2]], step.golden["heads_mrcnn_bbox"][:, :, 1:].reshape(-1, 3, 4))


def test_objectness_class_and_mask_losses_of_their_samples(step: Step) -> None:
    """Sampled by them: anchors either positive or negative, all regions, masks of the positive ones."""
    logits, _ = theirs_in_order(step)
    match = torch.from_numpy(step.golden["in_rpn_match"])[..., 0]
    loss = objectness_loss(logits, match == 1, match != 0).mean.item()
    assert loss == pytest.approx(step.golden["heads_rpn_class_loss"], rel=1e-4)
    labels = (torch.from_numpy(step.golden["heads_t_class_ids"]).long().flatten() - 1) % 4  # background last
    everywhere = torch.ones(len(labels), 0, dtype=torch.bool)
    loss = class_loss(step.logits, labels, torch.ones_like(labels, dtype=torch.bool), everywhere).mean.item()
    assert loss == pytest.approx(step.golden["heads_mrcnn_class_loss"], rel=1e-4)
    wanted = torch.from_numpy(step.golden["heads_t_mask"]).flatten(0, 1)
    loss = mask_loss(step.masks.flatten(0, 1).logit(eps=1e-7), wanted, labels < 3).mean.item()
    assert loss == pytest.approx(step.golden["heads_mrcnn_mask_loss"], rel=1e-4)


def test_the_box_losses_differ_in_what_they_are_divided_by(step: Step) -> None:
    """Theirs are means over the four numbers of each positive sample, ours sums over all samples."""
    labels = (torch.from_numpy(step.golden["heads_t_class_ids"]).long().flatten() - 1) % 4
    positive = labels < 3
    deltas = step.deltas[torch.arange(len(labels)), labels.clamp(max=2)]
    targets = torch.from_numpy(step.golden["heads_t_bbox"]).flatten(0, 1)[:, [1, 0, 3, 2]]
    loss = box_loss(deltas, targets, positive, torch.ones_like(positive), step.model.config.box_head.beta)
    assert (loss.total / (4 * positive.sum())).item() == pytest.approx(step.golden["heads_mrcnn_bbox_loss"], rel=1e-4)
    match = torch.from_numpy(step.golden["in_rpn_match"])[..., 0]
    _, deltas = theirs_in_order(step)
    places = (match == 1).sort(dim=1, descending=True, stable=True).indices[:, : step.golden["in_rpn_bbox"].shape[1]]
    sampled = deltas.gather(1, places[..., None].expand(-1, -1, 4))
    positive = match.gather(1, places) == 1
    targets = torch.from_numpy(step.golden["in_rpn_bbox"]).float()
    loss = box_loss(sampled, targets, positive, positive, step.model.config.rpn.beta)
    assert (loss.mean / 4).item() == pytest.approx(step.golden["heads_rpn_bbox_loss"], rel=1e-4)


def test_targets_of_positive_regions(step: Step) -> None:
    """The deltas to the object that a region overlaps most, in the model's own coordinates."""
    present = torch.from_numpy(step.golden["in_gt_class_ids"]) > 0
    objects = step.model.frame.enter(torch.from_numpy(step.golden["in_gt_boxes"])[..., [1, 0, 3, 2]].float())
    regions = torch.from_numpy(pixels(step.golden["heads_t_rois"], step.images))
    labels = torch.where(present, torch.from_numpy(step.golden["in_gt_class_ids"]).long() - 1, -1)
    none = torch.zeros(len(regions), 0, 4)
    matched = match(regions, objects, labels, none, positive_iou=0.5, negative_iou=0.5, ignored_overlap=0.5)
    theirs = torch.from_numpy(step.golden["heads_t_class_ids"]) > 0
    assert torch.equal(matched.positive, theirs)
    assert torch.equal(
        labels.gather(1, matched.target)[theirs] + 1, torch.from_numpy(step.golden["heads_t_class_ids"])[theirs]
    )
    targets = encode(objects.gather(1, matched.target[..., None].expand(-1, -1, 4)), regions, step.model.box_head.std)
    assert_close(targets[theirs][:, [1, 0, 3, 2]], step.golden["heads_t_bbox"][theirs.numpy()])


def test_targets_of_anchors(step: Step) -> None:
    """Anchors and objects end behind their last pixel here; which of the positives are sampled is random."""
    golden = step.golden
    present = torch.from_numpy(golden["in_gt_class_ids"]) > 0
    objects = torch.from_numpy(golden["in_gt_boxes"])[..., [1, 0, 3, 2]].float()
    labels = torch.where(present, 0, -1)
    anchors = torch.cat(step.model.anchors([(32, 32), (16, 16), (8, 8), (4, 4), (2, 2)]))
    anchors = anchors.view(-1, 3, 4).flip(1).view(1, -1, 4)
    none = torch.zeros(len(objects), 0, 4)
    matched = match(anchors, objects, labels, none, positive_iou=0.7, negative_iou=0.3, ignored_overlap=0.5)
    matched = adopt_orphans(matched, anchors, objects, labels)
    theirs = torch.from_numpy(golden["in_rpn_match"])[..., 0]
    assert matched.positive[theirs == 1].all()
    assert matched.negative[theirs == -1].all()
    for i in range(len(objects)):
        positive = theirs[i] == 1
        own = anchors[0, positive]
        targets = encode(objects[i, matched.target[i, positive]], own, torch.tensor([0.1, 0.1, 0.2, 0.2]))
        assert_close(targets[:, [1, 0, 3, 2]].double(), golden["in_rpn_bbox"][i, : len(own)])

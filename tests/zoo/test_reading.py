from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from maskrcnn.config import BackboneConfig, BoxHeadConfig, MaskHeadConfig, ModelConfig, PyramidConfig, RPNConfig
from maskrcnn.errors import WeightsError
from maskrcnn.model.backbone import build_backbone
from maskrcnn.model.mask_rcnn import build
from maskrcnn.zoo import Entry, read_foreign, recognise
from maskrcnn.zoo.coco_names import IDS, NAMES
from maskrcnn.zoo.detectron2 import DETECTRON2
from maskrcnn.zoo.export import export
from maskrcnn.zoo.folds import Own
from maskrcnn.zoo.kinds import Found
from maskrcnn.zoo.reading import translate
from maskrcnn.zoo.shapes import shapes_of

Tensors = dict[str, Tensor]


def small(classes: int = 3) -> ModelConfig:
    return ModelConfig(
        classes=tuple(f"c{i}" for i in range(classes)),
        backbone=BackboneConfig(depth="resnet18"),
        pyramid=PyramidConfig(channels=8),
        rpn=RPNConfig(channels=0),
        box_head=BoxHeadConfig(channels=16),
        mask_head=MaskHeadConfig(channels=8, convs=1),
    )


@pytest.fixture(scope="module")
def torchvision() -> Tensors:
    torch.manual_seed(0)
    return export(build(small()), "torchvision").tensors


@pytest.fixture(scope="module")
def detectron2() -> Tensors:
    torch.manual_seed(0)
    return export(build(small()), "detectron2").tensors


def saved(tmp_path: Path, content: object, name: str = "w.pth") -> Path:
    torch.save(content, tmp_path / name)
    return tmp_path / name


# ---- recognition


def test_the_kind_is_told_by_the_names_not_by_the_file(torchvision: Tensors, tmp_path: Path) -> None:
    path = saved(tmp_path, torchvision, "holiday.jpg")
    found = recognise(path)
    assert (found.kind, found.complete) == ("torchvision", True)
    assert found.shapes["backbone.body.conv1.weight"] == (64, 3, 7, 7)
    assert list(found.shapes) == list(torchvision)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": state, "optimizer": {"state": {0: torch.ones(3)}}, "epoch": 7},
        lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
        lambda state: {"model_state_dict": state, "loss": 0.5},
    ],
    ids=["a training script's", "of several devices", "a tutorial's"],
)
def test_checkpoints_with_a_model_inside(wrap: Any, torchvision: Tensors, tmp_path: Path) -> None:
    content = wrap(torchvision)
    foreign = read_foreign(saved(tmp_path, content))
    plain = read_foreign(saved(tmp_path, torchvision))
    assert foreign.config == plain.config
    assert all(torch.equal(foreign.tensors[name], plain.tensors[name]) for name in plain.tensors)
    beside = [entry.name for entry in foreign.ledger if entry.outcome == "ignored"]
    assert beside == [name for name in content if name not in {"model", "state_dict", "model_state_dict"}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "got an empty one"),
        (b"hello there", "got one that starts with b'hello th'"),
        (pickle.dumps([1, 2]), "expected tensors by name, got list"),
        (pickle.dumps({"a": 1}), "got 0 tensors: none"),
    ],
)
def test_files_of_no_known_kind(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=reason):
        read_foreign(path)
    with pytest.raises(WeightsError, match=reason):
        recognise(path)


def test_other_models_are_refused_with_what_they_have(tmp_path: Path) -> None:
    path = saved(tmp_path, {f"encoder.{i}.weight": torch.ones(2) for i in range(12)})
    with pytest.raises(WeightsError, match=r"got 12 tensors: encoder\.0\.weight, .*encoder\.9\.weight, \.\.\.$"):
        read_foreign(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        read_foreign(tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match="a folder"):
        read_foreign(tmp_path)


# ---- the account


def test_every_tensor_has_a_line_in_the_order_of_the_file(torchvision: Tensors, tmp_path: Path) -> None:
    foreign = read_foreign(saved(tmp_path, torchvision))
    assert [entry.name for entry in foreign.ledger] == list(torchvision)
    assert {entry.outcome for entry in foreign.ledger} == {"used"}
    assert {entry.reason for entry in foreign.ledger} == set(foreign.tensors)


def test_a_left_over_tensor_is_named(torchvision: Tensors, tmp_path: Path) -> None:
    more = {**torchvision, **{f"roi_heads.keypoint_head.{i}.weight": torch.ones(1) for i in range(11)}}
    with pytest.raises(WeightsError) as refusal:
        read_foreign(saved(tmp_path, more))
    first = ", ".join(f"roi_heads.keypoint_head.{i}.weight" for i in range(10))
    assert str(refusal.value).endswith(f"expected the tensors of torchvision, got 11 not known: {first}, ...")


def test_a_tensor_twice_is_named(torchvision: Tensors, tmp_path: Path) -> None:
    twice = {**torchvision, "rpn.head.conv.weight": torchvision["rpn.head.conv.0.0.weight"]}
    with pytest.raises(WeightsError, match=r"1 for a second time: rpn\.head\.conv\.weight"):
        read_foreign(saved(tmp_path, twice))


@pytest.mark.parametrize(
    ("foreign", "own"),
    [
        ("rpn.head.cls_logits.bias", "rpn.head.objectness.bias"),
        ("backbone.body.layer3.1.bn2.running_var", "backbone.res4.1.conv2.norm.running_var"),
        ("roi_heads.box_predictor.cls_score.weight", "box_head.logits.weight"),
        ("backbone.fpn.inner_blocks.0.0.weight", "pyramid.lateral.0.conv.weight"),
    ],
)
def test_a_missing_tensor_is_named(foreign: str, own: str, torchvision: Tensors, tmp_path: Path) -> None:
    less = {name: tensor for name, tensor in torchvision.items() if name != foreign}
    with pytest.raises(WeightsError, match=f"1 missing: {own}$"):
        read_foreign(saved(tmp_path, less))


def test_another_shape_is_named(torchvision: Tensors, tmp_path: Path) -> None:
    other = {**torchvision, "rpn.head.bbox_pred.bias": torch.zeros(16)}
    with pytest.raises(WeightsError, match=r"rpn\.head\.deltas\.bias \(expected \(12,\), got \(16,\)\)"):
        read_foreign(saved(tmp_path, other))


@pytest.mark.parametrize("shape", [(), (3,), (1, 1, 1, 1), (0, 8)])
def test_impossible_shapes_end_in_a_sentence(shape: tuple[int, ...], torchvision: Tensors) -> None:
    for name in [name for name in torchvision if ".layer" not in name and torchvision[name].shape != shape]:
        state = {**torchvision, name: torch.zeros(shape)}
        with pytest.raises(WeightsError, match=r"w\.pth: expected"):
            translate(Found(Path("w.pth"), state, tuple(state), {}, ()))


def test_anchors_that_the_file_does_not_tell(torchvision: Tensors, tmp_path: Path) -> None:
    other = {**torchvision, "rpn.head.cls_logits.weight": torch.zeros(5, 8, 1, 1)}
    with pytest.raises(WeightsError, match=r"expected 3 anchors a cell, .* got 5; the file does not say which"):
        read_foreign(saved(tmp_path, other))


def test_half_precision_becomes_single(torchvision: Tensors, tmp_path: Path) -> None:
    foreign = read_foreign(saved(tmp_path, {name: tensor.half() for name, tensor in torchvision.items()}))
    assert {tensor.dtype for tensor in foreign.tensors.values()} == {torch.float32}


# ---- classes


def test_names_of_classes(torchvision: Tensors, tmp_path: Path) -> None:
    path = saved(tmp_path, torchvision)
    assert read_foreign(path).config.classes == ("class 1", "class 2", "class 3")
    assert read_foreign(path, classes=["cat", "dog", "猫"]).config.classes == ("cat", "dog", "猫")
    with pytest.raises(WeightsError, match="expected names of 3 classes, got 2: cat, dog"):
        read_foreign(path, classes=["cat", "dog"])
    with pytest.raises(WeightsError, match="cat twice"):
        read_foreign(path, classes=["cat", "dog", "cat"])


def test_a_model_of_as_many_classes_as_coco_has_their_names(tmp_path: Path) -> None:
    path = saved(tmp_path, export(build(small(80)), "detectron2").tensors)
    assert read_foreign(path).config.classes == NAMES
    assert (NAMES[0], NAMES[-1], len(set(NAMES)), IDS[-1]) == ("person", "toothbrush", 80, 90)


def test_a_model_of_cocos_ids_has_a_name_for_each(tmp_path: Path) -> None:
    names = read_foreign(saved(tmp_path, export(build(small(90)), "torchvision").tensors)).config.classes
    assert [names[i - 1] for i in IDS] == list(NAMES)
    assert [name for name in names if name not in NAMES] == [
        f"unused {i}" for i in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
    ]


# ---- torchvision


def old_names(state: Tensors) -> Tensors:
    """Spell names as torchvision did before 0.13."""
    swaps = [("_blocks.{}.0.", "_blocks.{}."), ("mask_head.{}.0.", "mask_head.mask_fcn{}."), ("conv.{}.0.", "conv.")]
    out = {}
    for name, tensor in state.items():
        for new, old in swaps:
            for i in range(4):
                name = name.replace(new.format(i), old.format(i + 1 if "mask_fcn" in old else i))
        out[name] = tensor
    return out


def test_files_of_older_versions(torchvision: Tensors, tmp_path: Path) -> None:
    older = old_names(torchvision)
    assert "rpn.head.conv.weight" in older
    assert "roi_heads.mask_head.mask_fcn1.weight" in older
    a, b = read_foreign(saved(tmp_path, older, "a.pth")), read_foreign(saved(tmp_path, torchvision))
    assert all(torch.equal(a.tensors[name], b.tensors[name]) for name in b.tensors)


def test_only_the_published_file_has_an_epsilon_of_zero(
    torchvision: Tensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    path = saved(tmp_path, old_names(torchvision))
    usual = read_foreign(path).tensors
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr("maskrcnn.zoo.torchvision._FIRST_WEIGHTS", digest[:8])
    other = read_foreign(path).tensors
    norm = "backbone.res3.0.conv1.norm."
    scale = usual[norm + "weight"] / usual[norm + "running_var"].sqrt()
    assert not torch.allclose(other[norm + "running_var"], usual[norm + "running_var"], rtol=1e-6)
    ours = other[norm + "weight"] * torch.rsqrt(other[norm + "running_var"] + 1e-5)
    assert torch.allclose(ours, scale, rtol=1e-6)


def test_settings_of_torchvision(torchvision: Tensors, tmp_path: Path) -> None:
    config = read_foreign(saved(tmp_path, torchvision)).config
    assert (config.backbone.depth, config.backbone.stride_in) == ("resnet18", "3x3")
    assert (config.input.sampling, config.anchors.rounding, config.mask_head.paste) == ("plain", "whole", "padded")
    assert (config.regions.level, config.regions.sampler) == ("floor_after", "unaligned")
    assert (config.rpn.beta, config.box_head.beta, config.detect.min_side) == (1 / 9, 1 / 9, 1e-2)


# ---- Detectron2


def test_settings_of_detectron2(detectron2: Tensors, tmp_path: Path) -> None:
    config = read_foreign(saved(tmp_path, {"model": detectron2})).config
    assert (config.input.mean, config.input.std) == ((123.675, 116.28, 103.53), (1.0, 1.0, 1.0))
    assert (config.box_head.sampling_ratio, config.mask_head.sampling_ratio) == (0, 0)
    assert (config.backbone.stride_in, config.regions.sampler) == ("1x1", "average")


def test_pixels_and_anchors_that_a_file_of_detectron2_says(detectron2: Tensors, tmp_path: Path) -> None:
    said = dict(detectron2)
    said["pixel_mean"] = torch.tensor([10.0, 20.0, 30.5]).view(3, 1, 1)
    said["pixel_std"] = torch.tensor([1.0, 2.0, 57.375]).view(3, 1, 1)
    for i in range(5):
        size = 24.0 * 2**i
        w, h = size * torch.tensor([2.0, 1, 0.5]).sqrt(), size * torch.tensor([0.5, 1, 2.0]).sqrt()
        cell = torch.stack([-w, -h, w, h], dim=1) / 2
        said[f"proposal_generator.anchor_generator.cell_anchors.{i}"] = cell
    foreign = read_foreign(saved(tmp_path, said))
    assert foreign.config.input.mean == (30.5, 20.0, 10.0)  # it has BGR
    assert foreign.config.input.std == (57.375, 2.0, 1.0)
    assert foreign.config.anchors.sizes == ((24,), (48,), (96,), (192,), (384,))
    assert foreign.config.anchors.ratios == (0.5, 1, 2)
    assert Entry("pixel_mean", "used", "settings.input.mean") in foreign.ledger


def test_recipes_of_detectron2_that_read_rgb(detectron2: Tensors, tmp_path: Path) -> None:
    said = {**detectron2, "pixel_mean": torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)}
    foreign = read_foreign(saved(tmp_path, said))
    stem = "backbone.stem.conv1.conv.weight"
    assert torch.equal(foreign.tensors[stem], detectron2["backbone.bottom_up.stem.conv1.weight"])
    assert foreign.config.input.mean == (123.675, 116.28, 103.53)
    assert foreign.config.backbone.stride_in == "3x3"
    bgr = read_foreign(saved(tmp_path, detectron2))
    assert torch.equal(bgr.tensors[stem], foreign.tensors[stem].flip(1))


def test_grouped_networks_of_detectron2_have_their_own_std_and_stride(tmp_path: Path) -> None:
    config = small().change(backbone=BackboneConfig(depth="resnext101_32x8d"))
    own = {name: torch.zeros(1).expand(shape) for name, shape in shapes_of(config, complete=True).items()}
    model = Own(Path("x"), (), {})
    model.tensors.update(own)
    said = DETECTRON2.refine(model)
    assert said["input"]["std"] == (58.395, 57.12, 57.375)
    assert said["backbone"]["stride_in"] == "3x3"


# ---- MMDetection


def mmdetection(state: Tensors) -> Tensors:
    """Spell a state dict of Detectron2 as MMDetection does; its last class is the background, too."""
    import re

    rules = [
        (r"backbone\.bottom_up\.stem\.conv1\.weight", "backbone.conv1.weight"),
        (r"backbone\.bottom_up\.stem\.conv1\.norm\.", "backbone.bn1."),
        (r"backbone\.bottom_up\.(res\d)\.(\d+)\.shortcut\.weight", r"backbone.\1.\2.downsample.0.weight"),
        (r"backbone\.bottom_up\.(res\d)\.(\d+)\.shortcut\.norm\.", r"backbone.\1.\2.downsample.1."),
        (r"backbone\.bottom_up\.(res\d)\.(\d+)\.conv(\d)\.norm\.", r"backbone.\1.\2.bn\3."),
        (r"backbone\.bottom_up\.", "backbone."),
        (r"^backbone\.res(\d)", lambda match: f"backbone.layer{int(match[1]) - 1}"),
        (r"backbone\.fpn_lateral(\d)\.", lambda match: f"neck.lateral_convs.{int(match[1]) - 2}.conv."),
        (r"backbone\.fpn_output(\d)\.", lambda match: f"neck.fpn_convs.{int(match[1]) - 2}.conv."),
        (r"proposal_generator\.rpn_head\.conv\.", "rpn_head.rpn_conv."),
        (r"proposal_generator\.rpn_head\.objectness_logits\.", "rpn_head.rpn_cls."),
        (r"proposal_generator\.rpn_head\.anchor_deltas\.", "rpn_head.rpn_reg."),
        (r"roi_heads\.box_head\.fc(\d)\.", lambda match: f"roi_head.bbox_head.shared_fcs.{int(match[1]) - 1}."),
        (r"roi_heads\.box_predictor\.cls_score\.", "roi_head.bbox_head.fc_cls."),
        (r"roi_heads\.box_predictor\.bbox_pred\.", "roi_head.bbox_head.fc_reg."),
        (r"roi_heads\.mask_head\.mask_fcn(\d)\.", lambda match: f"roi_head.mask_head.convs.{int(match[1]) - 1}.conv."),
        (r"roi_heads\.mask_head\.deconv\.", "roi_head.mask_head.upsample."),
        (r"roi_heads\.mask_head\.predictor\.", "roi_head.mask_head.conv_logits."),
    ]
    out = {}
    for name, tensor in state.items():
        for pattern, other in rules:
            name = re.sub(pattern, other, name)  # type: ignore[arg-type]
        out[name] = tensor
    return out


CAFFE = "model = dict(backbone=dict(style='caffe'))\nimg_norm_cfg = dict(mean=[103.530, 116.280, 123.675], "
CAFFE += "std=[1.0, 1.0, 1.0], to_rgb=False)"


def test_mmdetection_gives_the_tensors_of_detectron2(detectron2: Tensors, tmp_path: Path) -> None:
    state = mmdetection(detectron2)
    state["backbone.bn1.num_batches_tracked"] = torch.tensor(5)
    meta = {"cfg": CAFFE, "dataset_meta": {"CLASSES": ("a", "b", "c")}, "seed": 1}
    foreign = read_foreign(saved(tmp_path, {"meta": meta, "state_dict": state}))
    same = read_foreign(saved(tmp_path, detectron2))
    assert foreign.kind == "mmdetection"
    assert foreign.tensors.keys() == same.tensors.keys()
    assert all(torch.equal(foreign.tensors[name], same.tensors[name]) for name in same.tensors)
    assert foreign.config.classes == ("a", "b", "c")
    assert (foreign.config.input.mean, foreign.config.input.std) == ((123.675, 116.28, 103.53), (1, 1, 1))
    assert foreign.config.backbone.stride_in == "1x1"
    assert [entry.name for entry in foreign.ledger if entry.outcome == "ignored"] == [
        "backbone.bn1.num_batches_tracked",
        "meta",
    ]


def test_mmdetection_without_a_recipe_reads_rgb(detectron2: Tensors, tmp_path: Path) -> None:
    foreign = read_foreign(saved(tmp_path, {"state_dict": mmdetection(detectron2), "meta": {}}))
    assert foreign.config.input.std == (58.395, 57.12, 57.375)
    assert foreign.config.backbone.stride_in == "3x3"
    stem = detectron2["backbone.bottom_up.stem.conv1.weight"]
    assert torch.equal(foreign.tensors["backbone.stem.conv1.conv.weight"], stem)


# ---- backbones of ImageNet


@pytest.fixture(scope="module")
def own_backbone() -> Tensors:
    torch.manual_seed(1)
    state = build_backbone(BackboneConfig(depth="resnet18", norm="frozen"), 3).state_dict()
    return {f"backbone.{name}": torch.rand_like(tensor) for name, tensor in state.items()}


def test_a_classifier_of_torchvision(own_backbone: Tensors, tmp_path: Path) -> None:
    model = build(small())
    model.load_state_dict(own_backbone, strict=False)
    state = export(model, "torchvision").tensors
    names = [name for name in state if name.startswith("backbone.body.")]
    content = {name.removeprefix("backbone.body."): state[name] for name in names}
    content |= {
        "fc.weight": torch.ones(1000, 512),
        "fc.bias": torch.ones(1000),
        "bn1.num_batches_tracked": torch.ones(()),
    }
    foreign = read_foreign(saved(tmp_path, content))
    assert (foreign.kind, foreign.complete) == ("torchvision backbone", False)
    assert foreign.tensors.keys() == own_backbone.keys()
    assert all(torch.equal(foreign.tensors[name], own_backbone[name]) for name in own_backbone)
    assert foreign.config.backbone == BackboneConfig(depth="resnet18", norm="frozen", stride_in="3x3")
    reasons = {entry.name: entry.reason for entry in foreign.ledger if entry.outcome == "ignored"}
    assert reasons == {
        "fc.weight": "the classifier of ImageNet",
        "fc.bias": "the classifier of ImageNet",
        "bn1.num_batches_tracked": "counts the steps of a training; frozen norms have none",
    }


def test_a_classifier_converted_for_detectron2(own_backbone: Tensors, tmp_path: Path) -> None:
    content = {}
    for name, tensor in own_backbone.items():
        content[name.removeprefix("backbone.").replace(".conv.weight", ".weight")] = tensor.numpy()
    path = tmp_path / "R-18.pkl"
    path.write_bytes(pickle.dumps({"model": content, "__author__": "third party", "matching_heuristics": True}))
    foreign = read_foreign(path)
    assert foreign.kind == "detectron2 backbone"
    assert all(torch.equal(foreign.tensors[name], own_backbone[name]) for name in own_backbone)


def detectron(own_backbone: Tensors) -> dict[str, Any]:
    """Spell a backbone as Caffe 2 does: norms only scale and shift, the stem reads BGR."""
    branches = {"conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c", "shortcut": "branch1"}
    out = {}
    for name, tensor in own_backbone.items():
        _, stage, *middle, _, leaf = name.split(".")
        if leaf.startswith("running"):
            continue
        start = "conv1" if stage == "stem" else f"{stage}_{middle[0]}_{branches[middle[1]]}"
        if ".norm." in name:
            start = f"{'res_' if stage == 'stem' else ''}{start}_bn"
        letter = {"weight": "s" if ".norm." in name else "w", "bias": "b"}[leaf]
        out[f"{start}_{letter}"] = (tensor.flip(1) if name.endswith("stem.conv1.conv.weight") else tensor).numpy()
    return out


@pytest.mark.parametrize("wrap", [lambda blobs: {"blobs": blobs, "cfg": "MODEL: {}"}, lambda blobs: blobs])
def test_a_classifier_of_detectron(wrap: Any, own_backbone: Tensors, tmp_path: Path) -> None:
    blobs = detectron(own_backbone)
    blobs |= {"conv1_w_momentum": blobs["conv1_w"], "pred_w": blobs["conv1_w"], "conv1_b": blobs["res_conv1_bn_b"]}
    path = tmp_path / "R-18.pkl"
    path.write_bytes(pickle.dumps(wrap(blobs), protocol=2))
    foreign = read_foreign(path)
    assert (foreign.kind, foreign.complete) == ("detectron backbone", False)
    for name, tensor in foreign.tensors.items():
        if name.endswith("running_mean"):
            assert (tensor == 0).all()
        elif name.endswith("running_var"):
            assert torch.allclose(tensor + 1e-5, torch.ones(()))
        else:
            assert torch.equal(tensor, own_backbone[name]), name
    assert foreign.config.input.mean == (122.7717, 115.9465, 102.9801)
    assert foreign.config.backbone.stride_in == "1x1"
    ignored = {entry.name for entry in foreign.ledger if entry.outcome == "ignored"}
    assert ignored >= {"conv1_w_momentum", "pred_w", "conv1_b"}

"""The golden weights of other projects through their real file formats."""

from __future__ import annotations

import importlib.util
import pickle
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from goldens import Golden, read_golden
from torch import Tensor

from maskrcnn.config import BackboneConfig
from maskrcnn.model.weights import build_filled
from maskrcnn.zoo import Foreign, read_foreign
from maskrcnn.zoo.export import export
from maskrcnn.zoo.reading import recognise

Arrays = dict[str, np.ndarray]


def as_tensors(weights: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in weights.items()}


# ---- torchvision


@pytest.mark.parametrize("name", ["torchvision_v1", "torchvision_v2"])
def test_torchvision_there_and_back(name: str, golden_folder: Path, tmp_path: Path) -> None:
    golden = read_golden(golden_folder, f"{name}.npz")
    torch.save(as_tensors(golden.weights), tmp_path / "w.pth")
    foreign = read_foreign(tmp_path / "w.pth")
    second = name.endswith("2")
    assert foreign.config.backbone == BackboneConfig(norm="batch" if second else "frozen")
    assert foreign.config.rpn.depth == (2 if second else 1)
    assert foreign.config.box_head.kind == ("4conv1fc" if second else "2fc")
    assert len(foreign.config.classes) == 5
    assert {entry.outcome for entry in foreign.ledger} == {"used"}
    model = build_filled(foreign.config, foreign.tensors, name)
    exported = export(model, "torchvision")
    counts = {name for name in exported.tensors if name.endswith("num_batches_tracked")}
    assert exported.tensors.keys() - counts == golden.weights.keys()
    for tensor, array in golden.weights.items():
        back = exported.tensors[tensor].numpy()
        assert back.shape == array.shape
        background = 4 if "bbox_pred" in tensor and "rpn" not in tensor else 1 if "mask_fcn_logits" in tensor else 0
        assert np.array_equal(back[background:], array[background:]), tensor
        assert not back[:background].any()


# ---- Detectron2, and files of other projects that say the same


@pytest.fixture(scope="module")
def detectron2(golden_folder: Path) -> Golden:
    return read_golden(golden_folder, "detectron2_r50.npz")


@pytest.fixture(scope="module")
def from_detectron2(detectron2: Golden, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    folder = tmp_path_factory.mktemp("detectron2")
    content = {"model": detectron2.weights, "__author__": "the test", "matching_heuristics": False}
    (folder / "w.pkl").write_bytes(pickle.dumps(content))
    yield read_foreign(folder / "w.pkl")
    shutil.rmtree(folder)


def test_detectron2_there_and_back(detectron2: Golden, from_detectron2: Foreign) -> None:
    model = build_filled(from_detectron2.config, from_detectron2.tensors, "golden")
    exported = export(model, "detectron2")
    assert exported.tensors.keys() == detectron2.weights.keys()
    assert all(np.array_equal(exported.tensors[name].numpy(), array) for name, array in detectron2.weights.items())
    assert exported.notes == ("MODEL.ROI_HEADS.NUM_CLASSES is 5",)


def test_a_checkpoint_of_detectron2_is_the_same(detectron2: Golden, from_detectron2: Foreign, tmp_path: Path) -> None:
    torch.save({"model": as_tensors(detectron2.weights), "iteration": 90000, "scheduler": {}}, tmp_path / "w.pth")
    assert_same(read_foreign(tmp_path / "w.pth"), from_detectron2)


def assert_same(one: Foreign, other: Foreign) -> None:
    assert one.tensors.keys() == other.tensors.keys()
    assert [name for name in other.tensors if not torch.equal(one.tensors[name], other.tensors[name])] == []


def detectron_names(weights: Arrays) -> Arrays:
    """Spell Detectron2's names and layouts as Caffe 2 has them, with norms that only scale and shift."""
    branches = {"conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c", "shortcut": "branch1"}
    depth = {"2": "2", "3": "3", "4": "5", "5": "2"}  # last block of each stage
    rules: list[tuple[str, Any]] = [
        (r"backbone\.bottom_up\.stem\.conv1\.norm", "res_conv1_bn"),
        (r"backbone\.bottom_up\.stem\.conv1", "conv1"),
        (r"backbone\.bottom_up\.(res\d)\.(\d+)\.(\w+)\.norm", lambda m: f"{m[1]}_{m[2]}_{branches[m[3]]}_bn"),
        (r"backbone\.bottom_up\.(res\d)\.(\d+)\.(\w+)\.", lambda m: f"{m[1]}_{m[2]}_{branches[m[3]]}."),
        (r"backbone\.fpn_lateral5", "fpn_inner_res5_2_sum"),
        (r"backbone\.fpn_lateral(\d)", lambda m: f"fpn_inner_res{m[1]}_{depth[m[1]]}_sum_lateral"),
        (r"backbone\.fpn_output(\d)", lambda m: f"fpn_res{m[1]}_{depth[m[1]]}_sum"),
        (r"proposal_generator\.rpn_head\.conv", "conv_rpn_fpn2"),
        (r"proposal_generator\.rpn_head\.objectness_logits", "rpn_cls_logits_fpn2"),
        (r"proposal_generator\.rpn_head\.anchor_deltas", "rpn_bbox_pred_fpn2"),
        (r"roi_heads\.box_head\.fc(\d)", lambda m: f"fc{int(m[1]) + 5}"),
        (r"roi_heads\.box_predictor\.", ""),
        (r"roi_heads\.mask_head\.mask_fcn(\d)", r"_[mask]_fcn\1"),
        (r"roi_heads\.mask_head\.deconv", "conv5_mask"),
        (r"roi_heads\.mask_head\.predictor", "mask_fcn_logits"),
        (r"_bn\.weight$", "_bn_s"),
        (r"\.weight$", "_w"),
        (r"[._]bias$", "_b"),
    ]
    out = {}
    for name, array in weights.items():
        if name.endswith(("running_mean", "running_var")):
            continue
        for pattern, other in rules:
            name = re.sub(pattern, other, name)
        if name.startswith("cls_score"):
            array = np.roll(array, 1, axis=0)
        if name.startswith(("bbox_pred", "mask_fcn_logits")):
            rows = 4 if name.startswith("bbox") else 1
            array = np.concatenate([np.full_like(array[:rows], 9), array])
        out[name] = array
    return out


def test_detectron_is_detectron2_where_norms_only_scale_and_shift(
    detectron2: Golden, from_detectron2: Foreign, tmp_path: Path
) -> None:
    blobs = detectron_names(detectron2.weights)
    assert {"conv1_w", "res_conv1_bn_s", "res2_0_branch2a_bn_b", "fpn_inner_res4_5_sum_lateral_w"} < blobs.keys()
    blobs["conv1_w_momentum"] = blobs["conv1_w"]
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"blobs": blobs, "cfg": "MODEL: {}"}, protocol=2))
    foreign = read_foreign(tmp_path / "w.pkl")
    assert foreign.kind == "detectron"
    assert len(foreign.config.classes) == 5
    assert foreign.tensors.keys() == from_detectron2.tensors.keys()
    for name, tensor in foreign.tensors.items():
        if name.endswith("running_mean"):
            assert not tensor.any()
        elif name.endswith("running_var"):
            assert torch.equal(tensor, torch.ones_like(tensor) - 1e-5)
        else:
            assert torch.equal(tensor, from_detectron2.tensors[name]), name
    assert [entry.name for entry in foreign.ledger if entry.outcome == "ignored"] == ["conv1_w_momentum", "cfg"]


# ---- Matterport


@pytest.fixture(scope="module")
def matterport(golden_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    pytest.importorskip("h5py")
    description = importlib.util.spec_from_file_location("make_weights", golden_folder / "matterport/make_weights.py")
    assert description is not None
    assert description.loader is not None
    make = importlib.util.module_from_spec(description)
    description.loader.exec_module(make)
    folder = tmp_path_factory.mktemp("matterport")
    make.main(str(folder / "w.h5"))
    yield folder / "w.h5"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def from_matterport(matterport: Path) -> Foreign:
    return read_foreign(matterport)


def test_matterport_is_recognised_and_used_up(matterport: Path, from_matterport: Foreign) -> None:
    found = recognise(matterport)
    assert (found.kind, found.complete) == ("matterport", True)
    assert found.shapes["mrcnn_bbox_fc/mrcnn_bbox_fc/kernel:0"] == (1024, 16)
    assert {entry.outcome for entry in from_matterport.ledger} == {"used"}
    assert sum(np.prod(shape) for shape in found.shapes.values()) == 44_673_706
    reasons = {entry.name: entry.reason for entry in from_matterport.ledger}
    assert reasons["mrcnn_class_bn1/mrcnn_class_bn1/gamma:0"] == "box_head.body.fc1.weight, box_head.body.fc1.bias"
    assert reasons["conv1/conv1/bias:0"] == "backbone.stem.conv1.norm.running_mean"


def test_settings_of_matterport(from_matterport: Foreign) -> None:
    config = from_matterport.config
    assert config.classes == ("class 1", "class 2", "class 3")
    assert (config.backbone.depth, config.backbone.stride_in, config.backbone.norm) == ("resnet50", "1x1", "frozen")
    assert (config.rpn.channels, config.rpn.pre_nms, config.rpn.ranking) == (512, 6000, "all")
    assert (config.detect.choice, config.detect.score_threshold, config.delta_clamp) == ("best", 0.7, None)
    assert config.input.mean == (123.7, 116.8, 103.9)


def test_matterports_outputs_by_its_own_formulas(matterport: Path, from_matterport: Foreign) -> None:
    import h5py

    rng = np.random.default_rng(0)
    pooled = rng.standard_normal((3, 7, 7, 256))
    x = rng.standard_normal((2, 512))
    with h5py.File(matterport) as file:

        def read(layer: str, leaf: str, group: str = "") -> np.ndarray:
            return file[f"{group or layer}/{layer}/{leaf}:0"][()].astype(np.float64)

        def normalised(values: np.ndarray, layer: str) -> np.ndarray:
            scale = read(layer, "gamma") / np.sqrt(read(layer, "moving_variance") + 1e-3)
            return (values - read(layer, "moving_mean")) * scale + read(layer, "beta")

        hidden = np.tensordot(pooled, read("mrcnn_class_conv1", "kernel"), 3) + read("mrcnn_class_conv1", "bias")
        hidden = np.maximum(normalised(hidden, "mrcnn_class_bn1"), 0)
        hidden = hidden @ read("mrcnn_class_conv2", "kernel")[0, 0] + read("mrcnn_class_conv2", "bias")
        hidden = np.maximum(normalised(hidden, "mrcnn_class_bn2"), 0)
        logits = hidden @ read("mrcnn_class_logits", "kernel") + read("mrcnn_class_logits", "bias")
        deltas = (hidden @ read("mrcnn_bbox_fc", "kernel") + read("mrcnn_bbox_fc", "bias")).reshape(3, 4, 4)
        two = x @ read("rpn_class_raw", "kernel", "rpn_model")[0, 0] + read("rpn_class_raw", "bias", "rpn_model")
        raw = x @ read("rpn_bbox_pred", "kernel", "rpn_model")[0, 0] + read("rpn_bbox_pred", "bias", "rpn_model")
    model = build_filled(from_matterport.config, from_matterport.tensors, "golden")
    with torch.no_grad():
        scores = model.box_head(torch.from_numpy(pooled).float().permute(0, 3, 1, 2))
        objectness = model.rpn.head.objectness(torch.from_numpy(x).float()[..., None, None])[..., 0, 0]
        proposals = model.rpn.head.deltas(torch.from_numpy(x).float()[..., None, None])[..., 0, 0]
    assert np.allclose(scores.logits.numpy(), logits[:, [1, 2, 3, 0]], atol=1e-5)
    assert np.allclose(scores.deltas.numpy(), deltas[:, 1:][..., [1, 0, 3, 2]], atol=1e-5)
    two = two.reshape(2, 3, 2)
    foreground = np.exp(two[..., 1]) / np.exp(two).sum(-1)
    assert np.allclose(objectness.sigmoid().numpy(), foreground[:, ::-1], atol=1e-5)  # from w/h to h/w
    raw = raw.reshape(2, 3, 4)[:, ::-1] * (0.1, 0.1, 0.2, 0.2)
    assert np.allclose(proposals.view(2, 3, 4).numpy(), raw[..., [1, 0, 3, 2]], atol=1e-5)


def saved_as_a_model(file: Any) -> None:
    names = list(file)
    weights = file.create_group("model_weights")
    for name in names:
        file.move(name, f"model_weights/{name}")
    for name in list(file.attrs):
        weights.attrs[name] = file.attrs.pop(name)
    file["optimizer_weights/SGD/iterations:0"] = np.int64(7)


def of_a_tensorflow_2_port(file: Any) -> None:
    file.create_group("top_level_model_weights").attrs["weight_names"] = np.array([], "S1")
    file["anchors/Variable:0"] = np.zeros((2, 100, 4), np.float32)
    file.attrs["keras_version"] = "2.4.0"


def with_uniquifiers(file: Any) -> None:
    for layer in ("conv1", "bn_conv1", "mrcnn_class_logits", "mrcnn_mask_deconv", "res4f_branch2b"):
        file.move(f"{layer}/{layer}", f"{layer}/{layer}_1")
    for layer in ("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred"):
        file.move(f"rpn_model/{layer}", f"rpn_model/{layer}_2")


def with_another_order_in_the_rpn(file: Any) -> None:
    names = file["rpn_model"].attrs["weight_names"]
    file["rpn_model"].attrs["weight_names"] = np.roll(names, 2)
    for layer in ("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred"):  # written anew, the first one last
        file.move(f"rpn_model/{layer}", f"rpn_model/{layer}x")
        file.move(f"rpn_model/{layer}x", f"rpn_model/{layer}")


def with_texts_for_bytes(file: Any) -> None:
    file.attrs["layer_names"] = [name.decode() for name in file.attrs["layer_names"]]
    for group in file.values():
        group.attrs["weight_names"] = [name.decode() for name in group.attrs["weight_names"]]


def without_attributes(file: Any) -> None:
    for group in (file, *file.values()):
        for name in list(group.attrs):
            del group.attrs[name]


def of_training(file: Any) -> None:
    for name in ("input_rpn_match", "input_gt_boxes", "rpn_class_loss", "proposal_targets", "output_rois"):
        file.create_group(name).attrs["weight_names"] = np.array([], "S1")


VARIANTS = [
    saved_as_a_model,
    of_a_tensorflow_2_port,
    with_uniquifiers,
    with_another_order_in_the_rpn,
    with_texts_for_bytes,
    without_attributes,
    of_training,
]


@pytest.fixture
def changed(matterport: Path, tmp_path: Path) -> Iterator[Callable[[Callable[[Any], None]], Path]]:
    """Give a way to a changed copy of the file."""
    import h5py

    def make(change: Callable[[Any], None]) -> Path:
        shutil.copyfile(matterport, tmp_path / "changed.h5")
        with h5py.File(tmp_path / "changed.h5", "r+") as file:
            change(file)
        return tmp_path / "changed.h5"

    yield make
    (tmp_path / "changed.h5").unlink(missing_ok=True)


@pytest.mark.parametrize("change", VARIANTS)
def test_every_variant_of_the_file_gives_the_same(
    change: Callable[[Any], None], changed: Callable[[Callable[[Any], None]], Path], from_matterport: Foreign
) -> None:
    foreign = read_foreign(changed(change))
    assert foreign.config == from_matterport.config
    assert_same(foreign, from_matterport)


def replace(file: Any, name: str, array: np.ndarray) -> None:
    del file[name]
    file[name] = array.astype(np.float32)


def test_any_number_of_classes_and_bands(
    changed: Callable[[Callable[[Any], None]], Path], from_matterport: Foreign
) -> None:
    def change(file: Any) -> None:
        for layer, width in (("mrcnn_class_logits", 8), ("mrcnn_bbox_fc", 32)):
            replace(file, f"{layer}/{layer}/kernel:0", np.ones((1024, width)))
            replace(file, f"{layer}/{layer}/bias:0", np.arange(width))
        replace(file, "mrcnn_mask/mrcnn_mask/kernel:0", np.ones((1, 1, 256, 8)))
        replace(file, "mrcnn_mask/mrcnn_mask/bias:0", np.arange(8))
        replace(file, "conv1/conv1/kernel:0", np.ones((7, 7, 5, 64)))

    foreign = read_foreign(changed(change))
    assert len(foreign.config.classes) == 7
    assert foreign.config.input.mean == (123.7, 116.8, 103.9, 0.0, 0.0)
    assert foreign.tensors["backbone.stem.conv1.conv.weight"].shape == (64, 5, 7, 7)
    assert foreign.tensors["box_head.logits.bias"].tolist() == [1, 2, 3, 4, 5, 6, 7, 0]
    assert foreign.tensors["mask_head.logits.bias"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert foreign.tensors["box_head.deltas.bias"][:4].tolist() == [5, 4, 7, 6]
    shared = "backbone.res5.2.conv3.conv.weight"
    assert torch.equal(foreign.tensors[shared], from_matterport.tensors[shared])


def test_a_resnet_101(changed: Callable[[Callable[[Any], None]], Path]) -> None:
    def change(file: Any) -> None:
        for letter in "ghijklmnopqrstuvw":
            for layer in ("res4{}_branch2a", "res4{}_branch2b", "res4{}_branch2c"):
                for name in (layer, layer.replace("res", "bn")):
                    group = file.create_group(name.format(letter))
                    file.copy(f"{name.format('f')}/{name.format('f')}", group, name.format(letter))

    foreign = read_foreign(changed(change))
    assert foreign.config.backbone.depth == "resnet101"
    name = "backbone.res4.{}.conv2.conv.weight"
    assert torch.equal(foreign.tensors[name.format(22)], foreign.tensors[name.format(5)])
    assert sum(t.numel() for n, t in foreign.tensors.items() if n.startswith("backbone")) > 42_000_000


# ---- classifiers of Keras


def only_the_classifier(file: Any) -> None:
    for name in list(file):
        if not re.match(r"conv1$|bn_conv1$|.*_branch", name):
            del file[name]
    file["fc1000/fc1000/kernel:0"] = np.ones((2048, 4), np.float32)
    file["fc1000/fc1000/bias:0"] = np.ones(4, np.float32)


OLD_LEAVES = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}


def of_the_first_keras(file: Any) -> None:
    only_the_classifier(file)
    for layer in list(file):
        for name in list(file[f"{layer}/{layer}"]):
            leaf = name.split(":")[0]
            file.move(f"{layer}/{layer}/{name}", f"{layer}/{layer}_{OLD_LEAVES.get(leaf, leaf)}:0")
        del file[f"{layer}/{layer}"]


def of_newer_keras(file: Any) -> None:
    """Spell layers as `keras.applications` has since its second version of ResNet."""
    only_the_classifier(file)
    branches = {"2a": "1", "2b": "2", "2c": "3", "1": "0"}
    for layer in list(file):
        match = re.fullmatch(r"(res|bn)(\d)([a-z])_branch(2a|2b|2c|1)", layer)
        part = {"res": "conv", "bn": "bn"}
        names = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn", "fc1000": "probs"}
        new = names.get(layer, "")
        if match:
            block = ord(match[3]) - ord("a") + 1
            new = f"conv{match[2]}_block{block}_{branches[match[4]]}_{part[match[1]]}"
        file.move(layer, new)
        file.move(f"{new}/{layer}", f"{new}/{new}")


@pytest.mark.parametrize(
    ("change", "eps"), [(only_the_classifier, 1e-3), (of_the_first_keras, 1e-3), (of_newer_keras, 1.001e-5)]
)
def test_classifiers_of_keras(
    change: Callable[[Any], None],
    eps: float,
    changed: Callable[[Callable[[Any], None]], Path],
    from_matterport: Foreign,
) -> None:
    foreign = read_foreign(changed(change))
    assert (foreign.kind, foreign.complete) == ("keras backbone", False)
    backbone = {name: tensor for name, tensor in from_matterport.tensors.items() if name.startswith("backbone.")}
    assert foreign.tensors.keys() == backbone.keys()
    for name, tensor in backbone.items():
        other = foreign.tensors[name]
        if name.endswith("stem.conv1.conv.weight"):
            assert torch.equal(other, tensor.flip(1))  # this one read BGR
        elif name.endswith("running_var"):
            assert torch.allclose(other - eps, tensor - 1e-3, atol=1e-6)
        else:
            assert torch.allclose(other, tensor, rtol=1e-6, atol=1e-7), name
    assert foreign.config.input.mean == (123.68, 116.779, 103.939)
    assert foreign.config.backbone == BackboneConfig(stride_in="1x1")
    assert {entry.reason for entry in foreign.ledger if entry.outcome == "ignored"} == {"the classifier of ImageNet"}


def test_no_module_of_another_project_is_needed() -> None:
    assert not {"torchvision", "detectron2", "tensorflow", "mmdet", "caffe2"} & set(sys.modules)

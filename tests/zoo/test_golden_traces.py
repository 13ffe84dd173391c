"""The trace holds the numbers of other projects' own stages, and what comes out of it is theirs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from goldens import read_golden
from stages import SCORES, assert_close, assert_same_instances, load_module, order_of, pad
from test_golden_matterport import given, make, pixels, shares, their_results

from maskrcnn.engines.eager import prepare as prepare_model
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.weights import build_filled
from maskrcnn.prediction.objects import to_instances
from maskrcnn.prediction.preparing import prepare
from maskrcnn.prediction.tracing import LEVELS, Walk, walk
from maskrcnn.zoo import read_foreign

PLACES = {"detectron2_r50": ("p2 p3 p4 p5 p6", 0), "torchvision_v1": ("0 1 2 3 pool", 1)}


class Traced(NamedTuple):
    """Two pictures traced one by one, beside what the other project's code gave for both."""

    golden: Any
    levels: str
    first_label: int
    model: MaskRCNN
    size_hw: torch.Tensor
    walks: list[Walk]

    def tensor(self, i: int, stage: str, name: str) -> np.ndarray:
        return next(each.tensors[name] for each in self.walks[i].stages if each.name == stage)


@pytest.fixture(scope="module", params=PLACES)
def traced(request: pytest.FixtureRequest, golden_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    name = request.param
    arrays, weights = read_golden(golden_folder, f"{name}.npz")
    levels, first_label = PLACES[name]
    file = tmp_path_factory.mktemp(name) / ("w.pth" if first_label else "w.pkl")
    if first_label:
        torch.save({key: torch.from_numpy(array) for key, array in weights.items()}, file)
    else:
        file.write_bytes(pickle.dumps({"model": weights, "__author__": "the test", "matching_heuristics": False}))
    foreign = read_foreign(file)
    file.unlink()
    config = foreign.config.change(input=foreign.config.input.change(min_size=256, max_size=384))
    model = prepare_model(build_filled(config, foreign.tensors, name), torch.device("cpu"))
    if first_label:
        image, seed = load_module(golden_folder / "fill.py").image, int(arrays["seed"])
        drawn = [image(*map(int, hw), seed * 10 + i) for i, hw in enumerate(arrays["image_hw"])]
        pictures = [prepare(each, config.input).pixels for each in drawn]
    else:
        pictures = [torch.from_numpy(arrays[f"resized_{i}"]).permute(2, 0, 1) for i in range(2)]
    images, size_hw = pad(pictures, (384, 352))
    walks = [walk(model, images[i : i + 1], size_hw[i : i + 1]) for i in range(2)]
    return Traced(arrays, levels, first_label, model, size_hw, walks)


def test_features_and_scores_of_anchors(traced: Traced) -> None:
    for i in range(2):
        for k, (name, theirs) in enumerate(zip(LEVELS, traced.levels.split(), strict=True)):
            level = torch.from_numpy(traced.tensor(i, "pyramid", name))
            expected = traced.golden[f"feat_{theirs}_sample"][i]
            assert_close(level[::32, ::7, ::9], expected, float(traced.golden[f"feat_{theirs}_std"]))
            logits = torch.from_numpy(traced.tensor(i, "rpn", f"logits {name}")).permute(2, 0, 1)
            assert_close(
                logits[:, ::5, ::5], traced.golden[f"rpn_logits_{k}"][i], traced.golden[f"rpn_logits_{k}"].std()
            )
            deltas = torch.from_numpy(traced.tensor(i, "rpn", f"deltas {name}")).flatten(2).permute(2, 0, 1)
            assert_close(
                deltas[:, ::5, ::5], traced.golden[f"rpn_deltas_{k}"][i], traced.golden[f"rpn_deltas_{k}"].std()
            )


def test_proposals_and_what_came_of_them(traced: Traced) -> None:
    for i, size_hw in enumerate(traced.golden["image_hw"].tolist()):
        boxes, logits = (traced.tensor(i, "proposals", name) for name in ("boxes", "logits"))
        order_of(boxes, 1 / (1 + np.exp(-logits)), traced.golden[f"proposals_{i}"])
        h, w = traced.size_hw[i].tolist()
        found = to_instances(traced.walks[i].detections, 0, (h, w), tuple(size_hw), traced.model.config)
        shape = traced.golden[f"mask_shape_{i}"]
        masks = np.unpackbits(traced.golden[f"mask_bits_{i}"])[: shape.prod()].reshape(shape).astype(np.bool_)
        labels = traced.golden[f"labels_{i}"] - traced.first_label
        assert_same_instances(found, traced.golden[f"boxes_{i}"], traced.golden[f"scores_{i}"], labels, masks)
        origins = traced.walks[i].origins
        scores = traced.tensor(i, "box head", "probabilities")[origins.proposal, found.labels]
        assert np.abs(scores - found.scores).max() < 1e-6


@pytest.fixture(scope="module")
def matterport(
    golden_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, MaskRCNN, Walk, torch.Tensor]:
    pytest.importorskip("h5py")
    path = tmp_path_factory.mktemp("matterport") / "w.h5"
    load_module(golden_folder / "matterport/make_weights.py").main(str(path))
    model = prepare_model(make(read_foreign(path), {}), torch.device("cpu"))
    path.unlink()
    golden = np.load(golden_folder / "matterport/detect.npz")
    images, size_hw = given(golden["molded_image"], golden["window"])
    return golden, model, walk(model, images, size_hw), images


def test_stages_of_matterport(matterport: tuple[Any, MaskRCNN, Walk, torch.Tensor], golden_folder: Path) -> None:
    golden, _, way, images = matterport
    stage = {each.name: each.tensors for each in way.stages}
    assert np.abs(stage["input"]["normalised"].transpose(1, 2, 0) - golden["molded_image"][0]).max() < 1e-4
    layers = np.load(golden_folder / "matterport/activations_small.npz")
    theirs = ["res2c_out", "res3d_out", "res4f_out", "res5c_out", *(f"fpn_p{i}" for i in range(2, 7))]
    for name, level in zip(theirs, [*stage["backbone"].values(), *stage["pyramid"].values()], strict=True):
        found = torch.from_numpy(level).permute(1, 2, 0).flatten()[torch.from_numpy(layers[f"{name}__ix"])]
        assert_close(found, layers[f"{name}__val"], float(layers[f"{name}__meanstd"][1]))
    anchors = torch.from_numpy(np.concatenate(list(stage["anchors"].values())))
    order = torch.arange(len(anchors)).view(-1, 3).flip(1).flatten()  # theirs go by width / height
    assert np.abs(shares(anchors[order], images) - golden["anchors_norm"]).max() < 1e-5
    logits = torch.from_numpy(np.concatenate([stage["rpn"][f"logits {name}"].reshape(-1) for name in LEVELS]))
    assert np.abs(logits[order].sigmoid().numpy() - golden["out_rpn_class"][0, :, 1]).max() <= SCORES


def test_proposals_heads_and_detections_of_matterport(matterport: tuple[Any, MaskRCNN, Walk, torch.Tensor]) -> None:
    golden, model, way, images = matterport
    stage = {each.name: each.tensors for each in way.stages}
    part = stage["proposals"]
    rank = order_of(part["boxes"], 1 / (1 + np.exp(-part["logits"])), pixels(golden["out_rpn_rois"][0], images))
    probabilities = np.roll(stage["box head"]["probabilities"][rank], 1, axis=1)
    assert np.abs(probabilities - golden["out_mrcnn_class"][0]).max() <= SCORES
    deltas = torch.from_numpy(stage["box head"]["deltas"][rank][..., [1, 0, 3, 2]])
    assert_close(deltas, golden["out_mrcnn_bbox"][0][:, 1:])
    there = golden["out_detections"][0, :, 4] > 0
    found = stage["masks"]
    scores = way.detections.scores[0, : there.sum()].numpy()
    order = order_of(found["boxes"], scores, pixels(golden["out_detections"][0, there, :4], images))
    expected = golden["out_mrcnn_mask"][0][
        np.arange(there.sum()), :, :, golden["out_detections"][0, there, 4].astype(int)
    ]
    assert np.abs(found["probabilities"][order] - expected).max() < 1e-3
    size_hw = tuple(golden["image"].shape[:2])
    window = golden["window"][0]
    instances = to_instances(way.detections, 0, (window[2] - window[0], window[3] - window[1]), size_hw, model.config)
    assert_same_instances(instances, *their_results(golden, ""))

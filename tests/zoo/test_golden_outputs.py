"""Outputs of torchvision and Detectron2, stage by stage, from files in their own formats."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from stages import (
    assert_close,
    assert_same_instances,
    assert_same_proposals,
    head_outputs,
    load_module,
    pad,
)
from torch import Tensor

from maskrcnn.engines.eager import prepare as prepare_model
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.weights import build_filled
from maskrcnn.prediction.objects import to_instances
from maskrcnn.prediction.preparing import prepare
from maskrcnn.zoo import read_foreign

GOLDEN = Path(__file__).parents[2] / "../shared/golden"


class Run(NamedTuple):
    """Another project's outputs beside our model, which has its weights, and what it makes of the same pictures."""

    golden: Any
    second_stage: slice
    levels: str
    model: MaskRCNN
    images: Tensor
    size_hw: Tensor
    features: list[Tensor]


def _weights(golden: Any, fill: Any) -> dict[str, np.ndarray]:
    weights = {}
    for name, (kind, shape, gain) in json.loads(bytes(golden["spec"]))["tensors"].items():
        numbers = fill.values(name, tuple(shape), kind, int(golden["seed"]))
        weights[name] = numbers if kind == "var" else numbers * np.float32(gain)
    return weights


def _written(folder: Path, name: str, weights: dict[str, np.ndarray]) -> Path:
    if name.startswith("torchvision"):
        torch.save({key: torch.from_numpy(array) for key, array in weights.items()}, folder / "w.pth")
        return folder / "w.pth"
    content = {"model": weights, "__author__": "the test", "matching_heuristics": False}
    (folder / "w.pkl").write_bytes(pickle.dumps(content))
    return folder / "w.pkl"


WAYS = {"as it is": lambda model: model, "prepared": lambda model: prepare_model(model, torch.device("cpu"))}


@pytest.fixture(
    scope="module",
    params=[(name, way) for name in ("torchvision_v1", "torchvision_v2", "detectron2_r50") for way in WAYS],
)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    if not GOLDEN.exists():
        pytest.skip("../shared/golden is not here")
    name, way = request.param
    fill, golden = load_module(GOLDEN / "fill.py"), np.load(GOLDEN / f"{name}.npz")
    file = _written(tmp_path_factory.mktemp(name), name, _weights(golden, fill))
    foreign = read_foreign(file)
    file.unlink()
    config = foreign.config.change(input=foreign.config.input.change(min_size=256, max_size=384))
    model = WAYS[way](build_filled(config, foreign.tensors, name))
    theirs = name.startswith("torchvision")
    if theirs:
        read = [fill.image(*map(int, hw), int(golden["seed"]) * 10 + i) for i, hw in enumerate(golden["image_hw"])]
        pictures = [prepare(each, config.input).pixels for each in read]
    else:
        pictures = [torch.from_numpy(golden[f"resized_{i}"]).permute(2, 0, 1) for i in range(2)]
    images, size_hw = pad(pictures, (384, 352))
    with torch.inference_mode():
        features = model.features(images, size_hw)
    levels = "0 1 2 3 pool" if theirs else "p2 p3 p4 p5 p6"
    return Run(golden, slice(int(theirs), None), levels, model, images, size_hw, features)


def test_pictures_are_resized_and_normalised_alike(run: Run) -> None:
    if "batch_sample" not in run.golden:
        pytest.skip("this file has the resized pictures")
    assert run.size_hw.tolist() == run.golden["image_sizes"].tolist()
    found = run.model.normalise(run.images, run.size_hw)[:, :, ::37, ::41]
    assert np.abs(found.numpy() - run.golden["batch_sample"]).max() < 1e-5


def test_features(run: Run) -> None:
    for name, level in zip(run.levels.split(), run.features, strict=True):
        assert tuple(level.shape) == tuple(run.golden[f"feat_{name}_shape"])
        assert_close(level[:, ::32, ::7, ::9], run.golden[f"feat_{name}_sample"], float(run.golden[f"feat_{name}_std"]))


def test_scores_of_anchors(run: Run) -> None:
    with torch.inference_mode():
        scores = run.model.rpn(run.features)
    for i, (logits, deltas, level) in enumerate(zip(*scores, run.features, strict=True)):
        shape = (len(level), *level.shape[2:], -1)
        assert_close(logits.view(shape).permute(0, 3, 1, 2)[:, :, ::5, ::5], run.golden[f"rpn_logits_{i}"])
        planes = deltas.reshape(shape).permute(0, 3, 1, 2)
        assert_close(planes[:, :, ::5, ::5], run.golden[f"rpn_deltas_{i}"])


def test_proposals(run: Run) -> None:
    with torch.inference_mode():
        proposals = run.model.propose(run.features, run.size_hw)
    assert_same_proposals(proposals, [run.golden[f"proposals_{i}"] for i in range(2)])


def test_the_second_stage_on_their_proposals(run: Run) -> None:
    with torch.inference_mode():
        regions = [run.golden[f"proposals_{i}"] for i in range(2)]
        pooled, logits, deltas = head_outputs(run.model, run.features, regions)
    assert_close(pooled[::50, ::32], run.golden["pool_sample"])
    expected = run.golden["class_logits"]  # background comes first or last there, last here
    assert_close(logits[::10], np.roll(expected, -1, axis=1) if run.second_stage.start else expected)
    expected = run.golden["box_deltas"].reshape(len(expected), -1, 4)[:, run.second_stage]
    assert_close(deltas[::10], expected)


def test_results_in_the_pictures(run: Run) -> None:
    with torch.inference_mode():
        found = run.model(run.images, run.size_hw)
    for i, size_hw in enumerate(run.golden["image_hw"].tolist()):
        h, w = run.size_hw[i].tolist()
        instances = to_instances(found, i, (h, w), tuple(size_hw), run.model.config)
        shape = run.golden[f"mask_shape_{i}"]
        masks = np.unpackbits(run.golden[f"mask_bits_{i}"])[: shape.prod()].reshape(shape).astype(np.bool_)
        labels = run.golden[f"labels_{i}"] - run.second_stage.start
        assert_same_instances(instances, run.golden[f"boxes_{i}"], run.golden[f"scores_{i}"], labels, masks)

"""Outputs of other projects through an exported ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stages import SCORES, assert_same_instances, load_module, pad
from test_golden_matterport import make, their_results
from test_golden_outputs import GOLDEN, _weights, _written

from maskrcnn.engines.choice import open_exported
from maskrcnn.engines.graphs.metadata import About
from maskrcnn.engines.graphs.onnx_file import write_onnx
from maskrcnn.model.weights import build_filled
from maskrcnn.prediction import Predictor
from maskrcnn.prediction.objects import to_instances
from maskrcnn.prediction.preparing import prepare
from maskrcnn.zoo import read_foreign

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.mark.parametrize("name", ["torchvision_v1", "detectron2_r50"])
def test_results_in_the_pictures(name: str, tmp_path: Path) -> None:
    if not GOLDEN.exists():
        pytest.skip("../shared/golden is not here")
    fill, golden = load_module(GOLDEN / "fill.py"), np.load(GOLDEN / f"{name}.npz")
    foreign = read_foreign(_written(tmp_path, name, _weights(golden, fill)))
    config = foreign.config.change(input=foreign.config.input.change(min_size=256, max_size=384))
    model = build_filled(config, foreign.tensors, name)
    write_onnx(model, About(config), tmp_path / "model.onnx")
    engine = open_exported(tmp_path / "model.onnx", torch.device("cpu"))
    assert engine is not None
    background_first = name.startswith("torchvision")
    if background_first:
        read = [fill.image(*map(int, hw), int(golden["seed"]) * 10 + i) for i, hw in enumerate(golden["image_hw"])]
        pictures = [prepare(each, config.input).pixels for each in read]
    else:
        pictures = [torch.from_numpy(golden[f"resized_{i}"]).permute(2, 0, 1) for i in range(2)]
    images, size_hw = pad(pictures, (384, 352))
    found = engine(images, size_hw)
    for i, whole_hw in enumerate(golden["image_hw"].tolist()):
        instances = to_instances(found, i, tuple(size_hw[i].tolist()), tuple(whole_hw), config)
        shape = golden[f"mask_shape_{i}"]
        masks = np.unpackbits(golden[f"mask_bits_{i}"])[: shape.prod()].reshape(shape).astype(np.bool_)
        labels = golden[f"labels_{i}"] - int(background_first)
        assert_same_instances(instances, golden[f"boxes_{i}"], golden[f"scores_{i}"], labels, masks)


@pytest.fixture(scope="module")
def matterport(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Whole pictures through an ONNX file of Matterport's model."""
    pytest.importorskip("h5py")
    if not GOLDEN.exists():
        pytest.skip("../shared/golden is not here")
    folder = tmp_path_factory.mktemp("matterport")
    load_module(GOLDEN / "matterport/make_weights.py").main(str(folder / "w.h5"))
    model = make(read_foreign(folder / "w.h5"), {})
    write_onnx(model, About(model.config, "uint8"), folder / "model.onnx")
    engine = open_exported(folder / "model.onnx", torch.device("cpu"))
    assert engine is not None
    return Predictor(engine)


def test_whole_picture_of_matterport(matterport: Predictor) -> None:
    single = np.load(GOLDEN / "matterport/detect.npz")
    assert_same_instances(matterport.predict(single["image"]), *their_results(single, ""))


@pytest.mark.parametrize(
    ("name", "score_tolerance"),
    [
        ("down_tall", SCORES),
        ("exact", SCORES),
        # four times as large: exact values are whole numbers, and the last bit of their resizing library decides
        # which it cuts down to: one grey level in 918 of 122880 values. With their pixels `tiny` is within SCORES too.
        ("tiny", 2e-3),
        ("wide", SCORES),
    ],
)
def test_whole_pictures_of_matterports_sizes(matterport: Predictor, name: str, score_tolerance: float) -> None:
    cases = np.load(GOLDEN / "matterport/detect_cases.npz")
    found = matterport.predict(cases[f"{name}_image"])
    assert_same_instances(found, *their_results(cases, f"{name}_"), score_tolerance=score_tolerance)

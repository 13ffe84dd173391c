"""Outputs of other projects through an exported ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stages import assert_same_instances, load_module, pad
from test_golden_matterport import make, their_results
from test_golden_outputs import GOLDEN, _weights, _written

from maskrcnn.engines.choice import open_exported
from maskrcnn.engines.graphs.metadata import About
from maskrcnn.engines.graphs.onnx_file import write_onnx
from maskrcnn.export.parity import compare
from maskrcnn.model.weights import build_filled
from maskrcnn.prediction import Predictor
from maskrcnn.prediction.predictor import prepare, to_instances
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


def test_whole_pictures_of_matterports_sizes(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    if not GOLDEN.exists():
        pytest.skip("../shared/golden is not here")
    load_module(GOLDEN / "matterport/make_weights.py").main(str(tmp_path / "w.h5"))
    model = make(read_foreign(tmp_path / "w.h5"), {})
    write_onnx(model, About(model.config, "uint8"), tmp_path / "model.onnx")
    engine = open_exported(tmp_path / "model.onnx", torch.device("cpu"))
    assert engine is not None
    predictor = Predictor(engine)
    cases = np.load(GOLDEN / "matterport/detect_cases.npz")
    single = np.load(GOLDEN / "matterport/detect.npz")
    assert_same_instances(predictor.predict(single["image"]), *their_results(single, ""))
    for name in ("down_tall", "exact", "tiny", "wide"):
        found = predictor.predict(cases[f"{name}_image"])
        same = compare([Predictor(model).predict(cases[f"{name}_image"])], [found])
        assert same.found == same.matched > 0
        assert (same.extra, same.box, same.mask) == (0, 0.0, 0.0)
        if name != "tiny":  # which their library enlarges in other steps than ours
            assert_same_instances(found, *their_results(cases, f"{name}_"))

"""A model in 8 bits finds what it found, and the report counts what was done."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from maskrcnn.config import BackboneConfig, ModelConfig, PyramidConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.engines import onnx as onnx_engine
from maskrcnn.engines import openvino
from maskrcnn.engines.graphs.metadata import About
from maskrcnn.engines.graphs.onnx_file import read_about, write_onnx
from maskrcnn.errors import InputError, WeightsError
from maskrcnn.export.calibration import find_pictures
from maskrcnn.export.integers import SCHEMES
from maskrcnn.export.quantisation import quantise
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.ops.boxes import iou
from maskrcnn.prediction import Predictor
from maskrcnn.structures import Instances

CPU = torch.device("cpu")
OPEN = {".onnx": onnx_engine.open_graph, ".xml": openvino.open_graph}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos") / "data"
    synthesise("spacecraft", folder, 6, seed=0, size_hw=(64, 64), workers=0)
    return folder


@pytest.fixture(scope="module")
def model(tiny: ModelConfig, photos: Path) -> MaskRCNN:
    """A network whose regions are sure of their class, so that small changes of a score choose no others."""
    torch.manual_seed(3)
    config = tiny.change(
        classes=open_dataset(photos).class_names,
        backbone=BackboneConfig(depth="resnet18"),
        pyramid=PyramidConfig(channels=32),
        detect=tiny.detect.change(detections=20),
    )
    network = build(config).eval()
    with torch.no_grad():
        network.box_head.logits.weight.normal_(0, 0.2)
        network.box_head.logits.bias[0] = 3.0
        network.mask_head.logits.weight.normal_(0, 0.3)
    return network


@pytest.fixture(scope="module")
def graph(model: MaskRCNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    write_onnx(model, About(model.config), path)
    return path


def found_again(expected: Instances, found: Instances) -> float:
    """Return the share of objects with one of the same class at the same place."""
    overlap = iou(torch.from_numpy(expected.boxes), torch.from_numpy(found.boxes)).numpy()
    same = expected.labels[:, None] == found.labels[None]
    return float(((overlap > 0.7) & same).any(axis=1).mean())


@pytest.mark.parametrize("suffix", SCHEMES)
def test_a_model_in_8_bits_finds_what_it_found(
    suffix: str, model: MaskRCNN, graph: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"small{suffix}"
    steps: list[tuple[str, int, int]] = []
    report = quantise(graph, out, find_pictures(photos), threads=1, progress=lambda *step: steps.append(step))
    assert (report.path, report.pictures) == (out, 6)
    assert report.quantised + len(report.kept) == report.layers
    # the first convolution, five times objectness and deltas, class, box and mask; ONNX Runtime has no transposed one
    assert len(report.kept) == 1 + 2 * 5 + 3 + (suffix == ".onnx")
    assert steps == [("ranges of values", i + 1, 6) for i in range(6)]
    engine = OPEN[suffix](out, CPU, 1)
    assert engine.precision == "int8"
    assert engine.config == model.config
    dataset = open_dataset(photos)
    shares = []
    for sample in dataset:
        expected, found = (Predictor(each).predict(sample.image) for each in (model, engine))
        assert len(expected) > 3
        shares.append(found_again(expected, found))
    assert np.mean(shares) > 0.8


def test_openvino_alone_runs_the_onnx_file(graph: Path, photos: Path, tmp_path: Path) -> None:
    quantise(graph, tmp_path / "small.onnx", find_pictures(photos), threads=1)
    core = importlib.import_module("openvino").Core()
    program = core.compile_model(core.read_model(tmp_path / "small.onnx"), "CPU")
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64)).astype(np.float32)
    found = program({"images": images, "size_hw": np.array([[64, 64]])})
    expected = onnx_engine.open_graph(tmp_path / "small.onnx", CPU, 1)(
        torch.from_numpy(images), torch.tensor([[64, 64]])
    )
    assert (found["labels"] >= 0).sum() > 3
    assert abs(int((found["labels"] >= 0).sum()) - int((expected.labels >= 0).sum())) <= 2


def test_weights_are_a_quarter_of_what_they_were(graph: Path, photos: Path, tmp_path: Path) -> None:
    quantise(graph, tmp_path / "small.onnx", find_pictures(photos), threads=1)
    assert (tmp_path / "small.onnx").stat().st_size < 0.35 * graph.stat().st_size
    assert read_about(tmp_path / "small.onnx")._replace(precision="fp32") == read_about(graph)


def test_a_name_that_says_no_kind_is_refused(graph: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"small.pt2: expected a name that ends in .onnx or .xml"):
        quantise(graph, tmp_path / "small.pt2", find_pictures(photos))


def test_a_graph_of_another_program_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"nothing of ours")
    with pytest.raises(WeightsError, match=r"other\.onnx"):
        quantise(tmp_path / "other.onnx", tmp_path / "small.onnx", find_pictures(photos))


def test_a_graph_in_8_bits_is_not_taken_again(graph: Path, photos: Path, tmp_path: Path) -> None:
    quantise(graph, tmp_path / "small.onnx", find_pictures(photos), threads=1)
    with pytest.raises(InputError, match=r"small.onnx: expected a graph in fp32, got one in int8"):
        quantise(tmp_path / "small.onnx", tmp_path / "again.onnx", find_pictures(photos))


def test_without_the_library_the_error_names_the_extra(
    graph: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"small.xml: expected onnx, onnxruntime, openvino .* maskrcnn\[int8\]"):
        quantise(graph, tmp_path / "small.xml", find_pictures(photos))

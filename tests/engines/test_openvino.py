"""OpenVINO beside the model it was exported from, and its files without this package."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn.config import BackboneConfig, ModelConfig, PyramidConfig
from maskrcnn.engines import openvino
from maskrcnn.engines.graphs.metadata import About
from maskrcnn.engines.graphs.onnx_file import write_onnx
from maskrcnn.errors import InputError, WeightsError
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.prediction import Predictor

CPU = torch.device("cpu")
DOCS = Path(__file__).parents[2] / "docs/export.md"


@pytest.fixture(scope="module")
def model(tiny: ModelConfig) -> MaskRCNN:
    torch.manual_seed(1)
    config = tiny.change(backbone=BackboneConfig(depth="resnet18"), pyramid=PyramidConfig(channels=32))
    network = build(config).eval()
    with torch.no_grad():
        network.box_head.logits.weight.normal_(0, 0.3)
        network.box_head.logits.bias[:3] = 4.0
        network.mask_head.logits.weight.normal_(0, 0.3)
    return network


@pytest.fixture(scope="module")
def graph(model: MaskRCNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as OpenVINO files, by way of ONNX."""
    folder = tmp_path_factory.mktemp("graph")
    write_onnx(model, About(model.config), folder / "model.onnx")
    openvino.convert(folder / "model.onnx", folder / "model.xml")
    return folder / "model.xml"


@pytest.fixture(scope="module")
def whole(model: MaskRCNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as OpenVINO files that take whole pictures."""
    folder = tmp_path_factory.mktemp("whole")
    write_onnx(model, About(model.config, "uint8"), folder / "model.onnx")
    openvino.convert(folder / "model.onnx", folder / "model.xml")
    return folder / "model.xml"


@pytest.mark.parametrize(("batch", "H", "W"), [(1, 64, 96), (2, 96, 64), (5, 64, 64), (1, 32, 160), (2, 224, 32)])
def test_it_finds_what_the_model_finds(model: MaskRCNN, graph: Path, batch: int, H: int, W: int) -> None:
    generator = torch.Generator().manual_seed(batch + H)
    images = torch.randint(0, 256, (batch, 3, H, W), dtype=torch.uint8, generator=generator)
    size_hw = torch.tensor([[H - 3 * i, W - 5 * i] for i in range(batch)])
    with torch.inference_mode():
        expected = model(images, size_hw)
    found = openvino.open_graph(graph, CPU, threads=1)(images, size_hw)
    there = expected.labels.shape[1]
    assert (expected.labels >= 0).sum() > 5
    assert torch.equal(found.labels[:, :there], expected.labels)
    assert (found.labels[:, there:] == -1).all()
    assert (found.boxes[:, :there] - expected.boxes).abs().max() < 0.05
    assert (found.scores[:, :there] - expected.scores).abs().max() < 1e-4
    assert (found.masks[:, :there] - expected.masks).abs().max() < 1e-3


def test_one_engine_takes_one_size_after_another(graph: Path) -> None:
    engine = openvino.open_graph(graph, CPU)
    images = torch.full((1, 3, 64, 96), 99.0)
    first = engine(images, torch.tensor([[64, 96]]))
    engine(torch.zeros(2, 3, 32, 32), torch.tensor([[32, 32]] * 2))
    again = engine(images, torch.tensor([[64, 96]]))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_the_file_says_what_it_is(model: MaskRCNN, graph: Path) -> None:
    about = openvino.read_about(graph)
    assert about.config == model.config
    assert (about.takes, about.precision) == ("network", "fp32")
    engine = openvino.open_graph(graph, CPU)
    assert (engine.backend, engine.precision, engine.config) == ("openvino", "fp32", model.config)


def test_a_model_is_written_once(model: MaskRCNN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    monkeypatch.setenv("MASKRCNN_CACHE", str(tmp_path))
    written = []

    def write(network: MaskRCNN, about: About, path: Path) -> None:
        written.append(path)
        path.parent.mkdir(parents=True)
        path.write_bytes(graph.with_suffix(".onnx").read_bytes())

    monkeypatch.setattr("maskrcnn.engines.graphs.onnx_file.write_onnx", write)
    for _ in range(2):
        assert openvino.make(model, "fp32", CPU, 1).precision == "fp32"
    assert len(written) == 1


def test_8_bits_need_pictures(model: MaskRCNN) -> None:
    with pytest.raises(InputError, match=r"precision: .* got int8; maskrcnn export MODEL --to openvino --int8"):
        openvino.make(model, "int8", CPU)


def test_a_precision_that_the_processor_has_not_is_refused(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(openvino._CAPABILITIES, "bf16", "NOBODY_HAS_THIS")
    with pytest.raises(InputError, match="precision: expected one that this CPU computes in, such as fp32, got bf16"):
        openvino.open_graph(graph, CPU, precision="bf16")


def test_files_that_are_none_are_named(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none.xml: expected an OpenVINO or ONNX file, got no such file"):
        openvino.open_graph(tmp_path / "none.xml")
    alone = tmp_path / "alone.xml"
    alone.write_bytes(graph.read_bytes())
    with pytest.raises(WeightsError, match=r"alone.xml: expected its weights beside it, got no alone.bin"):
        openvino.open_graph(alone)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x07 this is none")
    with pytest.raises(WeightsError, match=r"broken.onnx: expected an OpenVINO or ONNX file, got a broken one"):
        openvino.open_graph(broken)


def test_without_the_library_the_error_names_the_extra(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"openvino is not installed; pip install maskrcnn\[openvino\]"):
        openvino.open_graph(graph)


def _example() -> str:
    """The program in the page, which is to run by itself."""
    programs = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [text for text in programs if "import openvino" in text]
    return str(found)


def test_openvino_alone_finds_what_we_predict(model: MaskRCNN, whole: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (75, 110, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    program = _example() + (
        "\nimport sys\nassert not {'torch', 'maskrcnn'} & set(sys.modules)\n"
        "print(json.dumps([boxes.tolist(), scores.tolist(), [names[i] for i in labels]]))\n"
    )
    (tmp_path / "model.xml").write_bytes(whole.read_bytes())
    (tmp_path / "model.bin").write_bytes(whole.with_suffix(".bin").read_bytes())
    ran = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    boxes, scores, names = json.loads(ran.stdout.splitlines()[-1])
    expected = Predictor(model).predict(tmp_path / "photo.png")
    assert len(expected) > 5
    assert names == list(expected.names)
    assert np.abs(np.array(boxes) - expected.boxes).max() < 0.05
    assert np.abs(np.array(scores) - expected.scores).max() < 1e-4

"""One ONNX file of standard operators for every number and size of pictures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lively import lively
from PIL import Image

from maskrcnn.cli import main
from maskrcnn.engines.choice import open_exported
from maskrcnn.engines.graphs.metadata import About, Takes
from maskrcnn.engines.graphs.onnx_file import read_about, write_onnx
from maskrcnn.errors import ImageError, WeightsError
from maskrcnn.export.parity import compare
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.weights import save
from maskrcnn.prediction import Predictor

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/export.md").read_text(encoding="utf-8")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def lively_model() -> MaskRCNN:
    return lively()


@pytest.fixture(scope="module")
def onnx_files(lively_model: MaskRCNN, tmp_path_factory: pytest.TempPathFactory) -> dict[Takes, Path]:
    """The model as an ONNX file for resized and for whole pictures."""
    folder = tmp_path_factory.mktemp("onnx")
    places: dict[Takes, Path] = {"network": folder / "network.onnx", "uint8": folder / "uint8.onnx"}
    for takes, path in places.items():
        write_onnx(lively_model, About(lively_model.config, takes), path)
    return places


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 32, 32), (2, 64, 96), (5, 96, 160), (1, 224, 64)])
def test_one_file_for_every_batch_and_size(
    onnx_files: dict[Takes, Path], lively_model: MaskRCNN, batch: int, height: int, width: int
) -> None:
    generator = torch.Generator().manual_seed(batch)
    images = torch.randint(0, 256, (batch, 3, height, width), generator=generator)
    size_hw = torch.tensor([[height - 7 * i, width - 3 * i] for i in range(batch)])
    with torch.no_grad():
        wanted = lively_model(images.float(), size_hw)
    engine = open_exported(onnx_files["network"], CPU)
    assert engine is not None
    found = engine(images.float(), size_hw)
    assert (wanted.labels >= 0).sum() >= batch
    slots = wanted.labels.shape[1]
    assert (found.labels[:, slots:] == -1).all()
    assert torch.equal(found.labels[:, :slots], wanted.labels)
    assert (found.boxes[:, :slots] - wanted.boxes).abs().max() < 1e-2
    assert (found.scores[:, :slots] - wanted.scores).abs().max() < 1e-4
    assert (found.masks[:, :slots] - wanted.masks).abs().max() < 1e-3


def test_no_detection_is_a_result_too(onnx_files: dict[Takes, Path]) -> None:
    session = onnxruntime.InferenceSession(onnx_files["network"])
    feed = {"images": np.zeros((2, 3, 64, 64), np.float32), "size_hw": np.zeros((2, 2), np.int64)}
    boxes, scores, labels, masks = session.run(None, feed)
    assert (labels == -1).all()
    assert not boxes.any()
    assert not scores.any()
    assert not masks.any()


@pytest.mark.parametrize(("height", "width"), [(64, 96), (37, 111), (31, 30), (300, 200)])
def test_whole_pictures_are_resized_inside(
    onnx_files: dict[Takes, Path], lively_model: MaskRCNN, height: int, width: int
) -> None:
    engine = open_exported(onnx_files["uint8"], CPU)
    assert engine is not None
    picture = noise(height, width)
    wanted = Predictor(lively_model).predict(picture)
    found = Predictor(engine).predict(picture)
    same = compare([wanted], [found])
    assert same.matched == same.found > 0
    assert same.score < 1e-4


def test_whole_pictures_of_several_sizes_run_together(onnx_files: dict[Takes, Path]) -> None:
    engine = open_exported(onnx_files["uint8"], CPU)
    assert engine is not None
    predictor = Predictor(engine)
    pictures = [noise(40, 60, 1), noise(50, 41, 2), noise(40, 60, 3)]
    apart = [predictor.predict(picture) for picture in pictures]
    images, size_hw = torch.zeros(3, 3, 64, 64, dtype=torch.uint8), torch.tensor([[40, 60], [50, 41], [40, 60]])
    for room, picture in zip(images, pictures, strict=True):
        room[:, : picture.shape[0], : picture.shape[1]] = torch.from_numpy(picture).permute(2, 0, 1)
    together = engine(images, size_hw)
    for i, one in enumerate(apart):
        assert together.labels[i, : len(one)].tolist() == one.labels.tolist()
        np.testing.assert_allclose(together.boxes[i, : len(one)].numpy(), one.boxes, atol=1e-3)


def test_a_graph_of_8_bits_refuses_other_pictures(onnx_files: dict[Takes, Path]) -> None:
    engine = open_exported(onnx_files["uint8"], CPU)
    assert engine is not None
    with pytest.raises(ImageError, match="expected 8 bits"):
        Predictor(engine).predict(noise(40, 60).astype(np.float32))


# ---- the file


@pytest.mark.parametrize("takes", ["network", "uint8"])
def test_the_operators_are_standard_ones_and_those_of_the_page(onnx_files: dict[Takes, Path], takes: Takes) -> None:
    graph = onnx.load(onnx_files[takes])
    onnx.checker.check_model(graph, full_check=True)
    assert {(each.domain, each.version) for each in graph.opset_import} == {("", 18)}
    assert not graph.functions
    assert {node.domain for node in graph.graph.node} == {""}
    listed = set(re.findall(r"`(\w+)`", PAGE.split("## Operators")[1].split("\n## ")[0]))
    assert {node.op_type for node in graph.graph.node} <= listed


def test_inputs_and_outputs_are_those_of_the_page(onnx_files: dict[Takes, Path]) -> None:
    def shapes(values: list[onnx.ValueInfoProto]) -> dict[str, list[str | int]]:
        return {each.name: [a.dim_param or a.dim_value for a in each.type.tensor_type.shape.dim] for each in values}

    network, whole = (onnx.load(onnx_files[takes]).graph for takes in ("network", "uint8"))
    assert shapes(network.input) == {"images": ["batch", 3, "height", "width"], "size_hw": ["batch", 2]}
    assert shapes(whole.input) == {"images": ["batch", 3, "height", "width"]}
    for graph in (network, whole):
        assert shapes(graph.output) == {
            "boxes": ["batch", 15, 4],
            "scores": ["batch", 15],
            "labels": ["batch", 15],
            "masks": ["batch", 15, 28, 28],
        }


def test_the_file_says_what_it_is_and_not_where_it_was_made(
    onnx_files: dict[Takes, Path], lively_model: MaskRCNN
) -> None:
    path = onnx_files["uint8"]
    about = read_about(path)
    assert about.config == lively_model.config
    assert (about.takes, about.precision) == ("uint8", "fp32")
    texts = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert json.loads(texts["classes"]) == list(lively_model.config.classes)
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.split("## What the file says")[1], re.MULTILINE)) == set(texts)
    content = path.read_bytes()
    for place in (str(ROOT).encode(), b"site-packages", b"/graphs/", b"torch/nn/"):
        assert place not in content


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x09" * 50])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"broken\.onnx: expected"):
        open_exported(path, CPU)


# ---- without this package


def ten_lines() -> str:
    return next(text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "InferenceSession" in text)


def run_alone(code: str, folder: Path) -> str:
    """Run lines in an interpreter that can't import this package."""
    blocked = f"import sys\nsys.modules['maskrcnn'] = None\nsys.modules['torch'] = None\n{code}"
    command = [sys.executable, "-c", blocked]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_ten_lines_print_what_predict_prints(
    onnx_files: dict[Takes, Path],
    lively_model: MaskRCNN,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert len([line for line in ten_lines().splitlines() if line.strip()]) == 10
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(onnx_files["uint8"].read_bytes())
    # of the size that the network sees, so that file and model see the same pixels
    Image.fromarray(noise(64, 96)).save(tmp_path / "photo.jpg", quality=95)
    save(lively_model, tmp_path / "model.safetensors")
    capsys.readouterr()
    assert main(["predict", "model.safetensors", "photo.jpg", "--out", "found", "--backend", "torch"]) == 0
    wanted = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    found = [line.split("\t") for line in run_alone(ten_lines(), tmp_path).splitlines()]
    assert wanted
    assert [line[:2] for line in found] == [line[:2] for line in wanted]
    for ours, theirs in zip(wanted, found, strict=True):
        np.testing.assert_allclose(np.array(theirs[2:], float), np.array(ours[2:], float), atol=0.11)


def test_the_pages_paste_is_the_packages() -> None:
    from maskrcnn.ops.paste import paste

    code = next(text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def paste" in text)
    names: dict[str, Callable[..., np.ndarray]] = {}
    exec(code, names)
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((28, 28), dtype=np.float32)
        corner = rng.random(2) * 50 - 10
        box = np.concatenate([corner, corner + rng.random(2) * 60]).astype(np.float32)
        own = paste(mask, box, (45, 55))
        wanted = np.zeros((45, 55), dtype=bool)
        wanted[own.y : own.y + own.pixels.shape[0], own.x : own.x + own.pixels.shape[1]] = own.pixels
        assert (names["paste"](mask, box, 45, 55) != wanted).mean() < 1e-3

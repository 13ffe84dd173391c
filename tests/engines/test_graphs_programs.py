"""Files of PyTorch hold the whole model and load where this package is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from lively import lively
from torch import nn

import maskrcnn
from maskrcnn.config import ModelConfig
from maskrcnn.engines.choice import open_exported
from maskrcnn.engines.graphs.metadata import About
from maskrcnn.engines.graphs.programs import open_pt2, open_torchscript, operators_of, write_pt2, write_torchscript
from maskrcnn.errors import InputError, WeightsError
from maskrcnn.export.parity import compare
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.prediction import Predictor


class Kind(NamedTuple):
    suffix: str
    write: Callable[[MaskRCNN, About, Path], None]
    open: Callable[[Path], tuple[nn.Module, About]]
    lines: str


KINDS = {
    "pt2": Kind(".pt2", write_pt2, open_pt2, "program = torch.export.load(path).module()"),
    "torchscript": Kind(".torchscript", write_torchscript, open_torchscript, "program = torch.jit.load(path)"),
}
ALONE = """
import sys, warnings
sys.modules["maskrcnn"] = None
warnings.simplefilter("ignore")
import torch
path = sys.argv[1]
{load}
with torch.no_grad():
    found = program(torch.zeros(1, 3, 64, 96), torch.tensor([[64, 96]]))
print([tuple(each.shape) for each in found])
"""


@pytest.fixture(scope="module")
def lively_model() -> MaskRCNN:
    return lively()


@pytest.fixture(scope="module", params=KINDS)
def written(
    request: pytest.FixtureRequest, lively_model: MaskRCNN, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Kind, Path]:
    kind = KINDS[request.param]
    path = tmp_path_factory.mktemp(request.param) / f"model{kind.suffix}"
    kind.write(lively_model, About(lively_model.config), path)
    return kind, path


def test_it_gives_what_the_model_gives(written: tuple[Kind, Path], lively_model: MaskRCNN) -> None:
    engine = open_exported(written[1], torch.device("cpu"))
    assert engine is not None
    assert engine.config == lively_model.config
    for batch, height, width in [(1, 32, 32), (2, 64, 96), (5, 96, 160), (1, 224, 64)]:
        images = torch.randint(0, 256, (batch, 3, height, width), generator=torch.Generator().manual_seed(batch))
        size_hw = torch.tensor([[height - 7 * i, width - 3 * i] for i in range(batch)])
        with torch.no_grad():
            wanted = lively_model(images.float(), size_hw)
        found = engine(images.float(), size_hw)
        slots = wanted.labels.shape[1]
        assert (wanted.labels >= 0).sum() >= batch
        assert torch.equal(found.labels[:, :slots], wanted.labels)
        assert (found.boxes[:, :slots] - wanted.boxes).abs().max() < 1e-2
        assert (found.masks[:, :slots] - wanted.masks).abs().max() < 1e-3
    nothing = engine(torch.zeros(1, 3, 64, 64), torch.zeros(1, 2, dtype=torch.int64))
    assert (nothing.labels == -1).all()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_whole_pictures_are_resized_inside(kind: Kind, lively_model: MaskRCNN, tmp_path: Path) -> None:
    path = tmp_path / f"whole{kind.suffix}"
    kind.write(lively_model, About(lively_model.config, "uint8"), path)
    engine = open_exported(path, torch.device("cpu"))
    assert engine is not None
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8) for size_hw in ((37, 111), (300, 200))]
    wanted, found = (
        [predictor.predict(each) for each in pictures] for predictor in (Predictor(lively_model), Predictor(engine))
    )
    same = compare(wanted, found)
    assert same.matched == same.found > 0
    assert same.score < 1e-4
    assert same.box < 0.05


def test_an_exported_program_cannot_round_half_to_even(tiny: ModelConfig, tmp_path: Path) -> None:
    config = tiny.change(input=tiny.input.change(resize="centred_square", sampling="zero_edge"))
    with pytest.raises(InputError, match=r"m\.pt2: expected takes network, got uint8: .* onnx can"):
        write_pt2(build(config), About(config, "uint8"), tmp_path / "m.pt2")
    assert not list(tmp_path.iterdir())


def test_it_loads_without_this_package(written: tuple[Kind, Path]) -> None:
    kind, path = written
    command = [sys.executable, "-c", ALONE.format(load=kind.lines), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[(1, 15, 4), (1, 15), (1, 15), (1, 15, 28, 28)]"


def test_an_exported_program_has_no_operator_of_ours(written: tuple[Kind, Path]) -> None:
    kind, path = written
    if kind.suffix == ".pt2":
        names = operators_of(kind.open(path)[0])
        assert names
        assert not [name for name in names if "maskrcnn" in name]
    content = path.read_bytes()
    for place in (Path(maskrcnn.__file__).parent, Path(torch.__file__).parent):
        assert str(place).encode() not in content


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_broken_file_is_named(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / f"broken{kind.suffix}"
    with pytest.raises(WeightsError, match="got no such file"):
        kind.open(path)
    path.write_bytes(b"not a model")
    with pytest.raises(WeightsError, match="expected an exported model, got a broken one"):
        kind.open(path)

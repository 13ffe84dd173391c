from __future__ import annotations

import os
import subprocess
import sys

import pytest

from maskrcnn.cli import main
from maskrcnn.version import __version__

PAGES = [
    *("", "train", "evaluate", "predict", "demo"),
    *("data", "data show", "data doctor", "data convert", "data split", "data merge", "data sample", "data crop"),
    *("data compose", "data synth", "weights", "weights list", "weights info", "weights convert"),
]
HEAVY = ("torch", "lightning", "faster_coco_eval", "numpy", "PIL", "maskrcnn.config")
ALL_PAGES = f"""
import sys
from maskrcnn.cli import main
for page in {PAGES}:
    assert main([*page.split(), "--help"]) == 0, page
print("imported:", *[name for name in {HEAVY} if name in sys.modules])
"""


@pytest.fixture(scope="module")
def output() -> str:
    """All help pages at 80 columns, printed by a fresh interpreter, and what it imported for them."""
    environment = {**os.environ, "COLUMNS": "80", "TERMINAL_WIDTH": "80"}
    done = subprocess.run(
        [sys.executable, "-c", ALL_PAGES], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_imports_nothing_heavy(output: str) -> None:
    assert output.splitlines()[-1].split() == ["imported:"]


def test_help_fits_into_80_columns(output: str) -> None:
    assert max(len(line) for line in output.splitlines()) == 80


def test_examples_are_not_broken_at_80_columns(output: str) -> None:
    for line in (
        "maskrcnn predict run/model.safetensors photos --out found --json > f.jsonl",
        "maskrcnn train photos --out run3 --preset full --set train.augment.turn=0.5",
        "pictures.json     which picture and class each id there means",
        "maskrcnn weights convert run/model.safetensors model.pth --to torchvision",
    ):
        assert f"{line} " in output.replace("\n", " \n")


def test_options_of_train_are_grouped(output: str) -> None:
    titles = [line.split()[1] for line in output.splitlines() if line.startswith("╭─ ")]
    assert [title for title in titles if title not in ("Options", "Arguments", "Commands")] == [
        *("Model", "Schedule", "Optimisation", "Machine", "Any"),  # train
        *("Machine", "Machine"),  # evaluate, predict
        "How",  # data compose
    ]


def test_nothing_asked_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["data"], ["weights"]):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert "Usage: maskrcnn" in out
        assert err == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"

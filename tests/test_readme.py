"""The README says what works: its shell line and its Python are run as they stand, in their order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from maskrcnn.data.synth import synthesise

README = Path(__file__).parents[1] / "README.md"
RUN = re.compile(r"^```(shell|python)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """Return language and text of what is to be run; `bash` fences are for the clone itself."""
    return RUN.findall(README.read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the photos that the README speaks of, as small as can be."""
    synthesise("shapes", tmp_path / "photos/train", 1, seed=3, size_hw=(64, 64))
    synthesise("shapes", tmp_path / "photos/val", 1, seed=1, size_hw=(64, 64))
    Image.open(tmp_path / "photos/val/images/000001.png").save(tmp_path / "photo.jpg")
    return tmp_path


def run(language: str, text: str, folder: Path) -> str:
    command = ["bash", "-euc", text] if language == "shell" else [sys.executable, "-W", "error", "-c", text]
    here = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_what_it_says_runs_as_it_stands(folder: Path) -> None:
    printed = [(language, run(language, text, folder)) for language, text in blocks()]
    assert (folder / "run/model.safetensors").is_file()
    lines = next(out for language, out in printed if language == "python").splitlines()
    assert lines, "ten epochs on one picture leave scores above the low default threshold"
    assert all(line.split()[0] in {"circle", "square", "triangle"} for line in lines)


def test_one_shell_line_and_six_of_python_are_the_first_use() -> None:
    lines = [(language, len([line for line in text.splitlines() if line.strip()])) for language, text in blocks()]
    assert lines[:2] == [("shell", 1), ("python", 6)]


def test_first_use_within_150_words() -> None:
    text = README.read_text(encoding="utf-8")
    before, found, _ = text.partition("```python\n")
    assert found
    assert len(before.split()) <= 150

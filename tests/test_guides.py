"""The guides say what works: their commands on data run as they stand, those on models at least parse."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from maskrcnn.cli import app, main
from maskrcnn.data import open_dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.data.writing import convert

GUIDES = Path(__file__).parents[1] / "docs/guides"


def drawn(out: Path, name: str, seed: int, count: int = 3) -> None:
    """Write a drawn set in a format."""
    source = out.with_name(f".{out.name}-drawn")
    synthesise("shapes", source, count, seed=seed, size_hw=(64, 96))
    convert(open_dataset(source), out, name)
    shutil.rmtree(source)
    (out / ".made.json").unlink(missing_ok=True)


def three_sets(name: str) -> Callable[[], None]:
    """Write what most guides speak of: a set for training, one to measure on, and one that is not split."""

    def _make() -> None:
        for seed, part in enumerate(("train", "val")):
            drawn(Path("photos") / part, name, seed)
        drawn(Path("photos/all"), name, 5, count=6)

    return _make


def cvat() -> None:
    """One task."""
    drawn(Path("task"), "cvat", 3, count=6)


def cells() -> None:
    """Label images of 16 bits."""
    for seed, (part, count) in enumerate((("train", 2), ("val", 2), ("all", 6))):
        rng = np.random.default_rng(seed)
        for i in range(count):
            labels = np.zeros((64, 96), dtype=np.uint16)
            labels[10:25, 10:30], labels[30:50, 40:70] = 1, 300
            for name, pixels in (("images", rng.integers(0, 60000, (64, 96))), ("masks", labels)):
                path = Path("cells") / part / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint16)).save(path)


MAKE = {
    "via": three_sets("via"),
    "labelme": three_sets("labelme"),
    "yolo": three_sets("yolo"),
    "cvat": cvat,
    "masks": cells,
}


def commands(guide: str) -> list[list[str]]:
    text = (GUIDES / f"{guide}.md").read_text(encoding="utf-8")
    lines = "".join(re.findall(r"^```bash\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)).splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("maskrcnn ")]


def test_every_guide_for_own_data_is_run() -> None:
    assert {path.stem for path in GUIDES.glob("*.md")} == {*MAKE, "from-matterport"}


@pytest.mark.parametrize("guide", MAKE)
def test_its_commands_run(guide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    MAKE[guide]()
    found = commands(guide)
    assert {words[0] for words in found} >= {"data", "train", "evaluate", "predict"}
    for words in found:
        if words[0] == "data":
            shown = ["--out", "page"] if "--open" in words else []
            assert main([word for word in words if word != "--open"] + shown) == 0, words
        else:
            command = typer.main.get_command(app).commands[words[0]]
            command.make_context(words[0], words[1:])
    assert (tmp_path / "page/data.html").is_file()
    train = next(words for words in found if words[0] == "train")
    for path in (train[1], train[train.index("--val") + 1]):
        assert len(open_dataset(path)) > 0


@pytest.mark.parametrize("guide", MAKE)
def test_its_picture_and_its_links_are_there(guide: str) -> None:
    text = (GUIDES / f"{guide}.md").read_text(encoding="utf-8")
    assert f"]({guide}.jpg)" in text
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (GUIDES / target).exists(), target

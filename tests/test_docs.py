"""The pages say what is so: links lead somewhere, commands parse, Python runs, tables agree with the code."""

from __future__ import annotations

import csv
import importlib.util
import inspect
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
from PIL import Image

from maskrcnn.cli.app import app
from maskrcnn.config import ModelConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.synth import KINDS, synthesise
from maskrcnn.evaluation.coco import numbers
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save
from maskrcnn.prediction import load
from maskrcnn.training import Run

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *DOCS.rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def fences(page: Path, *languages: str) -> list[str]:
    """Return the text of the fenced blocks in some languages."""
    return [text for language, text in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def first_column(page: Path, heading: str) -> list[str]:
    """Return the code names in the first column of the table that begins with a heading."""
    lines = page.read_text(encoding="utf-8").splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        rows += re.findall(r"`([^`]+)`", line.split("|")[1])
    return rows


# ---- links


def anchors(page: Path) -> set[str]:
    """Return what GitHub calls the headings of a page."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)}: {link}"
        assert not anchor or anchor in anchors(target), f"{name_of(page)}: {link}"


def test_every_decision_is_listed_once_and_numbered_in_order() -> None:
    written = sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))
    assert LINK.findall((DOCS / "decisions/README.md").read_text(encoding="utf-8")) == written
    assert [int(name[:4]) for name in written] == list(range(1, len(written) + 1))


# ---- commands


def command_lines(page: Path) -> list[list[str]]:
    lines = "\n".join(fences(page, "bash", "shell")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_parse(page: Path) -> None:
    for words in command_lines(page):
        if "maskrcnn" not in words:
            continue
        command, words = typer.main.get_command(app), words[words.index("maskrcnn") + 1 :]
        while hasattr(command, "commands"):
            command, words = command.commands[words[0]], words[1:]
        command.make_context(command.name, list(words))  # raises where an option or argument does not exist


def test_a_wrong_option_would_be_found() -> None:
    train = typer.main.get_command(app).commands["train"]
    with pytest.raises(typer.TyperException, match="--epoch"):
        train.make_context("train", ["photos", "--out", "run", "--epoch", "3"])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_knows_its_words(page: Path) -> None:
    known = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    said = {words[1] for words in command_lines(page) if words[:1] == ["make"]}
    assert said <= known


def test_contributing_lists_the_words_of_make() -> None:
    known = re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    said = [name.removeprefix("make ") for name in first_column(ROOT / "CONTRIBUTING.md", "command")]
    assert sorted(said) == sorted(known)


# ---- Python


@pytest.fixture
def folder(tmp_path: Path, tiny: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages speak of: photos, and an untrained model of their classes."""
    synthesise("shapes", tmp_path / "photos/train", 1, seed=3, size_hw=(64, 64))
    synthesise("shapes", tmp_path / "photos/val", 2, seed=1, size_hw=(64, 64))
    Image.open(tmp_path / "photos/val/images/000001.png").save(tmp_path / "photo.jpg")
    for run in ("run", "old"):
        save(build(tiny.change(classes=KINDS["shapes"].class_names)), tmp_path / run / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_python(page: Path) -> None:
    space: dict[str, object] = {}
    for text in fences(page, "python"):
        exec(compile(text, name_of(page), "exec"), space)


ELSEWHERE = {"training", "export", "report"}  # tests beside their rooms run what these pages show
WITH_PYTHON = [page for page in PAGES if fences(page, "python") and page.parent == DOCS and page.stem not in ELSEWHERE]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_runs(page: Path) -> None:
    run_python(page)


def tree(text: str) -> set[str]:
    """Return the paths of a drawn folder, its own name left out."""
    paths: set[str] = set()
    above: list[str] = []
    for line in text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above = [*above[:depth], line.split()[0].rstrip("/")]
        paths.add("/".join(above[1:]))
    return paths - {""}


def test_a_run_leaves_and_logs_what_the_training_page_says(folder: Path) -> None:
    page = DOCS / "training.md"
    run_python(page)
    (drawn,) = [text for text in fences(page, "text") if text.startswith("run/")]
    for path in tree(drawn):
        assert (folder / "run" / path).exists(), path
    assert {path.name for path in (folder / "run").iterdir()} == {path.split("/")[0] for path in tree(drawn)}
    with Run(folder / "run").history.open(newline="") as file:
        logged = set(csv.DictReader(file).fieldnames or ()) - {"epoch", "step"}
    text = page.read_text(encoding="utf-8").partition("## What each number means")[2]
    assert logged == set(re.findall(r"`((?:train|val)/[\w/]+)`", text))


@pytest.fixture
def nuclei(folder: Path) -> Path:
    """Two pictures of nuclei as the Data Science Bowl gives them, beside the photos."""
    for name, count in (("a", 2), ("b", 1)):
        (folder / f"stage1_train/{name}/images").mkdir(parents=True)
        (folder / f"stage1_train/{name}/masks").mkdir()
        Image.new("RGBA", (64, 48)).save(folder / f"stage1_train/{name}/images/{name}.png")
        for i in range(count):
            mask = Image.new("L", (64, 48))
            mask.paste(255, (10 * i, 5, 10 * i + 7, 25))
            mask.save(folder / f"stage1_train/{name}/masks/{i}.png")
    return folder / "stage1_train"


def test_the_guide_from_matterport_runs(nuclei: Path) -> None:
    run_python(DOCS / "guides/from-matterport.md")
    with Image.open("splash.png") as splash, Image.open("photo.jpg") as photo:
        assert splash.size == photo.size
    dataset = open_dataset(nuclei, classes="nucleus=object")
    assert (dataset.class_names, [len(sample.instances) for sample in dataset]) == (("nucleus",), [2, 1])
    assert dataset[0].instances.boxes.tolist() == [[0, 5, 7, 25], [10, 5, 17, 25]]


def test_settings_in_the_guide_from_matterport_exist() -> None:
    known = re.findall(r"^\| `([\w.]+)` \|", (DOCS / "settings.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = (DOCS / "guides/from-matterport.md").read_text(encoding="utf-8").partition("## What `Config` becomes")[2]
    rows = [line.split("|")[2] for line in text.partition("\n\n`layers`")[0].splitlines() if line.startswith("| `")]
    said = {name for row in rows for name in re.findall(r"`((?:model|train)\.[\w.]+)`", row)}
    assert len(said) > 25
    assert said <= {*known, "train.stages"}


# ---- tables


def test_settings_page_is_current() -> None:
    spec = importlib.util.spec_from_file_location("settings_page", DOCS / "settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == module.page(), "run: python docs/settings.py"


def test_floors_are_those_of_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    floors = [layer.replace("maskrcnn.", "").split(" | ") for layer in layers]
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", text, flags=re.MULTILINE)
    assert [re.findall(r"`(\w+)`", rooms) for _, rooms in rows] == floors
    assert [int(floor) for floor, _ in rows] == list(range(len(floors), 0, -1))


def test_files_of_the_architecture_page_exist() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("## Where to find what")[2]
    for row in text.partition("\n\nThe tests lie")[0].splitlines()[4:]:
        room = ""
        for path in re.findall(r"`([\w/.]+)`", row.split("|")[2]):
            room = path.rpartition("/")[0] if "/" in path else room
            whole = path if "/" in path or not room else f"{room}/{path}"
            assert (ROOT / "src/maskrcnn" / whole).exists(), whole


def test_numbers_of_the_evaluation_page_are_those_that_are_measured() -> None:
    assert first_column(DOCS / "evaluation.md", "number") == [number.name for number in numbers()]


def test_overrides_of_the_prediction_page_are_those_of_load() -> None:
    given = [name for name in inspect.signature(load).parameters if name != "path"]
    assert sorted(first_column(DOCS / "prediction.md", "argument")) == sorted(given)


def test_findings_page_is_current() -> None:
    spec = importlib.util.spec_from_file_location("findings_page", DOCS / "findings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "findings.md").read_text(encoding="utf-8") == module.page(), "run: python docs/findings.py"

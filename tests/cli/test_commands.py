"""Every command does what its help says."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from maskrcnn import load
from maskrcnn.cli import main
from maskrcnn.cli.training import Flags, collect
from maskrcnn.config import ModelConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.synth import KINDS, synthesise
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save


def save_eager_model(config: ModelConfig, path: Path) -> None:
    """Save a model with random weights that gives its first class a probability of about 0.9 everywhere."""
    torch.manual_seed(1)
    model = build(config)
    with torch.no_grad():
        model.box_head.logits.bias[0] = 4.0
    save(model, path)


@pytest.fixture
def desk(
    tiny: ModelConfig, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with annotated `shapes` and a `model.safetensors` that finds many circles."""
    model = tmp_path_factory.getbasetemp() / "eager_shapes.safetensors"
    if not model.exists():
        save_eager_model(tiny.change(classes=KINDS["shapes"].class_names), model)
    (tmp_path / "model.safetensors").symlink_to(model)
    synthesise("shapes", tmp_path / "shapes", 3, seed=3, size_hw=(64, 96))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str, capsys: pytest.CaptureFixture[str], status: int = 0) -> tuple[list[str], list[str]]:
    """Run a command and return the lines on stdout and on stderr."""
    capsys.readouterr()
    assert main(shlex.split(line)) == status
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines()


def read(path: str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


# ---- predict


@pytest.mark.usefixtures("desk")
def test_predict_gives_a_line_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run("predict model.safetensors shapes/images --out found", capsys)
    everything = read("found/predictions.json")
    results = [result for result in everything if result["score"] >= 0.5]
    assert len(out) == len(results) > 0
    files = [f"shapes/images/00000{i}.png" for i in (1, 2, 3)]
    assert [record["file_name"] for record in read("found/pictures.json")["images"]] == files
    for line, result in zip(out, results, strict=True):
        file, name, score, *box = line.split("\t")
        assert (file, name) == (files[result["image_id"] - 1], "circle")
        assert float(score) == pytest.approx(result["score"], abs=5e-4)
        assert float(score) >= 0.5
        x, y, w, h = result["bbox"]
        assert [float(edge) for edge in box] == pytest.approx([x, y, x + w, y + h], abs=0.07)
    more = len(everything) - len(results)
    hint = f"; {more} less probable ones are in predictions.json too" if more else ""
    assert err == [
        f"3 pictures, {len(out)} objects with a probability of at least 0.5{hint}",
        "overlays and predictions.json in found",
    ]


@pytest.mark.usefixtures("desk")
def test_predict_gives_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run("predict model.safetensors shapes/images/000001.png --out found --json", capsys)
    for line, result in zip(out, read("found/predictions.json"), strict=True):
        found = json.loads(line)
        assert (found.pop("file"), found.pop("class")) == ("shapes/images/000001.png", "circle")
        assert {**found, "image_id": 1} == result


@pytest.mark.usefixtures("desk")
def test_predict_takes_files_folders_and_globs_each_picture_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("more/deep").mkdir(parents=True)
    Image.open("shapes/images/000001.png").save("more/deep/b.jpg")
    Path("more/notes.txt").write_text("not a picture")
    run("predict model.safetensors shapes/images/000002.png shapes/images 'more/**/*' --out found", capsys)
    names = [record["file_name"] for record in read("found/pictures.json")["images"]]
    assert names == [f"shapes/images/00000{i}.png" for i in (2, 1, 3)] + ["more/deep/b.jpg"]
    assert sorted(path.name for path in Path("found/overlays").iterdir()) == [
        *("000001.jpg", "000002.jpg", "000003.jpg", "b.jpg")
    ]


@pytest.mark.usefixtures("desk")
def test_predict_goes_on_after_a_broken_picture_and_says_so_with_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.png").write_bytes(Path("shapes/images/000001.png").read_bytes()[:100])
    line = (
        "predict model.safetensors shapes/images/000001.png broken.png shapes/images/000002.png --out found --batch 2"
    )
    out, err = run(line, capsys, status=1)
    assert {each.split("\t")[0] for each in out} == {f"shapes/images/00000{i}.png" for i in (1, 2)}
    assert err[0].startswith("error: broken.png: expected a whole picture")
    assert err[2] == "1 picture broken, named above and in found/pictures.json"
    assert len(read("found/pictures.json")["images"]) == 3


@pytest.mark.usefixtures("desk")
def test_score_decides_what_an_object_is(capsys: pytest.CaptureFixture[str]) -> None:
    counts = [len(run(f"predict model.safetensors shapes/images --out o --score {s}", capsys)[0]) for s in (0, 0.5, 1)]
    assert counts[0] >= counts[1] > counts[2] == 0
    assert read("o/predictions.json") == []
    assert read("o/pictures.json")["images"][0]["objects"] == 0


# ---- evaluate


@pytest.mark.usefixtures("desk")
def test_evaluate_a_model_and_then_its_results(capsys: pytest.CaptureFixture[str]) -> None:
    by_model, words = run("evaluate model.safetensors shapes --out scores", capsys)
    by_results, _ = run("evaluate --results scores/predictions.json shapes --out again", capsys)
    assert by_model == by_results
    text = "\n".join(by_model)
    assert "0.50:0.95" in text
    assert all(name in text for name in KINDS["shapes"].class_names)
    metrics, again = read("scores/metrics.json"), read("again/metrics.json")
    cost = metrics.pop("cost")
    assert (cost["pictures"], again.pop("cost")) == (3, None)
    assert metrics == again
    assert {"box/AP", "box/AP50", "mask/AP", "mask/AP50", "mask/AR100", "classes"} <= metrics.keys()
    assert metrics["images"] == 3
    assert not Path("again/predictions.json").exists()
    assert (words[0], words[2:]) == ("3 pictures (coco), 3 classes", ["results in scores"])
    assert re.search(
        r"^[\d.]+ pictures a second \(\d+ ms each\) with torch, fp32, on cpu; at most [\d.]+ GiB", words[1]
    )


@pytest.mark.usefixtures("desk")
def test_evaluate_by_other_measures_says_what_each_is(capsys: pytest.CaptureFixture[str]) -> None:
    measures = "boundary,voc,dsb:0.3,pose,kitti:0.6,mapping:0.25,sizes:16:48,proposals,lvis"
    shown, _ = run(f"evaluate model.safetensors shapes --out scores --measures {measures} --bootstrap 3", capsys)
    text = "\n".join(shown)
    for name in ("voc/AP50", "dsb/score", "kitti/AP60_easy", "mapping/AR25", "sizes/AP_16_to_48", "proposals/AR300"):
        assert f" {name} " in text
    metrics = read("scores/metrics.json")
    assert metrics["mask/dsb/score"] is not None
    assert "boundary/AP" in metrics
    assert "box/AP" not in metrics
    assert 0 < metrics["box/proposals/AR100"] <= metrics["box/proposals/AR300"] <= metrics["box/proposals/AR1000"] <= 1
    assert "at least 0.3" in metrics["meaning"]["mask/dsb/score"]
    low, high = metrics["intervals"]["mask/dsb/score"]
    assert low <= metrics["mask/dsb/score"] <= high or low == high


@pytest.mark.usefixtures("desk")
def test_evaluate_against_another_model_or_its_results(capsys: pytest.CaptureFixture[str]) -> None:
    run("evaluate model.safetensors shapes --out scores", capsys)
    line = "evaluate --results scores/predictions.json shapes --bootstrap 3 --against"
    by_results, _ = run(f"{line} scores/predictions.json", capsys)
    by_model, _ = run(f"{line} model.safetensors", capsys)
    row = [row.replace("│", " ").split() for row in by_results if "mask/AR100" in row][-1]
    assert row[1] == row[2]
    assert row[3:] == ["+0.000", "+0.000", "+0.000"]
    assert [row for row in by_model if "+0.000" in row] == [row for row in by_results if "+0.000" in row]


@pytest.mark.usefixtures("desk")
def test_evaluate_leaves_nothing_where_no_folder_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path.cwd().iterdir())
    run("evaluate model.safetensors shapes", capsys)
    assert sorted(Path.cwd().iterdir()) == before


@pytest.mark.usefixtures("desk")
def test_evaluate_names_annotations_that_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    document = read("shapes/annotations.json")
    outside = {"id": 99, "image_id": 1, "category_id": 1, "bbox": [500, 500, 9, 9], "area": 81, "iscrowd": 0}
    document["annotations"].append({**outside, "segmentation": [[500, 500, 509, 500, 509, 509]]})
    Path("shapes/annotations.json").write_text(json.dumps(document))
    _, words = run("evaluate model.safetensors shapes", capsys)
    assert words[0] == "3 pictures (coco), 3 classes"
    assert words[1].startswith("note: shapes/annotations.json: annotation 99 of ")


# ---- data synth


@pytest.mark.parametrize("kind", ["spacecraft", "shapes"])
def test_synth_draws_a_set_that_opens(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(f"data synth {kind} {tmp_path / 'new'} --count 2 --size 64x80 --seed 4", capsys)
    assert (out, err) == ([], [f"2 pictures in {tmp_path / 'new'}"])
    dataset = open_dataset(tmp_path / "new")
    assert (len(dataset), dataset.class_names) == (2, KINDS[kind].class_names)
    assert dataset[1].image.shape == (64, 80, 3)


@pytest.mark.parametrize("kind", ["spacecraft", "shapes"])
def test_synth_draws_the_pose_bowl_layout(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(f"data synth {kind} {tmp_path} --count 2 --size 64x80 --layout pose-bowl", capsys)
    with (tmp_path / "train_labels.csv").open(newline="") as file:
        labels = list(csv.DictReader(file))
    assert len(labels) == 2
    assert len(list((tmp_path / "images").iterdir())) == 2
    with Image.open(next((tmp_path / "no_background").rglob("*.png"))) as cut_out:
        assert (cut_out.mode, cut_out.size) == ("RGBA", (80, 64))


def test_synth_goes_on_where_it_was_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"data synth shapes {tmp_path} --count 2 --size 64x64"
    run(line, capsys)
    before = (tmp_path / "annotations.json").read_bytes()
    run(line, capsys)
    assert (tmp_path / "annotations.json").read_bytes() == before


# ---- train


@pytest.mark.usefixtures("desk")
def test_train_leaves_a_model_that_predicts(capsys: pytest.CaptureFixture[str]) -> None:
    options = "--preset small --epochs 1 --batch 3 --lr 1e-4 --seed 7 --workers 0 --accelerator cpu"
    line = (
        f"train shapes --out run {options} --min-size 64 --set model.pyramid.channels=16 --set train.augment.turn=0.5"
    )
    _, err = run(line, capsys)
    assert err[-1] == "model: run/model.safetensors"
    settings = read("run/settings.json")
    assert settings["train"]["stages"] == [{"layers": "all", "epochs": 1, "rate": 1.0}]
    assert [settings["train"][name] for name in ("batch", "learning_rate", "seed")] == [3, 1e-4, 7]
    assert settings["train"]["augment"]["turn"] == 0.5
    assert (settings["model"]["pyramid"]["channels"], settings["model"]["input"]["min_size"]) == (16, 64)
    assert load("run/model.safetensors").class_names == KINDS["shapes"].class_names
    run("predict run/model.safetensors shapes/images/000001.png --out found", capsys)


def test_the_settings_of_a_run_are_a_settings_file(tmp_path: Path, tiny: ModelConfig) -> None:
    values = {"model": tiny.model_dump(mode="json"), "train": {"batch": 3, "seed": 5}}
    (tmp_path / "settings.json").write_text(json.dumps(values))
    model, train = collect(Flags(config=tmp_path / "settings.json"))
    assert {**model, "classes": list(tiny.classes)} == values["model"]  # the classes are those of the new data
    assert train == values["train"]


def test_what_is_given_last_and_nearest_wins(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"train": {"batch": 1, "seed": 1, "workers": 1}}')
    settings = ("train.seed=2", "train.batch=2", "train.batch=3", "model.backbone.norm=batch")
    model, train = collect(Flags(config=tmp_path / "c.json", settings=settings, batch=4, train_layers="heads"))
    assert train == {
        "batch": 4,
        "seed": 2,
        "workers": 1,
        "stages": [{"layers": "heads", "epochs": train["stages"][0]["epochs"]}],
    }
    assert model == {"backbone": {"norm": "batch"}}


def test_stages() -> None:
    _, train = collect(Flags(stages="heads:2, 4+:3@0.5"))
    assert train == {"stages": [{"layers": "heads", "epochs": 2}, {"layers": "4+", "epochs": 3, "rate": 0.5}]}


def test_nothing_given_leaves_everything_to_the_data_and_the_machine() -> None:
    assert collect(Flags()) == ({}, {})


# ---- demo


def test_demo_says_how_well_it_went_and_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {}

    def quick(out: Path, **options: Any) -> Path:
        asked.update(options)
        out.mkdir()
        (out / "metrics.json").write_text('{"box/AP50": 0.9123, "mask/AP50": 0.8765}')
        return out / "report.html"

    monkeypatch.setattr("maskrcnn.demo.demo", quick)
    out, err = run(f"demo --out {tmp_path / 'd'} --seed 3", capsys)
    assert asked["seed"] == 3
    assert out == []
    assert err == [
        "held-out pictures: box AP@.50 0.912, mask AP@.50 0.876 (COCO, area all, 100 detections)",
        f"open {tmp_path / 'd/report.html'}",
    ]

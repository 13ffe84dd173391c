"""`train` as people call it: what comes out, what it refuses and in which words, and data with nothing in it."""

from __future__ import annotations

import json
import math
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import maskrcnn
from maskrcnn.config import TrainConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.joining import join
from maskrcnn.data.transforms import Defer
from maskrcnn.errors import ConfigError, ImageError, InputError, WeightsError
from maskrcnn.model.weights import read
from maskrcnn.training import Devices, Run, fit
from maskrcnn.training.history import read_history
from maskrcnn.training.setup import start_model
from maskrcnn.zoo import open_file

KUDZU = Path(__file__).parents[2] / "../shared/data/via_kudzu"


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "run")


@pytest.fixture
def copy(shapes, tmp_path):
    """Copy the training pictures and change their annotations."""

    def make(change) -> Path:
        folder = tmp_path / "data"
        shutil.copytree(shapes / "train", folder)
        path = folder / "annotations.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))
        return folder

    return make


# What comes out


def test_a_run_learns_the_same_where_the_device_makes_the_pictures(learn, tmp_path, shapes, monkeypatch):
    settings = {"augment": {"flip": 0.5, "crop": 0.7, "colour": 0.3, "scale": [1.0, 1.5], "copy_paste": 0.5}}
    runs = [Run(tmp_path / name) for name in ("now", "later")]
    learn(runs[0].folder, settings=settings)
    monkeypatch.setattr(fit, "left_to", lambda _: (Defer(),))
    learn(runs[1].folder, settings=settings)
    now, later = (load_file(run.model) for run in runs)
    assert all(torch.equal(now[name], later[name]) for name in now)


@pytest.mark.parametrize("there", [False, True])
def test_pictures_are_left_to_gpus_only(monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert fit.left_to(Devices("cpu")) == ()
    assert fit.left_to(Devices("gpu")) == fit.left_to(Devices()) == ((Defer(),) if there else ())


def test_a_run_holds_all_that_is_needed_to_know_and_use_it(learn, run, shapes):
    assert learn(run.folder, val=shapes / "val") == run.model
    found = maskrcnn.load(run.model).predict(next((shapes / "val/images").iterdir()))
    assert found.class_names == ("circle", "square", "triangle")
    facts = json.loads(run.facts.read_text())
    assert facts["data"]["fingerprint"] == open_dataset(shapes / "train").fingerprint()
    assert facts["validation"]["pictures"] == 2
    assert facts["seed"] == 0
    assert facts["versions"].keys() >= {"python", "torch", "maskrcnn"}
    settings = json.loads(run.settings.read_text())
    assert settings["train"]["stages"] == [{"layers": "all", "epochs": 1, "rate": 1.0}]
    assert settings["model"] == read(run.model).config.model_dump(mode="json")
    assert {path.name for path in run.folder.iterdir()} == {
        *("model.safetensors", "settings.json", "run.json", "checkpoints", "logs", "tensorboard", "samples")
    }


def test_open_data_sets_settings_objects_and_short_forms_do_as_well(learn, run, shapes, tmp_path, sessions):
    learn(run.folder)
    dataset = open_dataset(shapes / "train")
    model = read(run.model).config
    settings = TrainConfig.parse({**sessions.SETTINGS, "stages": [{"epochs": 1}]})
    maskrcnn.train(
        dataset, out=str(tmp_path / "other"), model=model, settings=settings, devices=Devices("cpu"), say=lambda _: None
    )
    assert (tmp_path / "other/logs/history.csv").read_bytes() == run.history.read_bytes()


def test_everything_random_follows_from_the_seed(learn, run, tmp_path):
    torch.manual_seed(123)
    learn(run.folder)
    torch.manual_seed(321)
    learn(tmp_path / "again")
    learn(tmp_path / "other", settings={"seed": 1})
    same, other = load_file(tmp_path / "again/model.safetensors"), load_file(tmp_path / "other/model.safetensors")
    ours = load_file(run.model)
    assert all(torch.equal(value, same[name]) for name, value in ours.items())
    assert not all(torch.equal(value, other[name]) for name, value in ours.items())


def test_a_run_in_mixed_precision_clips_beside_a_fused_optimiser(learn, run):
    """As every run on a GPU does unless it is told otherwise; Lightning by itself refuses the three together."""
    learn(run.folder, settings={"precision": "bf16"})
    losses = [row["train/loss"] for row in read_history(run.folder) if "train/loss" in row]
    assert len(losses) == 4
    assert all(map(math.isfinite, losses))


def test_a_stage_changes_what_it_should_and_nothing_else(learn, run, shapes, sessions, tmp_path):
    plain = {"warmup": 0, "schedule": "constant"}
    first = start_model(open_dataset(shapes / "train"), None, "small", sessions.MODEL, 0).model.state_dict()
    learn(run.folder, settings={**plain, "stages": [{"layers": "heads", "epochs": 1}, {"layers": "5+", "epochs": 1}]})
    final = load_file(run.model)
    changed = {name for name in first if not torch.equal(first[name], final[name])}
    assert {name.split(".")[1] for name in changed if name.startswith("backbone.")} == {"res5"}
    assert {name.split(".")[0] for name in changed} == {"backbone", "pyramid", "rpn", "box_head", "mask_head"}
    # what learnt in the first stage keeps its momentum and still does not move in the second
    learn(tmp_path / "all", settings={**plain, "stages": [{"epochs": 1}]})
    learn(tmp_path / "less", settings={**plain, "stages": [{"epochs": 1}, {"layers": "heads", "epochs": 1}]})
    whole, less = load_file(tmp_path / "all/model.safetensors"), load_file(tmp_path / "less/model.safetensors")
    moved = {name.split(".")[0] for name in whole if not torch.equal(whole[name], less[name])}
    assert moved == {"pyramid", "rpn", "box_head", "mask_head"}


def test_weights_of_another_run_are_told_line_by_line(learn, run, tmp_path, shapes):
    learn(run.folder)
    lines = []
    learn(tmp_path / "next", weights=run.model, model=None, say=lines.append)
    assert lines[0] == f"data: {shapes / 'train/annotations.json'} (coco), 7 pictures, 17 objects"
    assert lines[1] == f"weights: {len(load_file(run.model))} tensors loaded: same name and shape"
    assert lines[2] == "model: resnet18, 3 classes, short edge 64, anchors 8, 16, 32, 64, 128 px"
    notes = json.loads((tmp_path / "next/run.json").read_text())["weights"]
    assert {note["name"] for note in notes} == set(load_file(run.model))
    assert read_history(tmp_path / "next")[0]["train/loss"] < read_history(run.folder)[0]["train/loss"]


def test_a_backbone_of_another_project_starts_a_run(shapes, tmp_path, foreign_files, sessions):
    lines = []
    maskrcnn.train(
        shapes / "sparse",
        out=tmp_path / "run",
        weights=foreign_files / "resnet18.pth",
        preset="small",
        model=sessions.MODEL,
        settings={**sessions.SETTINGS, "stages": [{"epochs": 1}]},
        devices="cpu",
        say=lines.append,
    )
    assert lines[1:3] == [
        "weights: resnet18.pth is of torchvision backbone, without heads: all but the backbone starts fresh",
        "weights: 100 tensors loaded: same name and shape",
    ]
    assert "weights: 2 tensors unused: the classifier of ImageNet: fc.weight, fc.bias" in lines
    assert any(line.startswith("model: resnet18, 3 classes") and "preset small" in line for line in lines)
    before, after = (
        open_file(foreign_files / "resnet18.pth").weights.tensors,
        load_file(tmp_path / "run/model.safetensors"),
    )
    norms = [name for name in before if ".norm." in name]
    assert len(norms) == 80
    assert all(torch.equal(before[name], after[name]) for name in norms)
    assert not torch.equal(before["backbone.res5.1.conv2.conv.weight"], after["backbone.res5.1.conv2.conv.weight"])


# What is refused


def test_weights_that_are_not_there(learn, run, tmp_path):
    with pytest.raises(WeightsError, match=r"none\.safetensors: expected a model file, got no such file"):
        learn(run.folder, weights=tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match=r"^coco: .* did you mean matterport/coco\?"):
        learn(run.folder, weights="coco")
    assert not run.folder.exists()


def test_a_folder_in_use_is_not_overwritten(learn, run):
    learn(run.folder)
    before = run.model.read_bytes()
    with pytest.raises(InputError, match="run: expected a new folder, got a run; go on with --resume or name another"):
        learn(run.folder)
    assert run.model.read_bytes() == before


def test_nothing_to_resume(learn, run):
    with pytest.raises(InputError, match="run: expected a run to resume, got nothing there; begin one without"):
        learn(run.folder, resume=True)
    assert not run.folder.exists()


def test_a_resume_with_other_data_or_settings_is_refused(learn, run, shapes):
    learn(run.folder)
    with pytest.raises(InputError, match=r"annotations\.json: expected the training data that .*run began with"):
        learn(run.folder, data=shapes / "val", resume=True)
    with pytest.raises(InputError, match="expected no validation data, got some"):
        learn(run.folder, val=shapes / "val", resume=True)
    for extra in ({"preset": "small"}, {"weights": run.model}, {"model": {"rpn": {}}}):
        with pytest.raises(InputError, match=r"^resume: expected no other settings, got some; a resumed run keeps"):
            learn(run.folder, resume=True, **extra)


def test_a_checkpoint_of_another_model_is_refused(learn, run, tmp_path, sessions):
    learn(run.folder)
    learn(tmp_path / "other", model={**sessions.MODEL, "pyramid": {"channels": 32}})
    shutil.copy(Run(tmp_path / "other").last, run.last)
    with pytest.raises(InputError, match=r"^checkpoint: expected one of the model in settings\.json, got another"):
        learn(run.folder, resume=True)


def test_a_finished_run_is_left_as_it_is(learn, run):
    learn(run.folder)
    before = run.model.read_bytes(), run.history.read_bytes()
    assert learn(run.folder, resume=True) == run.model
    assert (run.model.read_bytes(), run.history.read_bytes()) == before


def test_validation_with_a_class_that_is_not_learnt_is_refused_before_anything_is_written(learn, run, copy, shapes):
    def rename(document):
        document["categories"][0]["name"] = "ship"

    with pytest.raises(InputError, match=r"annotations\.json: expected classes that the model knows \(circle, square"):
        learn(run.folder, val=copy(rename))
    assert not run.folder.exists()


def test_devices_that_are_not_there_are_a_sentence(learn, run):
    with pytest.raises(InputError, match=r"^devices: expected ones that this machine has, got Devices.*'gpu'"):
        learn(run.folder, devices="gpu")
    assert not run.folder.exists()


def test_unknown_settings_are_named(learn, run):
    with pytest.raises(ConfigError, match=r"^settings: learning_rat: unknown setting; did you mean 'learning_rate'"):
        learn(run.folder, settings={"learning_rat": 3})
    with pytest.raises(InputError, match=r"^preset: expected one of full, small, got huge"):
        learn(run.folder, preset="huge")
    assert not run.folder.exists()


def test_a_preset_beside_weights_is_refused(learn, run, tmp_path):
    learn(run.folder)
    with pytest.raises(InputError, match=r"^preset small: expected none beside weights, which bring their own"):
        learn(tmp_path / "next", weights=run.model, preset="small")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_is_named(learn, run, copy, workers):
    folder = copy(lambda _: None)
    picture = sorted((folder / "images").iterdir())[3]
    picture.write_bytes(picture.read_bytes()[:200])
    with pytest.raises(ImageError, match=picture.name):
        learn(run.folder, data=folder, settings={"workers": workers})


def test_an_interrupt_says_how_to_go_on_and_ends_as_python_code_does(learn, run, shapes):
    lines = []

    def say(line: str) -> None:
        lines.append(line)
        if line.startswith("epoch 1/"):
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        learn(run.folder, val=shapes / "val", settings={"stages": [{"epochs": 9}]}, say=say)
    assert signal.getsignal(signal.SIGINT) == before
    source = {kind: shapes / kind / "annotations.json" for kind in ("train", "val")}
    assert lines[-1] == (
        f"the run can go on: maskrcnn train {source['train']} --val {source['val']} --out {run.folder} --resume"
    )
    learn(run.folder, val=shapes / "val", resume=True)
    assert len(read_history(run.folder)) == 9 * 4


# Data with nothing in it


def no_objects(document):
    document["annotations"] = []


def crowds_only(document):
    for annotation in document["annotations"]:
        annotation["iscrowd"] = 1


def one_object(document):
    document["annotations"] = document["annotations"][:1]


def boxes_only(document):
    for annotation in document["annotations"]:
        del annotation["segmentation"]


@pytest.mark.parametrize("change", [no_objects, crowds_only, one_object, boxes_only])
def test_pictures_without_objects_crowds_and_boxes_without_masks_train(learn, run, copy, shapes, change):
    learn(run.folder, data=copy(change), val=shapes / "val", settings={"stages": [{"epochs": 2}]})
    rows = read_history(run.folder)
    assert len(rows) == 8
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert all(row["train/objectness"] > 0 or change is crowds_only for row in rows)
    learnt = {name: sum(row[f"train/{name}"] for row in rows) for name in ("box", "mask")}
    assert {name for name, total in learnt.items() if total > 0} == {
        no_objects: set(),
        crowds_only: set(),
        one_object: {"box", "mask"},
        boxes_only: {"box"},
    }[change]
    assert all(torch.isfinite(value).all() for value in load_file(run.model).values())


def test_validation_without_objects_measures_nothing_and_ends_well(learn, run, copy):
    folder = copy(no_objects)
    learn(run.folder, val=folder)
    assert run.model.exists()
    assert all("val/AP" not in row for row in read_history(run.folder))


def test_annotations_that_have_no_place_are_named(learn, run, copy):
    def move(document):
        for annotation in document["annotations"][:7]:
            annotation["bbox"] = [500, 500, 4, 4]
            del annotation["segmentation"]

    lines = []
    learn(run.folder, data=copy(move), say=lines.append)
    notes = [line for line in lines if line.startswith("note: ")]
    assert len(notes) == 6
    assert "left out: it lies wholly outside of the picture" in notes[0]
    assert notes[-1].endswith("annotations.json: 2 more annotations left out")


@pytest.mark.skipif(not KUDZU.exists(), reason="the shared data is not here")
def test_a_validation_file_that_names_no_class_shows_the_only_one(learn, run):
    lines = []
    train, val = open_dataset(KUDZU / "train")[:4], open_dataset(KUDZU / "val")[:2]
    learn(run.folder, data=train, val=val, say=lines.append)
    assert f"note: {val.source} names no class: its objects count as kudzu" in lines
    assert "val/AP" in read_history(run.folder)[-1]


# Several sets, chosen classes


@pytest.fixture
def two_sets(shapes, tmp_path) -> list[Path]:
    """The training pictures twice: in one set only circles are annotated, in the other all but circles."""
    folders = []
    for name, has in (("circles", {"circle"}), ("others", {"square", "triangle"})):
        shutil.copytree(shapes / "train", tmp_path / name)
        path = tmp_path / name / "annotations.json"
        document = json.loads(path.read_text())
        ids = {each["id"] for each in document["categories"] if each["name"] in has}
        document["categories"] = [each for each in document["categories"] if each["id"] in ids]
        document["annotations"] = [each for each in document["annotations"] if each["category_id"] in ids]
        path.write_text(json.dumps(document))
        folders.append(tmp_path / name)
    return folders


def test_several_sets_are_joined_and_a_run_on_them_goes_on(learn, run, shapes, two_sets):
    lines = []
    data = {"data": two_sets, "val": [shapes / "val", shapes / "val"]}
    learn(run.folder, **data, say=lines.append)
    facts = json.loads(run.facts.read_text())
    assert facts["classes"] == ["circle", "square", "triangle"]
    assert (facts["data"]["pictures"], facts["validation"]["pictures"]) == (14, 4)
    learn(run.folder, **data, resume=True)
    with pytest.raises(InputError, match="got other pictures or annotations"):
        learn(run.folder, **{**data, "data": two_sets[::-1]}, resume=True)


def test_objects_that_were_not_looked_for_change_what_is_learnt(learn, tmp_path, two_sets):
    """The marks alone make the difference: the same pictures and objects with and without them."""
    joint = join([open_dataset(path) for path in two_sets])
    assert {each.labelled for each in joint.records} == {frozenset({0}), frozenset({1, 2})}
    unmarked = joint.change(records=[replace(each, labelled=None) for each in joint.records])
    losses = {}
    for name, dataset in (("marked", joint), ("unmarked", unmarked)):
        learn(tmp_path / name, data=dataset)
        losses[name] = read_history(tmp_path / name)[0]
    marked, plain = losses["marked"], losses["unmarked"]
    assert {key for key in marked if marked[key] != plain[key]} == {"train/loss", "train/class"}
    assert marked["train/class"] < plain["train/class"]


def test_chosen_classes_are_those_of_training_and_of_validation(learn, run, shapes):
    lines = []
    learn(run.folder, data=shapes / "train", val=shapes / "val", classes="round=circle;square", say=lines.append)
    assert json.loads(run.facts.read_text())["classes"] == ["round", "square"]
    kept = [line for line in lines if "kept" in line]
    assert [line.split(": kept")[0] for line in kept] == [
        str(shapes / kind / "annotations.json") for kind in ("train", "val")
    ]
    assert all("; dropped: triangle" in line for line in kept)


def test_classes_that_are_not_there_are_named_before_anything_is_written(learn, run, shapes):
    with pytest.raises(InputError, match="did you mean 'circle' for 'circel'"):
        learn(run.folder, classes="circel", val=shapes / "val")
    assert not run.folder.exists()
    with pytest.raises(InputError, match="format: expected one of"):
        learn(run.folder, format="cocoo")


def test_an_interrupt_names_every_set_and_the_classes(learn, run, shapes, two_sets):
    lines = []

    def say(line: str) -> None:
        lines.append(line)
        if line.startswith("epoch 1/"):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        learn(
            run.folder,
            data=two_sets,
            val=shapes / "val",
            classes={"one": ["circle", "square"]},
            format="coco",
            say=say,
            settings={"stages": [{"epochs": 9}]},
        )
    sources = " ".join(f"{path}/annotations.json" for path in two_sets)
    assert lines[-1] == (
        f"the run can go on: maskrcnn train {sources} --val {shapes}/val/annotations.json --format coco "
        f"--classes one=circle,square --out {run.folder} --resume"
    )

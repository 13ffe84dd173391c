"""Where a run may begin or go on, and the sentences where it may not."""

from __future__ import annotations

import json

import pytest

from maskrcnn.config import TrainConfig
from maskrcnn.data import open_dataset
from maskrcnn.errors import ConfigError, InputError
from maskrcnn.training.folder import (
    Run,
    check_new,
    check_resumable,
    check_same_data,
    describe,
    read_settings,
    sweep,
    write_settings,
)


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "run")


@pytest.fixture
def begun(run, shapes, tiny) -> Run:
    facts = {"data": describe(open_dataset(shapes / "train")), "validation": describe(open_dataset(shapes / "val"))}
    write_settings(run, facts, tiny, TrainConfig())
    return run


def test_a_run_begins_in_a_new_or_empty_folder_or_beside_other_things(run):
    check_new(run)
    run.folder.mkdir()
    check_new(run)
    (run.folder / "notes.txt").write_text("mine")
    check_new(run)


def test_a_run_does_not_begin_over_another_or_over_a_file(begun, tmp_path):
    with pytest.raises(InputError, match="run: expected a new folder, got a run; go on with --resume or name another"):
        check_new(begun)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: expected a folder for the run, got a file"):
        check_new(Run(tmp_path / "file"))


def test_only_a_run_can_be_resumed(run, begun, tmp_path):
    check_resumable(begun)
    with pytest.raises(InputError, match="none: expected a run to resume, got nothing there; begin one without"):
        check_resumable(Run(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: expected a run to resume, got a folder without settings\.json"):
        check_resumable(Run(tmp_path / "empty"))


def test_the_settings_come_back(begun, tiny):
    assert read_settings(begun) == (tiny, TrainConfig())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "expected JSON, got an error"),
        ("[]", "expected a JSON object, got list"),
        ('{"model": {}}', "expected settings of model and train, got model"),
        ("{}", "expected settings of model and train, got nothing"),
    ],
)
def test_broken_settings_are_sentences(begun, text, sentence):
    begun.settings.write_text(text)
    with pytest.raises(InputError, match=f"settings.json: {sentence}"):
        read_settings(begun)


def test_unknown_settings_are_named_with_their_file(begun):
    values = json.loads(begun.settings.read_text())
    begun.settings.write_text(json.dumps({**values, "train": {"epoch": 3}}))
    with pytest.raises(ConfigError, match=r"settings\.json: train: epoch: unknown setting"):
        read_settings(begun)


def test_the_same_data_may_lie_elsewhere(begun, shapes, tmp_path):
    (tmp_path / "moved").symlink_to(shapes / "train")
    check_same_data(begun, open_dataset(tmp_path / "moved"), open_dataset(shapes / "val"))


def test_other_data_is_refused(begun, shapes):
    train, val = open_dataset(shapes / "train"), open_dataset(shapes / "val")
    with pytest.raises(InputError, match=r"expected the training data that .* began with .*, got other pictures or"):
        check_same_data(begun, train[:-1], val)
    with pytest.raises(InputError, match=r"expected the validation data that .* began with .*, got other pictures or"):
        check_same_data(begun, train, train)
    with pytest.raises(InputError, match=r"expected the validation data that .* began with .*, got none; name it with"):
        check_same_data(begun, train, None)


def test_validation_does_not_come_later(run, shapes, tiny):
    train, val = open_dataset(shapes / "train"), open_dataset(shapes / "val")
    write_settings(run, {"data": describe(train), "validation": None}, tiny, TrainConfig())
    check_same_data(run, train, None)
    with pytest.raises(InputError, match=r"expected no validation data, got some, but .* began without$"):
        check_same_data(run, train, val)


@pytest.mark.parametrize("text", [None, "{", "[1]", "{}", '{"data": 3}'])
def test_broken_notes_are_sentences(begun, shapes, text):
    begun.facts.unlink() if text is None else begun.facts.write_text(text)
    with pytest.raises(InputError, match="expected"):
        check_same_data(begun, open_dataset(shapes / "train"), None)


def test_half_written_files_are_swept_and_whole_ones_stay(begun):
    begun.last.parent.mkdir()
    half = [begun.last.with_name(".last.ckpt.x1.ckpt"), begun.folder / ".model.safetensors.y2.safetensors"]
    whole = [begun.last, begun.best, begun.folder / ".hidden"]
    for path in [*half, *whole]:
        path.touch()
    sweep(begun)
    assert not any(path.exists() for path in half)
    assert all(path.exists() for path in [*whole, begun.settings, begun.facts])

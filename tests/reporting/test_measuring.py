"""What a model finds is made once and kept beside its run."""

from __future__ import annotations

import json

import pytest

from maskrcnn.errors import InputError
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save
from maskrcnn.prediction import load
from maskrcnn.reporting.measuring import FOLDER, found_by
from maskrcnn.reporting.runs import read_runs, same_data, validation_of


def test_what_was_found_before_is_read(make_run, pictures, results, no_model) -> None:
    found = found_by(make_run(), pictures, no_model)
    assert (found.results, found.seconds) == (results, 8.0)


def test_another_model_finds_anew_and_that_is_kept(make_run, pictures, tiny, no_model) -> None:
    run, said = make_run(), []
    save(build(tiny.change(detect=tiny.detect.change(score_threshold=0.0))), run.model)
    first = found_by(run, pictures, load, lambda *told: said.append(told))
    assert said == [("finding with run", i, 4) for i in range(1, 5)]
    assert {each["image_id"] for each in first.results} == {1, 2, 3, 4}
    assert found_by(run, pictures, no_model).results == first.results


@pytest.mark.parametrize("spoilt", ["", "[]", '{"model": "other"}', "{"])
def test_notes_that_are_broken_are_as_good_as_none(make_run, pictures, spoilt: str) -> None:
    run, opened = make_run(), []
    (notes,) = (run.folder / FOLDER).glob("*/made.json")
    notes.write_text(spoilt)

    def open_model(path):
        opened.append(path)
        return load(path)

    found_by(run, pictures, open_model)
    assert opened == [run.model]


def test_results_that_are_broken_are_made_anew(make_run, pictures) -> None:
    run = make_run()
    (path,) = (run.folder / FOLDER).glob("*/predictions.json")
    path.write_text("[{}]")
    assert found_by(run, pictures, load).results == json.loads(path.read_text())


# ---- the folder of a run


def test_a_run_is_read_and_its_data_found_again(make_run, pictures) -> None:
    run = make_run()
    (told,) = read_runs([run.folder])
    assert (told.name, told.train.learning_rate, len(told.history)) == ("run", 1e-3, 5)
    dataset = validation_of(told)
    assert dataset.fingerprint() == pictures.fingerprint()
    assert same_data(told, pictures.fingerprint())
    assert not same_data(told, "other")


def test_data_that_was_joined_and_renamed_is_opened_in_the_same_way(make_run, pictures) -> None:
    run = make_run()
    facts = json.loads(run.facts.read_text())
    facts["validation"]["opened"] |= {"classes": "animal=cat,dog,zebra;horse", "format": "coco"}
    facts["validation"]["opened"]["sources"] *= 2
    run.facts.write_text(json.dumps(facts))
    dataset = validation_of(read_runs([run.folder])[0])
    assert (len(dataset), dataset.class_names) == (8, ("animal", "horse"))


def test_what_is_missing_is_said(make_run, pictures, tmp_path) -> None:
    run = make_run()
    with pytest.raises(InputError, match="report: expected at least one run, got none"):
        read_runs([])
    with pytest.raises(InputError, match=r"expected different runs, got .*run twice"):
        read_runs([run.folder, run.folder])
    for path, kind in ((tmp_path / "no", "nothing there"), (tmp_path, "a folder without one"), (run.model, "a file")):
        with pytest.raises(InputError, match=rf"expected the folder of a run, with settings\.json, got {kind}$"):
            read_runs([path])
    pictures.source.unlink()
    with pytest.raises(InputError, match=r"run: expected its validation data at .*annotations\.json, got nothing"):
        validation_of(read_runs([run.folder])[0])
    facts = json.loads(run.facts.read_text())
    run.facts.write_text(json.dumps({**facts, "validation": None}))
    with pytest.raises(InputError, match=r"expected a run with validation data, got one without; name .* with --data"):
        validation_of(read_runs([run.folder])[0])
    run.model.unlink()
    with pytest.raises(InputError, match="expected a run with a model, got one without; its first epoch has not ended"):
        read_runs([run.folder])

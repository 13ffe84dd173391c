from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_corpus import CLEAN, FAULTS, TURN, Fault, Set, coco_set, corners, picture, via_set
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Annotation, Dataset, Rings
from maskrcnn.data.findings import RULES
from maskrcnn.data.images import upright
from maskrcnn.doctor import deleak, examine, mend
from maskrcnn.doctor.mending import MENDED
from maskrcnn.doctor.turning import turned_upright
from maskrcnn.errors import InputError, OutputError

MENDABLE = [fault for fault in FAULTS if fault.code in MENDED]


def bytes_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def log_of(folder: Path) -> dict[str, Any]:
    log: dict[str, Any] = json.loads((folder / "fixes.json").read_bytes())
    return log


def masks(dataset: Dataset, name: str) -> np.ndarray:
    i = next(i for i, record in enumerate(dataset.records) if Path(record.name).stem == Path(name).stem)
    found = dataset[i].instances.masks
    assert found is not None
    return found.dense()


@pytest.mark.parametrize("fault", MENDABLE, ids=lambda fault: fault.name)
def test_a_mended_copy_does_not_have_the_fault(fault: Fault, tmp_path: Path) -> None:
    given = CLEAN[fault.kind](tmp_path / "set")
    fault.seed(given)
    visit = examine(given.save())
    before = bytes_in(tmp_path / "set")
    written = mend(visit, tmp_path / "mended")
    assert bytes_in(tmp_path / "set") == before
    again = examine(tmp_path / "mended").report
    assert fault.code not in {finding.code for finding in again.findings}
    assert not again.errors
    assert (again.patients[0].pictures, again.patients[0].objects) == (written.pictures, written.objects)
    changes = log_of(tmp_path / "mended")["changes"]
    assert {each["change"] for each in changes if each["code"] == fault.code} == {RULES[fault.code].mend}
    assert len([each for each in changes if each["code"] == fault.code]) == fault.times


def test_most_findings_that_a_table_calls_mended_are_seeded_here() -> None:
    others = {"F004", "F005", "C301", "G205"}  # held by the reader of COCO, whose faults are in records
    of_folders = {"F009"}
    assert {fault.code for fault in MENDABLE} >= MENDED - others - of_folders


def test_a_clean_set_keeps_every_pixel_of_every_object(tmp_path: Path) -> None:
    for kind, make in CLEAN.items():
        before = open_dataset(make(tmp_path / kind).save())
        written = mend(examine(tmp_path / kind), tmp_path / f"{kind}-mended")
        after = open_dataset(tmp_path / f"{kind}-mended")
        assert (written.pictures, written.objects, written.changes) == (8, 24, 0)
        assert after.class_names == before.class_names
        for i in range(len(before)):
            assert (before[i].image == after[i].image).all()
            assert (before[i].instances.labels == after[i].instances.labels).all()
            assert (masks(before, before.records[i].name) == masks(after, before.records[i].name)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_objects_turn_as_their_pictures_do(orientation: int) -> None:
    rng = np.random.default_rng(orientation)
    size_hw, ring = (30, 50), rng.uniform(2, 28, (6, 2))
    outline = Annotation("a", 0, Rings((ring,)))
    box = Annotation("b", 0, None, (3, 5, 20, 11))
    dense = np.zeros(size_hw, dtype=bool)
    x, y, pixels = outline.shape.bitmap(size_hw)
    dense[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    expected = upright(dense, orientation)
    turned = turned_upright(outline, orientation, size_hw)
    x, y, pixels = turned.shape.bitmap(expected.shape)
    found = np.zeros(expected.shape, dtype=bool)
    found[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    assert (found == expected).all()
    filled = np.zeros(size_hw, dtype=bool)
    filled[5:11, 3:20] = True
    rows, columns = np.nonzero(upright(filled, orientation))
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert turned_upright(box, orientation, size_hw).box == edges


def store(image: Image.Image, path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    image.transpose(TURN[orientation]).save(path, exif=exif, quality=95)


def test_a_picture_that_was_annotated_unturned_gets_all_its_objects_back(tmp_path: Path) -> None:
    """Annotated in the pixels of the file, a standing picture's lying outlines leave it; none is lost."""
    given, clean = via_set(tmp_path / "set"), via_set(tmp_path / "clean")
    for each in (given, clean):
        region = each.document["01.jpg1"]["regions"][2]["shape_attributes"]
        region["all_points_x"] = [x + 13 for x in region["all_points_x"]]
    standing = picture(1, (160, 120))
    store(standing, given.path("01.jpg"), 8)  # its file holds 120x160, for which the outlines were made
    visit = examine(given.save())
    assert open_dataset(tmp_path / "set").left_out != ()
    mend(visit, tmp_path / "mended")
    mended = open_dataset(tmp_path / "mended")
    found = masks(mended, "01.jpg")
    assert found.shape == (3, 160, 120)
    expected = [upright(mask, 8) for mask in masks(open_dataset(clean.save()), "01.jpg")]
    assert sorted(mask.sum() for mask in found) == sorted(mask.sum() for mask in expected)
    assert (found.any(axis=0) == np.any(expected, axis=0)).all()
    with Image.open(tmp_path / "mended/images/01.png") as stored:
        assert (stored.size, 274 in stored.getexif()) == ((120, 160), False)


def test_boxes_do_not_cost_the_masks_of_their_picture(tmp_path: Path) -> None:
    given = coco_set(tmp_path / "set")
    del given.annotation()["segmentation"]
    mend(examine(given.save()), tmp_path / "mended")
    document = json.loads((tmp_path / "mended/annotations.json").read_bytes())
    first = [each for each in document["annotations"] if each["image_id"] == 1]
    assert sorted("segmentation" in each for each in first) == [False, True, True]


def test_a_picture_that_is_listed_twice_keeps_the_objects_of_both(tmp_path: Path) -> None:
    given = coco_set(tmp_path / "set")
    given.add_picture("00.png", objects=1)
    moved = [[x, y - 28] for x, y in corners(0, 1)]
    new = given.add(moved)
    new["image_id"] = 9
    mend(examine(given.save()), tmp_path / "mended")
    mended = open_dataset(tmp_path / "mended")
    assert len(mended) == 8
    assert len(mended.records[0].annotations) == 4  # three, and the one that is new


def test_of_copies_the_one_with_most_objects_stays(tmp_path: Path) -> None:
    given = coco_set(tmp_path / "set")
    given.path("copy.png").write_bytes(given.path("00.png").read_bytes())
    given.add_picture("copy.png", objects=3)
    given.document["annotations"] = [each for each in given.document["annotations"] if each["id"] not in (1, 2)]
    mend(examine(given.save()), tmp_path / "mended")
    mended = open_dataset(tmp_path / "mended")
    assert "00.png" not in {record.name for record in mended.records}
    assert next(len(record.annotations) for record in mended.records if record.name == "copy.png") == 3


def test_classes_are_joined_under_the_commoner_name(tmp_path: Path) -> None:
    given = coco_set(tmp_path / "set")
    given.document["categories"] = [{"id": 1, "name": "Cat"}, {"id": 2, "name": "cat"}, {"id": 5, "name": "dog"}]
    for each in given.document["annotations"][:14]:
        each["category_id"] = 2
    given.annotation(20)["category_id"] = 5
    mend(examine(given.save()), tmp_path / "mended")
    mended = open_dataset(tmp_path / "mended")
    assert (mended.class_names, mended.category_ids) == (("cat", "dog"), (2, 5))
    assert sum(len(record.annotations) for record in mended.records) == 24


def test_what_is_ignored_is_left_as_it_is(tmp_path: Path) -> None:
    given = coco_set(tmp_path / "set")
    given.add()
    written = mend(examine(given.save()), tmp_path / "mended", ignore=["G210"])
    assert (written.objects, written.changes) == (25, 0)


def test_names_stay_in_the_new_folder_and_are_used_once(tmp_path: Path) -> None:
    given = coco_set(tmp_path / "a/set")
    outside = tmp_path / "a/elsewhere"
    outside.mkdir()
    given.path("00.png").rename(outside / "01.jpg")
    given.document["images"][0]["file_name"] = "../elsewhere/01.jpg"
    given.path("in").mkdir()
    given.path("02.png").rename(given.path("in") / "01.JPG")
    given.document["images"][2]["file_name"] = "in/01.JPG"
    given.path("03.jpg").rename(given.path("plain"))
    given.document["images"][3]["file_name"] = "plain"
    mend(examine(given.save()), tmp_path / "mended")
    images = tmp_path / "mended/images"
    names = sorted(path.relative_to(images).as_posix() for path in images.rglob("*") if path.is_file())
    assert names == ["01.jpg", "04.png", "05.jpg", "06.png", "07.jpg", "elsewhere/01.jpg", "in/01.JPG", "plain"]


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    visit = examine(coco_set(tmp_path / "set").save())
    other = examine(via_set(tmp_path / "other", seed=1).save())
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("x")
    with pytest.raises(OutputError, match=r"full: expected an empty folder or .* got a folder with mine"):
        mend(visit, tmp_path / "full")
    with pytest.raises(OutputError, match=r"set: expected an empty folder"):
        mend(visit, tmp_path / "set")
    mend(other, tmp_path / "mended")
    with pytest.raises(OutputError, match=r"mended: expected .* begun from another set"):
        mend(visit, tmp_path / "mended")


def test_what_was_cut_off_goes_on_when_it_is_repeated(tmp_path: Path) -> None:
    visit = examine(coco_set(tmp_path / "set").save())

    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mend(visit, tmp_path / "mended", progress=stop)
    assert not (tmp_path / "mended/annotations.json").exists()
    assert not (tmp_path / "mended/fixes.json").exists()
    assert mend(visit, tmp_path / "mended").pictures == 8
    assert log_of(tmp_path / "mended")["pictures"] == 8


def test_what_could_not_be_read_or_was_not_looked_at_is_not_copied(tmp_path: Path) -> None:
    given = coco_set(tmp_path / "set")
    visit = examine(given.save(), depth="headers")
    with pytest.raises(InputError, match="expected pictures that were looked at"):
        mend(visit, tmp_path / "mended")
    given.text = b"{"
    with pytest.raises(InputError, match="nothing of it can be read"):
        mend(examine(given.save()), tmp_path / "mended")
    assert not (tmp_path / "mended").exists()


def sets(folder: Path) -> tuple[Set, Set]:
    first, second = coco_set(folder / "train"), coco_set(folder / "val", seed=1)
    second.path("00.png").write_bytes(first.path("02.png").read_bytes())
    with Image.open(first.path("05.jpg")) as image:
        image.resize((80, 60)).resize((160, 120)).save(second.path("03.jpg"), quality=60)
    return first, second


def test_a_set_is_written_without_what_the_first_has(tmp_path: Path) -> None:
    first, second = sets(tmp_path)
    (written,) = deleak(examine(first.save(), second.save()), tmp_path / "clean")
    assert (written.pictures, written.objects, written.changes) == (6, 18, 2)
    left = open_dataset(tmp_path / "clean")
    assert [record.name for record in left.records] == ["01.jpg", "02.png", "04.png", "05.jpg", "06.png", "07.jpg"]
    assert [each["code"] for each in log_of(tmp_path / "clean")["changes"]] == ["S405", "S406"]
    assert not examine(tmp_path / "train", tmp_path / "clean").report.findings
    assert (masks(left, "01.jpg") == masks(open_dataset(tmp_path / "val"), "01.jpg")).all()


def test_of_several_sets_each_gets_a_folder(tmp_path: Path) -> None:
    first, second = sets(tmp_path)
    third = coco_set(tmp_path / "test", seed=2)
    written = deleak(examine(first.save(), second.save(), third.save()), tmp_path / "clean")
    assert [(each.folder.name, each.pictures) for each in written] == [("2", 6), ("3", 8)]


def test_a_set_of_which_nothing_is_left_is_an_error(tmp_path: Path) -> None:
    first, again = coco_set(tmp_path / "train"), coco_set(tmp_path / "val")
    with pytest.raises(InputError, match="nothing is left of it"):
        deleak(examine(first.save(), again.save()), tmp_path / "clean")
    with pytest.raises(InputError, match="expected a second set"):
        deleak(examine(first.save()), tmp_path / "clean")


def test_what_was_looked_for_and_the_columns_stay(tmp_path: Path) -> None:
    dataset = open_dataset(coco_set(tmp_path / "set").save())
    columns = {"background": "3", "craft": "9"}
    records = [replace(record, labelled=frozenset([0]), columns=columns) for record in dataset.records]
    mend(examine(dataset.change(records=records)), tmp_path / "mended")
    mended = open_dataset(tmp_path / "mended").records
    assert {(record.labelled, tuple(record.columns.items())) for record in mended} == {
        (frozenset([0]), tuple(columns.items()))
    }


def tar_like(path: Path, scale: int) -> np.ndarray:
    """Read what is no picture file: five bands of 16 bits."""
    return (np.arange(120 * 160 * 5, dtype=np.uint16).reshape(120, 160, 5) * scale) % 999


def test_pictures_that_are_no_files_are_written_as_files_with_their_values(tmp_path: Path) -> None:
    dataset = open_dataset(coco_set(tmp_path / "set").save())
    reads = [partial(tar_like, scale=scale) for scale in range(1, 9)]
    records = [replace(record, read=read) for record, read in zip(dataset.records, reads, strict=True)]
    mend(examine(dataset.change(records=records)), tmp_path / "mended")
    mended = open_dataset(tmp_path / "mended")
    assert [record.name for record in mended.records] == [f"{i:02d}.tif" for i in range(8)]
    assert (mended[4].image == tar_like(tmp_path, 5)).all()

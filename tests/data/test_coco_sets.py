"""Sets written as COCO: what is read from them is what was written."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sets import SIZE_HW, boxed, record, square

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Annotation, Dataset, Rings, Runs
from maskrcnn.data.images import read_image
from maskrcnn.data.writing import coco
from maskrcnn.data.writing.folder import claim
from maskrcnn.data.writing.how import Placing, Writing
from maskrcnn.errors import ImageError, OutputError
from maskrcnn.structures import Bitmap

SHARED = Path(__file__).parents[2] / "../shared/data"
RUNS = Runs.of(Bitmap(2, 1, np.array([[1, 0, 1], [1, 1, 1]], dtype=bool)), SIZE_HW)


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    """Two pictures of 6x8 in a folder `photos`, with every kind of annotation."""
    (tmp_path / "photos").mkdir()
    for name, grey in (("a.png", 10), ("b.png", 20)):
        Image.new("RGB", SIZE_HW[::-1], (grey,) * 3).save(tmp_path / "photos" / name)
    first = (square(0, 1.25), boxed(1), Annotation("annotation 3", 1, RUNS, (2.0, 1.0, 5.5, 3.0), 4.5, crowd=True))
    two = Rings((np.array([[1, 1], [3, 1], [3, 3]], dtype=float), np.array([[5, 1], [7, 1], [7, 3.5]])))
    records = [
        replace(record("a.png", 7), path=tmp_path / "photos/a.png", annotations=first),
        replace(record("b.png", 9), path=tmp_path / "photos/b.png", annotations=(Annotation("x", 0, two),)),
    ]
    return Dataset(tmp_path / "photos/set.json", "via", ("cat", "dog"), (3, 90), records, (), ("animal", ""))


def write_set(dataset: Dataset, out: Path, pictures: Placing = "keep") -> Path:
    """Write a set and return its annotation file."""
    coco.write(dataset, out, Writing(coco.EXACTNESS, 0.0, pictures, lambda done, total: None))
    return out / "annotations.json"


def plain(annotation: Annotation) -> tuple[object, ...]:
    shape = annotation.shape
    return annotation.label, annotation.crowd, None if shape is None else (type(shape), shape.to_bytes())


@pytest.mark.parametrize("pictures", ["keep", "link", "copy"])
def test_what_is_read_is_what_was_written(photos: Dataset, tmp_path: Path, pictures) -> None:
    out = tmp_path / "deep/out"
    assert write_set(photos, out, pictures) == out / "annotations.json"
    again = open_dataset(out)
    assert again.format == "coco"
    assert (again.class_names, again.category_ids) == (photos.class_names, photos.category_ids)
    for old, new in zip(photos.records, again.records, strict=True):
        assert (new.image_id, new.size_hw) == (old.image_id, old.size_hw)
        assert list(map(plain, new.annotations)) == list(map(plain, old.annotations))
        assert new.path.samefile(old.path) == (pictures != "copy")
        assert np.array_equal(read_image(new.path), read_image(old.path))
    assert again.records[0].annotations[2].box == (2.0, 1.0, 5.5, 3.0)
    assert again.records[0].annotations[2].area == 4.5


def test_pictures_are_named_from_where_the_process_is_now(photos: Dataset, tmp_path: Path, monkeypatch) -> None:
    records = [replace(record, path=record.path.relative_to(tmp_path)) for record in photos.records]
    for place in ("one", "two"):
        shutil.copytree(tmp_path / "photos", tmp_path / place / "photos")
        monkeypatch.chdir(tmp_path / place)
        write_set(photos.change(records=records), Path(f"out_{place}"))
        assert open_dataset(f"out_{place}").records[0].path.samefile(tmp_path / place / "photos/a.png")


def test_boxes_and_areas_that_nobody_states_are_those_of_the_pixels(photos: Dataset, tmp_path: Path) -> None:
    written = json.loads(write_set(photos, tmp_path / "out").read_text())["annotations"]
    truth = photos.instances(0)
    assert truth.masks is None  # a box without a mask is among them
    x, y, pixels = photos.records[0].annotations[0].shape.bitmap(SIZE_HW)
    assert written[0]["bbox"] == [x, y, pixels.shape[1], pixels.shape[0]]
    assert written[0]["area"] == pixels.sum() == 4
    assert (written[1]["bbox"], written[1]["area"], "segmentation" in written[1]) == ([1, 1, 3, 4], 12, False)
    assert [entry["id"] for entry in written] == [1, 2, 3, 4]


def test_what_coco_has_no_field_for_stands_in_ours(photos: Dataset, tmp_path: Path) -> None:
    partly = replace(photos.records[0], labelled=frozenset({1}), columns={"place": "here"})
    dataset = photos.change(records=[partly, photos.records[1]])
    document = json.loads(write_set(dataset, tmp_path / "out").read_text())
    first, second = document["images"]
    assert (first["labelled"], first["columns"]) == ([90], {"place": "here"})
    assert not {"labelled", "columns"} & second.keys()
    assert document["categories"] == [{"id": 3, "name": "cat", "supercategory": "animal"}, {"id": 90, "name": "dog"}]


def test_kept_pictures_are_found_when_the_tree_is_moved(photos: Dataset, tmp_path: Path) -> None:
    write_set(photos, tmp_path / "out")
    (tmp_path / "else").mkdir()
    for name in ("photos", "out"):
        (tmp_path / name).rename(tmp_path / "else" / name)
    assert open_dataset(tmp_path / "else/out")[1].image[0, 0, 0] == 20


def test_pictures_of_one_name_are_both_copied(photos: Dataset, tmp_path: Path) -> None:
    names = ("../x/a.png", "X\\A.png")
    records = [replace(old, name=name) for old, name in zip(photos.records, names, strict=True)]
    write_set(photos.change(records=records), tmp_path / "out", "copy")
    assert sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out/images").rglob("*.png")
    ) == [
        "images/X/A-2.png",
        "images/x/a.png",
    ]
    assert [sample.image[0, 0, 0] for sample in open_dataset(tmp_path / "out")] == [10, 20]


def bands(path: Path, like: str, count: int) -> np.ndarray:
    del path
    return (np.arange(SIZE_HW[0] * SIZE_HW[1] * count) % 251).reshape(*SIZE_HW, count).astype(like)


@pytest.mark.parametrize("way", ["keep", "copy"])
@pytest.mark.parametrize(
    ("like", "count", "suffix"),
    [("uint8", 3, ".png"), ("uint8", 4, ".tif"), ("uint16", 1, ".png"), ("float32", 5, ".tif")],
)
def test_a_picture_that_is_no_plain_file_is_written_with_its_values(photos, tmp_path, way, like, count, suffix) -> None:
    read = partial(bands, like=like, count=count)
    records = [replace(old, read=read, path=Path("archive.zip")) for old in photos.records]
    write_set(photos.change(records=records), tmp_path / "out", way)
    again = open_dataset(tmp_path / "out")
    assert [each.path.name for each in again.records] == [f"a{suffix}", f"b{suffix}"]
    image = again[0].image
    assert image.dtype == np.dtype(like)
    assert np.array_equal(image, bands(Path(), like, count))


def test_a_call_that_was_broken_off_goes_on(photos: Dataset, tmp_path: Path) -> None:
    gone = photos.change(records=[photos.records[0], replace(photos.records[1], path=tmp_path / "gone.png")])
    with pytest.raises(ImageError, match=r"gone\.png: expected a picture, got no such file"):
        write_set(gone, tmp_path / "out", "copy")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["images"]
    before = (tmp_path / "out/images/a.png").stat().st_mtime_ns
    write_set(photos, tmp_path / "out", "copy")
    assert (tmp_path / "out/images/a.png").stat().st_mtime_ns == before
    assert len(open_dataset(tmp_path / "out")) == 2


def test_a_file_is_replaced_whole_or_not_at_all(photos: Dataset, tmp_path: Path) -> None:
    path = write_set(photos, tmp_path / "out")
    before = path.read_bytes()
    gone = photos.change(records=[photos.records[0], replace(photos.records[1], path=tmp_path / "gone.png")])
    with pytest.raises(ImageError, match=r"gone\.png"):
        write_set(gone, tmp_path / "out", "copy")
    assert path.read_bytes() == before
    with coco.document(path, photos):
        pass
    document = json.loads(path.read_text())
    assert (document["images"], document["annotations"], len(document["categories"])) == ([], [], 2)
    assert sorted(inner.name for inner in path.parent.iterdir()) == ["annotations.json", "images"]


def test_where_nothing_can_be_written_is_said(photos: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match=r"annotations\.json: could not be written"):
        write_set(photos, tmp_path / "out")
    (tmp_path / "b/annotations.json").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"annotations\.json: could not be written"):
        write_set(photos, tmp_path / "b")
    assert [inner.name for inner in (tmp_path / "b").iterdir()] == ["annotations.json"]


def test_what_a_kill_left_half_written_is_swept_away(tmp_path: Path) -> None:
    claim(tmp_path / "out", {})
    half = tmp_path / "out/.annotations.json.0123abcd.json"
    half.write_text('{"images": [], "annotations": [], "categories": []}')
    claim(tmp_path / "out", {})
    assert not half.exists()
    (tmp_path / "new").mkdir()
    (tmp_path / "new/..made.json.0123abcd.json").touch()
    claim(tmp_path / "new", {})


def test_a_folder_belongs_to_one_call(tmp_path: Path) -> None:
    call = {"command": "split", "seed": 1}
    claim(tmp_path / "out", call)
    (tmp_path / "out/train").mkdir()
    claim(tmp_path / "out", call)
    with pytest.raises(OutputError, match="got one that was begun with seed 1 instead of 2; choose"):
        claim(tmp_path / "out", {**call, "seed": 2})
    with pytest.raises(OutputError, match="got one that was begun with command split instead of sample"):
        claim(tmp_path / "out", {**call, "command": "sample"})
    with pytest.raises(OutputError, match=r"got a folder with \.made\.json"):
        claim(tmp_path / "out", call, "synth.json")
    with pytest.raises(OutputError, match="got a folder with out"):
        claim(tmp_path, call)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="expected a folder, got a file"):
        claim(tmp_path / "file", call)


def test_what_differs_between_two_calls_is_said(tmp_path: Path) -> None:
    call = {"set": "0" * 64, "size_hw": (4, 5), "backgrounds": "1" * 64, "look": {"turn": 180.0, "scale": (0.2, 0.8)}}
    claim(tmp_path, call)
    claim(tmp_path, call)
    for change, sentence in (
        ({"set": "2" * 64}, "begun from another set, or before its annotations changed;"),
        ({"size_hw": (4, 6)}, r"begun with size_hw \[4, 5\] instead of \[4, 6\];"),
        ({"backgrounds": "2" * 64}, "begun with other backgrounds;"),
        ({"look": {"turn": 10.0, "scale": (0.2, 0.8)}}, r"begun with turn 180\.0 instead of 10\.0;"),
        ({"look": None}, 'begun with look {"turn".* instead of null;'),
    ):
        with pytest.raises(OutputError, match=sentence):
            claim(tmp_path, {**call, **change})


def test_a_name_that_does_not_say_what_file_it_is_gets_the_suffix_of_the_file(photos: Dataset, tmp_path: Path) -> None:
    records = [replace(old, name=name) for old, name in zip(photos.records, ("scene/7", "b.png"), strict=True)]
    write_set(photos.change(records=records), tmp_path / "out", "copy")
    assert [each.name for each in open_dataset(tmp_path / "out").records] == ["scene/7.png", "b.png"]


def test_ids_stay_where_all_are_known_and_differ(photos: Dataset, tmp_path: Path) -> None:
    first, second = photos.records
    for names, ids in (((8, 5, 6, 7), [8, 5, 6, 7]), ((8, 5, 6, 8), [1, 2, 3, 4])):
        named = [replace(each, name=f"annotation {i}") for each, i in zip(first.annotations, names, strict=False)]
        last = replace(second.annotations[0], name=f"annotation {names[3]}")
        records = [replace(first, annotations=tuple(named)), replace(second, annotations=(last,))]
        path = write_set(photos.change(records=records), tmp_path / str(ids[0]))
        assert [each["id"] for each in json.loads(path.read_text())["annotations"]] == ids


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
def test_coco_comes_back_as_it_was(tmp_path: Path) -> None:
    dataset = open_dataset(SHARED / "coco_tiny_80/annotations/instances_val2017.json")
    write_set(dataset, tmp_path)
    again = open_dataset(tmp_path)
    for old, new in zip(dataset.records, again.records, strict=True):
        assert list(map(plain, new.annotations)) == list(map(plain, old.annotations))
        assert [each.area for each in new.annotations] == [each.area for each in old.annotations]
        for one, other in zip(old.annotations, new.annotations, strict=True):
            assert other.box == pytest.approx(one.box, abs=1e-9)

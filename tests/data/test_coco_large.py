from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.data import index_cache, open_dataset
from maskrcnn.data.columns import Builder, ColumnRecords, Pictures, Placed
from maskrcnn.data.dataset import Annotation, Dataset, Record, Rings, Runs, sift
from maskrcnn.data.formats import coco, coco_annotations, json_stream, pictures
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError, DataError, ImageError, OutputError
from maskrcnn.evaluation.ground_truth import from_dataset
from maskrcnn.files import CACHE

SIZE = (60, 80)
SQUARE = [1, 1, 3, 1, 3, 3, 1, 3]

Json = dict[str, object]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def every_file_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "LARGE", 1)


def random_set(seed: int, count: int = 12) -> Json:
    """Make a set with every kind of annotation, many of them written in an unusual way."""
    rng = random.Random(seed)
    sizes = [(rng.randint(4, 60), rng.randint(4, 80)) for _ in range(count)]

    def ring() -> list[float]:
        return [round(rng.uniform(-20, 90), 2) for _ in range(2 * rng.randint(3, 7))]

    def annotation(i: int) -> Json:
        image = rng.randrange(count)
        h, w = sizes[image]
        runs = {"size": [h, w], "counts": [h, 1, h * w - h - 1] if rng.random() < 0.7 else [h * w]}
        shapes = [[ring()], [ring(), ring()], runs, None, [], [[str(each) for each in ring()]]]
        entry: Json = {"id": i + 5, "image_id": image, "category_id": rng.choice([3, 9])}
        entry["segmentation"] = rng.choices(shapes, [8, 2, 2, 1, 1, 1])[0]
        entry["bbox"] = [rng.uniform(-30, 80), rng.uniform(-9, 60), rng.choice([0, 9, 2.5]), rng.choice([0, 4])]
        entry["area"], entry["iscrowd"] = rng.choice([7, 7.5]), rng.choice([0, 0, 1])
        for key, odds in (("id", 0.1), ("area", 0.2), ("iscrowd", 0.2), ("bbox", 0.2)):
            if rng.random() < odds and not (key == "bbox" and not entry["segmentation"]):
                del entry[key]
        return entry

    return {
        "info": {"images": 5, "é": "\ud800"},
        "images": [{"id": i, "file_name": f"{i}é.png", "height": h, "width": w} for i, (h, w) in enumerate(sizes)],
        "annotations": [annotation(i) for i in range(60)],
        "categories": [{"id": 9, "name": "b", "supercategory": "thing"}, {"id": 3, "name": "a"}],
    }


def by_hand(document: Json) -> tuple[list[Record], list[str]]:
    """Read a right COCO document in the plainest way."""
    records = {}
    for image in document["images"]:
        records[image["id"]] = (image, [])
    for i, entry in enumerate(document["annotations"]):
        image, annotations = records[entry["image_id"]]
        shape: Rings | Runs | None = None
        if isinstance(entry.get("segmentation"), dict):
            counts = np.array(entry["segmentation"]["counts"])
            shape = Runs(coco_annotations.compress(counts), int(counts[1::2].sum()))
        elif entry.get("segmentation"):
            shape = Rings(tuple(np.array(ring, dtype=np.float64).reshape(-1, 2) for ring in entry["segmentation"]))
        x, y, w, h = entry.get("bbox", (0, 0, 0, 0))
        box = (float(x), float(y), x + w, y + h) if "bbox" in entry else None
        name = f"annotation {entry['id']}" if "id" in entry else f"annotations[{i}]"
        area = float(entry["area"]) if "area" in entry else None
        label = [3, 9].index(entry["category_id"])
        annotations.append(Annotation(name, label, shape, box, area, bool(entry.get("iscrowd", 0))))
    plain = [
        Record(
            image["file_name"], Path(image["file_name"]), image["id"], (image["height"], image["width"]), tuple(each)
        )
        for image, each in records.values()
    ]
    kept, left_out = sift(plain, Path("set"))
    return kept, [f"{left.name} of {left.picture}: {left.code} {left.reason}" for left in left_out]


def old_fingerprint(dataset: Dataset) -> str:
    """Compute a fingerprint as version 0.2 did: a run goes on only where it is the same."""
    digest = hashlib.sha256(json.dumps([dataset.class_names, dataset.category_ids]).encode())
    for record in dataset.records:
        digest.update(json.dumps([record.name, record.image_id, record.size_hw]).encode())
        for annotation in record.annotations:
            plain = [annotation.label, annotation.crowd, annotation.box, annotation.area]
            digest.update(json.dumps(plain).encode())
            digest.update(b"" if annotation.shape is None else annotation.shape.to_bytes())
    return digest.hexdigest()


def assert_same(found: Annotation, wanted: Annotation) -> None:
    plain = ("name", "label", "box", "area", "crowd")
    assert [getattr(found, field) for field in plain] == [getattr(wanted, field) for field in plain]
    assert type(found.shape) is type(wanted.shape)
    assert found.shape is None or found.shape.to_bytes() == wanted.shape.to_bytes()
    assert not isinstance(found.shape, Runs) or found.shape.pixels == wanted.shape.pixels


def assert_is(dataset: Dataset, document: Json) -> None:
    records, left_out = by_hand(document)
    assert [f"{left.name} of {left.picture}: {left.code} {left.reason}" for left in dataset.left_out] == left_out
    for found, wanted in zip(dataset.records, records, strict=True):
        assert (found.name, found.image_id, found.size_hw) == (wanted.name, wanted.image_id, wanted.size_hw)
        for one, other in zip(found.annotations, wanted.annotations, strict=True):
            assert_same(one, other)
    plain = Dataset(dataset.source, "coco", dataset.class_names, dataset.category_ids, records)
    assert dataset.fingerprint() == old_fingerprint(dataset) == old_fingerprint(plain)


@pytest.mark.parametrize("seed", range(6))
def test_large_and_small_files_give_what_a_plain_reading_gives(tmp_path: Path, monkeypatch, seed: int) -> None:
    document = random_set(seed)
    keys = list(document)
    random.Random(seed).shuffle(keys)
    text = json.dumps({key: document[key] for key in keys}, indent=seed % 2 or None, ensure_ascii=seed < 4)
    source = tmp_path / "set.json"
    source.write_bytes(("\ufeff" if seed % 3 == 0 else "").encode() + text.encode("utf-8", "surrogatepass"))
    assert_is(open_dataset(tmp_path, pictures="optional"), document)
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(json_stream, "LARGE", 1)
    for window in (7, 300, 2**22):
        monkeypatch.setattr(json_stream, "_WINDOW", window)
        monkeypatch.setattr(coco_annotations, "_BATCH", 1 + window % 50)
        for _ in range(2):  # the second is read from the cache
            dataset = open_dataset(tmp_path, pictures="optional")
            assert_is(dataset, document)
            assert (dataset.supercategories, dataset.category_ids) == (("", "thing"), (3, 9))
        (kept,) = (tmp_path / "cache/indexes").iterdir()
        kept.unlink()


def test_a_large_file_is_parsed_once(tmp_path: Path, monkeypatch, every_file_is_large) -> None:
    source = tmp_path / "set.json"
    source.write_text(json.dumps(random_set(1)))
    first = open_dataset(tmp_path, pictures="optional")

    def parse(*_: object) -> None:
        raise AssertionError("the file is parsed again")

    with monkeypatch.context() as patch:
        patch.setattr(coco_annotations, "_placed", parse)
        patch.setattr(coco_annotations, "_add_plain", parse)
        again = open_dataset(tmp_path, pictures="optional")
        assert again.fingerprint() == first.fingerprint()
        assert again.left_out == first.left_out != ()
        source.write_text(json.dumps(random_set(2)))
        with pytest.raises(AssertionError, match="parsed again"):
            open_dataset(tmp_path, pictures="optional")
    assert_is(open_dataset(tmp_path, pictures="optional"), random_set(2))


def test_a_broken_or_foreign_index_is_made_anew(tmp_path: Path, cache: Path, every_file_is_large) -> None:
    document = random_set(3)
    (tmp_path / "set.json").write_text(json.dumps(document))
    open_dataset(tmp_path, pictures="optional")
    (kept,) = (cache / "indexes").iterdir()
    whole = kept.read_bytes()
    rng = random.Random(0)
    flipped = [bytearray(whole) for _ in range(30)]
    for data in flipped:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    cut = [whole[: rng.randrange(len(whole))] for _ in range(10)]
    for data in (*flipped, *cut, b"", b"another file", whole + b"1", whole[:16] + b"\xff" * 16 + whole[32:]):
        kept.write_bytes(data)
        dataset = open_dataset(tmp_path, pictures="optional")
        assert len(dataset.records) == 12
        assert kept.read_bytes() == whole
    assert_is(dataset, document)


def test_an_index_goes_to_other_processes_by_its_place(tmp_path: Path, cache: Path, every_file_is_large) -> None:
    (tmp_path / "set.json").write_text(json.dumps(random_set(1)))
    dataset = open_dataset(tmp_path, pictures="optional")
    sent = pickle.dumps(dataset.records.columns)
    assert len(sent) < 500
    assert pickle.loads(pickle.dumps(dataset)).fingerprint() == dataset.fingerprint()
    (kept,) = (cache / "indexes").iterdir()
    kept.unlink()
    assert pickle.loads(pickle.dumps(dataset)).fingerprint() == dataset.fingerprint()
    kept.write_bytes(b"another file")
    with pytest.raises(OutputError, match=r"\.index: expected the index that was written there, got another file"):
        pickle.loads(sent)


def test_an_unwritable_cache_does_no_harm(tmp_path: Path, cache: Path, every_file_is_large) -> None:
    cache.write_text("a file where a folder should be")
    document = random_set(4)
    (tmp_path / "set.json").write_text(json.dumps(document))
    assert_is(open_dataset(tmp_path, pictures="optional"), document)


def test_what_depends_on_pictures_or_has_faults_is_not_kept(tmp_path: Path, cache: Path, every_file_is_large) -> None:
    document = random_set(5, count=1)
    size_hw = document["images"][0].pop("height"), document["images"][0].pop("width")
    Image.new("RGB", size_hw[::-1]).save(tmp_path / "0é.png")
    (tmp_path / "set.json").write_text(json.dumps(document))
    assert open_dataset(tmp_path).size_hw(0) == size_hw
    document = random_set(5)
    document["annotations"][7]["image_id"] = 99
    (tmp_path / "set.json").write_text(json.dumps(document))
    for _ in range(2):
        faults: list[DataError] = []
        dataset = open_dataset(tmp_path, pictures="optional", fault=faults.append)
        assert [fault.code for fault in faults] == ["F005"]
        assert sum(len(record.annotations) for record in dataset.records) + len(dataset.left_out) == 59
    assert not cache.exists()


def test_every_fault_is_reported_under_its_code(tmp_path: Path, monkeypatch) -> None:
    good = {"id": 1, "image_id": 0, "category_id": 3, "segmentation": [SQUARE], "bbox": [1, 1, 2, 2], "area": 4}
    bad: list[tuple[str, object]] = [
        ("F005", {**good, "image_id": 77}),
        ("C301", {**good, "category_id": 4}),
        ("G201", {**good, "segmentation": [[1, 1, 2, 2]]}),
        ("G205", {**good, "segmentation": {"size": [60, 80], "counts": [1]}}),
        ("G205", {**good, "segmentation": {"size": [80, 60], "counts": [4800]}}),
        ("G205", {**good, "segmentation": {"size": [60, 80], "counts": "P"}}),
        ("F003", {**good, "bbox": [1, 1, -2, 2]}),
        ("F003", {**good, "area": 1e13}),
        ("F003", {**good, "segmentation": [[1, 1, 2, 2, 1e7, 3]]}),
        ("F003", 5),
    ]
    document = {
        "images": [
            {"id": 0, "file_name": "0.png", "height": SIZE[0], "width": SIZE[1]},
            {"id": 0, "file_name": "1.png", "height": SIZE[0], "width": SIZE[1]},
        ],
        "categories": [{"id": 3, "name": "a"}, {"id": 3, "name": "b"}],
        "annotations": [item for _, wrong in bad for item in (good, wrong)],
    }
    for large in (1, 2**30):
        monkeypatch.setattr(json_stream, "LARGE", large)
        (tmp_path / "set.json").write_text(json.dumps(document))
        faults: list[DataError] = []
        dataset = open_dataset(tmp_path / "set.json", pictures="optional", fault=faults.append)
        assert [fault.code for fault in faults] == ["F004", "F004", *(code for code, _ in bad)]
        assert len(dataset.records[0].annotations) == len(bad)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"images": [], "annotations": [{"id": 1}\n {', r"line 2, column 2: expected JSON, got: Expecting ',' delim"),
        ('{"images": [{"id": 1}], "annotations": [{}], "categories": [{"id": 1', "line 1, column 69: expected JSON"),
        ('{"images": 5, "annotations": [], "categories": []}', "categories: expected at least one, got none"),
        ('{"images": 5, "annotations": [], "categories": [{"id": 1, "name": "a"}]}', "images: expected a list, got 5"),
        ('{"annotations": [], "categories": [{"id": 1, "name": "a"}]}', "images: expected a list, got nothing"),
        ('[{"id": 1}]', "top level: expected an object, got "),
        ("", "line 1, column 1: expected JSON"),
        ('{"images" [', "line 1, column 11: expected JSON, got: Expecting ':' delimiter"),
        ('{"a": "\\ud800\xff"', "expected JSON"),
        ("[" * 100_000, "expected"),
    ],
)
def test_broken_large_files(tmp_path: Path, every_file_is_large, text: str, words: str) -> None:
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(AnnotationError, match=rf"x\.json: .*{words}"):
        coco.read(tmp_path / "x.json", Reading(pictures="optional"))
    with pytest.raises(AnnotationError, match=r"x\.json: "):
        open_dataset(tmp_path / "x.json", pictures="optional")


def test_a_key_that_comes_twice_is_found_by_reading(tmp_path: Path, every_file_is_large) -> None:
    document = random_set(6)
    for entry in document["annotations"][:2]:
        entry["attributes"] = {"images": [1], "categories": 2}
    order = ("annotations", "images", "categories")
    (tmp_path / "set.json").write_text(json.dumps({key: document[key] for key in order}))
    assert_is(open_dataset(tmp_path, pictures="optional"), document)


def test_recognition_looks_at_the_beginning_of_a_large_file_only(tmp_path: Path, monkeypatch) -> None:
    document = random_set(7)
    (tmp_path / "a.json").write_text(json.dumps(document)[:-20] + "broken")
    monkeypatch.setattr(json_stream, "LARGE", 1)
    outline = json_stream.outline(tmp_path / "a.json")
    firsts = {key: document[key][:1] for key in ("images", "annotations", "categories")}
    assert outline == {"info": document["info"], **firsts}
    (tmp_path / "a.json").write_text("[1, 2, 3]")
    assert json_stream.outline(tmp_path / "a.json") == [1]


# Records that are made when asked for


def test_sets_of_columns_are_selected_without_making_records(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "set.json").write_text(json.dumps(random_set(8)))
    dataset = open_dataset(tmp_path, pictures="optional")
    assert isinstance(dataset.records, ColumnRecords)

    def make(*_: object) -> None:
        raise AssertionError("annotations are made")

    with monkeypatch.context() as patch:
        patch.setattr(ColumnRecords, "annotations", make)
        chosen = dataset.select([5, 2, -1])[1:]
        assert [chosen.image_id(i) for i in range(2)] == [2, 11]
        assert chosen.image_id(-1) == 11
        assert chosen.size_hw(0) == dataset.size_hw(2)
        assert chosen.path(0) == dataset.path(2)
        with pytest.raises(IndexError):
            chosen.image_id(2)
    assert [record.image_id for record in chosen.records] == [2, 11]
    assert {left.picture for left in chosen.left_out} <= {"2é.png", "11é.png"}
    assert len(chosen.instances(0)) == len(dataset.instances(2))
    with pytest.raises(IndexError):
        dataset.records[12]
    with pytest.raises(AnnotationError, match="expected at least one picture, got none"):
        dataset[12:]


def test_ground_truth_is_the_same_from_columns_and_from_records(tmp_path: Path, every_file_is_large) -> None:
    document = random_set(9)
    (tmp_path / "set.json").write_text(json.dumps(document))
    dataset = open_dataset(tmp_path, pictures="optional")
    plain = dataset.change(records=by_hand(document)[0])
    assert from_dataset(dataset) == from_dataset(plain)


edges = st.sampled_from([-3.0, -1.0, 0.0, 0.5, 2.0, 5.0, 6.0, 7.0, 8.0, 9.0])


@st.composite
def annotations(draw: st.DrawFn) -> Annotation:
    name = draw(st.sampled_from(["annotation 0", "annotation -7", "annotation 007", "annotations[3]", "über\ud800"]))
    corner, size = [draw(edges) for _ in range(2)], [draw(st.sampled_from([0.0, 1.0, 4.0])) for _ in range(2)]
    box = draw(st.sampled_from([None, (*corner, corner[0] + size[0], corner[1] + size[1])]))
    ring = np.array(draw(st.lists(st.tuples(edges, edges), min_size=3, max_size=5)))
    runs = [None, Rings((ring,)), Rings((ring, ring[::-1])), Runs("`1", 0), Runs("01_1", 1)]
    shape = draw(st.sampled_from(runs[0 if box else 1 :]))
    return Annotation(
        name, draw(st.integers(0, 3)), shape, box, draw(st.sampled_from([None, 4.0])), draw(st.booleans())
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), annotations()), max_size=8))
def test_columns_keep_and_part_annotations_as_records_do(placed: list[tuple[int, Annotation]]) -> None:
    builder = Builder()
    builder.add([Placed(i, picture, annotation) for i, (picture, annotation) in enumerate(placed)])
    every = Pictures.of(["a", "b", "c"], [4, 5, 6], [(6, 8)] * 3)
    columns, left_out = builder.finish(every, Path("set"))
    made = ColumnRecords(columns, [Path(name) for name in "abc"])
    plain = [
        Record(name, Path(name), 4 + i, (6, 8), tuple(each for picture, each in placed if picture == i))
        for i, name in enumerate("abc")
    ]
    kept, wanted = sift(plain, Path("set"))
    assert left_out == wanted
    for found, record in zip(made, kept, strict=True):
        for one, other in zip(found.annotations, record.annotations, strict=True):
            assert_same(one, other)


# Where pictures lie


def test_folders_are_listed_once_and_pictures_not_asked_for(tmp_path: Path, monkeypatch) -> None:
    for i in range(200):
        path = tmp_path / ("sub" if i % 2 else ".") / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "2.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "folder.png").mkdir()
    names = [f"sub\\{i}.png" if i % 2 else f"./{i}.png" for i in range(200)]
    names += ["link.png", str(tmp_path / "4.png"), "C:\\x\\6.png", "/elsewhere/8.png", "sub/../10.png"]
    absent = ["broken.png", "folder.png", "nothing.png", "x" * 5000, "a\0b", "..", "sub", "5.png/"]
    asked: list[Path] = []
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda self: asked.append(self) or is_file(self))
    reading = Reading(pictures="optional")
    found = pictures.places(names, [tmp_path / "none", tmp_path], tmp_path / "set.json", reading)
    assert all(is_file(path) for path in found)
    assert found[5:7] == [tmp_path / "sub/5.png", tmp_path / "./6.png"]
    assert [path.name for path in found][200:] == ["link.png", "4.png", "6.png", "8.png", "10.png"]
    assert len(asked) < 2 * 64 + 8
    with pytest.raises(ImageError, match=r"set\.json: 8 of 213 pictures are missing: broken\.png, folder\.png, no"):
        pictures.places([*names, *absent], [tmp_path], tmp_path / "set.json", Reading())
    each = [pictures.locate([name], [tmp_path], tmp_path / "set.json", reading)[0] for name in names]
    assert each == list(found)


def test_a_file_system_that_takes_names_for_the_same_is_believed(tmp_path: Path, monkeypatch) -> None:
    for i in range(100):
        (tmp_path / f"{i}.PNG").touch()
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda self: is_file(self.with_suffix(self.suffix.upper())))
    found = pictures.places([f"{i}.png" for i in range(100)], [tmp_path], tmp_path / "set.json", Reading())
    assert len(found) == 100


def test_an_index_of_another_file_is_not_taken(tmp_path: Path, every_file_is_large) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "set.json").write_text(json.dumps(random_set(seed)))
        os.utime(tmp_path / name / "set.json", (1, 1))
    sets = [open_dataset(tmp_path / name, pictures="optional").fingerprint() for name in "abab"]
    assert sets[:2] == sets[2:]
    assert sets[0] != sets[1]
    assert index_cache.fetch(tmp_path / "a/set.json", "lvis") is None

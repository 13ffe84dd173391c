from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tf_records import checksum, example, framed

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.crc32c import crc32c
from maskrcnn.errors import AnnotationError, DataError, FormatError, ImageError

SHARED = Path(__file__).parents[2] / "../shared/data/format_examples/tf_detection_api_dataset"
SIZE = (10, 20)
LABEL_MAP = """# classes
item {
  id: 3
  name: '/m/01'
  display_name: "cat"
}
item { name: 'dog' id: 7 }
"""


# ---- writing, as the documents of protobuf and TFRecord say


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


PICTURE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
MASKS = np.zeros((2, *SIZE), np.uint8)
MASKS[0, 1:5, 2:9] = 1
MASKS[1, 5:9, 10:20] = 1


def features(**changes: list[Any]) -> dict[str, list[Any]]:
    plain = {
        "image/encoded": [png(PICTURE)],
        "image/filename": [b"a.jpg"],
        "image/source_id": [b"17"],
        "image/height": [10],
        "image/width": [20],
        "image/object/bbox/xmin": [0.1, 0.5],
        "image/object/bbox/xmax": [0.45, 1.0],
        "image/object/bbox/ymin": [0.1, 0.5],
        "image/object/bbox/ymax": [0.5, 0.9],
        "image/object/class/label": [7, 3],
        "image/object/class/text": [b"dog", b"/m/01"],
    }
    named = {name.replace("__", "/"): values for name, values in changes.items()}
    return {name: values for name, values in (plain | named).items() if values}


@pytest.fixture
def make(tmp_path: Path):
    def _make(*records: dict[str, list[Any]], label_map: str | None = LABEL_MAP) -> Path:
        path = tmp_path / "set.tfrecord"
        path.write_bytes(b"".join(framed(example(record)) for record in records))
        if label_map is not None:
            (tmp_path / "label_map.pbtxt").write_text(label_map)
        return path

    return _make


# ---- what is read


def test_pictures_boxes_and_classes(make, tmp_path: Path) -> None:
    make(features(), features(image__source_id=[b"4"], image__filename=[b"b.jpg"]))
    dataset = open_dataset(tmp_path)
    assert (dataset.format, dataset.class_names, dataset.category_ids) == ("tfrecord", ("cat", "dog"), (3, 7))
    assert [(record.name, record.image_id) for record in dataset.records] == [("a.jpg", 17), ("b.jpg", 4)]
    sample = dataset[1]
    assert np.array_equal(sample.image, PICTURE)
    assert np.allclose(sample.instances.boxes, [[2, 1, 9, 5], [10, 5, 20, 9]])
    assert sample.instances.names == ["dog", "cat"]
    assert sample.instances.masks is None
    record = pickle.loads(pickle.dumps(dataset.records[0]))
    assert np.array_equal(record.read(record.path), PICTURE)


@pytest.mark.parametrize("masks", [[png(255 * mask) for mask in MASKS], MASKS.astype(float).ravel().tolist()])
def test_masks_as_pictures_and_as_numbers(masks: list[Any], make) -> None:
    dataset = open_dataset(make(features(image__object__mask=masks)))
    assert np.array_equal(dataset.instances(0).masks.dense(), MASKS > 0)


def test_crowds_and_pictures_without_objects(make) -> None:
    nothing = {f"image__object__{name}": [] for name in ("bbox__xmin", "bbox__xmax", "bbox__ymin", "bbox__ymax")}
    nothing |= {"image__object__class__label": [], "image__object__class__text": [], "image__filename": [b"b.jpg"]}
    dataset = open_dataset(make(features(image__object__is_crowd=[0, 1]), features(**nothing)))
    assert dataset.instances(0).crowd.tolist() == [False, True]
    assert len(dataset[1].instances) == 0
    assert [record.image_id for record in dataset.records] == [1, 2]  # both say 17


def test_without_a_label_map_the_records_name_the_classes(make) -> None:
    dataset = open_dataset(make(features(), label_map=None))
    assert dict(zip(dataset.category_ids, dataset.class_names, strict=True)) == {3: "/m/01", 7: "dog"}
    dataset = open_dataset(make(features(image__object__class__text=[]), label_map=None))
    assert dict(zip(dataset.category_ids, dataset.class_names, strict=True)) == {3: "class 3", 7: "class 7"}
    dataset = open_dataset(make(features(image__object__class__label=[]), label_map=None))
    assert dict(zip(dataset.category_ids, dataset.class_names, strict=True)) == {1: "/m/01", 2: "dog"}


def test_sizes_that_are_not_said_and_names_that_come_twice(make) -> None:
    unsaid = features(image__height=[], image__width=[])
    dataset = open_dataset(make(unsaid, features()))
    assert [record.size_hw for record in dataset.records] == [SIZE, SIZE]
    assert [record.name for record in dataset.records] == ["a.jpg#1", "a.jpg#2"]


def test_files_in_parts_are_one_set(make, tmp_path: Path) -> None:
    whole = make(features()).read_bytes()
    (tmp_path / "set.tfrecord").unlink()
    for i in range(3):
        (tmp_path / f"x.record-{i:05d}-of-00003").write_bytes(whole)
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 3
    assert dataset.records[2].path.name == "x.record-00002-of-00003"
    (tmp_path / "x.record-00001-of-00003").unlink()
    with pytest.raises(AnnotationError, match=r"expected 3 files, 1 are missing: x\.record-00001-of-00003"):
        open_dataset(tmp_path)


def test_checksums() -> None:
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    random = np.random.default_rng(0)
    for length in (0, 1, 2047, 2048, 2049, 5000, 9999):
        content = random.bytes(length)
        masked = ((crc32c(content) >> 15 | crc32c(content) << 17) + 0xA282EAD8) & 0xFFFFFFFF
        assert struct.pack("<I", masked) == checksum(content)


# ---- what is wrong


@pytest.mark.parametrize(
    ("changes", "why", "code"),
    [
        (
            {"image__object__class__label": [0, 3], "image__object__class__text": [b"", b"x"]},
            "object 0: .*label 0",
            "C302",
        ),
        ({"image__object__class__label": [9, 3], "image__object__class__text": []}, "object 0: .*label 9 ''", "C301"),
        ({"image__object__bbox__xmin": [0.1]}, "expected as many xmin", "F003"),
        ({"image__object__bbox__xmin": [20.0, 3.0]}, "object 0: expected xmin, ymin, xmax and ymax as shares", "F003"),
        ({"image__object__bbox__xmin": [float("nan"), 0.5]}, "object 0: expected xmin", "F003"),
        ({"image__object__bbox__xmin": [b"0.1", b"0.5"]}, "expected numbers, got texts", "F003"),
        ({"image__object__class__label": [7]}, "class/label: expected 2 numbers, one an object, got 1", "F003"),
        ({"image__object__mask": [png(MASKS[0])]}, "expected 2 masks, one an object, got 1", "F003"),
        ({"image__encoded": []}, "expected image/encoded, got image/", "F003"),
    ],
)
def test_records_that_are_wrong(changes: dict[str, list[Any]], why: str, code: str, make) -> None:
    with pytest.raises(AnnotationError, match=rf"set\.tfrecord: .*{why}") as error:
        open_dataset(make(features(**changes)))
    assert error.value.code == code


def test_a_text_says_the_class_where_the_number_does_not(make) -> None:
    texts = {"image__object__class__label": [9, 3], "image__object__class__text": [b"dog", b"cat"]}
    assert open_dataset(make(features(**texts)))[0].instances.names == ["dog", "cat"]


def test_with_a_patient_fault_the_rest_is_read(make) -> None:
    path = make(features(image__object__class__label=[9, 3], image__object__class__text=[]), features())
    found: list[DataError] = []
    dataset = open_dataset(path, fault=found.append)
    assert [len(record.annotations) for record in dataset.records] == [1, 2]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("masks", "why"),
    [
        ([png(MASKS[0][:5]), png(MASKS[1])], "object 0: mask: expected .*, as the picture, got"),
        ([b"no picture", png(MASKS[1])], "object 0: expected a JPEG or PNG"),
    ],
)
def test_masks_that_are_wrong(masks: list[Any], why: str, make) -> None:
    with pytest.raises(DataError, match=why):
        open_dataset(make(features(image__object__mask=masks))).instances(0)


def test_pictures_that_are_wrong(make) -> None:
    path = make(features(image__encoded=[b"no picture"]))
    with pytest.raises(ImageError, match=r"set\.tfrecord: record at 12: expected a JPEG or PNG"):
        open_dataset(path)[0]
    path = make(features(image__encoded=[b""]))
    with pytest.raises(ImageError, match="expected a picture in image/encoded, got none") as error:
        open_dataset(path)
    assert error.value.code == "P101"
    dataset = open_dataset(path, pictures="optional")
    path.unlink()
    with pytest.raises(ImageError, match="expected a readable file"):
        dataset[0]


def test_bytes_that_changed_are_named_and_the_rest_is_read(make) -> None:
    path = make(features(), features(image__filename=[b"b.jpg"]))
    raw = bytearray(path.read_bytes())
    raw[200] ^= 1
    path.write_bytes(raw)
    with pytest.raises(AnnotationError, match="byte 0: expected a record as written, got changed bytes") as error:
        open_dataset(path)
    assert error.value.code == "F001"
    found: list[DataError] = []
    assert [record.name for record in open_dataset(path, fault=found.append).records] == ["b.jpg"]


def test_a_file_that_is_cut_off_gives_what_is_whole(make) -> None:
    path = make(features(), features(image__filename=[b"b.jpg"]))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(AnnotationError, match=r"byte \d+: expected a whole record, got one that is cut off"):
        open_dataset(path)
    found: list[DataError] = []
    assert [record.name for record in open_dataset(path, fault=found.append).records] == ["a.jpg"]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("label_map", "why"),
    [
        ("", "expected items with id and name, got none"),
        ("item { id: 1 }", "expected items with id and name, got 'id: 1'"),
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "expected every id and name once, got 1 'b' twice"),
    ],
)
def test_label_maps_that_are_wrong(label_map: str, why: str, make) -> None:
    with pytest.raises(AnnotationError, match=rf"label_map\.pbtxt: {why}"):
        open_dataset(make(features(), label_map=label_map))


def test_another_file_of_that_suffix_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "a.record").write_bytes(b"a track of music, and long enough")
    with pytest.raises(FormatError, match="expected annotations of a known kind"):
        open_dataset(tmp_path / "a.record")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_any_example_ends_in_a_sentence(data: Any, make, tmp_path: Path) -> None:
    content = bytearray(example(features(image__encoded=[b"x"])))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    make(features())
    (tmp_path / "set.tfrecord").write_bytes(framed(bytes(content)))
    try:
        assert isinstance(open_dataset(tmp_path / "set.tfrecord"), Dataset)
    except DataError as error:
        assert "set.tfrecord" in str(error)  # noqa: PT017  # some can be read


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data/format_examples is not here")
def test_real_records() -> None:
    found: list[DataError] = []
    counts = {}
    for name in ("train", "val", "test"):
        dataset = open_dataset(SHARED / f"{name}.tfrecord", fault=found.append)
        counts[name] = (len(dataset), dataset[0].image.shape, len(dataset.records[0].annotations))
    assert counts == {"train": (1, (16, 16, 3), 2), "val": (1, (8, 8, 3), 1), "test": (1, (5, 4, 3), 0)}
    assert [str(error).rsplit(": ", 1)[1] for error in found] == ["expected a class, got label 0 and no text"]

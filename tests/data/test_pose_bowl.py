from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.deferred import Deferred
from maskrcnn.data.images import read_alpha
from maskrcnn.data.synth import synthesise
from maskrcnn.errors import AnnotationError, DataError, ImageError

IDS = ["0a", "1b", "2c"]
LABELS = "image_id,xmin,ymin,xmax,ymax\n0a,1,1,5,4\n1b,0,0,8,6\n2c,2,2,3,3\n"
METADATA = "image_id,spacecraft_id,background_id\n0a,10,7\n1b,9,7\n2c,10,3\n"


def cutout(box: tuple[int, int, int, int], size_hw: tuple[int, int] = (6, 8)) -> Image.Image:
    x1, y1, x2, y2 = box
    pixels = np.zeros((*size_hw, 4), np.uint8)
    pixels[y1:y2, x1:x2] = 200
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in IDS:
        Image.new("RGB", (8, 6), "red").save(tmp_path / f"images/{name}.png")
    (tmp_path / "train_labels.csv").write_text(LABELS)
    (tmp_path / "train_metadata.csv").write_text(METADATA)
    return tmp_path


@pytest.fixture
def masked(folder: Path) -> Path:
    (folder / "no_background/images").mkdir(parents=True)
    cutout((1, 1, 5, 4)).save(folder / "no_background/images/0a.png")
    return folder


def test_boxes_classes_and_columns(folder: Path) -> None:
    dataset = open_dataset(folder)
    assert dataset.format == "pose-bowl"
    assert dataset.source == folder / "train_labels.csv"
    assert (dataset.class_names, dataset.category_ids) == (("spacecraft 9", "spacecraft 10"), (9, 10))
    assert [record.name for record in dataset.records] == ["0a.png", "1b.png", "2c.png"]
    assert dataset.records[0].columns == {"spacecraft_id": "10", "background_id": "7"}
    sample = dataset[0]
    assert sample.instances.names == ["spacecraft 10"]
    assert sample.instances.boxes.tolist() == [[1, 1, 5, 4]]
    assert sample.instances.masks is None


def test_a_cutout_of_the_same_name_is_the_mask(masked: Path) -> None:
    dataset = open_dataset(masked)
    masks = dataset[0].instances.masks
    assert masks is not None
    assert masks.dense()[0].astype(int).tolist() == [[0] * 8] + [[0, 1, 1, 1, 1, 0, 0, 0]] * 3 + [[0] * 8] * 2
    assert dataset[1].instances.masks is None


def test_masks_are_read_when_they_are_asked_for(masked: Path) -> None:
    dataset = open_dataset(masked)
    shape = dataset.records[0].annotations[0].shape
    assert isinstance(shape, Deferred)
    again = pickle.loads(pickle.dumps(shape))
    (masked / "no_background/images/0a.png").unlink()
    with pytest.raises(ImageError, match="got no such file"):
        dataset.instances(0)
    cutout((1, 1, 5, 4)).save(masked / "no_background/images/0a.png")
    assert shape.pixels == again.pixels == 12
    assert shape.counts == again.counts
    (masked / "no_background/images/0a.png").unlink()
    assert dataset.instances(0).masks is not None  # known by now


@pytest.mark.parametrize(
    ("picture", "why", "code"),
    [
        (cutout((1, 1, 5, 4), (6, 9)), "expected a cut-out of 6x8, got 6x9", "P103"),
        (cutout((1, 1, 1, 1)), "expected a cut-out with an opaque pixel, got none", "G204"),
        (cutout((5, 4, 8, 6)), r"expected a cut-out in the box .*, got one in \(5, 4, 8, 6\)", "P103"),
        (Image.new("RGB", (8, 6)), "expected a picture with alpha, got one without", "P102"),
    ],
)
def test_cutouts_that_are_none(picture: Image.Image, why: str, code: str, masked: Path) -> None:
    picture.save(masked / "no_background/images/0a.png")
    with pytest.raises(DataError, match=why) as error:
        open_dataset(masked).instances(0)
    assert error.value.code == code


def test_a_fingerprint_knows_the_cutouts_without_reading_them(masked: Path) -> None:
    path = masked / "no_background/images/0a.png"
    first = open_dataset(masked).fingerprint()
    path.write_bytes(b"x" * path.stat().st_size)
    assert open_dataset(masked).fingerprint() == first
    path.write_bytes(b"x")
    assert open_dataset(masked).fingerprint() != first
    path.unlink()
    assert open_dataset(masked).fingerprint() != first


def test_alpha_of_every_kind_is_read_upright(tmp_path: Path) -> None:
    alpha = np.array([[0, 255, 255], [255, 255, 0]], np.uint8)
    grey = Image.merge("LA", [Image.new("L", (3, 2)), Image.fromarray(alpha)])
    grey.save(tmp_path / "grey.png")
    table = Image.fromarray((alpha == 0) * np.uint8(1))
    table.putpalette([0, 0, 0, 255, 255, 255])
    table.save(tmp_path / "palette.png", transparency=1)
    exif = Image.Exif()
    exif[274] = 6
    grey.save(tmp_path / "turned.png", exif=exif)
    assert read_alpha(tmp_path / "grey.png").tolist() == alpha.tolist()
    assert read_alpha(tmp_path / "palette.png").tolist() == alpha.tolist()
    assert read_alpha(tmp_path / "turned.png").tolist() == np.rot90(alpha, -1).tolist()


def test_the_cutouts_are_a_set_too(masked: Path) -> None:
    inner = masked / "no_background"
    (inner / "no_background.csv").write_text("image_id,spacecraft_id,xmin,ymin,xmax,ymax\n0a,10,1,1,5,4\n")
    sample = open_dataset(inner)[0]
    assert sample.path == inner / "images/0a.png"
    assert sample.instances.masks is not None
    assert sample.instances.names == ["spacecraft 10"]
    assert open_dataset(masked).source == masked / "train_labels.csv"


def test_drawn_sets_come_back(tmp_path: Path) -> None:
    for layout in ("pose-bowl", "coco"):
        synthesise("spacecraft", tmp_path / layout, 3, seed=3, size_hw=(64, 64), layout=layout)
    dataset = open_dataset(tmp_path / "pose-bowl")
    assert all(0 not in dataset.instances(i).masks.areas() for i in range(3))
    for i, record in enumerate(dataset.records):
        assert dataset.instances(i).boxes[0].tolist() == list(record.annotations[0].box)
    cutouts = open_dataset(tmp_path / "pose-bowl/no_background")
    assert [r.name for r in cutouts.records] == [r.name for r in dataset.records]
    assert np.array_equal(cutouts[0].instances.masks.dense(), dataset[0].instances.masks.dense())


def test_without_metadata_there_is_one_class(folder: Path) -> None:
    (folder / "train_metadata.csv").unlink()
    dataset = open_dataset(folder)
    assert dataset.class_names == ("spacecraft",)
    assert dataset.records[0].columns == {}


def test_types_that_are_no_numbers(folder: Path) -> None:
    (folder / "train_metadata.csv").write_text(METADATA.replace(",10,", ",hubble,"))
    dataset = open_dataset(folder)
    assert (dataset.class_names, dataset.category_ids) == (("spacecraft 9", "spacecraft hubble"), (1, 2))


def test_a_submission_is_no_annotation(folder: Path) -> None:
    (folder / "submission_format.csv").write_text(LABELS)
    assert open_dataset(folder).source.name == "train_labels.csv"


@pytest.mark.parametrize(
    ("labels", "metadata", "why", "code"),
    [
        (LABELS + "0a,1,1,5,4\n", METADATA, "line 5: expected one row for 0a, got a second one", "F004"),
        (LABELS, METADATA + "2c,1,1\n", "metadata.csv: line 5: expected one row for 2c", "F004"),
        (LABELS + "3d,1,1,5,4\n", METADATA, "3d: expected a row in the table of metadata too, got none", "C302"),
        (LABELS, METADATA.replace("0a,10", "0a,"), "0a: spacecraft_id: expected a text, got nothing", "C302"),
        (LABELS.replace("0a,1,1,5,4\n", ""), METADATA, "0a: expected a box, got none; the metadata name it", "F009"),
        (LABELS[:29], METADATA, "3 pictures of the metadata have no box: 0a, 1b, 2c", "F009"),
        (LABELS.replace("0a,1", "0a,x"), METADATA, "0a: xmin: expected a number, got 'x'", "F003"),
        (LABELS.replace("0a,1,1,5,4", "0a,1"), METADATA, "0a: ymin: expected a number, got nothing", "F003"),
        (LABELS.replace("0a,1,1,5", "0a,6,1,5"), METADATA, "0a: the box: expected xmin, ymin", "F003"),
        (LABELS.replace("0a,", ","), METADATA, "line 2: image_id: expected a text", "F003"),
    ],
)
def test_rows_that_are_wrong(labels: str, metadata: str, why: str, code: str, folder: Path) -> None:
    (folder / "train_labels.csv").write_text(labels)
    (folder / "train_metadata.csv").write_text(metadata)
    with pytest.raises(AnnotationError, match=why) as error:
        open_dataset(folder)
    assert error.value.code == code


def test_with_a_patient_fault_the_rest_is_read(folder: Path) -> None:
    (folder / "train_labels.csv").write_text(LABELS.replace("0a,1,1,5,4", "0a,x,1,5,4"))
    found: list[DataError] = []
    dataset = open_dataset(folder, fault=found.append)
    assert [record.name for record in dataset.records] == ["1b.png", "2c.png"]
    assert [str(error).split(": ", 1)[1] for error in found] == [
        "0a: xmin: expected a number, got 'x'",
        "0a: expected a box, got none; the metadata name it",
    ]


def test_missing_pictures_and_boxes_without_area(folder: Path) -> None:
    (folder / "train_labels.csv").write_text(LABELS.replace("0a,1,1,5,4", "0a,1,1,1,4").replace("2c,2,2", "2c,9,9"))
    with pytest.raises(AnnotationError, match="2c: the box"):
        open_dataset(folder)
    (folder / "train_labels.csv").write_text(LABELS.replace("0a,1,1,5,4", "0a,1,1,1,4"))
    dataset = open_dataset(folder)
    assert [str(left).split(": ", 1)[1] for left in dataset.left_out] == [
        "the box of 0a.png: left out: its box has no area"
    ]
    (folder / "images/1b.png").unlink()
    with pytest.raises(ImageError, match=r"1 of 3 pictures are missing: 1b\.png"):
        open_dataset(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.binary(max_size=60), st.integers(0, len(LABELS)), st.booleans())
def test_any_table_ends_in_a_sentence(folder: Path, noise: bytes, at: int, labels: bool) -> None:
    texts = {"train_labels.csv": LABELS, "train_metadata.csv": METADATA}
    changed = list(texts)[not labels]
    for name, text in texts.items():
        raw = text.encode()
        (folder / name).write_bytes(raw[:at] + noise + raw[at:] if name == changed else raw)
    try:
        dataset = open_dataset(folder, format="pose-bowl", pictures="optional")
    except DataError:
        return
    assert isinstance(dataset, Dataset)

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskrcnn.data import open_dataset
from maskrcnn.errors import AnnotationError, DataError, ImageError

h5py = pytest.importorskip("h5py")

SIZE = (12, 16)
LABELS = [[1, 3], [], [2]]
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 3, *SIZE), dtype=np.uint8)


def boxes_and_masks() -> tuple[list[np.ndarray], np.ndarray]:
    boxes, masks = [], np.zeros((3, *SIZE), np.uint8)
    k = 0
    for labels in LABELS:
        mine = [(1 + k, 2, 5 + k, 7 + k) for k in range(len(labels))]
        for x1, y1, x2, y2 in mine:
            masks[k, y1:y2, x1:x2] = 1
            k += 1
        boxes.append(np.array(mine, np.float32).reshape(-1, 4))
    return boxes, masks


def objects(rows: list[Any]) -> np.ndarray:
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


def save_h5(path: Path, data: Any, **how: Any) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=data, compression="gzip", **how)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    boxes, masks = boxes_and_masks()
    save_h5(tmp_path / "my_img_comp_zlib.h5", PICTURES)
    save_h5(tmp_path / "my_mask_comp_zlib.h5", masks)
    np.save(tmp_path / "my_labels_comp_zlib.npy", objects([np.array(row) for row in LABELS]), allow_pickle=True)
    np.save(tmp_path / "my_bboxes_comp_zlib.npy", objects(boxes), allow_pickle=True)
    return tmp_path


def test_pictures_classes_boxes_and_masks(folder: Path) -> None:
    dataset = open_dataset(folder)
    assert dataset.format == "cis680"
    assert (dataset.class_names, dataset.category_ids) == (("vehicle", "person", "animal"), (1, 2, 3))
    boxes, masks = boxes_and_masks()
    assert [sample.instances.names for sample in dataset] == [["vehicle", "animal"], [], ["person"]]
    k = 0
    for i, sample in enumerate(dataset):
        assert np.array_equal(sample.image, PICTURES[i].transpose(1, 2, 0))
        assert np.array_equal(sample.instances.boxes, boxes[i])
        assert np.array_equal(sample.instances.masks.dense(), masks[k : k + len(boxes[i])] > 0)
        k += len(boxes[i])
    assert [record.image_id for record in dataset.records] == [1, 2, 3]
    assert open_dataset(folder / "my_img_comp_zlib.h5").fingerprint() == dataset.fingerprint()


def test_records_can_go_to_another_process(folder: Path) -> None:
    record = pickle.loads(pickle.dumps(open_dataset(folder).records[1]))
    assert np.array_equal(record.read(record.path), PICTURES[1].transpose(1, 2, 0))


def test_every_layout_on_disk_gives_the_same(folder: Path) -> None:
    expected = open_dataset(folder).fingerprint()
    boxes, masks = boxes_and_masks()
    save_h5(folder / "my_mask_comp_zlib.h5", masks, chunks=(2, 5, 5), shuffle=True)
    with h5py.File(folder / "my_img_comp_zlib.h5", "w") as file:
        file["data"] = PICTURES
    labels = objects([[1, 3], np.zeros(0), (np.uint8(2),)])
    np.save(folder / "my_labels_comp_zlib.npy", labels, allow_pickle=True)
    np.save(folder / "my_bboxes_comp_zlib.npy", objects([each.tolist() for each in boxes]), allow_pickle=True)
    assert open_dataset(folder).fingerprint() == expected


def test_a_program_in_the_labels_is_not_run(folder: Path) -> None:
    class Malice:
        def __reduce__(self) -> Any:
            return Path.touch, (folder / "was-here",)

    np.save(folder / "my_labels_comp_zlib.npy", objects([Malice(), 1, 1]), allow_pickle=True)
    with pytest.raises(AnnotationError, match=r"labels_comp_zlib\.npy: expected a pickle of arrays, got the program"):
        open_dataset(folder)
    assert not (folder / "was-here").exists()


@pytest.mark.parametrize(
    ("name", "rows", "why"),
    [
        ("labels", [[1, 3], []], "expected 3 rows, one a picture, got 2"),
        ("labels", [[1, 3], [], [4]], "picture 2: object 0: label: expected 1, 2 or 3, got 4"),
        ("labels", [[1, 3], [], [1.5]], "row 2: expected whole numbers, got"),
        ("labels", [[1, 3], [], [float("nan")]], "row 2: expected whole numbers, got"),
        ("labels", [[1, 3], [], [1e30]], "row 2: expected whole numbers, got"),
        ("labels", [[1, 3], [1], [1]], "bboxes_comp_zlib.npy: row 1: expected 1 boxes of 4 numbers"),
        ("bboxes", [[1, 2, 3, 4] * 2, [], [5, 2, 3, 4]], "picture 2: expected boxes of x1, y1, x2, y2"),
        ("bboxes", [[1, 2, 3, float("nan")] * 2, [], [1, 2, 3, 4]], "picture 0: expected boxes"),
    ],
)
def test_labels_and_boxes_that_are_wrong(name: str, rows: list[Any], why: str, folder: Path) -> None:
    np.save(folder / f"my_{name}_comp_zlib.npy", objects(rows), allow_pickle=True)
    with pytest.raises(AnnotationError, match=why):
        open_dataset(folder)


@pytest.mark.parametrize("name", ["labels", "bboxes"])
def test_complex_numbers_are_refused_whole(name: str, folder: Path) -> None:
    np.save(folder / f"my_{name}_comp_zlib.npy", np.full((3, 8), 1 + 2j))
    with pytest.raises(AnnotationError, match=f"{name}_comp_zlib.npy: row 0: expected numbers, got complex128"):
        open_dataset(folder)


def test_with_a_patient_fault_the_rest_is_read(folder: Path) -> None:
    np.save(folder / "my_labels_comp_zlib.npy", objects([[1, 9], [], [2]]), allow_pickle=True)
    found: list[DataError] = []
    assert [record.name for record in open_dataset(folder, fault=found.append).records] == ["1", "2"]
    assert [error.code for error in found] == ["C301"]


def test_files_that_disagree_or_are_missing(folder: Path) -> None:
    save_h5(folder / "my_mask_comp_zlib.h5", np.zeros((2, *SIZE), np.uint8))
    with pytest.raises(AnnotationError, match=r"expected masks of shape \(3, 12, 16\)"):
        open_dataset(folder)
    save_h5(folder / "my_img_comp_zlib.h5", np.zeros((3, *SIZE), np.uint8))
    with pytest.raises(AnnotationError, match="expected 4 axes"):
        open_dataset(folder)
    (folder / "my_bboxes_comp_zlib.npy").unlink()
    save_h5(folder / "my_img_comp_zlib.h5", PICTURES)
    with pytest.raises(AnnotationError, match=r"expected my_bboxes_comp_zlib\.npy beside it") as error:
        open_dataset(folder)
    assert error.value.code == "F001"


@pytest.mark.parametrize("link", ["external", "soft", "virtual", "missing", "text", "group"])
def test_h5_files_that_point_elsewhere_are_refused(link: str, folder: Path) -> None:
    with h5py.File(folder / "my_img_comp_zlib.h5", "w") as file:
        if link == "virtual":
            layout = h5py.VirtualLayout(shape=PICTURES.shape, dtype="u1")
            layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=PICTURES.shape)
            file.create_virtual_dataset("data", layout)
        elif link in ("external", "soft"):
            file["data"] = h5py.ExternalLink("/etc/passwd", "/") if link == "external" else h5py.SoftLink("/there")
        elif link != "missing":
            file["data"] = "text"
            if link == "group":
                del file["data"]
                file.create_group("data")
    with pytest.raises(AnnotationError, match="expected numbers under the key 'data' in this file"):
        open_dataset(folder)


def test_broken_files_end_in_a_sentence(folder: Path) -> None:
    dataset = open_dataset(folder)
    path = folder / "my_img_comp_zlib.h5"
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for i in range(40):
        raw = bytearray(whole[: random.integers(len(whole))] if i % 2 else whole)
        for at in random.integers(0, max(len(raw), 1), 5):
            raw[at : at + 1] = bytes([random.integers(256)])
        path.write_bytes(raw)
        try:
            for sample in open_dataset(folder):
                assert sample.image.ndim == 3
        except DataError as error:
            assert "my_" in str(error)  # noqa: PT017  # it may also be read
    path.unlink()
    with pytest.raises(ImageError, match="img_comp"):
        dataset[0]


def test_without_h5py_the_sentence_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(AnnotationError, match=r"pip install maskrcnn\[h5\]"):
        open_dataset(folder)


@pytest.mark.filterwarnings("error")
def test_a_header_of_python_2_is_read_without_a_word(folder: Path) -> None:
    path = folder / "my_labels_comp_zlib.npy"
    plain = path.read_bytes()
    path.write_bytes(plain.replace(b"(3,)", b"(3L,", 1).replace(b"(3L,, ", b"(3L,),", 1))
    assert path.read_bytes() != plain
    assert open_dataset(folder).class_names == ("vehicle", "person", "animal")

"""COCO results: out of instances, into a file and back, and every malformed record named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskrcnn.data.formats.coco_results import parse_results, read_results, to_coco_results, write_results
from maskrcnn.errors import AnnotationError, OutputError
from maskrcnn.ops.rle import decode
from maskrcnn.structures import Instances, Patches

RECORD = {"image_id": 1, "category_id": 2, "bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.5}


def _instances() -> Instances:
    boxes = np.array([[1, 2, 4, 6], [0.333, 0, 8.9, 8.25]], dtype=np.float32)
    masks = Patches(np.ones((2, 28, 28), dtype=np.float32), boxes, (9, 10))
    scores = np.array([0.9, 0.05], dtype=np.float32)
    return Instances((9, 10), boxes, np.array([2, 0]), ("cat", "dog", "cow"), masks, scores)


def test_results_carry_ids_boxes_scores_and_masks() -> None:
    first, second = to_coco_results(_instances(), 42, (17, 18, 21))
    assert (first["image_id"], first["category_id"], second["category_id"]) == (42, 21, 17)
    assert (first["bbox"], second["bbox"]) == ([1, 2, 3, 4], [0.33, 0, 8.57, 8.25])
    assert (first["score"], second["score"]) == (0.9, 0.05)
    assert type(first["score"]) is float
    bitmap = decode(first["segmentation"])
    assert (bitmap.x, bitmap.y, bitmap.pixels.shape, bool(bitmap.pixels.all())) == (1, 2, (4, 3), True)


def test_scores_keep_their_order_and_their_ties() -> None:
    scores = np.float32(0.5) + np.arange(50, dtype=np.float32) * np.float32(2**-24)
    instances = _instances()[[0] * 50]
    object.__setattr__(instances, "scores", scores)
    written = [result["score"] for result in to_coco_results(instances, 1, (1, 2, 3))]
    assert (np.array(written, dtype=np.float32) == scores).all()


def test_nothing_found_is_an_empty_list() -> None:
    assert to_coco_results(Instances.empty((9, 10), ["cat"]), 1, (1,)) == []


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    results = to_coco_results(_instances(), 42, (17, 18, 21))
    write_results(results, tmp_path / "predictions.json")
    assert read_results(tmp_path / "predictions.json") == results
    write_results([], tmp_path / "predictions.json")
    assert read_results(tmp_path / "predictions.json") == []
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_results([], tmp_path / "predictions.json")
    broken: Any = [{"score": float("nan")}]
    with pytest.raises(ValueError, match="Out of range"):
        write_results(broken, tmp_path / "predictions.json")
    assert read_results(tmp_path / "predictions.json") == []
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder: could not be written: Is a directory"):
        write_results([], tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "predictions.json"]


def test_uncompressed_run_lengths_are_compressed() -> None:
    record = {**RECORD, "segmentation": {"size": [3, 4], "counts": [4, 2, 6]}}
    assert decode(parse_results([record])[0]["segmentation"]).pixels.tolist() == [[True], [True]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"score": "0.9"}, "score: expected a finite number, got '0.9'"),
        ({"score": True}, "score: expected a finite number, got True"),
        ({"score": float("inf")}, "score: expected a finite number, got inf"),
        ({"score": 10**400}, f"score: expected a finite number, got 1{'0' * 56}..."),
        ({"image_id": "7"}, "image_id: expected a whole number, got '7'"),
        ({"category_id": 1.5}, "category_id: expected a whole number, got 1.5"),
        ({"bbox": [1, 2, 3]}, "bbox: expected four finite numbers x, y, width, height, got [1, 2, 3]"),
        ({"bbox": [5, 5, 3, -1]}, "bbox: expected width and height of at least 0, got [5, 5, 3, -1]"),
        (
            {"segmentation": [[1, 1, 2, 2, 3, 3]]},
            "segmentation: expected run lengths with size and counts, got [[1, 1, 2, 2, 3, 3]]",
        ),
        (
            {"segmentation": {"size": [4], "counts": "0"}},
            "segmentation: size: expected [height, width] in pixels, got [4]",
        ),
        (
            {"segmentation": {"size": [4, 4], "counts": [3, 3]}},
            "segmentation: counts: expected runs that sum to 4x4, got 6 pixels",
        ),
        (
            {"segmentation": {"size": [4, 4], "counts": "é"}},
            "segmentation: run-length string: expected characters 0 to o, got one beyond ASCII",
        ),
        (
            {"segmentation": {"size": [4, 4], "counts": None}},
            "segmentation: counts: expected a string or a list of whole numbers of at least 0, got None",
        ),
    ],
)
def test_a_malformed_record_is_named(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        parse_results([RECORD, {**RECORD, **change}], "r.json")
    assert str(caught.value) == f"r.json: record 1: {sentence}"


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("score", "expected the keys image_id, category_id and score, got no score"),
        ("image_id", "expected the keys image_id, category_id and score, got no image_id"),
        ("bbox", "expected bbox, segmentation or both, got neither"),
    ],
)
def test_a_missing_key_is_named(missing: str, sentence: str) -> None:
    record = {key: value for key, value in RECORD.items() if key != missing}
    with pytest.raises(AnnotationError) as caught:
        parse_results([record])
    assert str(caught.value) == f"results: record 0: {sentence}"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b'{"annotations": []}',
            "expected a list of results, got an object; this looks like a ground-truth file",
        ),
        (b'"x"', "expected a list of results, got 'x'"),
        (b"[1]", "record 0: expected an object, got 1"),
        (b"[", "expected JSON, got something else: Expecting value: line 1 column 2 (char 1)"),
        (b"\xff\xfe\xfa", "expected JSON in UTF-8, got other bytes"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(AnnotationError) as caught:
        read_results(path)
    assert str(caught.value) == f"{path}: {sentence}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"none\.json: can't be read: No such file or directory"):
        read_results(tmp_path / "none.json")


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    write_results(to_coco_results(_instances(), 42, (17, 18, 21)), tmp_path / "r.json")
    assert [type(record["score"]) for record in json.loads((tmp_path / "r.json").read_text())] == [
        float,
        float,
    ]

"""Detections as COCO results: made from instances, read and checked, written whole or not at all.

References: https://cocodataset.org/#format-results
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import numpy as np

from maskrcnn.data.formats.coco import encode_results
from maskrcnn.errors import AnnotationError
from maskrcnn.files import replacing, write_text
from maskrcnn.ops.rle import RLE, compress, decompress
from maskrcnn.structures import Instances


class Result(TypedDict):
    """One detection: `bbox` is [x, y, width, height] in pixels of the picture, `score` a plain number."""

    image_id: int
    category_id: int
    bbox: NotRequired[list[float]]
    score: float
    segmentation: NotRequired[RLE]


def to_coco_results(instances: Instances, image_id: int, category_ids: Sequence[int]) -> list[Result]:
    """Write the instances of one picture as COCO results, in their order.

    Args:
        instances: What was found, in pixels of the picture.
        image_id: The picture's id in the data.
        category_ids: The data's own id of each of the K classes, in label order.

    >>> boxes = np.array([[1, 2, 4, 6.5]], dtype=np.float32)
    >>> scores = np.array([0.9], dtype=np.float32)
    >>> found = Instances((8, 9), boxes, np.array([1]), ("cat", "dog"), scores=scores)
    >>> to_coco_results(found, 7, (17, 18))
    [{'image_id': 7, 'category_id': 18, 'bbox': [1.0, 2.0, 3.0, 4.5], 'score': 0.9}]
    """
    entries = encode_results(instances, image_id, category_ids)
    for entry, score in zip(entries, instances.scores, strict=True):
        entry["bbox"] = [round(edge, 2) for edge in cast("list[float]", entry["bbox"])]
        entry["score"] = _shortest(score)
    return cast("list[Result]", entries)


def _shortest(score: np.float32) -> float:
    """Return the shortest decimal that is this float32 again, so that order and ties stay as they are."""
    return float(str(np.float32(score)))


def rename_categories(
    results: Sequence[Result], renamed: Mapping[int, int], known: Iterable[int], source: str = "results"
) -> list[Result]:
    """Give results the category ids of merged classes, and leave out those of dropped ones.

    Args:
        results: Detections with the old ids.
        renamed: The new id of each old one that is kept.
        known: All old ids.
        source: Where the results come from, for the error.

    >>> rename_categories([{"image_id": 1, "category_id": 8, "score": 1.0}], {3: 1, 8: 1}, [3, 8, 32])
    [{'image_id': 1, 'category_id': 1, 'score': 1.0}]

    Raises:
        AnnotationError: A result names a class that the data does not have.
    """
    strange = sorted({result["category_id"] for result in results} - set(known))
    if strange:
        raise AnnotationError(f"{source}: expected the category_id of classes in the data, got {strange[0]} too")
    kept = [result for result in results if result["category_id"] in renamed]
    return [{**result, "category_id": renamed[result["category_id"]]} for result in kept]


def read_results(path: Path | str) -> list[Result]:
    """Read a COCO results file and check the form of every record.

    Whether pictures and classes exist in the data is checked by `evaluate_results`.

    Raises:
        AnnotationError: The file is missing, is no JSON list, or a record in it is malformed; the first such
            record is named by its position in the list, counted from 0.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise AnnotationError(f"{path}: can't be read: {error.strerror}", code="F001") from None
    except UnicodeDecodeError:
        raise AnnotationError(f"{path}: expected JSON in UTF-8, got other bytes", code="F001") from None
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: expected JSON, got something else: {error}", code="F001") from None
    return parse_results(values, str(path))


def parse_results(values: Any, source: str = "results") -> list[Result]:
    """Check a list of plain records, as JSON gives them; uncompressed run lengths are compressed.

    Args:
        values: What should be a list of records.
        source: Where they come from, for the error.

    Raises:
        AnnotationError: It is no list, or a record is malformed.

    >>> parse_results([{"image_id": 1, "category_id": 2, "bbox": [0, 0, 4, 4], "score": "0.9"}])
    Traceback (most recent call last):
    maskrcnn.errors.AnnotationError: results: record 0: score: expected a finite number, got '0.9'
    """
    if isinstance(values, dict):
        hint = "; this looks like a ground-truth file" if "annotations" in values else ""
        raise AnnotationError(f"{source}: expected a list of results, got an object{hint}")
    if not isinstance(values, list):
        raise AnnotationError(f"{source}: expected a list of results, got {_show(values)}")
    return [_record(value, f"{source}: record {i}") for i, value in enumerate(values)]


def _record(value: Any, where: str) -> Result:
    if not isinstance(value, dict):
        raise AnnotationError(f"{where}: expected an object, got {_show(value)}")
    missing = [key for key in ("image_id", "category_id", "score") if key not in value]
    if missing:
        raise AnnotationError(f"{where}: expected the keys image_id, category_id and score, got no {missing[0]}")
    if "bbox" not in value and "segmentation" not in value:
        raise AnnotationError(f"{where}: expected bbox, segmentation or both, got neither")
    if not _is_finite(value["score"]):
        raise AnnotationError(f"{where}: score: expected a finite number, got {_show(value['score'])}")
    image_id, category_id = (_whole(value, key, where) for key in ("image_id", "category_id"))
    result = Result(image_id=image_id, category_id=category_id, score=float(value["score"]))
    if "bbox" in value:
        result["bbox"] = _bbox(value["bbox"], where)
    if "segmentation" in value:
        result["segmentation"] = _segmentation(value["segmentation"], where)
    return result


def _whole(value: dict[str, Any], key: str, where: str) -> int:
    number = value[key]
    if not isinstance(number, int) or isinstance(number, bool):
        raise AnnotationError(f"{where}: {key}: expected a whole number, got {_show(number)}")
    return number


def _bbox(value: Any, where: str) -> list[float]:
    if not (isinstance(value, list) and len(value) == 4 and all(map(_is_finite, value))):
        raise AnnotationError(f"{where}: bbox: expected four finite numbers x, y, width, height, got {_show(value)}")
    if value[2] < 0 or value[3] < 0:
        raise AnnotationError(f"{where}: bbox: expected width and height of at least 0, got {_show(value)}")
    return [float(number) for number in value]


def _segmentation(value: Any, where: str) -> RLE:
    where = f"{where}: segmentation"
    if not (isinstance(value, dict) and "size" in value and "counts" in value):
        raise AnnotationError(f"{where}: expected run lengths with size and counts, got {_show(value)}")
    size, counts = value["size"], value["counts"]
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
        raise AnnotationError(f"{where}: size: expected [height, width] in pixels, got {_show(size)}")
    try:
        runs = decompress(counts) if isinstance(counts, str) else _runs(counts)
    except AnnotationError as error:
        raise AnnotationError(f"{where}: {error}") from None
    if runs.sum() != size[0] * size[1] or (runs < 0).any():
        raise AnnotationError(
            f"{where}: counts: expected runs that sum to {size[0]}x{size[1]}, got {runs.sum()} pixels"
        )
    return RLE(size=size, counts=counts if isinstance(counts, str) else compress(runs))


def _runs(counts: Any) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    if not (isinstance(counts, list) and all(type(run) is int and 0 <= run < 2**55 for run in counts)):
        raise AnnotationError(
            f"counts: expected a string or a list of whole numbers of at least 0, got {_show(counts)}"
        )
    return np.array(counts, dtype=np.int64)


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def _show(value: Any) -> str:
    """Show a value in an error, a long one cut off."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def write_results(results: Iterable[Result], path: Path | str) -> None:
    """Write COCO results as JSON; the file is replaced in one step, so no half-written one is ever seen.

    Raises:
        OutputError: The file can't be written.
    """
    write_json(list(results), path)


@contextmanager
def writing_results(path: Path | None) -> Iterator[Callable[[Iterable[Result]], None]]:
    """Give a function that takes results and writes them to a COCO results file, which is there when the block ends.

    Args:
        path: The file; nothing is written where there is none.

    Raises:
        OutputError: The file can't be written.
    """
    if path is None:
        yield lambda _: None
        return
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        separator = "["

        def write(results: Iterable[Result]) -> None:
            nonlocal separator
            for result in results:
                file.write(separator + json.dumps(result, allow_nan=False, ensure_ascii=False))
                separator = ", "

        yield write
        file.write("[]" if separator == "[" else "]")


def write_json(values: Any, path: Path | str, indent: int | None = None) -> None:
    """Write plain values as JSON in one step; folders are made where they are missing.

    Raises:
        OutputError: The file can't be written.
    """
    write_text(Path(path), json.dumps(values, indent=indent, allow_nan=False, ensure_ascii=False))

"""What is written and read again: the same set where a format holds it, and what was said of it where not.

Each format is read by the reader of `READERS`, chosen by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Annotation, Dataset, Record, Rings, Runs, drawn
from maskrcnn.data.writing import WRITERS, Written, convert
from maskrcnn.ops.rle import Bitmap

SHARED = Path(__file__).parents[2] / "../shared/data"
READERS = {
    "coco": "coco",
    "png": "mask-files",
    "via": "via",
    "yolo": "yolo",
    "labelme": "labelme",
    "cvat": "cvat",
    "voc": "voc",
    "labels": "id-images",
}
WITH_PIXELS = [name for name, writer in WRITERS.items() if writer.exactness.masks == "pixels"]
WITH_OUTLINES = [name for name, writer in WRITERS.items() if writer.exactness.masks == "outlines"]
WITH_LABELS = [name for name, writer in WRITERS.items() if writer.exactness.masks == "labels"]
NAMES = ("cat", "black dog", "a_b-c", "Ärger & co")

Dense = NDArray[np.bool_]
Seen = tuple[str, bool, bytes]


def test_every_format_that_is_written_is_read() -> None:
    assert set(READERS) == set(WRITERS)


# ---- random sets


@st.composite
def masks(draw: st.DrawFn, size_hw: tuple[int, int]) -> Runs:
    """Make noise with parts and holes, a single pixel, a frame along the border, or a rectangle."""
    h, w = size_hw
    kind = draw(st.sampled_from(["noise", "pixel", "frame", "rectangle"]))
    pixels = np.zeros(size_hw, dtype=np.bool_)
    if kind == "noise":
        pixels = draw(arrays(np.bool_, size_hw))
    elif kind == "frame":
        pixels[:] = True
        pixels[1:-1, 1:-1] = False
    elif kind == "rectangle":
        y, x = draw(st.integers(0, h - 1)), draw(st.integers(0, w - 1))
        pixels[y : draw(st.integers(y + 1, h)), x : draw(st.integers(x + 1, w))] = True
    if not pixels.any():
        pixels[draw(st.integers(0, h - 1)), draw(st.integers(0, w - 1))] = True
    return Runs.of(Bitmap(0, 0, pixels), size_hw)


@st.composite
def outlines(draw: st.DrawFn, size_hw: tuple[int, int]) -> Rings:
    """Make one or two rings near or in the picture, which may cross themselves and each other."""
    h, w = size_hw
    corner = st.tuples(st.floats(-2, w + 2).map(lambda v: round(v, 2)), st.floats(-2, h + 2))
    rings = draw(st.lists(st.lists(corner, min_size=3, max_size=6), min_size=1, max_size=2))
    middle = [(w / 2, h / 2)]  # so that no object is wholly outside
    return Rings(tuple(np.array([*ring, *middle], dtype=np.float64) for ring in rings))


@st.composite
def pictures(draw: st.DrawFn) -> list[tuple[tuple[int, int], list[tuple[int, Rings | Runs]]]]:
    """Make sizes, and objects of every kind and class; they overlap."""
    made = []
    for _ in range(draw(st.integers(1, 2))):
        size_hw = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
        shape = masks(size_hw) | outlines(size_hw)
        objects = draw(st.lists(st.tuples(st.integers(0, len(NAMES) - 1), shape), max_size=4))
        made.append((size_hw, objects))
    return made


@contextmanager
def as_dataset(made: list[tuple[tuple[int, int], list[tuple[int, Rings | Runs]]]]) -> Iterator[tuple[Path, Dataset]]:
    with TemporaryDirectory() as folder:
        records = []
        for i, (size_hw, objects) in enumerate(made):
            path = Path(folder) / f"picture{i}.png"
            Image.new("RGB", size_hw[::-1]).save(path)
            annotations = tuple(Annotation(f"object {k}", label, shape) for k, (label, shape) in enumerate(objects))
            records.append(Record(path.name, path, i + 1, size_hw, annotations))
        yield Path(folder) / "out", Dataset(Path(folder), "test", NAMES, range(1, len(NAMES) + 1), records)


def dense(annotation: Annotation, size_hw: tuple[int, int]) -> Dense:
    whole = np.zeros(size_hw, dtype=np.bool_)
    bitmap = drawn(annotation, size_hw)
    assert bitmap is not None
    h, w = bitmap.pixels.shape
    whole[bitmap.y : bitmap.y + h, bitmap.x : bitmap.x + w] = bitmap.pixels
    return whole


def objects_of(dataset: Dataset) -> dict[str, list[tuple[str, bool, Dense]]]:
    """Return class, crowd and pixels of the objects of each picture, in their order."""
    return {
        Path(record.name).stem: [
            (dataset.class_names[each.label], each.crowd, dense(each, record.size_hw)) for each in record.annotations
        ]
        for record in dataset.records
    }


def counted(dataset: Dataset) -> dict[str, Counter[Seen]]:
    return {
        name: Counter((kind, crowd, mask.tobytes()) for kind, crowd, mask in objects)
        for name, objects in objects_of(dataset).items()
    }


def again(name: str, out: Path) -> Dataset:
    return open_dataset(out, format=READERS[name])


# ---- laws


def has_objects(dataset: Dataset) -> bool:
    return any(record.annotations for record in dataset.records)


@pytest.mark.parametrize("name", [*WITH_PIXELS, *WITH_OUTLINES])
@settings(max_examples=20)
@given(made=pictures())
def test_every_pixel_of_every_object_is_read_again(name: str, made: list) -> None:
    with as_dataset(made) as (out, dataset):
        written = convert(dataset, out, name)
        count = sum(len(record.annotations) for record in dataset.records)
        assert (written.objects_in, written.objects, written.exact) == (count, count, count)
        assert written.worst is None or written.worst.iou == 1.0
        if name == "png" and not has_objects(dataset):
            return  # without a mask there is nothing to know the format by
        assert counted(again(name, out)) == counted(dataset)


@settings(max_examples=50)
@given(made=pictures())
def test_coco_gives_back_outlines_runs_and_names(made: list) -> None:
    with as_dataset(made) as (out, dataset):
        boxed = Annotation("boxed", 1, None, (0.1, 0.0, 0.1 + 0.2, 1.0))
        crowd = Annotation("crowd", 2, Runs.of(Bitmap(0, 0, np.ones((1, 1), np.bool_)), made[0][0]), crowd=True)
        records = [replace(each, annotations=(*each.annotations, boxed)) for each in dataset.records]
        records[0] = replace(records[0], annotations=(*records[0].annotations, crowd))
        dataset = dataset.change(records=records, category_ids=[2, 3, 7, 90])
        convert(dataset, out, "coco")
        back = again("coco", out)
        assert (back.class_names, back.category_ids) == (dataset.class_names, dataset.category_ids)
        for before, after in zip(dataset.records, back.records, strict=True):
            assert (before.name, before.image_id, before.size_hw) == (after.name, after.image_id, after.size_hw)
            for one, other in zip(before.annotations, after.annotations, strict=True):
                assert (one.label, one.crowd) == (other.label, other.crowd)
                assert one.box in (None, other.box)
                assert (one.shape is None) == (other.shape is None)
                assert one.shape is None or one.shape.to_bytes() == other.shape.to_bytes()
        convert(back, out / "twice", "coco")
        twice = again("coco", out / "twice")
        assert twice.fingerprint() == back.fingerprint()


def test_coco_gives_back_columns_and_what_was_looked_for(tmp_path: Path) -> None:
    dataset = boxes_only(tmp_path)
    record = replace(dataset.records[0], labelled=frozenset({0, 1}), columns={"background_id": "17"})
    convert(dataset.change(records=[record]), tmp_path / "out", "coco")
    (back,) = again("coco", tmp_path / "out").records
    assert (back.labelled, dict(back.columns)) == (record.labelled, record.columns)


def iou(one: Dense, other: Dense) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("name", WITH_OUTLINES)
@settings(max_examples=20)
@given(made=pictures(), tolerance=st.floats(0.1, 4))
def test_simplified_outlines_are_as_near_as_it_is_said(name: str, made: list, tolerance: float) -> None:
    with as_dataset(made) as (out, dataset):
        written = convert(dataset, out, name, tolerance=tolerance)
        before, after = objects_of(dataset), objects_of(again(name, out))
        pairs = [(one, other) for key in before for one, other in zip(before[key], after[key], strict=True)]
        assert [one[0] for one, _ in pairs] == [other[0] for _, other in pairs]
        ious = [iou(one[2], other[2]) for one, other in pairs]
        assert written.exact == sum(value == 1.0 for value in ious)
        assert (written.worst.iou if written.worst else 1.0) == min(ious, default=1.0)
        assert min(ious, default=1.0) >= 0.5


def painted(objects: list[tuple[str, bool, Dense]]) -> Counter[Seen]:
    """Paint objects over each other, slowly, and return what can be seen of each."""
    order = sorted(range(len(objects)), key=lambda i: -int(objects[i][2].sum()))
    seen: Counter[Seen] = Counter()
    for place, i in enumerate(order):
        name, crowd, mask = objects[i]
        left = mask.copy()
        for above in order[place + 1 :]:
            left &= ~objects[above][2]
        if left.any():
            seen[name, crowd, left.tobytes()] += 1
    return seen


@pytest.mark.parametrize("name", WITH_LABELS)
@settings(max_examples=20)
@given(made=pictures())
def test_of_objects_that_overlap_the_smaller_is_seen_whole(name: str, made: list) -> None:
    with as_dataset(made) as (out, dataset):
        written = convert(dataset, out, name)
        expected = {
            key: painted([(kind if name == "voc" else "object", crowd, mask) for kind, crowd, mask in objects])
            for key, objects in objects_of(dataset).items()
        }
        assert counted(again(name, out)) == expected
        assert written.objects == sum(counts.total() for counts in expected.values())
        lost = [loss for loss in written.losses if loss.what.startswith("objects wholly covered")]
        assert written.objects_in - written.objects == sum(loss.count for loss in lost)


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("png", "labels")])
def test_names_of_classes_with_signs_of_the_files_own_language(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a &<b>.png"
    Image.new("RGB", (8, 6)).save(path)
    names = ("<a> & 'b'", "no", '"007"', "# %s {}")
    squares = tuple(Rings((np.array([[2.0 * i, 0], [2 * i + 2, 0], [2 * i + 2, 2]]),)) for i in range(4))
    annotations = tuple(Annotation(f"{i}", i, shape) for i, shape in enumerate(squares))
    record = Record(path.name, path, 1, (6, 8), annotations)
    convert(Dataset(tmp_path, "test", names, range(1, 5), [record]), tmp_path / "out", name)
    sample = again(name, tmp_path / "out")[0]
    assert sample.instances.names == ["<a> & 'b'", "no", '"007"', "- %s {}" if name == "voc" else "# %s {}"]


# ---- objects that have no mask, and other tools' pictures


def boxes_only(folder: Path) -> Dataset:
    path = folder / "a.png"
    Image.new("RGB", (8, 6)).save(path)
    boxes = ((1.0, 2.0, 4.0, 5.0), (0.0, 0.0, 8.0, 2.5))
    annotations = tuple(Annotation(f"{i}", i, None, box) for i, box in enumerate(boxes))
    return Dataset(folder, "test", ["cat", "dog"], [1, 2], [Record("a.png", path, 1, (6, 8), annotations)])


@pytest.mark.parametrize("name", [name for name, writer in WRITERS.items() if "kept" in writer.exactness.boxes])
def test_boxes_without_masks_are_read_again(tmp_path: Path, name: str) -> None:
    dataset = boxes_only(tmp_path)
    assert convert(dataset, tmp_path / "out", name).losses == ()
    boxes = again(name, tmp_path / "out").instances(0)
    assert boxes.masks is None
    assert boxes.names == ["cat", "dog"]
    np.testing.assert_allclose(boxes.boxes, dataset.instances(0).boxes, atol=1e-5)


@pytest.mark.parametrize("name", [n for n, writer in WRITERS.items() if writer.exactness.boxes == "as rectangles"])
def test_boxes_that_are_read_as_rectangles(tmp_path: Path, name: str) -> None:
    written = convert(boxes_only(tmp_path), tmp_path / "out", name)
    assert [loss.count for loss in written.losses] == [2]
    masks = again(name, tmp_path / "out").instances(0).masks
    assert masks is not None
    assert masks.areas().tolist()[0] == 9


def test_crowds_in_voc(tmp_path: Path) -> None:
    dataset = boxes_only(tmp_path)
    square = Rings((np.array([[1.0, 1], [5, 1], [5, 5], [1, 5]]),))
    annotations = (Annotation("crowd", 0, square, crowd=True), Annotation("one", 1, Rings((square.rings[0] / 2,))))
    dataset = dataset.change(records=[replace(dataset.records[0], annotations=annotations)])
    convert(dataset, tmp_path / "out", "voc")
    found = again("voc", tmp_path / "out").instances(0)
    assert sorted(zip(found.names, found.crowd.tolist(), strict=True)) == [("cat", True), ("dog", False)]


@pytest.mark.parametrize("name", WRITERS)
def test_the_format_is_recognised(tmp_path: Path, name: str) -> None:
    dataset = boxes_only(tmp_path)
    square = Annotation("one", 0, Rings((np.array([[1.0, 1], [5, 1], [5, 5], [1, 5]]),)))
    dataset = dataset.change(records=[replace(dataset.records[0], annotations=(square,))])
    convert(dataset, tmp_path / "out", name)
    found = open_dataset(tmp_path / "out")
    assert (found.format, len(found), len(found.instances(0))) == (READERS[name], 1, 1)
    assert found[0].image.shape == (6, 8, 3)


# ---- real sets


def said_and_read(name: str, dataset: Dataset, out: Path) -> tuple[Written, Dataset]:
    return convert(dataset, out, name, pictures="link" if name != "labels" else "copy"), again(name, out)


@pytest.mark.parametrize("name", WRITERS)
def test_twenty_real_pictures(tmp_path: Path, name: str) -> None:
    place = SHARED / "coco_tiny_80/annotations/instances_val2017.json"
    if not place.exists():
        pytest.skip("../shared/data is not here")
    dataset = open_dataset(place)[:20]
    written, back = said_and_read(name, dataset, tmp_path / "out")
    found = objects_of(back)
    assert (len(back), written.objects) == (20, sum(map(len, found.values())))
    if WRITERS[name].exactness.masks != "labels":
        holds = WRITERS[name].exactness.holds
        kept = [
            replace(each, annotations=tuple(a for a in each.annotations if not a.crowd or "crowds" in holds))
            for each in dataset.records
        ]
        assert counted(back) == counted(dataset.change(records=kept))

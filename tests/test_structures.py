from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from maskrcnn.ops.polygons import Polygon, rasterise
from maskrcnn.structures import Bitmap, Bitmaps, Instances, Masks, Patches, Sample

SIZE_HW = (9, 14)


def bitmap(x: int, y: int, rows: Sequence[Sequence[int]]) -> Bitmap:
    return Bitmap(x, y, np.array(rows, dtype=np.bool_))


def three() -> Bitmaps:
    """A ring, a bar that touches two borders, a single pixel."""
    ring = bitmap(1, 2, [[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    return Bitmaps([ring, bitmap(10, 7, [[1, 1, 1, 1], [1, 1, 1, 1]]), bitmap(0, 0, [[1]])], SIZE_HW)


def instances(masks: Masks | None = None) -> Instances:
    return Instances(
        SIZE_HW,
        np.array([[1, 2, 4, 5], [10, 7, 14, 9], [0, 0, 1, 1]], dtype=np.float32),
        np.array([1, 0, 1]),
        ("cat", "dog"),
        masks,
        np.array([0.25, 0.5, 0.75], dtype=np.float32),
        np.array([False, True, False]),
    )


# every form of a mask says the same pixels


def from_polygons(parts: list[Polygon]) -> NDArray[np.bool_]:
    """Fill parts and cut their holes out."""
    total = np.zeros(SIZE_HW, dtype=np.int64)
    for part in parts:
        for ring, sign in [(part.exterior, 1), *((hole, -1) for hole in part.holes)]:
            x, y, pixels = rasterise([ring], SIZE_HW)
            total[y : y + pixels.shape[0], x : x + pixels.shape[1]] += sign * pixels
    assert set(np.unique(total)) <= {0, 1}
    return total.astype(np.bool_)


def check_agreement(masks: Masks) -> None:
    dense = masks.dense()
    assert dense.shape == (len(masks), *SIZE_HW)
    for i, plane in enumerate(dense):
        x, y, pixels = masks.crop(i)
        outside = plane.copy()
        outside[y : y + pixels.shape[0], x : x + pixels.shape[1]] = False
        assert not outside.any()
        assert np.array_equal(plane[y : y + pixels.shape[0], x : x + pixels.shape[1]], pixels)
        assert masks.rle()[i]["counts"] == coco_mask.encode(np.asfortranarray(plane, np.uint8))["counts"].decode()
        assert masks.rle()[i]["size"] == [*SIZE_HW]
        assert np.array_equal(from_polygons(masks.polygons()[i]), plane)
        assert masks.areas()[i] == plane.sum()


def test_forms_of_bitmaps_agree() -> None:
    masks = three()
    check_agreement(masks)
    assert masks.areas().tolist() == [8, 8, 1]
    assert masks.boxes().tolist() == [[1, 2, 4, 5], [10, 7, 14, 9], [0, 0, 1, 1]]
    assert [len(part.holes) for parts in masks.polygons() for part in parts] == [1, 0, 0]


windows = arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(1, 5)))


@given(st.lists(st.tuples(windows, st.integers(0, 9), st.integers(0, 4)), max_size=3))
def test_forms_of_any_bitmaps_agree(drawn: list[tuple[NDArray[np.bool_], int, int]]) -> None:
    check_agreement(Bitmaps([Bitmap(x, y, pixels) for pixels, x, y in drawn], SIZE_HW))


edge = st.floats(-6, 16, width=32)


@given(st.lists(st.tuples(edge, edge, edge, edge), max_size=3), st.integers(0, 99), st.sampled_from([0.2, 0.5, 1.0]))
def test_forms_of_any_patches_agree(boxes: list[tuple[float, ...]], seed: int, threshold: float) -> None:
    """Boxes may leave the picture, have no area, or be turned inside out."""
    probabilities = np.random.default_rng(seed).random((len(boxes), 5, 5), dtype=np.float32)
    check_agreement(Patches(probabilities, np.array(boxes, dtype=np.float32).reshape(-1, 4), SIZE_HW, threshold))


def test_a_patch_by_hand() -> None:
    """Four pixels at -1/4, 1/4, 3/4, 5/4 of two cells 1, 0 with nothing beside them; the box's upper row is cut off."""
    probability = np.array([[[1, 0], [1, 0]]], dtype=np.float32)
    masks = Patches(probability, np.array([[3, -1, 7, 1]], dtype=np.float32), SIZE_HW)
    x, y, pixels = masks.crop(0)
    assert (x, y, pixels.tolist()) == (3, 0, [[True, True, False, False]])
    areas = [Patches(probability, masks.boxes, SIZE_HW, at).areas().tolist() for at in (0.25, 0.26, 0.75, 0.76)]
    assert areas == [[3], [2], [2], [0]]


# indexing


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        ([2, 0], [2, 0]),
        ([1, 1], [1, 1]),
        ([-1], [2]),
        (np.array([1]), [1]),
        (np.array([True, False, True]), [0, 2]),
        (np.zeros(3, dtype=np.bool_), []),
        (slice(0, 0), []),
    ],
)
def test_all_fields_are_taken_together(index: slice | list[int], expected: list[int]) -> None:
    patches = Patches(np.random.default_rng(0).random((3, 4, 4), dtype=np.float32), instances().boxes, SIZE_HW, 0.4)
    for masks in (three(), patches):
        whole = instances(masks)
        part = whole[index]
        assert part.boxes.tolist() == [whole.boxes[i].tolist() for i in expected]
        assert part.labels.tolist() == [whole.labels[i] for i in expected]
        assert part.scores.tolist() == [whole.scores[i] for i in expected]
        assert part.crowd.tolist() == [whole.crowd[i] for i in expected]
        assert part.names == [whole.names[i] for i in expected]
        assert part.masks is not None
        assert np.array_equal(part.masks.dense(), masks.dense()[expected])
        assert type(part.masks) is type(masks)
        assert part.size_hw == SIZE_HW


def test_an_empty_list_takes_nothing() -> None:
    assert len(instances(three())[[]]) == 0


def test_a_place_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError):
        instances()[[3]]


def test_names_follow_labels() -> None:
    assert instances().names == ["dog", "cat", "dog"]


def test_annotations_are_sure_and_not_crowds_unless_said() -> None:
    plain = Instances(SIZE_HW, instances().boxes, instances().labels, ("cat", "dog"))
    assert plain.scores.tolist() == [1, 1, 1]
    assert plain.crowd.tolist() == [False] * 3
    assert plain.masks is None
    assert plain[[1]].masks is None


# nothing is an ordinary value


def test_nothing() -> None:
    nothing = Instances.empty(SIZE_HW, ["cat"])
    assert len(nothing) == 0
    assert (nothing.boxes.shape, nothing.labels.shape, nothing.names) == ((0, 4), (0,), [])
    assert len(nothing[np.zeros(0, dtype=np.bool_)]) == 0
    assert nothing.masks is not None
    assert nothing.masks.dense().shape == (0, *SIZE_HW)
    assert (nothing.masks.rle(), nothing.masks.polygons(), nothing.masks.areas().tolist()) == ([], [], [])
    assert Bitmaps([], SIZE_HW).boxes().shape == (0, 4)


def test_no_patches() -> None:
    check_agreement(Patches(np.zeros((0, 28, 28), dtype=np.float32), np.zeros((0, 4), dtype=np.float32), SIZE_HW))


def test_a_mask_without_pixels() -> None:
    masks = Bitmaps([bitmap(3, 3, [[0, 0]])], SIZE_HW)
    check_agreement(masks)
    assert masks.polygons() == [[]]
    assert masks.areas().tolist() == [0]


# what does not fit is refused when it is made


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (0, -1), (13, 0), (0, 9)])
def test_a_window_that_leaves_the_picture_is_refused(x: int, y: int) -> None:
    with pytest.raises(ValueError, match=rf"mask 1: expected a window inside 9x14, got x {x}, y {y}, 1x2"):
        Bitmaps([bitmap(0, 0, [[1]]), bitmap(x, y, [[1, 1]])], SIZE_HW)


def test_a_window_may_touch_the_last_pixel() -> None:
    assert Bitmaps([bitmap(12, 8, [[1, 1]])], SIZE_HW).dense()[0, 8, 13]


@pytest.mark.parametrize("shape", [(2, 4, 4), (3, 4), (3, 4, 4, 1)])
def test_patches_that_do_not_go_with_the_boxes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"probabilities: expected \(3, M, M\)"):
        Patches(np.zeros(shape, dtype=np.float32), instances().boxes, SIZE_HW)


def with_changes(**changes: object) -> Instances:
    whole = instances(three())
    fields = ("size_hw", "boxes", "labels", "class_names", "masks", "scores", "crowd")
    return Instances(**{**{name: getattr(whole, name) for name in fields}, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"boxes": np.zeros((2, 4), dtype=np.float32)}, r"boxes: expected shape \(3, 4\).*got \(2, 4\)"),
        ({"boxes": np.zeros((3, 5), dtype=np.float32)}, r"boxes: expected shape \(3, 4\).*got \(3, 5\)"),
        ({"scores": np.zeros(2, dtype=np.float32)}, "scores: expected 3 to go with the labels, got 2"),
        ({"crowd": np.zeros(4, dtype=np.bool_)}, "crowd: expected 3 to go with the labels, got 4"),
        ({"masks": Bitmaps([], SIZE_HW)}, r"masks: expected 3 of \(9, 14\), got 0 of \(9, 14\)"),
        ({"size_hw": (14, 9)}, r"masks: expected 3 of \(14, 9\), got 3 of \(9, 14\)"),
        ({"labels": np.array([0, 1, 2])}, "labels: expected 0 to 1, got 0 to 2"),
        ({"labels": np.array([0, -1, 1])}, "labels: expected 0 to 1, got -1 to 1"),
        ({"class_names": ()}, "labels: expected 0 to -1, got 0 to 1"),
    ],
)
def test_fields_that_do_not_fit_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        with_changes(**changes)


@pytest.mark.parametrize("shape", [(9, 14), (14, 9, 3), (9, 13, 3)])
def test_a_picture_of_another_size_than_its_objects_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"a\.jpg: expected a picture of \(9, 14\) with bands last"):
        Sample(np.zeros(shape, dtype=np.uint8), instances(), Path("a.jpg"), 1)


@pytest.mark.parametrize("bands", [1, 3, 6])
def test_a_picture_may_have_any_bands(bands: int) -> None:
    sample = Sample(np.zeros((*SIZE_HW, bands), dtype=np.uint16), instances(three()), Path("a.tif"), 7)
    assert sample.image.shape[2] == bands
    assert sample.instances.names == ["dog", "cat", "dog"]

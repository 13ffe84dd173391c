"""Numbers of a set, by hand and against slow references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.inspection.statistics import (
    ClassNumbers,
    class_numbers,
    extremes,
    objects_a_picture,
    octave_histogram,
    picture_sizes,
    whole_histogram,
)

NONE = np.zeros(0, dtype=np.int64)


def test_a_ramp_of_objects() -> None:
    # class 0: sides 1, 2, 3, 4 on pictures 0, 0, 1, 3; class 1: none; class 2: side 8 on picture 3, and a crowd
    numbers = class_numbers(
        np.array([0, 0, 0, 0, 2, 2]),
        np.array([False, False, False, False, False, True]),
        np.array([0, 0, 1, 3, 3, 4]),
        np.array([4.0, 1.0, 3.0, 2.0, 8.0, 99.0]),
        3,
    )
    assert numbers == [
        ClassNumbers(0, 4, 0, 3, 0.8, 1.0, 2.5, 4.0),
        ClassNumbers(1, 0, 0, 0, 0.0, None, None, None),
        ClassNumbers(2, 1, 1, 1, 0.2, 8.0, 8.0, 8.0),
    ]


def test_class_numbers_as_counted_one_by_one() -> None:
    rng = np.random.default_rng(1)
    label, picture = rng.integers(0, 7, 500), np.sort(rng.integers(0, 40, 500))
    crowd, lengths = rng.random(500) < 0.1, rng.lognormal(3, 1, 500)
    for numbers in class_numbers(label, crowd, picture, lengths, 9):
        own = [i for i in range(500) if label[i] == numbers.label and not crowd[i]]
        assert numbers.objects == len(own)
        assert numbers.crowds == sum(bool(crowd[i]) for i in range(500) if label[i] == numbers.label)
        assert numbers.pictures == len({int(picture[i]) for i in own})
        assert numbers.share == pytest.approx(len(own) / sum(~crowd))
        sides = sorted(lengths[own].tolist())
        assert (numbers.smallest, numbers.largest) == ((sides[0], sides[-1]) if sides else (None, None))
        assert numbers.median == (pytest.approx(float(np.median(sides))) if sides else None)


def test_nothing_is_counted_as_nothing() -> None:
    assert class_numbers(NONE, NONE.astype(bool), NONE, NONE.astype(float), 0) == []
    (only,) = class_numbers(NONE, NONE.astype(bool), NONE, NONE.astype(float), 1)
    assert (only.objects, only.share, only.median) == (0, 0.0, None)
    assert objects_a_picture(NONE, NONE.astype(bool), 3).tolist() == [0, 0, 0]
    assert whole_histogram(NONE).counts.tolist() == [0]
    assert octave_histogram(NONE.astype(float)).counts.tolist() == []
    assert extremes(NONE.astype(float), NONE.astype(bool), 3) == ([], [])


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=60), st.integers(1, 30))
def test_whole_bars_hold_every_number_and_are_few(values: list[int], most: int) -> None:
    edges, counts = whole_histogram(np.array(values), most)
    assert len(counts) <= most
    assert counts.sum() == len(values)
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        assert count == sum(low <= value < high for value in values)
    step = f"{edges[1] - edges[0]:.0f}"
    assert step.rstrip("0") in {"1", "2", "5"}


@given(st.lists(st.floats(1e-3, 1e5), min_size=1, max_size=60), st.sampled_from([1, 2, 3]), st.booleans())
def test_octave_bars_hold_every_number(values: list[float], steps: int, centred: bool) -> None:
    edges, counts = octave_histogram(np.array(values), steps, centred)
    assert counts.sum() == len(values)
    assert np.allclose(edges[1:] / edges[:-1], 2 ** (1 / steps))
    assert edges[0] <= min(values) * (1 + 1e-9)
    assert max(values) <= edges[-1] * (1 + 1e-9)
    assert min(counts[0], counts[-1]) > 0


def test_powers_of_two_lie_on_edges_or_in_the_middle() -> None:
    assert octave_histogram(np.array([8.0, 15.9])).edges.tolist() == pytest.approx([8, 128**0.5, 16])
    assert octave_histogram(np.array([1.0]), centred=True).edges.tolist() == pytest.approx([2**-0.25, 2**0.25])


def test_objects_a_picture_leave_crowds_out() -> None:
    counts = objects_a_picture(np.array([0, 0, 2, 2]), np.array([False, False, True, False]), 4)
    assert counts.tolist() == [2, 0, 1, 0]


def test_picture_sizes_come_by_frequency() -> None:
    sizes = picture_sizes(np.array([[2, 3], [9, 9], [9, 9], [3, 2], [9, 9], [3, 2]]))
    assert [(size.size_hw, size.pictures) for size in sizes] == [((9, 9), 3), ((3, 2), 2), ((2, 3), 1)]


@pytest.mark.parametrize(
    ("objects", "most", "counts"), [(1, 6, (0, 1)), (2, 6, (1, 1)), (9, 3, (3, 3)), (5, 6, (2, 3))]
)
def test_extremes_are_the_ends_and_no_object_twice(objects: int, most: int, counts: tuple[int, int]) -> None:
    lengths = np.random.default_rng(objects).permutation(objects).astype(float)
    small, large = extremes(lengths, np.zeros(objects, dtype=np.bool_), most)
    assert (len(small), len(large)) == counts
    assert lengths[small].tolist() == list(range(len(small)))
    assert lengths[large].tolist() == [objects - 1 - i for i in range(len(large))]

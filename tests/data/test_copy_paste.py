from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.data.copy_paste import CopyPaste, paste, uncover
from maskrcnn.data.transforms import Compose
from maskrcnn.errors import ImageError, InputError
from maskrcnn.ops.rle import Bitmap, trim
from maskrcnn.structures import Bitmaps, Instances, Sample

NAMES = ("cat", "dog")


def sample(value: int, masks: list[np.ndarray], size_hw: tuple[int, int], bands: int = 3) -> Sample:
    """A picture of one value everywhere, with dense masks; labels alternate."""
    bitmaps = Bitmaps([trim(Bitmap(0, 0, mask)) for mask in masks], size_hw)
    labels = np.arange(len(masks)) % 2
    instances = Instances(size_hw, bitmaps.boxes(), labels, NAMES, bitmaps)
    return Sample(np.full((*size_hw, bands), value, dtype=np.uint8), instances, Path("x.png"), 1)


def block(size_hw: tuple[int, int], y: slice, x: slice) -> np.ndarray:
    mask = np.zeros(size_hw, dtype=bool)
    mask[y, x] = True
    return mask


def test_a_pasted_object_hides_what_is_under_it_by_hand() -> None:
    size = (4, 6)
    base = sample(10, [block(size, slice(0, 4), slice(0, 4)), block(size, slice(1, 2), slice(4, 5))], size)
    other = sample(200, [block(size, slice(1, 3), slice(2, 6)), block(size, slice(0, 1), slice(0, 1))], size)
    new = paste(base, other, np.array([0]), min_share=0.1)
    assert new.image[..., 0].tolist() == [
        [10, 10, 10, 10, 10, 10],
        [10, 10, 200, 200, 200, 200],
        [10, 10, 200, 200, 200, 200],
        [10, 10, 10, 10, 10, 10],
    ]
    masks = new.instances.masks
    assert masks is not None
    assert ["".join(".#"[int(p)] for p in row) for row in masks.dense()[0]] == ["####..", "##....", "##....", "####.."]
    assert new.instances.boxes.tolist() == [[0, 0, 4, 4], [2, 1, 6, 3]]  # the small one is wholly hidden
    assert new.instances.labels.tolist() == [0, 0]
    assert not new.instances.crowd.any()
    assert base.image.max() == 10


def test_an_object_that_is_hidden_but_for_a_sliver_is_ignored() -> None:
    size = (10, 10)
    base = sample(0, [block(size, slice(0, 10), slice(0, 10))], size).instances
    left = uncover(base, block(size, slice(0, 10), slice(0, 9)), 0.2)
    assert left.crowd.tolist() == [True]
    assert left.boxes.tolist() == [[9, 0, 10, 10]]
    assert uncover(base, block(size, slice(0, 10), slice(0, 8)), 0.2).crowd.tolist() == [False]


masks_of = st.integers(1, 9).flatmap(
    lambda h: st.integers(1, 9).flatmap(
        lambda w: st.tuples(
            st.just((h, w)),
            st.lists(st.lists(st.booleans(), min_size=h * w, max_size=h * w).filter(any), min_size=1, max_size=4),
        )
    )
)


@given(masks_of, masks_of)
def test_pasting_equals_the_dense_reference(base_of, other_of) -> None:
    (size, ours), (other_size, theirs) = base_of, other_of
    base = sample(1, [np.array(m).reshape(size) for m in ours], size)
    other = sample(2, [np.array(m).reshape(other_size) for m in theirs], other_size)
    new = paste(base, other, np.arange(len(theirs)), min_share=0.0)
    h, w = min(size[0], other_size[0]), min(size[1], other_size[1])
    pasted = np.zeros((len(theirs), *size), dtype=bool)
    pasted[:, :h, :w] = np.array([np.array(m).reshape(other_size) for m in theirs])[:, :h, :w]
    covered = pasted.any(axis=0)
    under = np.array([np.array(m).reshape(size) for m in ours]) & ~covered
    expected = [mask for mask in [*under, *pasted] if mask.any()]
    assert new.instances.masks is not None
    assert new.instances.masks.dense().tolist() == [mask.tolist() for mask in expected]
    assert (new.image[..., 0] == np.where(covered, 2, 1)).all()


def test_probability_zero_changes_nothing_and_one_pastes() -> None:
    size = (6, 6)
    base = sample(1, [block(size, slice(0, 2), slice(0, 2))], size)
    other = sample(9, [block(size, slice(3, 6), slice(3, 6))], size)
    never, always = CopyPaste([other], Compose(), p=0.0), CopyPaste([other], Compose(), p=1.0)
    assert never(base, np.random.default_rng(0)) is base
    assert len(always(base, np.random.default_rng(0)).instances) == 2


def test_pictures_with_boxes_only_and_without_objects_stay_as_they_are() -> None:
    size = (6, 6)
    base = sample(1, [block(size, slice(0, 2), slice(0, 2))], size)
    empty = sample(9, [], size)
    boxes = Instances(size, np.array([[0, 0, 2, 2]], dtype=np.float32), np.array([0]), NAMES)
    only_boxes = Sample(base.image, boxes, base.path, 1)
    rng = np.random.default_rng(0)
    assert CopyPaste([empty], Compose(), p=1.0)(base, rng) is base
    assert CopyPaste([only_boxes], Compose(), p=1.0)(base, rng) is base
    assert CopyPaste([base], Compose(), p=1.0)(only_boxes, rng) is only_boxes


def test_another_number_of_bands_is_an_error() -> None:
    size = (4, 4)
    one = sample(1, [block(size, slice(0, 2), slice(0, 2))], size, bands=1)
    three = sample(1, [block(size, slice(0, 2), slice(0, 2))], size)
    with pytest.raises(ImageError, match="expected a picture with 3 bands, got 1"):
        CopyPaste([one], Compose(), p=1.0)(three, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"expected p and min_share from 0 to 1, got 2 and 0\.1"):
        CopyPaste([one], Compose(), p=2.0)

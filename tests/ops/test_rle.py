import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from maskrcnn.errors import AnnotationError
from maskrcnn.ops.rle import AT_ONCE, Bitmap, clip, compress, decode, decompress, encode, encode_each, trim

masks = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def dense(bitmap: Bitmap, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    out = np.zeros(size_hw, dtype=np.bool_)
    inside = clip(bitmap, size_hw)
    out[inside.y : inside.y + inside.pixels.shape[0], inside.x : inside.x + inside.pixels.shape[1]] = inside.pixels
    return out


@given(masks, st.integers(-5, 9), st.integers(-5, 9), st.integers(1, 15), st.integers(1, 15))
def test_window_encodes_to_the_bytes_of_pycocotools(pixels: NDArray[np.bool_], x: int, y: int, h: int, w: int) -> None:
    bitmap = Bitmap(x, y, pixels)
    expected = coco_mask.encode(np.asfortranarray(dense(bitmap, (h, w)).astype(np.uint8)))
    assert encode(bitmap, (h, w))["counts"] == expected["counts"].decode()


@given(masks, st.integers(0, 3), st.integers(0, 3))
def test_decode_gives_the_tight_window_back(pixels: NDArray[np.bool_], x: int, y: int) -> None:
    size_hw = (pixels.shape[0] + 4, pixels.shape[1] + 5)
    again, tight = decode(encode(Bitmap(x, y, pixels), size_hw)), trim(Bitmap(x, y, pixels))
    assert again[:2] == tight[:2]
    assert np.array_equal(again.pixels, tight.pixels)


@given(st.lists(st.integers(0, 1 << 40), max_size=20))
def test_decompress_undoes_compress(counts: list[int]) -> None:
    assert decompress(compress(np.array(counts, dtype=np.int64))).tolist() == counts


@given(st.lists(masks, max_size=5), st.integers(-5, 9))
def test_many_masks_are_written_as_each_alone(several: list[NDArray[np.bool_]], x: int) -> None:
    bitmaps = [Bitmap(x, 2, pixels) for pixels in several]
    assert encode_each(bitmaps, (9, 13)) == [encode(bitmap, (9, 13)) for bitmap in bitmaps]


def test_more_masks_than_are_compressed_at_once() -> None:
    bitmaps = [Bitmap(i, 1, np.ones((i % 4, 3), dtype=np.bool_)) for i in range(2 * AT_ONCE + 7)]
    assert encode_each(iter(bitmaps), (6, 300)) == [encode(bitmap, (6, 300)) for bitmap in bitmaps]


@pytest.mark.parametrize("text", ["P", "é", "0\n", "z"])
def test_broken_strings_are_refused(text: str) -> None:
    with pytest.raises(AnnotationError, match="run-length string"):
        decompress(text)


def test_runs_of_another_size_are_refused() -> None:
    with pytest.raises(AnnotationError, match="sum to 6 for 2x3, got 4"):
        decode({"size": [2, 3], "counts": compress(np.array([1, 3]))})

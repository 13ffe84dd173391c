"""COCO run lengths, made from and read into a window instead of a whole picture.

Runs go down the columns, left to right, and start with background. The string form is COCO's: six bits a character,
each run but the first three stored as the difference to the run two before it.

References: pycocotools, `maskApi.c`.
Letters: H, W height and width of the picture; h, w of the window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from maskrcnn.errors import AnnotationError


class RLE(TypedDict):
    """COCO's compressed run lengths: `size` is [height, width], `counts` the string."""

    size: list[int]
    counts: str


class Bitmap(NamedTuple):
    """A mask inside its box: `pixels` (h, w) bool, whose upper left pixel is pixel (x, y) of the picture."""

    x: int
    y: int
    pixels: NDArray[np.bool_]


AT_ONCE = 64  # masks that are compressed together: enough to share the cost of calls, few enough to stay small

EMPTY_BITMAP = Bitmap(0, 0, np.zeros((0, 0), dtype=np.bool_))


def trim(bitmap: Bitmap) -> Bitmap:
    """Cut a bitmap down to the smallest window that holds all its pixels; nothing set gives 0 by 0 at (0, 0).

    >>> trim(Bitmap(10, 20, np.array([[0, 0], [0, 1]], dtype=bool)))
    Bitmap(x=11, y=21, pixels=array([[ True]]))
    """
    rows = np.flatnonzero(bitmap.pixels.any(axis=1))
    columns = np.flatnonzero(bitmap.pixels.any(axis=0))
    if rows.size == 0:
        return EMPTY_BITMAP
    y1, y2, x1, x2 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    if (y2 - y1, x2 - x1) == bitmap.pixels.shape:
        return bitmap
    return Bitmap(bitmap.x + int(x1), bitmap.y + int(y1), bitmap.pixels[y1:y2, x1:x2].copy())


def clip(bitmap: Bitmap, size_hw: tuple[int, int]) -> Bitmap:
    """Cut away what lies outside a picture of `size_hw`."""
    h, w = bitmap.pixels.shape
    x1, y1 = max(bitmap.x, 0), max(bitmap.y, 0)
    x2, y2 = min(bitmap.x + w, size_hw[1]), min(bitmap.y + h, size_hw[0])
    if (x1, y1, x2, y2) == (bitmap.x, bitmap.y, bitmap.x + w, bitmap.y + h):
        return bitmap
    if x1 >= x2 or y1 >= y2:
        return EMPTY_BITMAP
    return Bitmap(x1, y1, bitmap.pixels[y1 - bitmap.y : y2 - bitmap.y, x1 - bitmap.x : x2 - bitmap.x])


def overlaid(bitmaps: Iterable[Bitmap]) -> Bitmap:
    """Return what is set in any of the bitmaps, in the smallest window that holds theirs.

    >>> overlaid([Bitmap(3, 5, np.ones((1, 1), dtype=bool)), Bitmap(4, 5, np.ones((1, 1), dtype=bool))])
    Bitmap(x=3, y=5, pixels=array([[ True,  True]]))
    """
    filled = [bitmap for bitmap in bitmaps if bitmap.pixels.size]
    if not filled:
        return EMPTY_BITMAP
    x, y = min(each.x for each in filled), min(each.y for each in filled)
    h = max(each.y + each.pixels.shape[0] for each in filled) - y
    w = max(each.x + each.pixels.shape[1] for each in filled) - x
    pixels = np.zeros((h, w), dtype=np.bool_)
    for each in filled:
        rows, columns = each.pixels.shape
        pixels[each.y - y : each.y - y + rows, each.x - x : each.x - x + columns] |= each.pixels
    return Bitmap(x, y, pixels)


def bitmap_to_counts(bitmap: Bitmap, size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """Count the runs of a window inside a picture of `size_hw`, in time proportional to the window.

    Returns:
        (n) int64. Lengths of the runs, background first; they sum to H·W.
    """
    H, W = size_hw
    x, y, pixels = clip(bitmap, size_hw)
    framed = np.zeros((pixels.shape[0] + 2, pixels.shape[1]), dtype=np.bool_)
    framed[1:-1] = pixels
    # found row by row as memory lies, then sorted into columns: there are few edges among many pixels
    at = (framed[1:] != framed[:-1]).ravel().nonzero()[0]
    row = at // max(pixels.shape[1], 1)
    ends = np.zeros(len(at) + 2, dtype=np.int64)
    ends[1:-1] = np.sort((x + at - row * pixels.shape[1]) * H + y + row)
    ends[-1] = H * W
    kept = np.ones(len(ends), dtype=np.bool_)
    touching = ends[2:-2:2] == ends[3:-1:2]  # a run that goes on at the top of the next column
    kept[2:-2:2] &= ~touching
    kept[3:-1:2] &= ~touching
    kept[-2] &= len(at) == 0 or ends[-2] != ends[-1]  # set to the last pixel
    runs: NDArray[np.int64] = np.diff(ends[kept])
    return runs


def counts_to_bitmap(counts: NDArray[np.int64], size_hw: tuple[int, int]) -> Bitmap:
    """Draw runs into the smallest window that holds them, in time proportional to that window.

    Args:
        counts: (n) int64. Lengths of the runs, background first.
        size_hw: Height and width of the picture.

    Raises:
        AnnotationError: The runs do not sum to H·W, or one is negative.
    """
    H, W = size_hw
    if counts.sum() != H * W or (counts < 0).any():
        raise AnnotationError(f"run lengths: expected lengths that sum to {H * W} for {H}x{W}, got {counts.sum()}")
    edges = np.cumsum(counts)
    start, stop = edges[0::2][: len(edges) // 2], edges[1::2]
    filled = stop > start
    start, stop = start[filled], stop[filled]
    if start.size == 0:
        return EMPTY_BITMAP
    column, row = np.divmod(start, H)
    last_column, last_row = np.divmod(stop - 1, H)
    wraps = bool((column != last_column).any())
    y1, y2 = (0, H) if wraps else (int(row.min()), int(last_row.max()) + 1)
    x1, h, w = int(column.min()), y2 - y1, int(last_column.max()) + 1 - int(column.min())
    first = (column - x1) * h + row - y1
    change = np.zeros(w * h + 1, dtype=np.int8)
    np.add.at(change, first, 1)
    np.subtract.at(change, first + stop - start, 1)
    pixels = np.cumsum(change[:-1], dtype=np.int8).astype(np.bool_).reshape(w, h).T
    return Bitmap(x1, y1, np.ascontiguousarray(pixels))


def compress(counts: NDArray[np.int64]) -> str:
    """Write runs as COCO's string.

    >>> compress(np.array([6, 1, 40, 4, 5, 4, 5, 4, 21]))
    '61X13mN000`0'
    """
    return compress_each([counts])[0]


def compress_each(runs: Sequence[NDArray[np.int64]]) -> list[str]:
    """Write the runs of many masks, each as COCO's string, in one go.

    >>> compress_each([np.array([6, 1, 40, 4, 5, 4, 5, 4, 21]), np.array([12])])
    ['61X13mN000`0', '<']
    """
    rest = np.concatenate([each.astype(np.int64) - _two_before(each) for each in runs])
    characters = np.zeros((len(rest), 13), dtype=np.uint8)
    active = np.arange(len(rest))
    for position in range(13):
        low, high = rest[active] & 0x1F, rest[active] >> 5
        more = np.where(low & 0x10, high != -1, high != 0)
        characters[active, position] = (low | (more * 0x20)) + 48
        rest[active] = high
        active = active[more]
        if active.size == 0:
            break
    written = characters > 0
    text = characters[written].tobytes().decode("ascii")
    before = np.concatenate([[0], np.cumsum(np.count_nonzero(written, axis=1))])
    stops = before[np.cumsum([len(each) for each in runs])].tolist()
    return [text[start:stop] for start, stop in pairwise([0, *stops])]


def _two_before(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what is taken off each run: the run two before it, nothing for the first three."""
    before = np.zeros(len(counts), dtype=np.int64)
    before[3:] = counts[1:-2]
    return before


def decompress(text: str | bytes) -> NDArray[np.int64]:
    """Read COCO's string into runs.

    >>> decompress("61X13mN000`0").tolist()
    [6, 1, 40, 4, 5, 4, 5, 4, 21]

    Raises:
        AnnotationError: The string is cut off or has a character that no run string has.
    """
    try:
        raw = np.frombuffer(text.encode("ascii") if isinstance(text, str) else text, dtype=np.uint8)
    except UnicodeEncodeError:
        raise AnnotationError("run-length string: expected characters 0 to o, got one beyond ASCII") from None
    code = raw.astype(np.int64) - 48
    if ((code < 0) | (code > 63)).any():
        raise AnnotationError("run-length string: expected characters 0 to o, got another character")
    if code.size and code[-1] & 0x20:
        raise AnnotationError("run-length string: expected a whole last run, got a string that is cut off")
    last = np.flatnonzero((code & 0x20) == 0)
    first = np.concatenate([[0], last[:-1] + 1]) if last.size else last
    shift = 5 * (np.arange(code.size) - np.repeat(first, last - first + 1))
    if (shift > 55).any():
        raise AnnotationError("run-length string: expected runs below 2**55, got a longer one")
    runs = np.add.reduceat((code & 0x1F) << shift, first) if last.size else np.zeros(0, dtype=np.int64)
    runs -= np.where(code[last] & 0x10, np.int64(1) << (shift[last] + 5), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def encode(bitmap: Bitmap, size_hw: tuple[int, int]) -> RLE:
    """Write a window inside a picture of `size_hw` as COCO's compressed run lengths."""
    return {"size": [size_hw[0], size_hw[1]], "counts": compress(bitmap_to_counts(bitmap, size_hw))}


def encode_each(bitmaps: Iterable[Bitmap], size_hw: tuple[int, int]) -> list[RLE]:
    """Write many windows inside a picture of `size_hw`, taking one after the other."""
    runs, texts = (bitmap_to_counts(bitmap, size_hw) for bitmap in bitmaps), []
    while some := list(islice(runs, AT_ONCE)):
        texts += compress_each(some)
    return [{"size": [size_hw[0], size_hw[1]], "counts": text} for text in texts]


def decode(rle: RLE) -> Bitmap:
    """Read COCO's compressed run lengths into the smallest window that holds them.

    Raises:
        AnnotationError: The string is broken or does not fit the size.
    """
    return counts_to_bitmap(decompress(rle["counts"]), (rle["size"][0], rle["size"][1]))

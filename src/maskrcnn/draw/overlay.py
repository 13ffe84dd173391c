"""Instances over their picture: fill and exact contour of each mask, box, and a label that can be read.

Everything is done inside the boxes, so 300 objects cost what their boxes cost.
Letters: N instances, H, W height and width of the picture, h, w of a window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from maskrcnn.draw.labels import PixelBox, draw_labels
from maskrcnn.draw.palette import RGB, palette
from maskrcnn.errors import ImageError, InputError
from maskrcnn.ops.rle import Bitmap
from maskrcnn.structures import Instances

FILL = 0.45
_SAMPLED_PIXELS = 1_000_000


def overlay(
    image: NDArray[np.generic],
    instances: Instances,
    *,
    captions: Sequence[str] | None = None,
    zoom: int = 1,
) -> Image.Image:
    """Draw instances over their picture, large ones first so that small ones stay visible.

    Args:
        image: (H, W, bands) or (H, W) of any dtype. The picture; `displayable` makes it RGB.
        instances: What to draw. Crowds are hatched, with a dashed box.
        captions: N texts, an empty one for no label; class name and probability where not given.
        zoom: How many times to enlarge the picture first, so that lines and letters stay fine on a small one.

    Raises:
        ImageError: The picture has another size than the instances say, or is no picture.
        InputError: The number of captions is not N.
    """
    words = captioned(instances, captions)
    canvas = enlarged(image, instances, zoom)
    known = palette(instances.class_names)
    paint(canvas, instances, [known[label] for label in instances.labels], words, zoom)
    return canvas


def enlarged(image: NDArray[np.generic], instances: Instances, zoom: int = 1) -> Image.Image:
    """Make a picture that can be drawn on.

    Args:
        image: (H, W, bands) or (H, W) of any dtype. The picture.
        instances: What will be drawn on it.
        zoom: How many times to enlarge it.

    Raises:
        ImageError: It has another size than the instances say, or is no picture.
    """
    picture = displayable(image)
    if picture.shape[:2] != instances.size_hw:
        raise ImageError(
            f"picture: expected the instances' height and width {instances.size_hw}, got {picture.shape[:2]}"
        )
    canvas = Image.fromarray(picture)
    h, w = picture.shape[:2]
    return canvas.resize((w * zoom, h * zoom), Image.Resampling.BICUBIC) if zoom > 1 else canvas


def paint(
    canvas: Image.Image, instances: Instances, colours: Sequence[RGB], captions: Sequence[str], zoom: int = 1
) -> None:
    """Draw masks, boxes and labels on a picture, large objects first.

    Args:
        canvas: The picture of the instances, as `enlarged` makes it.
        instances: What to draw. Crowds are hatched, with a dashed box.
        colours: N colours.
        captions: N texts, an empty one for no label.
        zoom: How many times the picture was enlarged.
    """
    width = line_width((canvas.height, canvas.width))
    boxes = pixel_boxes(instances.boxes * zoom, canvas.size)
    order = large_first(boxes)
    for i in order:
        if instances.masks is not None:
            bitmap = enlarge_bitmap(instances.masks.crop(i), zoom)
            _draw_mask(canvas, bitmap, colours[i], width, 4 * width if instances.crowd[i] else 0)
    pen = ImageDraw.Draw(canvas)
    for i in order:
        draw_box = _draw_dashed_box if instances.crowd[i] else _draw_box
        draw_box(pen, boxes[i], colours[i], max(width // 2, 1))
    draw_labels(canvas, captions, boxes, colours)


def captioned(instances: Instances, captions: Sequence[str] | None) -> Sequence[str]:
    """Return the captions, or class names and probabilities where none are given.

    Raises:
        InputError: There is not one for each instance.
    """
    if captions is None:
        return names_and_scores(instances)
    if len(captions) != len(instances):
        raise InputError(f"captions: expected {len(instances)}, one an instance, got {len(captions)}")
    return captions


def large_first(boxes: Sequence[PixelBox]) -> list[int]:
    """Order N boxes so that small ones, drawn last, stay visible."""
    order: list[int] = np.argsort([(x1 - x2) * (y2 - y1) for x1, y1, x2, y2 in boxes], kind="stable").tolist()
    return order


def names(instances: Instances) -> list[str]:
    """Caption annotations: the class name, and whether it is a crowd."""
    return [f"{name} (crowd)" if crowd else name for name, crowd in zip(instances.names, instances.crowd, strict=True)]


def names_and_scores(instances: Instances) -> list[str]:
    """Caption predictions: class name and probability.

    >>> boxes = np.array([[0, 0, 2, 2]], dtype=np.float32)
    >>> names_and_scores(Instances((4, 4), boxes, np.array([0]), ("cat",), scores=np.float32([0.875])))
    ['cat 0.88']
    """
    return [f"{name} {score:.2f}" for name, score in zip(names(instances), instances.scores.tolist(), strict=True)]


def line_width(size_hw: tuple[int, int]) -> int:
    """Return the width in pixels of a contour that suits a picture.

    >>> line_width((480, 640)), line_width((3000, 4000))
    (2, 10)
    """
    return max(1, round(math.sqrt(size_hw[0] * size_hw[1]) / 350))


def displayable(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Turn a picture of any bands and dtype into RGB.

    One band is grey, two are green and magenta, of more the first three are shown. Anything but 8 bits is
    stretched, each band between its 1st and 99th percentile.

    Args:
        image: (H, W, bands) or (H, W) of any dtype. Not a finite number counts as the lowest.

    Returns:
        (H, W, 3) uint8. A new array.

    Raises:
        ImageError: It has no pixels, or another number of axes.
    """
    bands = image[..., None] if image.ndim == 2 else image
    if bands.ndim != 3 or 0 in bands.shape:
        raise ImageError(f"picture: expected height, width and bands, got shape {image.shape}")
    shown = [bands[..., i] for i in {1: (0, 0, 0), 2: (1, 0, 1)}.get(bands.shape[2], (0, 1, 2))]
    out = np.empty((*bands.shape[:2], 3), dtype=np.uint8)
    if bands.dtype == np.uint8 and bands.shape[2] >= 3:
        out[...] = bands[..., :3]
        return out
    for i, band in enumerate(shown):
        out[..., i] = _stretch(band)
    return out


def _stretch(band: NDArray[np.generic]) -> NDArray[np.uint8]:
    if band.dtype == np.uint8:
        return band.astype(np.uint8)
    values = band.astype(np.float32)
    step = max(1, math.isqrt(values.size // _SAMPLED_PIXELS))
    sample = values[::step, ::step]
    sample = sample[np.isfinite(sample)]
    low, high = np.percentile(sample, [1, 99]) if sample.size else (0.0, 0.0)
    if high <= low and sample.size:  # a few bright pixels on even ground
        low, high = float(sample.min()), float(sample.max())
    scaled = np.nan_to_num((values - low) * (255 / max(high - low, 1e-12)), nan=0.0, posinf=255.0, neginf=0.0)
    return np.clip(scaled, 0, 255).round().astype(np.uint8)


def enlarge_bitmap(bitmap: Bitmap, zoom: int) -> Bitmap:
    """Make each pixel of a mask `zoom` by `zoom` of them."""
    x, y, pixels = bitmap
    if zoom == 1:
        return bitmap
    return Bitmap(x * zoom, y * zoom, pixels.repeat(zoom, axis=0).repeat(zoom, axis=1))


def pixel_boxes(boxes: NDArray[np.float32], size_wh: tuple[int, int]) -> list[PixelBox]:
    """Return the pixels x1, y1, x2, y2 (exclusive) that each box covers in the picture, at least one."""
    low = np.clip(np.floor(boxes[:, :2]), 0, np.subtract(size_wh, 1))
    high = np.clip(np.ceil(boxes[:, 2:]), low + 1, size_wh)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in np.hstack([low, high]).astype(int).tolist()]


def _draw_mask(canvas: Image.Image, bitmap: Bitmap, colour: RGB, width: int, period: int) -> None:
    """Blend a mask in; stripes of `period` pixels, 0 for none."""
    if not bitmap.pixels.size:
        return
    filled = bitmap.pixels & _hatch(bitmap, period) if period else bitmap.pixels
    opacity = filled.view(np.uint8) * np.uint8(255 * FILL)
    np.maximum(opacity, contour(bitmap.pixels, width).view(np.uint8) * np.uint8(255), out=opacity)
    canvas.paste(colour, (bitmap.x, bitmap.y), Image.fromarray(opacity))


def _hatch(bitmap: Bitmap, period: int) -> NDArray[np.bool_]:
    """Return diagonal stripes (h, w) that line up between windows."""
    h, w = bitmap.pixels.shape
    x, y = bitmap.x + np.arange(w), bitmap.y + np.arange(h)
    stripes: NDArray[np.bool_] = (x + y[:, None]) % (2 * period) < period
    return stripes


def contour(pixels: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return the pixels of a mask that lie within `width` steps of what is not mask; all lie in the mask.

    Args:
        pixels: (h, w) bool. A mask in its window; outside the window is not mask.
        width: How many pixels wide, at least 1.

    >>> contour(np.ones((3, 4), dtype=bool), 1).astype(int)
    array([[1, 1, 1, 1],
           [1, 0, 0, 1],
           [1, 1, 1, 1]])
    """
    framed = np.zeros((pixels.shape[0] + 2, pixels.shape[1] + 2), dtype=np.bool_)
    framed[1:-1, 1:-1] = pixels
    row, n = framed.shape[1], framed.size
    inside, fewer = framed.ravel(), np.zeros(n, dtype=np.bool_)
    middle = slice(row, n - row)  # what is left and right of a row is frame, so that rows may be one stretch
    for _ in range(width):
        np.logical_and(inside[: -2 * row], inside[2 * row :], out=fewer[middle])
        for first in (row - 1, row, row + 1):
            np.logical_and(fewer[middle], inside[first : first + n - 2 * row], out=fewer[middle])
        inside, fewer = fewer, inside
    return pixels & ~inside.reshape(framed.shape)[1:-1, 1:-1]


def _draw_box(pen: ImageDraw.ImageDraw, box: PixelBox, colour: RGB, width: int) -> None:
    x1, y1, x2, y2 = box
    pen.rectangle((x1, y1, x2 - 1, y2 - 1), outline=colour, width=width)


def _draw_dashed_box(pen: ImageDraw.ImageDraw, box: PixelBox, colour: RGB, width: int) -> None:
    x1, y1, x2, y2 = box
    dash = 6 * width
    for x in range(x1, x2, 2 * dash):
        end = min(x + dash, x2) - 1
        pen.rectangle((x, y1, end, min(y1 + width, y2) - 1), fill=colour)
        pen.rectangle((x, max(y2 - width, y1), end, y2 - 1), fill=colour)
    for y in range(y1, y2, 2 * dash):
        end = min(y + dash, y2) - 1
        pen.rectangle((x1, y, min(x1 + width, x2) - 1, end), fill=colour)
        pen.rectangle((max(x2 - width, x1), y, x2 - 1, end), fill=colour)

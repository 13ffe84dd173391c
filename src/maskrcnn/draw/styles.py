"""Ways to show what was found in a picture: all over it, or the objects alone, or their outlines alone.

Letters: N instances, H, W height and width of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from maskrcnn.draw.labels import draw_labels
from maskrcnn.draw.overlay import (
    captioned,
    contour,
    enlarge_bitmap,
    enlarged,
    large_first,
    line_width,
    overlay,
    pixel_boxes,
)
from maskrcnn.draw.palette import palette
from maskrcnn.ops.rle import Bitmap, overlaid
from maskrcnn.structures import Instances

_BLURRED = 1 / 40  # radius in sides of a square as large as the picture


class Style(NamedTuple):
    """A way to show instances.

    Attributes:
        draw: Takes (H, W, bands) of any dtype and the instances.
        suffix: The kind of file that it is kept in.
        says: What it shows, in a few words.
    """

    draw: Callable[[NDArray[np.generic], Instances], Image.Image]
    suffix: str
    says: str


def splash(image: NDArray[np.generic], instances: Instances) -> Image.Image:
    """Leave the objects in colour and make all else grey.

    Args:
        image: (H, W, bands) or (H, W) of any dtype. The picture.
        instances: The objects; those without a mask are their boxes.

    Raises:
        ImageError: The picture has another size than the instances say, or is no picture.
    """
    picture = enlarged(image, instances)
    return _on_ground(picture, picture.convert("L").convert("RGB"), covered(instances))


def blur(image: NDArray[np.generic], instances: Instances) -> Image.Image:
    """Leave the objects sharp and put all else out of focus; nothing of an object runs into the blur around it.

    Args:
        image: (H, W, bands) or (H, W) of any dtype. The picture.
        instances: The objects; those without a mask are their boxes.

    Raises:
        ImageError: The picture has another size than the instances say, or is no picture.
    """
    picture = enlarged(image, instances)
    objects = covered(instances)
    away = ImageFilter.GaussianBlur(max(2.0, _BLURRED * math.sqrt(picture.width * picture.height)))
    # what is blurred has no objects; divided by as much of it as there is
    ground = _on_ground(Image.new("RGB", picture.size), picture, objects).filter(away)
    share = Image.fromarray(np.where(objects, np.uint8(0), np.uint8(255))).filter(away)
    scale = 255 / np.maximum(np.asarray(share, dtype=np.float32), 1)[..., None]
    spread = np.clip(np.asarray(ground, dtype=np.float32) * scale, 0, 255).round().astype(np.uint8)
    return _on_ground(picture, Image.fromarray(spread), objects)


def cutout(image: NDArray[np.generic], instances: Instances) -> Image.Image:
    """Leave the objects on a transparent ground: RGBA.

    Args:
        image: (H, W, bands) or (H, W) of any dtype. The picture.
        instances: The objects; those without a mask are their boxes.

    Raises:
        ImageError: The picture has another size than the instances say, or is no picture.
    """
    picture = enlarged(image, instances)
    nothing = Image.new("RGB", picture.size)
    objects = covered(instances)
    cut = _on_ground(picture, nothing, objects)  # nothing of the ground is kept below the transparency
    cut.putalpha(_alpha(objects))
    return cut


def contours(
    image: NDArray[np.generic], instances: Instances, *, captions: Sequence[str] | None = None, zoom: int = 1
) -> Image.Image:
    """Draw the outlines of the objects, exact to the pixel, and their labels: nothing hides what is inside.

    Args:
        image: (H, W, bands) or (H, W) of any dtype. The picture.
        instances: The objects; those without a mask are their boxes.
        captions: N texts, an empty one for no label; class name and probability where not given.
        zoom: How many times to enlarge the picture first.

    Raises:
        ImageError: The picture has another size than the instances say, or is no picture.
        InputError: The number of captions is not N.
    """
    words = captioned(instances, captions)
    canvas = enlarged(image, instances, zoom)
    known = palette(instances.class_names)
    colours = [known[label] for label in instances.labels]
    width = line_width((canvas.height, canvas.width))
    boxes = pixel_boxes(instances.boxes * zoom, canvas.size)
    bitmaps = _bitmaps(instances)
    for i in large_first(boxes):
        x, y, pixels = enlarge_bitmap(bitmaps[i], zoom)
        if pixels.size:
            canvas.paste(colours[i], (x, y), _alpha(contour(pixels, width)))
    draw_labels(canvas, words, boxes, colours)
    return canvas


def covered(instances: Instances) -> NDArray[np.bool_]:
    """Return (H, W) bool: the pixels that belong to any object."""
    everywhere = np.zeros(instances.size_hw, dtype=np.bool_)
    x, y, pixels = overlaid(_bitmaps(instances))
    everywhere[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return everywhere


def _bitmaps(instances: Instances) -> list[Bitmap]:
    if instances.masks is not None:
        return list(instances.masks.crops())
    size_wh = (instances.size_hw[1], instances.size_hw[0])
    boxes = pixel_boxes(instances.boxes, size_wh)
    return [Bitmap(x1, y1, np.ones((y2 - y1, x2 - x1), dtype=np.bool_)) for x1, y1, x2, y2 in boxes]


def _on_ground(picture: Image.Image, ground: Image.Image, objects: NDArray[np.bool_]) -> Image.Image:
    return Image.composite(picture, ground, _alpha(objects))


def _alpha(pixels: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(pixels.astype(np.uint8) * np.uint8(255))


STYLES: Mapping[str, Style] = MappingProxyType(
    {
        "overlay": Style(overlay, ".jpg", "masks, boxes and names over the picture"),
        "splash": Style(splash, ".jpg", "objects in colour, all else grey"),
        "cutout": Style(cutout, ".png", "objects on a transparent ground"),
        "contours": Style(contours, ".jpg", "outlines and names"),
        "blur": Style(blur, ".jpg", "objects sharp, all else out of focus"),
    }
)
"""Every way, by its name on the command line."""

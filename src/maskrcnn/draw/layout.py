"""Several pictures on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from maskrcnn.draw.labels import font
from maskrcnn.errors import InputError

_PAPER = (24, 24, 27)
_INK = (228, 228, 231)


def side_by_side(images: Sequence[Image.Image], titles: Sequence[str]) -> Image.Image:
    """Put pictures in one row, unscaled, each under its title.

    Args:
        images: The pictures, from the left.
        titles: One a picture; an empty one leaves its place empty.

    Raises:
        InputError: The titles are not one a picture, or there is no picture.
    """
    _check_titles(images, titles)
    return _grid([_titled(image, title) for image, title in zip(images, titles, strict=True)], len(images))


def contact_sheet(images: Sequence[Image.Image], columns: int, titles: Sequence[str] = ()) -> Image.Image:
    """Put pictures in rows, unscaled, each in the middle of a cell as large as the largest.

    Args:
        images: The pictures, row by row.
        columns: Pictures a row.
        titles: One a picture, to be written above it, or none at all.

    Raises:
        InputError: There is no picture or no column, or the titles are not one a picture.
    """
    if not titles:
        return _grid(images, columns)
    _check_titles(images, titles)
    return _grid([_titled(image, title) for image, title in zip(images, titles, strict=True)], columns)


def _check_titles(images: Sequence[Image.Image], titles: Sequence[str]) -> None:
    if len(titles) != len(images):
        raise InputError(f"titles: expected {len(images)}, one a picture, got {len(titles)}")


def _grid(images: Sequence[Image.Image], columns: int) -> Image.Image:
    if not images or columns < 1:
        raise InputError(f"sheet: expected pictures and columns, got {len(images)} and {columns}")
    columns = min(columns, len(images))
    w, h = max(image.width for image in images), max(image.height for image in images)
    gap = max(2, round(min(w, h) / 60))
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * (w + gap) + gap, rows * (h + gap) + gap), _PAPER)
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        x, y = gap + column * (w + gap), gap + row * (h + gap)
        sheet.paste(image.convert("RGB"), (x + (w - image.width) // 2, y + (h - image.height) // 2))
    return sheet


def _titled(image: Image.Image, title: str) -> Image.Image:
    size = max(10, round(math.sqrt(image.width * image.height) / 30))
    head = round(size * 1.6)
    sheet = Image.new("RGB", (image.width, image.height + head), _PAPER)
    ImageDraw.Draw(sheet).text((0, head / 2), title, fill=_INK, font=font(size), anchor="lm")
    sheet.paste(image, (0, head))
    return sheet

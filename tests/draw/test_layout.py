"""Sheets of pictures: everything on them once, unscaled."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from maskrcnn.draw.layout import contact_sheet, side_by_side
from maskrcnn.errors import InputError

RED, BLUE = Image.new("RGB", (40, 30), (255, 0, 0)), Image.new("RGB", (20, 60), (0, 0, 255))


def _count(sheet: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.array(sheet) == colour).all(axis=2).sum())


@pytest.mark.parametrize("columns", [1, 2, 3, 9])
def test_a_sheet_has_every_pixel_of_every_picture(columns: int) -> None:
    sheet = contact_sheet([RED, BLUE, RED], columns)
    assert _count(sheet, (255, 0, 0)) == 2 * 40 * 30
    assert _count(sheet, (0, 0, 255)) == 20 * 60


def test_a_sheet_is_as_wide_as_its_columns() -> None:
    # cells of 40 x 60 with gaps of 2
    assert contact_sheet([RED, BLUE, RED], 2).size == (3 * 2 + 2 * 40, 3 * 2 + 2 * 60)
    assert contact_sheet([RED, BLUE, RED], 9).size == (4 * 2 + 3 * 40, 2 * 2 + 60)


def test_pictures_stand_beside_each_other_under_their_titles() -> None:
    row = side_by_side([RED, RED], ["truth", "prediction"])
    pixels = np.array(row)
    red = (pixels == (255, 0, 0)).all(axis=2)
    assert red.sum() == 2 * 40 * 30
    first_row = int(np.flatnonzero(red.any(axis=1))[0])
    assert (pixels[:first_row] > 128).any()  # letters


def test_nothing_to_lay_out_is_refused() -> None:
    with pytest.raises(InputError, match="expected pictures and columns, got 0 and 3"):
        contact_sheet([], 3)
    with pytest.raises(InputError, match="expected pictures and columns, got 1 and 0"):
        contact_sheet([RED], 0)
    with pytest.raises(InputError, match="titles: expected 2, one a picture, got 1"):
        side_by_side([RED, RED], ["truth"])


def test_titles_stand_above_every_picture_of_a_sheet() -> None:
    sheet = contact_sheet([RED, RED, BLUE], 2, ["a", "b", "c"])
    assert _count(sheet, (255, 0, 0)) == 2 * 40 * 30
    assert sheet.height > contact_sheet([RED, RED, BLUE], 2).height
    with pytest.raises(InputError, match="titles: expected 3, one a picture, got 1"):
        contact_sheet([RED, RED, BLUE], 2, ["a"])

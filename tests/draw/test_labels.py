"""Places of labels: at the box, inside the picture, clear of each other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.draw.labels import PixelBox, draw_labels, place


def _shared(a: PixelBox, b: PixelBox) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


@st.composite
def _boxes(draw: st.DrawFn) -> PixelBox:
    x, y = draw(st.integers(0, 199)), draw(st.integers(0, 99))
    return x, y, draw(st.integers(x + 1, 200)), draw(st.integers(y + 1, 100))


@given(_boxes(), st.lists(_boxes(), max_size=5), st.integers(1, 200), st.integers(1, 100))
def test_a_plate_keeps_its_size_and_stays_in_the_picture(box: PixelBox, taken: list[PixelBox], w: int, h: int) -> None:
    x1, y1, x2, y2 = place((w, h), box, taken, (200, 100))
    assert (x2 - x1, y2 - y1) == (w, h)
    assert x1 >= 0
    assert y1 >= 0
    assert x2 <= 200
    assert y2 <= 100


def test_plates_of_the_same_box_do_not_hide_each_other() -> None:
    taken: list[PixelBox] = []
    for _ in range(10):
        taken.append(place((30, 10), (80, 40, 120, 70), taken, (200, 100)))
    assert sum(_shared(a, b) for i, a in enumerate(taken) for b in taken[:i]) == 0


def test_a_box_at_the_top_has_its_plate_inside() -> None:
    assert place((30, 10), (50, 2, 100, 60), [], (200, 100)) == (50, 0, 80, 10)


def test_long_and_broken_lines_fit() -> None:
    picture = Image.new("RGB", (60, 40))
    draw_labels(picture, ["a very\nlong\tname " * 9], [(5, 20, 50, 35)], [(255, 200, 0)])
    columns = np.flatnonzero((np.array(picture) == (255, 200, 0)).all(axis=2).any(axis=0))
    assert columns.min() >= 0
    assert columns.size > 30


def test_letters_shrink_where_plates_would_cover_the_picture() -> None:
    def first_plate(count: int) -> int:
        """Count the pixels of the first plate, the only red one."""
        picture = Image.new("RGB", (400, 300))
        colours = [(255, 0, 0)] + [(0, 0, 255)] * (count - 1)
        draw_labels(picture, ["name"] * count, [(180, 150, 220, 170)] * count, colours)
        return int((np.array(picture) == (255, 0, 0)).all(axis=2).sum())

    assert first_plate(1) == first_plate(2)
    assert first_plate(100) < first_plate(1)


def test_no_plate_hides_a_part_of_another() -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, (260, 160), (120, 2))
    boxes = [(x, y, x + 40, y + 40) for x, y in corners.tolist()]
    colours = [(255, 2 * i + 1, 0) for i in range(120)]
    picture = Image.new("RGB", (300, 200))
    draw_labels(picture, ["cat"] * 120, boxes, colours)
    pixels = np.array(picture)
    drawn = 0
    for colour in colours:
        at = np.argwhere((pixels == colour).all(axis=2))
        if len(at):
            (top, left), (bottom, right) = at.min(axis=0), at.max(axis=0)
            drawn += 1
            edge = pixels[top : bottom + 1, [left, right]]  # letters do not reach the sides of their plate
            assert (edge == colour).all()
            assert (pixels[[top, bottom], left : right + 1] == colour).all()
    assert 20 < drawn < 120


def test_the_first_label_is_always_drawn() -> None:
    picture = Image.new("RGB", (60, 40))
    draw_labels(picture, ["a", "b", "c"] * 9, [(0, 0, 60, 40)] * 27, [(255, 0, 0), *[(0, 0, 255)] * 26])
    assert (np.array(picture) == (255, 0, 0)).all(axis=2).any()


def test_an_empty_caption_draws_nothing() -> None:
    picture = Image.new("RGB", (60, 40))
    draw_labels(picture, ["", "  \n"], [(5, 20, 50, 35)] * 2, [(255, 200, 0)] * 2)
    assert not np.array(picture).any()

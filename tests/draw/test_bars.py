"""Bars and dots: where they are and what they say."""

from __future__ import annotations

import pytest

from maskrcnn.draw.bars import TIMES, Bars, Dots, layout_bars, layout_dots


def bars(counts: list[int], **values: object) -> Bars:
    labels = [f"bar {i}" for i in range(len(counts))]
    return Bars("Title", "x", "y", counts, labels, [(i + 0.5, str(i)) for i in range(len(counts))], **values)  # type: ignore[arg-type]


def test_heights_grow_with_counts_from_the_ground() -> None:
    plot = layout_bars(bars([0, 5, 10]))
    left, top, right, bottom = plot.frame
    none, half, full = plot.bars
    assert none.height == 0
    assert full.height == pytest.approx(2 * half.height) == pytest.approx(bottom - top)
    assert [bar.y + bar.height for bar in plot.bars] == pytest.approx([bottom] * 3)
    assert (half.x, half.x + half.width) > (none.x + none.width, 0)
    assert left <= none.x < full.x + full.width <= right
    assert [bar.label for bar in plot.bars] == ["bar 0: 0", "bar 1: 5", "bar 2: 10"]
    assert [tick.at for tick in plot.x_ticks] == pytest.approx([bar.x + bar.width / 2 for bar in plot.bars])
    assert [tick.label for tick in plot.y_ticks] == ["0", "5", "10"]


def test_one_among_a_million_can_be_seen() -> None:
    one, million = layout_bars(bars([1, 1_000_000])).bars
    assert one.height == 1
    assert million.label == "bar 1: 1,000,000"


def test_lines_have_room_above() -> None:
    plot = layout_bars(bars([1, 1], lines=[(1.0, "32")]))
    assert plot.lines[0].at == pytest.approx((plot.frame[0] + plot.frame[2]) / 2)
    assert plot.frame[1] > layout_bars(bars([1, 1])).frame[1]


def test_dots_lie_at_their_values_and_grow() -> None:
    plot = layout_dots(Dots("Sizes", "width", "height", [(600.0, 400.0, 9), (300.0, 200.0, 1)]))
    many, few = plot.dots
    left, _, right, bottom = plot.frame
    assert (many.x - left) == pytest.approx(2 * (few.x - left))
    assert (bottom - many.y) == pytest.approx(2 * (bottom - few.y))
    assert (right - left) * 0.999 <= many.x - left <= right - left
    assert many.radius > few.radius
    assert many.label == f"600 {TIMES} 400: 9"


@pytest.mark.parametrize("plot", [layout_bars(bars([])), layout_dots(Dots("t", "x", "y", []))])
def test_nothing_to_draw_is_an_empty_plot(plot: object) -> None:
    assert (plot.bars, plot.dots) == ((), ())  # type: ignore[attr-defined]

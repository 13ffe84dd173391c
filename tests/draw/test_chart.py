"""Charts: round ticks, honest thinning, points where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.draw.chart import Chart, Curve, layout, thin, ticks


@given(st.floats(1e-6, 1e9), st.integers(2, 10))
def test_ticks_cover_the_range_in_few_even_steps(high: float, count: int) -> None:
    marks = ticks(0.0, high, count)
    steps = np.diff(marks)
    assert marks[0] == 0
    assert marks[-1] >= high * (1 - 1e-8)
    assert len(marks) <= count + 2
    assert np.allclose(steps, steps[0], rtol=1e-3)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(1, 50))
def test_thinning_keeps_the_sum_of_equal_runs(y: list[float], most: int) -> None:
    x, thinned, run = thin(Curve("loss", range(len(y)), y), most)
    assert len(x) <= most
    assert len(x) == -(-len(y) // run)
    sizes = np.full(len(x), run)
    sizes[-1] = len(y) - run * (len(x) - 1)
    assert float(thinned @ sizes) == pytest.approx(sum(y), abs=1e-3)


def test_points_lie_where_their_numbers_say() -> None:
    drawing = layout(Chart("t", "step", "AP", [Curve("AP", [0, 50, 100], [0.0, 0.5, 1.0])], y_max=1.0))
    x1, y1, x2, y2 = drawing.frame
    assert drawing.lines[0].points == ((x1, y2), ((x1 + x2) / 2, (y1 + y2) / 2), (x2, y1))
    assert [tick.label for tick in drawing.y_ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert [tick.label for tick in drawing.x_ticks] == ["0", "20", "40", "60", "80", "100"]
    assert (drawing.lines[0].last, drawing.note) == ("1.000", "")


def test_what_is_not_finite_is_left_out() -> None:
    drawing = layout(Chart("t", "step", "loss", [Curve("loss", [1, 2, 3], [1.0, float("nan"), float("inf")])]))
    assert len(drawing.lines[0].points) == 1


@pytest.mark.parametrize("curves", [[], [Curve("loss", [], [])], [Curve("loss", [1], [0.0])]])
def test_almost_nothing_can_be_laid_out(curves: list[Curve]) -> None:
    drawing = layout(Chart("t", "step", "loss", curves))
    assert len(drawing.lines) == len(curves)
    assert len(drawing.y_ticks) > 1


def test_thinning_is_said() -> None:
    drawing = layout(Chart("t", "step", "loss", [Curve("loss", range(1000), [1.0] * 1000)]))
    assert drawing.note == "Each point is the mean of 7 neighbouring values."

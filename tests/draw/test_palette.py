"""Colours of classes: the same for a name, different within a list, readable."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.draw.palette import colour, ink_on, palette

NAMES = st.lists(st.text(max_size=8), max_size=30)


def _distance(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    return float(np.linalg.norm(np.subtract(first, second)))


@given(NAMES)
def test_a_list_in_another_order_gives_each_name_the_same_colour(names: list[str]) -> None:
    forwards = dict(zip(names, palette(names), strict=True))
    backwards = dict(zip(names[::-1], palette(names[::-1]), strict=True))
    assert forwards == backwards


@given(st.text(max_size=20))
def test_a_name_alone_has_its_own_colour(name: str) -> None:
    assert palette([name, name]) == (colour(name), colour(name))


def test_another_process_gives_the_same_colours() -> None:
    code = "from maskrcnn.draw.palette import palette; print(palette(['cat', 'dog', 'cow']))"
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(palette(["cat", "dog", "cow"]))


@pytest.mark.parametrize("count", [2, 3, 5, 8, 12])
def test_the_classes_of_one_model_look_different(count: int) -> None:
    # 40 of the 442 between black and white in RGB: well beyond what can be mistaken side by side
    for trial in range(50):
        colours = palette([f"class {trial} {i}" for i in range(count)])
        nearest = min(_distance(a, b) for i, a in enumerate(colours) for b in colours[:i])
        assert nearest > 40


def test_ninety_six_classes_have_a_colour_each_and_more_share() -> None:
    assert len(set(palette([str(i) for i in range(96)]))) == 96
    assert len(palette([str(i) for i in range(1203)])) == 1203


@given(st.text(max_size=20))
def test_letters_on_a_colour_have_contrast_of_four_and_a_half(name: str) -> None:
    background = colour(name)
    assert _contrast(background, ink_on(background)) >= 4.5


def _contrast(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    """Contrast ratio as WCAG 2 defines it."""
    low, high = sorted(_luminance(colour) for colour in (first, second))
    return (high + 0.05) / (low + 0.05)


def _luminance(rgb: tuple[int, int, int]) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_name_with_half_a_surrogate_pair_has_a_colour() -> None:
    assert colour("\ud800") != colour("cat")

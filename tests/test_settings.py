"""Nested settings over each other."""

from __future__ import annotations

from maskrcnn.settings import merge


def test_changes_are_laid_over_level_by_level() -> None:
    base = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert merge(base, {"a": {"c": {"d": 5}}, "f": 6}) == {"a": {"b": 1, "c": {"d": 5}}, "e": 3, "f": 6}
    assert base == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


def test_later_settings_win_and_deep_ones_stay() -> None:
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"d": None}) == {"a": {"b": 3, "c": 2}, "d": None}

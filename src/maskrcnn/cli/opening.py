"""What is said of a data set that was named on the command line."""

from __future__ import annotations

from maskrcnn.cli.words import count_of, say
from maskrcnn.data.dataset import Dataset

_MOST_LEFT_OUT = 5


def describe(dataset: Dataset) -> None:
    """Say what kind of set it is and how much is in it, and name the first annotations that were left out."""
    say(f"{count_of(len(dataset), 'picture')} ({dataset.format}), {count_of(len(dataset.class_names), 'class')}")
    for each in dataset.left_out[:_MOST_LEFT_OUT]:
        say(f"note: {each}")
    if len(dataset.left_out) > _MOST_LEFT_OUT:
        say(f"note: {len(dataset.left_out):,} annotations left out in all")

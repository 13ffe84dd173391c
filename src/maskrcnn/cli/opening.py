"""A data set that was named on the command line: opened, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from maskrcnn.cli.words import count_of, say
from maskrcnn.data import open_dataset
from maskrcnn.data.classes import choose
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import Result, read_results, rename_categories
from maskrcnn.data.formats.reading import Pictures

_MOST_LEFT_OUT = 5


class Wanted(NamedTuple):
    """How data is to be opened: the options of `maskrcnn.cli.data.options`.

    Attributes:
        format: The kind of annotation, where it is not to be recognised.
        classes: What becomes of its classes.
    """

    format: str | None = None
    classes: str | None = None


def open_chosen(path: Path, wanted: Wanted, pictures: Pictures = "required") -> Dataset:
    """Open a data set as the options say, and say how many of its objects are kept.

    Raises:
        MaskRCNNError: It can't be read, or a class is not there.
    """
    dataset = open_dataset(path, format=wanted.format, pictures=pictures)
    if wanted.classes is not None:
        choice = choose(dataset, wanted.classes)
        say(choice.report(dataset))
        dataset = choice.apply(dataset)
    return dataset


def open_results(path: str, results: Path, wanted: Wanted) -> tuple[Dataset, list[Result]]:
    """Open a data set, whose pictures need not be there, and results for it; the options hold for both.

    Raises:
        MaskRCNNError: One can't be read, or a class is not there.
    """
    dataset = open_dataset(path, format=wanted.format, pictures="optional")
    found = read_results(results)
    if wanted.classes is not None:
        choice = choose(dataset, wanted.classes)
        say(choice.report(dataset))
        found = rename_categories(found, choice.category_ids(dataset), dataset.category_ids, str(results))
        dataset = choice.apply(dataset)
    return dataset, found


def describe(dataset: Dataset) -> None:
    """Say what kind of set it is and how much is in it, and name the first annotations that were left out."""
    say(f"{count_of(len(dataset), 'picture')} ({dataset.format}), {count_of(len(dataset.class_names), 'class')}")
    for each in dataset.left_out[:_MOST_LEFT_OUT]:
        say(f"note: {each}")
    if len(dataset.left_out) > _MOST_LEFT_OUT:
        say(f"note: {len(dataset.left_out):,} annotations left out in all")

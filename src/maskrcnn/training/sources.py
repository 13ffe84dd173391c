"""What a run learns from and is measured on: opened, its classes chosen, several sets joined."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskrcnn.data import open_dataset
from maskrcnn.data.classes import Classes, choose, format_classes, names_of
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.joining import join, naming_notes
from maskrcnn.doctor.gate import admit

SHOWN = 5  # annotations without a place that are named

Data = str | Path | Dataset
Say = Callable[[str], None]


@dataclass(frozen=True)
class Sources:
    """The sets that a caller names.

    Attributes:
        training: Sets to learn from.
        validation: Sets to measure on; may be none.
        format: The kind of all annotations, where it is not to be recognised.
        classes: What becomes of the classes of both.
    """

    training: tuple[Dataset, ...]
    validation: tuple[Dataset, ...]
    format: str | None
    classes: Classes | None

    @classmethod
    def open(
        cls,
        data: Data | Sequence[Data],
        val: Data | Sequence[Data] | None,
        format: str | None,  # noqa: A002  # as in `open_dataset`
        classes: Classes | None,
    ) -> Sources:
        """Open what is not open yet.

        Raises:
            MaskRCNNError: It can't be read.
        """
        training, validation = (
            tuple(each if isinstance(each, Dataset) else open_dataset(each, format=format) for each in _several(named))
            for named in (data, () if val is None else val)
        )
        return cls(training, validation, format, classes)

    def joined(self, say: Say) -> tuple[Dataset, Dataset | None]:
        """Return one set to learn from and one to measure on, and say what is not in them.

        Raises:
            InputError: The classes do not fit.
            AnnotationError: Something is wrong that would stop training or spoil it.
        """
        known = set().union(*map(names_of, (*self.training, *self.validation)))
        for dataset in (*self.training, *self.validation):
            admit(dataset, say)
            _say_left_out(dataset, say)
            if self.classes is not None:
                say(f"{dataset.source}: {choose(dataset, self.classes, known).report(dataset)}")
        if len(self.training) > 1 or self.classes is not None:
            for note in naming_notes((*self.training, *self.validation), self.classes):
                say(f"note: {note}")
        # a class that only the validation has can't be learnt, so it is an unknown one
        training = join(self.training, self.classes)
        return training, join(self.validation, self.classes, known) if self.validation else None

    def opened_validation(self) -> dict[str, Any]:
        """Return where the sets to measure on lie and how they were opened, so that they can be opened again."""
        return {
            "sources": [str(dataset.source.absolute()) for dataset in self.validation],
            "format": self.format,
            "classes": None if self.classes is None else format_classes(self.classes),
        }

    def words(self) -> str:
        """Return the arguments of `maskrcnn train` that name all this."""
        named: list[str] = [str(dataset.source) for dataset in self.training]
        for dataset in self.validation:
            named += ["--val", str(dataset.source)]
        named += ["--format", self.format] if self.format else []
        named += ["--classes", format_classes(self.classes)] if self.classes else []
        return shlex.join(named)


def _several(named: Data | Sequence[Data]) -> Iterable[Data]:
    return (named,) if isinstance(named, str | Path | Dataset) else named


def _say_left_out(dataset: Dataset, say: Say) -> None:
    for left_out in dataset.left_out[:SHOWN]:
        say(f"note: {left_out}")
    if len(dataset.left_out) > SHOWN:
        say(f"note: {dataset.source}: {len(dataset.left_out) - SHOWN} more annotations left out")

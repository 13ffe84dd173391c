"""Records that are made when they are asked for, from those of another set: nothing is copied.

References: `maskrcnn.data.dataset.Dataset.records`, which may be such a view.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from maskrcnn.data.dataset import Annotation, Record


class View(Sequence["Record"]):
    """Records that are made anew whenever they are asked for, with or without their annotations."""

    @abstractmethod
    def head(self, i: int) -> Record:
        """Make record i, counted from 0, without its annotations."""

    @abstractmethod
    def annotations(self, i: int) -> tuple[Annotation, ...]:
        """Make the annotations of record i, counted from 0."""

    @overload
    def __getitem__(self, i: int) -> Record: ...
    @overload
    def __getitem__(self, i: slice) -> View: ...
    def __getitem__(self, i: int | slice) -> Record | View:
        """Make record i; a slice makes none."""
        if isinstance(i, slice):
            return chosen(self, range(len(self))[i])
        i = range(len(self))[i]
        return replace(self.head(i), annotations=self.annotations(i))


class Chosen(View):
    """Some records of another set, in the order in which they are named.

    Args:
        records: The other set's.
        index: Which of them, counted from 0.
    """

    def __init__(self, records: Sequence[Record], index: Sequence[int]) -> None:
        self._records = records
        self._index = index

    def __len__(self) -> int:
        """Return how many are named."""
        return len(self._index)

    def head(self, i: int) -> Record:
        """Make record i without its annotations."""
        return head_of(self._records, self._index[i])

    def annotations(self, i: int) -> tuple[Annotation, ...]:
        """Make the annotations of record i."""
        return annotations_of(self._records, self._index[i])


def chosen(records: Sequence[Record], index: Iterable[int]) -> View:
    """View the named records."""
    return Chosen(records, tuple(index))


def head_of(records: Sequence[Record], i: int) -> Record:
    """Return a record whose annotations are not asked for, and may be left away."""
    return records.head(i) if isinstance(records, View) else records[i]


def annotations_of(records: Sequence[Record], i: int) -> tuple[Annotation, ...]:
    """Return the annotations of a record."""
    return records.annotations(i) if isinstance(records, View) else records[i].annotations

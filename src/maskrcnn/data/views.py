"""Records that are made when they are asked for, from those of another set: nothing is copied.

References: `maskrcnn.data.dataset.Dataset.records`, which may be such a view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from maskrcnn.data.dataset import Record


@dataclass(frozen=True, eq=False)
class View(Sequence["Record"]):
    """So many records, each made anew whenever it is asked for.

    Attributes:
        length: How many.
        make: Makes record i, counted from 0; can be pickled.
    """

    length: int
    make: Callable[[int], Record]

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, i: int) -> Record: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Record]: ...
    def __getitem__(self, i: int | slice) -> Record | Sequence[Record]:
        """Make record i, or give a view of some."""
        if isinstance(i, slice):
            return chosen(self, range(self.length)[i])
        return self.make(range(self.length)[i])

    def __iter__(self) -> Iterator[Record]:
        return map(self.make, range(self.length))


@dataclass(frozen=True, eq=False)
class _Chosen:
    records: Sequence[Record]
    index: Sequence[int]

    def __call__(self, i: int) -> Record:
        return self.records[self.index[i]]


def chosen(records: Sequence[Record], index: Sequence[int]) -> View:
    """View the named records, in the order in which they are named."""
    return View(len(index), _Chosen(records, index))


@dataclass(frozen=True, eq=False)
class _Changed:
    records: Sequence[Record]
    change: Callable[[Record], Record]

    def __call__(self, i: int) -> Record:
        return self.change(self.records[i])


def changed(records: Sequence[Record], change: Callable[[Record], Record]) -> View:
    """View records as a function that can be pickled changes them."""
    return View(len(records), _Changed(records, change))

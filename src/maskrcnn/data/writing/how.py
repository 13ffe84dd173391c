"""How a set is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from maskrcnn.data.dataset import Dataset, Record
from maskrcnn.data.writing.pictures import Way
from maskrcnn.data.writing.tally import Held


@dataclass(frozen=True)
class Writing:
    """How a set is written.

    Attributes:
        holds: What the format can hold besides masks.
        tolerance: Pixels by which an outline may be simplified; 0 for exact ones.
        pictures: What becomes of the pictures.
        progress: Is told how many pictures are done, of how many.
    """

    holds: frozenset[Held]
    tolerance: float
    pictures: Way
    progress: Callable[[int, int], None]

    def records(self, dataset: Dataset) -> Iterator[Record]:
        """Give one picture after the other, and say how far it is."""
        total = len(dataset)
        for done, record in enumerate(dataset.records):
            self.progress(done, total)
            yield record
        self.progress(total, total)

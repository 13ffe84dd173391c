"""How a set is read: what may be missing, and what becomes of a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from maskrcnn.data.formats.fields import load_json
from maskrcnn.errors import DataError

Pictures = Literal["required", "optional"]
Fault = Callable[[DataError], None]

T = TypeVar("T")
R = TypeVar("R")


def refuse(error: DataError) -> None:
    """Stop at the first fault, as training and evaluation do."""
    raise error


@dataclass(frozen=True)
class Reading:
    """How a set is read.

    Attributes:
        pictures: With `optional`, a picture may be missing until it is asked for, where its size is known
            from elsewhere.
        fault: Called with every error in a record. It raises it, or takes note of it and returns: then the
            record is left out and reading goes on.
        parsed: JSON files that have been parsed already, by their path.
    """

    pictures: Pictures = "required"
    fault: Fault = refuse
    parsed: Mapping[Path, object] = field(default_factory=dict)

    def json(self, path: Path) -> object:
        """Return the content of a JSON file.

        Raises:
            AnnotationError: It can't be read or is not JSON.
        """
        return self.parsed[path] if path in self.parsed else load_json(path)

    def each(self, items: Iterable[T], parse: Callable[[T], R]) -> Iterator[R]:
        """Parse one item after the other; one that is wrong goes to `fault` and is left out."""
        for item in items:
            try:
                parsed = parse(item)
            except DataError as error:
                self.fault(error)
            else:
                yield parsed

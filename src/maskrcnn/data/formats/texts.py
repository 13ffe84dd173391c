"""Text files, line by line; errors name the line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from maskrcnn.data.formats.fields import read_bytes
from maskrcnn.errors import AnnotationError


class Line(NamedTuple):
    """A line that is not blank.

    Attributes:
        where: File and number, for errors.
        text: Without white space around it.
    """

    where: str
    text: str


def content(path: Path, *encodings: str, most: int | None = None) -> str:
    """Read a text file in the first of these encodings that fits, UTF-8 where none is named; of at most so many bytes.

    Raises:
        AnnotationError: It can't be read, is larger, or is no text.
    """
    raw = read_bytes(path, most)
    for encoding in encodings or ("utf-8-sig",):
        with suppress(UnicodeDecodeError):
            return raw.decode(encoding)
    raise AnnotationError(f"{path}: expected text in UTF-8, got other bytes", code="F001")


def lines(path: Path, *encodings: str) -> list[Line]:
    """Read the lines of a text file that are not blank.

    Raises:
        AnnotationError: It can't be read or is no text.
    """
    numbered = enumerate(content(path, *encodings).split("\n"), 1)
    return [Line(f"{path}: line {i}", text.strip()) for i, text in numbered if text.strip()]

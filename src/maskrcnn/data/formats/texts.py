"""Text files, line by line; errors name the line."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from maskrcnn.errors import AnnotationError


class Line(NamedTuple):
    """A line that is not blank.

    Attributes:
        where: File and number, for errors.
        text: Without white space around it.
    """

    where: str
    text: str


def lines(path: Path) -> list[Line]:
    """Read the lines of a UTF-8 text file that are not blank.

    Raises:
        AnnotationError: It can't be read or is no text.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise AnnotationError(f"{path}: expected a text file, got no such file", code="F001") from None
    except OSError as error:
        raise AnnotationError(f"{path}: expected a readable file: {error.strerror}", code="F001") from None
    except UnicodeDecodeError:
        raise AnnotationError(f"{path}: expected text in UTF-8, got other bytes", code="F001") from None
    numbered = enumerate(content.split("\n"), 1)
    return [Line(f"{path}: line {i}", text.strip()) for i, text in numbered if text.strip()]

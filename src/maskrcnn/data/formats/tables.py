"""Tables in CSV whose first line names the columns; errors name the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from maskrcnn.data.formats.texts import content
from maskrcnn.errors import AnnotationError


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        where: File and line, for errors.
        cells: What it says, by column; columns that it is too short for are not there.
    """

    where: str
    cells: Mapping[str, str]


def lists(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Read a table without names: file and line of every row that is not blank, and its cells.

    Raises:
        AnnotationError: It can't be read or is no table.
    """
    rows = csv.reader(io.StringIO(content(path), newline=""), skipinitialspace=True)
    try:
        for cells in rows:
            if cells:
                yield f"{path}: line {rows.line_num}", cells
    except csv.Error as error:
        raise AnnotationError(
            f"{path}: line {rows.line_num}: expected a CSV table, got: {error}", code="F001"
        ) from None


def rows(path: Path) -> Iterator[Row]:
    """Read a table by the names of its columns.

    Raises:
        AnnotationError: It can't be read or is no table.
    """
    found = lists(path)
    columns = [column.strip() for column in next(found, ("", []))[1]]
    for where, cells in found:
        yield Row(where, dict(zip(columns, cells, strict=False)))

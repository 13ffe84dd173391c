"""CSV exports of VIA 1.x and 2.x: a line a region, JSON in quoted cells, and a line for a picture without regions.

The columns are `filename`, which 1.x calls `#filename`, `file_size`, `file_attributes`, `region_count`,
`region_id`, `region_shape_attributes` and `region_attributes`. VIA writes `undefined` for an attribute without a
value, which is no JSON; it counts as nothing.

References: VIA 1.0.6 and 2.0.12, their source.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from maskrcnn.data.formats.fields import expected, mapping, text
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.texts import content
from maskrcnn.data.formats.via_regions import Entry, Once, Region, parse_region
from maskrcnn.errors import AnnotationError, FormatError

_NEEDED = ("filename", "region_shape_attributes", "region_attributes")
_VIA3 = b"# CSV_HEADER = metadata_id"
_LONGEST_CELL = 1 << 26
_STRING_OR_UNDEFINED = re.compile(r'("(?:[^"\\]|\\.)*")|\bundefined\b')


class _Line(NamedTuple):
    number: int
    cells: dict[str, str]


def recognises(head: bytes) -> bool:
    """Say whether a file that starts like this is a CSV export of VIA."""
    first = head.split(b"\n", 1)[0]
    return (b"filename" in first and b"region_shape_attributes" in first) or _VIA3 in head


def picture_names(source: Path) -> set[str]:
    """Return the pictures that a file names; nothing where it can't be read."""
    try:
        return {line.cells["filename"].strip() for line in _lines(source)}
    except AnnotationError:
        return set()


def entries(source: Path, reading: Reading) -> list[Entry]:
    """Read the pictures and regions of a CSV export; pictures stand in the order of their first lines.

    Raises:
        AnnotationError: The file is broken, or a line is not what VIA writes.
    """
    once = Once()
    sizes: dict[str, str] = {}
    found: dict[str, list[Region]] = {}

    def parse(line: _Line) -> None:
        where = f"{source}: line {line.number}"
        name = text(line.cells["filename"], where, "filename")
        size = line.cells.get("file_size", "")
        if sizes.get(name) != size:
            once.check(name, where)
            sizes[name] = size
        regions = found.setdefault(name, [])
        region = _region(line, name, where, source)
        if region is not None:
            regions.append(region)

    for _ in reading.each(_lines(source), parse):
        pass
    return [Entry(name, regions) for name, regions in found.items()]


def _region(line: _Line, name: str, where: str, source: Path) -> Region | None:
    shape = _json(line.cells["region_shape_attributes"], where, "region_shape_attributes")
    if not shape and line.cells.get("region_count", "0").strip() in ("", "0"):
        return None
    attributes = _json(line.cells["region_attributes"], where, "region_attributes")
    key = line.cells.get("region_id", "").strip() or f"in line {line.number}"
    return parse_region(key, {"shape_attributes": shape, "region_attributes": attributes}, name, source)


def _json(cell: str, where: str, field: str) -> dict[str, object]:
    plain = cell
    if "undefined" in cell:
        plain = _STRING_OR_UNDEFINED.sub(lambda match: match[1] or "null", cell)
    try:
        value = json.loads(plain) if plain.strip() else {}
    except (RecursionError, ValueError):
        raise expected("JSON", cell, where, field) from None
    return mapping(value, where, field)


def _lines(source: Path) -> Iterator[_Line]:
    told = content(source)
    if told.startswith("# Exported") or _VIA3.decode() in told[:4096]:
        raise FormatError(
            f"{source}: expected a CSV export of VIA 1 or 2, got one of VIA 3; save the project of VIA 3 as JSON "
            "and open that"
        )
    delimiter = ";" if ";" in told.split("\n", 1)[0] else ","
    if csv.field_size_limit() < _LONGEST_CELL:  # a setting of the whole process, and 131,072 is too few for outlines
        csv.field_size_limit(_LONGEST_CELL)
    rows = csv.reader(io.StringIO(told, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip().lstrip("#").strip().lower() for cell in next(rows, [])]
        missing = [column for column in _NEEDED if column not in header]
        if missing:
            raise AnnotationError(f"{source}: header: expected the column {missing[0]}, got {', '.join(header)[:80]}")
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise AnnotationError(
                    f"{source}: line {rows.line_num}: expected {len(header)} cells, got {len(row)}", code="F001"
                )
            yield _Line(rows.line_num, dict(zip(header, row, strict=True)))
    except csv.Error as error:
        raise AnnotationError(f"{source}: line {rows.line_num}: expected CSV, got: {error}", code="F001") from None

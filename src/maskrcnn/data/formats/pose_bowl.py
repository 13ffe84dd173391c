"""Pose Bowl: one spacecraft a picture, its type in one CSV table, its box in another, cut-outs beside them.

```
images/<id>.png                     train_metadata.csv   image_id,spacecraft_id,background_id
no_background/images/<id>.png       train_labels.csv     image_id,xmin,ymin,xmax,ymax
no_background/no_background.csv
```

The type is the class. Where a picture has a cut-out of its own id, its alpha is the mask, read when it is asked for.

References: drivendata.org, competition 260 (spacecraft detection).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from maskrcnn.data.dataset import Annotation, Box, Dataset, Record, Runs, sift
from maskrcnn.data.formats.deferred import Deferred
from maskrcnn.data.formats.fields import expected, number, text
from maskrcnn.data.formats.pictures import locate
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading, refuse
from maskrcnn.data.formats.tables import Row, rows
from maskrcnn.data.images import IMAGE_SUFFIXES, header_size, natural_key, read_alpha
from maskrcnn.errors import AnnotationError, ImageError, few
from maskrcnn.ops.rle import Bitmap, trim

OPAQUE = 128
"""Alpha from which on a pixel belongs to the object: it covers half of the pixel or more."""

SPACECRAFT = "spacecraft"
"""The class where no type is known; with its number the name of every type."""

_BOX = ("xmin", "ymin", "xmax", "ymax")
_CUTOUTS = "no_background"
_LEAST_OVERLAP = 0.5
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"

_Cells = Mapping[str, str]


@dataclass(frozen=True)
class _Picture:
    id: str
    box: Box
    columns: Mapping[str, str]

    @property
    def file_name(self) -> str:
        return self.id if Path(self.id).suffix.lower() in IMAGE_SUFFIXES else f"{self.id}.png"

    @property
    def class_name(self) -> str:
        craft = self.columns.get("spacecraft_id")
        return SPACECRAFT if craft is None else f"{SPACECRAFT} {craft}"


def find(place: Place) -> list[Path]:
    """List the tables of boxes; a submission has the same columns and is none."""
    tables = [path for path in place.ending(".csv") if not place.is_folder or "submission" not in path.stem.lower()]
    return [path for path in tables if {"image_id", *_BOX} <= set(_columns(place.head(path)))]


def _columns(head: bytes) -> list[str]:
    line = head.split(b"\n", 1)[0].decode("utf-8-sig", "replace")
    return [column.strip() for column in line.split(",")]


def read(source: Path, reading: Reading) -> Dataset:
    """Read a table of boxes, and what lies beside it.

    Raises:
        AnnotationError: A table is broken, a row is not what it should be, comes twice, or has no partner.
        ImageError: Pictures are missing or broken.
    """
    known = _metadata(source, reading)
    pictures = list(_pictures(source, known, reading))
    if known is not None:
        _report_boxless(known, {picture.id for picture in pictures}, source, reading)
    class_names, category_ids = _classes(pictures)
    paths = locate([p.file_name for p in pictures], [source.parent / "images"], source, reading)
    numbered = zip(range(1, len(pictures) + 1), pictures, paths, strict=True)

    def record(each: tuple[int, _Picture, Path]) -> Record:
        image_id, picture, path = each
        annotation = Annotation("the box", class_names.index(picture.class_name), None, picture.box)
        return Record(picture.file_name, path, image_id, _size(path), (annotation,), columns=picture.columns)

    kept, left_out = sift(reading.each(numbered, record), source)
    cutouts = _cutouts(source)
    records = [_masked(each, cutouts, source) if each.name in cutouts else each for each in kept]
    return Dataset(source, "pose-bowl", class_names, category_ids, records, left_out)


def _size(path: Path) -> tuple[int, int]:
    """Read the size of a picture; of a PNG from its first line, for to see that it is not turned takes all of it."""
    with suppress(OSError), path.open("rb") as file:
        head = file.read(len(_PNG) + 8)
        if len(head) == len(_PNG) + 8 and head.startswith(_PNG):
            w, h = struct.unpack(">II", head[len(_PNG) :])
            if w and h:
                return h, w
    return header_size(path)


def _masked(record: Record, cutouts: Mapping[str, Path], source: Path) -> Record:
    """Give the object of a picture the mask that its cut-out shows."""
    where = f"{source}: {record.name}"
    cutout = cutouts[record.name]
    draw = partial(silhouette, cutout, record.size_hw, where=where)
    key = f"{cutout.name} {cutout.stat().st_size}".encode()
    drawn = (replace(each, shape=Deferred(partial(draw, box=each.box), key)) for each in record.annotations)
    return replace(record, annotations=tuple(drawn))


def _cutouts(source: Path) -> dict[str, Path]:
    """List the cut-outs by file name; those of a table of cut-outs are its pictures."""
    inner = source.parent / _CUTOUTS / "images"
    folder = source.parent / "images" if source.stem == _CUTOUTS else inner
    return {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}


# Tables


def _by_id(path: Path, reading: Reading) -> dict[str, _Cells]:
    """Read a table of one row a picture."""
    found: dict[str, _Cells] = {}

    def parse(row: Row) -> None:
        picture = text(row.cells.get("image_id"), row.where, "image_id")
        if picture in found:
            raise AnnotationError(f"{row.where}: expected one row for {picture}, got a second one", code="F004")
        found[picture] = row.cells

    for _ in reading.each(rows(path), parse):
        pass
    return found


def _metadata(source: Path, reading: Reading) -> dict[str, _Cells] | None:
    """Read the table that says the type of each picture; None where there is none."""
    beside = source.with_name(source.name.replace("labels", "metadata"))
    return _by_id(beside, reading) if beside != source and beside.is_file() else None


def _pictures(source: Path, known: Mapping[str, _Cells] | None, reading: Reading) -> Iterator[_Picture]:
    def parse(item: tuple[str, _Cells]) -> _Picture:
        picture, row = item
        where = f"{source}: {picture}"
        if known is not None and picture not in known:
            raise AnnotationError(f"{where}: expected a row in the table of metadata too, got none", code="C302")
        told = {**row, **({} if known is None else known[picture])}
        columns = {key: cell.strip() for key, cell in told.items() if key not in ("image_id", *_BOX) and cell}
        if "spacecraft_id" in told and "spacecraft_id" not in columns:
            raise AnnotationError(f"{where}: spacecraft_id: expected a text, got nothing", code="C302")
        return _Picture(picture, _box(row, where), columns)

    return reading.each(_by_id(source, reading).items(), parse)


def _box(row: _Cells, where: str) -> Box:
    x1, y1, x2, y2 = (number(row.get(side), where, side) for side in _BOX)
    if x2 < x1 or y2 < y1:
        raise expected("xmin, ymin, xmax and ymax, each not before its partner", (x1, y1, x2, y2), where, "the box")
    return x1, y1, x2, y2


def _report_boxless(known: Mapping[str, _Cells], boxed: set[str], source: Path, reading: Reading) -> None:
    lacking = [picture for picture in known if picture not in boxed]
    if reading.fault is refuse and len(lacking) > 1:
        raise AnnotationError(
            f"{source}: {len(lacking)} pictures of the metadata have no box: {few(lacking, 3)}", code="F009"
        )
    for picture in lacking:
        error = f"{source}: {picture}: expected a box, got none; the metadata name it"
        reading.fault(AnnotationError(error, code="F009"))


def _classes(pictures: Sequence[_Picture]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the class names and their ids: the types' own numbers where all have one."""
    types = sorted({picture.class_name for picture in pictures}, key=lambda name: natural_key(Path(name)))
    numbers = [name.removeprefix(SPACECRAFT).strip() for name in types]
    if all(each.isascii() and each.isdigit() and len(each) < 10 for each in numbers):
        ids = tuple(int(each) for each in numbers)
        if len(set(ids)) == len(ids):
            return tuple(types), ids
    return tuple(types) or (SPACECRAFT,), tuple(range(1, max(len(types), 1) + 1))


def silhouette(path: Path, size_hw: tuple[int, int], box: Box, where: str) -> Runs:
    """Take the mask from the alpha of a cut-out.

    Args:
        path: The cut-out.
        size_hw: Height and width of the picture that it is the mask of.
        box: x1, y1, x2, y2 that the table says.
        where: The row of the table, for errors.

    Raises:
        ImageError: The cut-out is broken or has no alpha.
        AnnotationError: It is of another size, empty, or lies elsewhere than the box.
    """
    alpha = read_alpha(path)
    if alpha is None:
        raise ImageError(f"{path}: expected a picture with alpha, got one without")
    opaque = alpha >= OPAQUE
    hint = "; a cut-out is the mask of the picture of the same name: move the folder away to have boxes only"
    if opaque.shape != size_hw:
        got, wanted = (f"{h}x{w}" for h, w in (opaque.shape, size_hw))
        raise AnnotationError(f"{where}: expected a cut-out of {wanted}, got {got} in {path}{hint}", code="P103")
    bitmap = trim(Bitmap(0, 0, opaque))
    if not bitmap.pixels.size:
        raise AnnotationError(f"{where}: expected a cut-out with an opaque pixel, got none in {path}", code="G204")
    if _overlap(box, bitmap) < _LEAST_OVERLAP:
        h, w = bitmap.pixels.shape
        border = bitmap.x, bitmap.y, bitmap.x + w, bitmap.y + h
        raise AnnotationError(
            f"{where}: expected a cut-out in the box {box}, got one in {border} in {path}{hint}", code="P103"
        )
    return Runs.of(bitmap, size_hw)


def _overlap(box: Box, bitmap: Bitmap) -> float:
    """Return the intersection over union of a box and the border of a mask."""
    h, w = bitmap.pixels.shape
    x1, y1, x2, y2 = box
    across = min(x2, bitmap.x + w) - max(x1, bitmap.x)
    down = min(y2, bitmap.y + h) - max(y1, bitmap.y)
    common = max(across, 0.0) * max(down, 0.0)
    return float(common / ((x2 - x1) * (y2 - y1) + h * w - common))

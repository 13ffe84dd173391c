"""A data set cut into tiles that overlap, as COCO instances with exact masks.

`tiles.jsonl.partial` collects what the annotation file will say, one line for each tile that is done;
`annotations.json` comes last. A call that was cut off goes on where it was.

Letters: H, W height and width of a picture; h, w of a tile.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count, groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

from maskrcnn.data.dataset import Dataset, Record
from maskrcnn.data.formats import rasters
from maskrcnn.data.formats.coco import encode_instances
from maskrcnn.data.formats.rasters import Raster, ReadWindow
from maskrcnn.data.geometry import crop_instances
from maskrcnn.data.writing import coco
from maskrcnn.data.writing.folder import claim
from maskrcnn.data.writing.pictures import save, suffix_for
from maskrcnn.errors import AnnotationError, DataError, InputError
from maskrcnn.files import replacing, write_text, writing
from maskrcnn.structures import Instances

Empty = Literal["keep", "drop"]

LOG_FILE = "tiles.jsonl.partial"
PICTURE_COLUMN = "picture"
"""The column that says which picture a tile is of; tiles of one picture belong into one part of a split."""

_READ_WHOLE = 1 << 24  # pixels up to which a picture is read at once

Line = dict[str, Any]
_DROPPED: Line = {"image": None, "annotations": []}


class Tile(NamedTuple):
    """A window of a picture: index of the picture in the set, column and row of the upper left pixel, its size."""

    picture: int
    x: int
    y: int
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut.

    Attributes:
        size_hw: Height and width of a tile; a picture that is smaller gives a smaller one.
        overlap: Pixels that neighbours share; the last tile of a row or column is moved back to end at the border.
        min_share: Share of an object's own area below which what remains of it is marked `crowd`, so that it is
            neither learnt nor background.
        empty: What becomes of tiles without an object.

    Raises:
        InputError: The overlap is not smaller than the tile, or the share not from 0 to 1.
    """

    size_hw: tuple[int, int]
    overlap: int = 64
    min_share: float = 0.1
    empty: Empty = "keep"

    def __post_init__(self) -> None:
        if min(self.size_hw) < 1:
            raise InputError(f"size: expected a height and width from 1 up, got {self.size_hw}")
        if not 0 <= self.overlap < min(self.size_hw):
            raise InputError(f"overlap: expected 0 to {min(self.size_hw) - 1}, less than a tile, got {self.overlap}")
        if not 0 <= self.min_share <= 1:
            raise InputError(f"min_share: expected 0 to 1, got {self.min_share}")

    def starts(self, length: int, side: int) -> list[int]:
        """Return where tiles begin along an axis.

        >>> Tiling((4, 4), 1).starts(9, 4), Tiling((4, 4), 0).starts(3, 4)
        ([0, 3, 5], [0])
        """
        last = max(length - side, 0)
        return [*range(0, last, side - self.overlap), last]

    def tiles(self, picture: int, size_hw: tuple[int, int]) -> list[Tile]:
        """Cut a picture, row by row."""
        (H, W), (h, w) = size_hw, self.size_hw
        size = min(h, H), min(w, W)
        return [Tile(picture, x, y, size) for y in self.starts(H, h) for x in self.starts(W, w)]


class Tiled(NamedTuple):
    """What came out: tiles written, tiles without objects, objects in tiles, and how many of them are only ignored."""

    tiles: int
    empty: int
    objects: int
    ignored: int


def _unseen(*_: int) -> None:
    """Show nobody how far it is."""


def write_tiles(dataset: Dataset, out: Path, tiling: Tiling, progress: Callable[[int, int], None] = _unseen) -> Tiled:
    """Cut every picture of a set and write tiles and annotations.

    Args:
        dataset: What to cut.
        out: A new folder, or one that the same call began.
        tiling: How.
        progress: Is told how many tiles are done, of how many.

    Raises:
        OutputError: The folder holds something else, or can't be written.
        DataError: A picture is missing or broken, or not of the size that the annotations say.
    """
    tiles = [tile for i in range(len(dataset)) for tile in tiling.tiles(i, dataset.size_hw(i))]
    claim(out, {"command": "crop", "set": dataset.fingerprint(), **asdict(tiling)})
    if not (out / coco.NAME).is_file():
        with writing(out):
            _write_rest(dataset, out, tiling, tiles, progress)
    progress(len(tiles), len(tiles))
    return _count(out, len(tiles))


def _write_rest(
    dataset: Dataset, out: Path, tiling: Tiling, tiles: Sequence[Tile], progress: Callable[[int, int], None]
) -> None:
    lines = _finished(out / LOG_FILE)
    write_text(out / LOG_FILE, "".join(map(_text, lines)))
    names = _names(dataset.records)
    with (out / LOG_FILE).open("a", encoding="utf-8") as log:
        for line in _cut(dataset, out / "images", tiling, tiles[len(lines) :], names):
            log.write(_text(line))
            log.flush()
            lines.append(line)
            progress(len(lines), len(tiles))
    _write_annotations(dataset, out, lines)
    (out / LOG_FILE).unlink()


def _cut(dataset: Dataset, folder: Path, tiling: Tiling, tiles: Sequence[Tile], names: Sequence[str]) -> Iterator[Line]:
    """Write one tile after the other, and give what the annotation file will say of it."""
    for i, mine in groupby(tiles, key=lambda tile: tile.picture):
        record, instances = dataset.records[i], dataset.instances(i)
        if tiling.empty == "drop" and not len(instances):
            yield from (_DROPPED for _ in mine)
            continue
        place = _place(record)
        with _windows(dataset, i, place) as read:
            for tile in mine:
                yield _write_tile(_Source(record, instances, place, read, names[i]), folder, tiling, tile, dataset)


class _Source(NamedTuple):
    record: Record
    instances: Instances
    place: Raster | None
    read: ReadWindow
    name: str


def _write_tile(source: _Source, folder: Path, tiling: Tiling, tile: Tile, dataset: Dataset) -> Line:
    instances = _inside(source.instances, tile, tiling.min_share)
    if tiling.empty == "drop" and not len(instances):
        return _DROPPED
    pixels = source.read(tile.x, tile.y, tile.size_hw)
    suffix = suffix_for(pixels) if source.place is None else ".tif"
    file_name = f"{source.name}_y{tile.y:05d}_x{tile.x:05d}{suffix}"
    with replacing(folder / file_name) as unfinished:
        if source.place is None:
            save(unfinished, pixels)
        else:
            rasters.write_raster(unfinished, pixels, source.place.part(tile.x, tile.y, tile.size_hw))
    image: Line = {"file_name": file_name, "height": tile.size_hw[0], "width": tile.size_hw[1]}
    image["columns"] = _columns(source, tile)
    if source.record.labelled is not None:
        image["labelled"] = sorted(dataset.category_ids[label] for label in source.record.labelled)
    return {"image": image, "annotations": encode_instances(instances, 0, 0, dataset.category_ids)}


def _inside(instances: Instances, tile: Tile, min_share: float) -> Instances:
    """Keep what remains of the objects in a tile, having looked at their boxes first."""
    h, w = tile.size_hw
    x1, y1, x2, y2 = instances.boxes.T
    near = (x1 < tile.x + w) & (x2 > tile.x) & (y1 < tile.y + h) & (y2 > tile.y)
    return crop_instances(instances[near], tile.x, tile.y, tile.size_hw, min_share)


def _columns(source: _Source, tile: Tile) -> dict[str, str]:
    columns = {**source.record.columns, PICTURE_COLUMN: source.record.name}
    return columns if source.place is None else columns | source.place.part(tile.x, tile.y, tile.size_hw).columns


# Pictures


def _place(record: Record) -> Raster | None:
    """Return where on the Earth a picture lies; None where it does not say, or nothing is here that could read it."""
    if record.path.suffix.lower() not in rasters.SUFFIXES:
        return None
    try:
        return rasters.locate_raster(record.path)
    except DataError:
        return None


@contextmanager
def _windows(dataset: Dataset, i: int, place: Raster | None) -> Iterator[ReadWindow]:
    """Give what reads parts of a picture; of a large raster no more than they need."""
    record = dataset.records[i]
    H, W = record.size_hw
    if place is not None and place.size_hw == record.size_hw and H * W > _READ_WHOLE:
        with rasters.windows(record.path) as read:
            yield read
        return
    image = record.read(record.path)
    if image.shape[:2] != record.size_hw:
        raise AnnotationError(
            f"{dataset.source}: {record.name}: expected a picture of {H}x{W} (height x width), "
            f"got {image.shape[0]}x{image.shape[1]} in {record.path}",
            code="P103",
        )
    yield lambda x, y, size_hw: image[y : y + size_hw[0], x : x + size_hw[1]]


def _names(records: Sequence[Record]) -> list[str]:
    """Name each picture for its tiles: as it is, without folders; with its id where two would be the same."""
    plain = [re.sub(r"[^\w.+-]+", "_", str(Path(record.name).with_suffix(""))).strip("_.") for record in records]
    count = Counter(name.lower() for name in plain)
    return [
        name if name and count[name.lower()] == 1 else f"{name}_id{record.image_id}"
        for name, record in zip(plain, records, strict=True)
    ]


# Annotations


def _write_annotations(dataset: Dataset, out: Path, lines: Sequence[Line]) -> None:
    """Number tiles and objects from 1."""
    kept = [line for line in lines if line["image"] is not None]
    if not kept:
        raise AnnotationError(f"{dataset.source}: expected an object in at least one tile, got none; keep empty tiles")
    numbers = count(1)
    with coco.document(out / coco.NAME, dataset) as file:
        for image_id, line in enumerate(kept, start=1):
            file.add_image({"id": image_id, **line["image"]})
            for entry in line["annotations"]:
                file.add_annotation({**entry, "id": next(numbers), "image_id": image_id})


def _count(out: Path, tiles: int) -> Tiled:
    document = json.loads((out / coco.NAME).read_bytes())
    filled = {entry["image_id"] for entry in document["annotations"]}
    ignored = sum(entry["iscrowd"] for entry in document["annotations"])
    return Tiled(len(document["images"]), tiles - len(filled), len(document["annotations"]), ignored)


# Going on


def _finished(log: Path) -> list[Line]:
    """Return the lines, from the first on, that an earlier call finished."""
    lines: list[Line] = []
    for text in log.read_text(encoding="utf-8").splitlines() if log.is_file() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def _text(line: Line) -> str:
    return json.dumps(line) + "\n"

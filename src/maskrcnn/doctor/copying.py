"""A set written anew as COCO: `annotations.json`, `images/`, and a log of what was changed.

Letters: H, W height and width of a picture as its file holds it; K classes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Box, Dataset, Record, Runs
from maskrcnn.data.formats import coco
from maskrcnn.data.images import IMAGE_SUFFIXES, read_image, upright
from maskrcnn.errors import OutputError
from maskrcnn.files import replacing, write_text
from maskrcnn.ops.rle import Bitmap

LOG = "fixes.json"


@dataclass(frozen=True)
class Copy:
    """A picture to be written.

    Attributes:
        record: The picture with the objects that it is to have, in its upright pixels.
        anew: Whether it is stored anew, upright, instead of being copied as a file.
    """

    record: Record
    anew: bool = False


@dataclass(frozen=True)
class Written:
    """What is in the copy.

    Attributes:
        folder: Where it is.
        pictures: How many.
        objects: How many objects.
        changes: How many changes the log has.
        not_kept: What COCO files cannot say and the set knew.
    """

    folder: Path
    pictures: int
    objects: int
    changes: int
    not_kept: tuple[str, ...] = ()


def claim(out: Path, source: Path) -> None:
    """Begin a copy, or go on with one that was begun for the same set.

    Raises:
        OutputError: Something else is there.
    """
    log = out / LOG
    if log.is_file():
        try:
            begun = json.loads(log.read_bytes())
        except ValueError:
            begun = None
        if not isinstance(begun, dict) or begun.get("source") != str(source):
            raise OutputError(f"{out}: expected a new folder, got one with another mended set")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out}: expected a new folder, got one that holds something; choose another one")
    write_text(log, json.dumps({"source": str(source), "finished": False}))


def write_copy(
    out: Path,
    dataset: Dataset,
    copies: Iterable[Copy],
    changes: Sequence[dict[str, str]],
    progress: Callable[[int], None],
) -> Written:
    """Write pictures and annotations; the log is finished last.

    Args:
        out: A folder that was claimed.
        dataset: Has the classes; its ids are kept.
        copies: The pictures, which are numbered from 1.
        changes: What the log says was changed.
        progress: Is told how many pictures are written.

    Raises:
        OutputError: A file can't be written.
        ImageError: A picture that is stored anew can't be read.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, object]] = []
    taken: set[str] = set()
    not_kept: dict[str, None] = {}
    for number, copy in enumerate(copies, 1):
        name = _name(copy, taken)
        _write_picture(copy, out / "images" / name)
        height, width = copy.record.size_hw
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        not_kept |= dict.fromkeys(_beyond_coco(copy.record))
        annotations += _encode(dataset, copy.record, number, len(annotations) + 1)
        progress(number)
    used = zip(dataset.category_ids, dataset.class_names, dataset.supercategories, strict=True)
    categories = [
        {"id": category_id, "name": name, **({"supercategory": wider} if wider else {})}
        for category_id, name, wider in used
    ]
    coco.write(out / "annotations.json", images, annotations, categories)
    log = {"source": str(dataset.source), "finished": True, "pictures": len(images), "objects": len(annotations)}
    write_text(
        out / LOG, json.dumps({**log, "not_kept": [*not_kept], "changes": changes}, indent=1, ensure_ascii=False) + "\n"
    )
    return Written(out, len(images), len(annotations), len(changes), tuple(not_kept))


def _beyond_coco(record: Record) -> Iterator[str]:
    if record.labelled is not None:
        yield "which classes were looked for in each picture"
    if record.columns:
        yield f"the columns {', '.join(sorted(record.columns))}"


def _encode(dataset: Dataset, record: Record, image_id: int, first_id: int) -> list[dict[str, object]]:
    """Write objects with masks and those with boxes each by themselves, as together they would lose the masks."""
    entries: list[dict[str, object]] = []
    for masked in (True, False):
        chosen = tuple(each for each in record.annotations if (each.shape is not None) == masked)
        if chosen:
            part = dataset.change(records=[replace(record, annotations=chosen)], left_out=())
            entries += coco.encode_instances(part.instances(0), image_id, first_id + len(entries), dataset.category_ids)
    return entries


def _name(copy: Copy, taken: set[str]) -> str:
    """Choose a name in the new folder: that of the picture, without what leads out of it, and only once."""
    plain = PureWindowsPath(copy.record.name)
    parts = [part for part in plain.parts if part not in (plain.anchor, "..", ".")]
    path = Path(*(parts or [copy.record.path.name]))
    suffix = path.suffix
    if copy.anew or copy.record.read is not read_image:
        suffix = ".png" if _fits_png(copy) else ".tif"
    elif suffix.lower() not in IMAGE_SUFFIXES:
        suffix = copy.record.path.suffix
    name = path.with_suffix(suffix).as_posix()
    number = 2
    while name.lower() in taken:
        name = path.with_name(f"{path.stem}-{number}{suffix}").as_posix()
        number += 1
    taken.add(name.lower())
    return name


def _fits_png(copy: Copy) -> bool:
    image = copy.record.read(copy.record.path)
    return (image.dtype.name, image.shape[2]) in (("uint8", 1), ("uint8", 3), ("uint16", 1))


def _write_picture(copy: Copy, place: Path) -> None:
    with replacing(place) as temporary:
        if copy.record.read is read_image and not copy.anew:
            shutil.copyfile(copy.record.path, temporary)
        else:
            _encode_picture(copy.record.read(copy.record.path), temporary)


def _encode_picture(image: NDArray[np.generic], place: Path) -> None:
    if place.suffix == ".png":
        from PIL import Image

        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(place)
    else:
        import tifffile

        tifffile.imwrite(place, image, photometric="rgb" if image.shape[2] == 3 else "minisblack")


# Turning


def turned_upright(annotation: Annotation, orientation: int, size_hw: tuple[int, int]) -> Annotation:
    """Turn an object as the EXIF orientation turns its picture.

    Args:
        annotation: Made for the picture as its file holds it.
        orientation: 1 to 8.
        size_hw: Height and width as the file holds it.
    """
    box = None if annotation.box is None else _turned_box(annotation.box, orientation, size_hw)
    if annotation.shape is None:
        return replace(annotation, box=box)
    bitmap = annotation.shape.bitmap(size_hw)
    h, w = bitmap.pixels.shape
    x, y, _, _ = _turned_box((bitmap.x, bitmap.y, bitmap.x + w, bitmap.y + h), orientation, size_hw)
    turned = Bitmap(int(x), int(y), upright(bitmap.pixels, orientation).astype(np.bool_))
    upright_hw = size_hw[::-1] if orientation >= 5 else size_hw
    return replace(annotation, shape=Runs.of(turned, upright_hw), box=box)


def _turned_box(box: Box, orientation: int, size_hw: tuple[int, int]) -> Box:
    (x1, y1, x2, y2), (H, W) = box, size_hw
    if orientation in (2, 3):
        x1, x2 = W - x2, W - x1
    if orientation in (3, 4):
        y1, y2 = H - y2, H - y1
    if orientation in (6, 7):
        y1, y2 = H - y2, H - y1
    if orientation in (7, 8):
        x1, x2 = W - x2, W - x1
    return (y1, x1, y2, x2) if orientation >= 5 else (x1, y1, x2, y2)

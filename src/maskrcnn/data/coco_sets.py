"""Sets written as COCO instances: `annotations.json`, and pictures that stay where they are, are linked or copied.

Shapes are written as they were read, outlines as outlines and run lengths as run lengths, so that nothing is lost;
where the source states no box or no area they are those of the pixels. What COCO has no field for stands in two of
ours in the entry of a picture: `labelled`, the ids of the categories that were looked for, where these are not all,
and `columns`, what else is known of it. The file is written as it goes, so that a large set needs no memory.

References: cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Box, Dataset, Record, Rings
from maskrcnn.data.images import read_image
from maskrcnn.errors import ImageError, OutputError
from maskrcnn.files import replacing, write_text, writing

NAME = "annotations.json"
CALL = "made.json"
IMAGES = "images"

Way = Literal["keep", "link", "copy"]


def claim(out: Path, call: Mapping[str, object]) -> None:
    """Make a folder this call's own, or find that it is; what the call was stays in `made.json`.

    Args:
        out: New, empty, or begun by the same call.
        call: What decides what is written there.

    Raises:
        OutputError: It holds something else, or can't be written.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: expected a folder, got a file; choose another place")
    text = json.dumps(call, indent=1) + "\n"
    made = out / CALL
    with writing(out):
        held = sorted(path.name for path in out.glob("[!.]*"))
        if CALL in held and made.read_text(encoding="utf-8") == text:
            return
    if held:
        got = "one that another command made" if CALL in held else f"a folder with {held[0]}"
        raise OutputError(
            f"{out}: expected an empty folder or one that this command began, got {got}; choose another folder"
        )
    write_text(made, text)


def write_set(dataset: Dataset, out: Path, pictures: Way = "keep", advance: Callable[[], None] = lambda: None) -> Path:
    """Write a set into a folder; what an earlier call that broke off had copied is not copied again.

    Args:
        dataset: What is written.
        out: The folder; an `annotations.json` that is there is replaced at the end.
        pictures: Pictures that are plain files are named where they are (`keep`), or linked or copied into `images`.
            Others, such as those of an archive or a map, are written there with the values that they read as.
        advance: Called after each picture.

    Returns:
        The annotation file.

    Raises:
        ImageError: A picture is missing or broken.
        OutputError: A file can't be written.
    """
    path = out / NAME
    with writing(out):
        for half in out.glob(f".{NAME}.*"):  # of a call that was killed; it would count as a second set
            half.unlink(missing_ok=True)
    placer = _Pictures(out, pictures)
    images: list[dict[str, object]] = []
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"categories": ' + json.dumps(_categories(dataset)) + ',\n"annotations": [')
        _write_annotations(dataset, file, images, placer, advance)
        file.write('],\n"images": [\n' + ",\n".join(map(json.dumps, images)) + "\n]}\n")
    return path


def _write_annotations(
    dataset: Dataset,
    file: TextIO,
    images: list[dict[str, object]],
    placer: _Pictures,
    advance: Callable[[], None],
) -> None:
    count = 0
    for record in dataset.records:
        images.append(_image(record, placer.put(record), dataset))
        for annotation in record.annotations:
            entry = _annotation(annotation, record, dataset.category_ids[annotation.label])
            count += 1
            file.write((",\n" if count > 1 else "\n") + json.dumps({"id": count, **entry}))
        advance()


def _categories(dataset: Dataset) -> list[dict[str, object]]:
    columns = zip(dataset.category_ids, dataset.class_names, dataset.supercategories, strict=True)
    return [
        {"id": category_id, "name": name, **({"supercategory": wider} if wider else {})}
        for category_id, name, wider in columns
    ]


def _image(record: Record, name: str, dataset: Dataset) -> dict[str, object]:
    h, w = record.size_hw
    entry: dict[str, object] = {"id": record.image_id, "file_name": name, "height": h, "width": w}
    if record.labelled is not None:
        entry["labelled"] = [dataset.category_ids[label] for label in sorted(record.labelled)]
    if record.columns:
        entry["columns"] = dict(record.columns)
    return entry


def _annotation(annotation: Annotation, record: Record, category_id: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "image_id": record.image_id,
        "category_id": category_id,
        "iscrowd": int(annotation.crowd),
    }
    shape = annotation.shape
    box, area = annotation.box, annotation.area
    if shape is not None and (box is None or area is None):
        x, y, pixels = shape.bitmap(record.size_hw)
        covered = float(np.count_nonzero(pixels))
        drawn = (float(x), float(y), float(x + pixels.shape[1]), float(y + pixels.shape[0]))
        box = box or (drawn if covered else annotation.extent())
        area = covered if area is None else area
    assert box is not None  # an annotation with neither shape nor box is no object
    xywh = _xywh(box)
    entry["bbox"], entry["area"] = xywh, xywh[2] * xywh[3] if area is None else area
    if isinstance(shape, Rings):
        entry["segmentation"] = [ring.ravel().tolist() for ring in shape.rings]
    elif shape is not None:
        entry["segmentation"] = {"size": [*record.size_hw], "counts": shape.counts}
    return entry


def _xywh(box: Box) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]


# Pictures


class _Pictures:
    """Puts pictures where the annotation file names them.

    Args:
        out: The folder of the annotation file.
        way: What becomes of plain files.
    """

    def __init__(self, out: Path, way: Way) -> None:
        self._out = out
        self._way = way
        self._taken: set[str] = set()

    def put(self, record: Record) -> str:
        """Return the name of a picture, once it is there."""
        if record.read is not read_image:
            return self._decoded(record)
        if self._way == "keep":
            return _relative(record.path, self._out)
        name = self._name(record, record.path.suffix)
        _PLACED[self._way](record.path, self._out / name)
        return name

    def _decoded(self, record: Record) -> str:
        pixels = record.read(record.path)
        name = self._name(record, ".png" if _fits_png(pixels) else ".tif")
        if not (self._out / name).is_file():
            with replacing(self._out / name) as temporary:
                _save(pixels, temporary)
        return name

    def _name(self, record: Record, suffix: str) -> str:
        """Return a name in `images` that no other picture has, also where a and A are the same."""
        pieces = [piece for piece in _pieces(record.name) if piece not in ("", ".", "..") and ":" not in piece]
        stem = PurePosixPath(*(pieces or ["picture"])).with_suffix("")
        wanted = PurePosixPath(IMAGES, f"{stem}{suffix}")
        numbered = (wanted.with_name(f"{wanted.stem}-{i}{suffix}") for i in range(2, len(self._taken) + 3))
        name = next(str(each) for each in (wanted, *numbered) if str(each).casefold() not in self._taken)
        self._taken.add(name.casefold())
        return name


def _pieces(name: str) -> Iterator[str]:
    return iter(name.replace("\\", "/").split("/"))


def _relative(path: Path, folder: Path) -> str:
    """Return how to get from a folder to a file, with slashes; the whole path where there is no way."""
    try:
        return Path(os.path.relpath(_resolved(path.parent) / path.name, _resolved(folder))).as_posix()
    except ValueError:  # another drive
        return str(path.absolute())


@lru_cache(maxsize=4096)  # most pictures of a set are in the same few folders
def _resolved(folder: Path) -> Path:
    return folder.resolve()


def _copy(source: Path, target: Path) -> None:
    if target.is_file() and not target.is_symlink() and target.stat().st_size == source.stat().st_size:
        return
    with replacing(target) as temporary:
        try:
            shutil.copyfile(source, temporary)
        except FileNotFoundError:
            raise ImageError(f"{source}: expected a picture, got no such file", code="P101") from None


def _link(source: Path, target: Path) -> None:
    if target.is_file() and target.samefile(source):
        return
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(source.resolve())
    except OSError as error:
        raise OutputError(f"{target}: could not be linked: {error.strerror}; take --pictures copy") from error


_PLACED: dict[str, Callable[[Path, Path], None]] = {"copy": _copy, "link": _link}


def _fits_png(pixels: NDArray[np.generic]) -> bool:
    return pixels.dtype == np.uint8 and pixels.shape[2] == 3


def _save(pixels: NDArray[np.generic], path: Path) -> None:
    if _fits_png(pixels):
        from PIL import Image

        Image.fromarray(np.ascontiguousarray(pixels)).save(path, format="PNG", compress_level=3)
        return
    from tifffile import imwrite

    plain = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    planes = {} if pixels.shape[2] == 1 else {"planarconfig": "contig"}
    imwrite(path, plain, photometric="minisblack", compression="zlib", **planes)  # type: ignore[arg-type]

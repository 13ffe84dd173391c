"""Records of the TensorFlow Object Detection API: pictures, boxes and masks in one file, read without TensorFlow.

| feature | what |
|---|---|
| `image/encoded` | JPEG or PNG, taken as it stands: TensorFlow does not turn a picture by its EXIF orientation |
| `image/height`, `image/width` | of the picture |
| `image/object/bbox/xmin`, `ymin`, `xmax`, `ymax` | shares of width and height |
| `image/object/class/label`, `class/text` | number in the label map, name |
| `image/object/mask` | a PNG an object, or H·W numbers an object |
| `image/object/is_crowd`, `group_of` | regions that nothing is learnt from |

A label map (`*.pbtxt`) beside the file or above it gives the classes. Files `x-00000-of-00010` and so on are one set.

References: tensorflow/models, `object_detection/data_decoders/tf_example_decoder.py`; the TFRecord format;
protobuf's wire format.
Letters: N objects of a picture; H, W height and width.
"""

from __future__ import annotations

import io
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Box, Dataset, Record, Runs, sift
from maskrcnn.data.formats.crc32c import crc32c
from maskrcnn.data.formats.deferred import Deferred
from maskrcnn.data.formats.drafts import ONLY_CLASS
from maskrcnn.data.formats.label_maps import of_mask
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.protobuf import Example, numbers_of, read_example, text_of
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.texts import lines
from maskrcnn.data.images import to_array
from maskrcnn.errors import AnnotationError, ImageError, few

SUFFIXES = (".tfrecord", ".tfrecords", ".record")

_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})")
_HEAD = struct.Struct("<QI")
_SUM = struct.Struct("<I")
_MOST_SIDE = 1 << 20
_BEYOND = 0.01  # share by which a box may reach out of its picture before it is taken for pixels
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_ITEM = re.compile(r"item\s*\{(.*?)\}", re.DOTALL)
_FIELD = re.compile(r"""(\w+)\s*:\s*(?:(\d+)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")


class _Span(NamedTuple):
    path: Path
    offset: int  # of the example in the file
    length: int
    checksum: bytes = b""


class _Object(NamedTuple):
    name: str
    number: int  # of the class; 0 where none is said
    text: str
    box: Box
    crowd: bool
    mask: int | None  # which one


@dataclass(frozen=True)
class _Picture:
    span: _Span
    name: str
    source_id: str
    size_hw: tuple[int, int]
    objects: list[_Object]


# Finding


def find(place: Place) -> list[Path]:
    """List the files of records; of a set in several files the first one."""
    found = [path for path in place.files if _is_named(path) and _is_head(place.head(path, _HEAD.size))]
    firsts: dict[str, Path] = {}
    for path in found:
        match = _SHARD.fullmatch(path.name)
        firsts.setdefault(match[1] + match[3] if match else path.name, path)
    return list(firsts.values())


def _is_named(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or _SHARD.fullmatch(path.name) is not None


def _is_head(head: bytes) -> bool:
    return len(head) == _HEAD.size and _masked(head[:8]) == _HEAD.unpack(head)[1]


def _files(source: Path) -> list[Path]:
    """List all files of a set, of which one is named."""
    match = _SHARD.fullmatch(source.name)
    if match is None:
        return [source]
    files = [source.with_name(f"{match[1]}-{i:05d}-of-{match[3]}") for i in range(int(match[3]))]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise AnnotationError(
            f"{source}: expected {len(files)} files, {len(missing)} are missing: {few(missing, 3)}", code="F001"
        )
    return files


# Reading


def read(source: Path, reading: Reading) -> Dataset:
    """Read a file of records, or all files of a set of which one is named.

    Raises:
        AnnotationError: A file is cut off or changed, or a record is not what it should be.
    """
    pictures = list(reading.each(_spans(_files(source), reading), partial(_picture, reading=reading)))
    named = _label_map(source)
    objects = [each for picture in pictures for each in picture.objects]
    classes = named or _stated_classes(objects)
    ids = tuple(sorted(classes))
    label_of = {number: label for label, number in enumerate(ids)}
    image_ids = _image_ids([picture.source_id for picture in pictures])
    masks: dict[tuple[str, str], Deferred] = {}

    def record(numbered: tuple[int, str, _Picture]) -> Record:
        image_id, name, picture = numbered
        where = f"{picture.span.path}: {name}"
        kept = list(reading.each(picture.objects, lambda each: (each, label_of[_number(each, classes, where)])))
        for each, _ in kept:
            if each.mask is not None:
                draw = partial(read_mask, picture.span, each.mask, picture.size_hw, f"{where}: {each.name}")
                masks[name, each.name] = Deferred(draw, picture.span.checksum + str(each.mask).encode())
        annotations = tuple(Annotation(e.name, label, None, e.box, crowd=e.crowd) for e, label in kept)
        read_pixels = partial(read_picture, offset=picture.span.offset, length=picture.span.length)
        return Record(name, picture.span.path, image_id, picture.size_hw, annotations, read=read_pixels)

    names = _unique([picture.name for picture in pictures])
    kept, left_out = sift(reading.each(zip(image_ids, names, pictures, strict=True), record), source)
    records = [_with_masks(each, masks) for each in kept]
    return Dataset(source, "tfrecord", [classes[number] for number in ids], ids, records, left_out)


def _with_masks(record: Record, masks: Mapping[tuple[str, str], Deferred]) -> Record:
    drawn = (replace(each, shape=masks.get((record.name, each.name))) for each in record.annotations)
    return replace(record, annotations=tuple(drawn))


def _image_ids(stated: Sequence[str]) -> Sequence[int]:
    """Return the ids that the records state where all are numbers and differ, or else 1, 2, ..."""
    ids = [int(each) for each in stated if each.isascii() and each.isdigit() and len(each) < 19]
    return ids if len(set(ids)) == len(stated) else range(1, len(stated) + 1)


def _unique(names: Sequence[str]) -> list[str]:
    """Number the names that come more than once."""
    count = Counter(names)
    return [name if count[name] == 1 else f"{name}#{i}" for i, name in enumerate(names, start=1)]


def read_picture(path: Path, offset: int, length: int) -> NDArray[np.generic]:
    """Read the picture of a record, (H, W, bands).

    Raises:
        ImageError: The file is missing or broken.
    """
    return _decode(_encoded(_Span(path, offset, length)), f"{path}: record at {offset}")


def read_mask(span: _Span, index: int, size_hw: tuple[int, int], where: str) -> Runs:
    """Read one mask of a record.

    Raises:
        ImageError: The file is missing or broken.
        AnnotationError: The mask is empty or of another size than the picture.
    """
    stored = read_example(_content(span), where).get("image/object/mask", [])
    if isinstance(stored, list):
        pixels = _decode(stored[index], where)[..., 0] != 0
    else:
        pixels = stored.reshape(-1, *size_hw)[index] > 0
    if pixels.shape != size_hw:
        raise AnnotationError(f"{where}: mask: expected {size_hw}, as the picture, got {pixels.shape}", code="P103")
    return of_mask(pixels)


def _encoded(span: _Span) -> bytes:
    where = f"{span.path}: record at {span.offset}"
    return _only_picture(read_example(_content(span), where), where)


def _only_picture(example: Example, where: str) -> bytes:
    encoded = example.get("image/encoded")
    if not isinstance(encoded, list) or len(encoded) != 1 or not encoded[0]:
        raise ImageError(f"{where}: expected a picture in image/encoded, got none", code="P101")
    return encoded[0]


def _decode(content: bytes, where: str) -> NDArray[np.generic]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            return to_array(image)
    except UnidentifiedImageError:
        raise ImageError(f"{where}: expected a JPEG or PNG, got bytes that start with {content[:8]!r}") from None
    except Exception as error:  # the decoders raise whatever their own slip is
        raise ImageError(f"{where}: expected a whole JPEG or PNG, got a broken one: {error}") from None


# Objects


def _picture(span: _Span, reading: Reading) -> _Picture:
    where = f"{span.path}: record at {span.offset}"
    example = read_example(_content(span), where)
    if "image/encoded" not in example:
        raise AnnotationError(f"{where}: expected image/encoded, got {few(sorted(example), 4) or 'nothing'}")
    name = text_of(example, "image/filename") or text_of(example, "image/source_id") or f"record at {span.offset}"
    size_hw = _size(example, f"{where} ({name})")
    if reading.pictures == "required":
        _only_picture(example, f"{where} ({name})")
    objects = list(_objects(example, size_hw, f"{where} ({name})", reading))
    return _Picture(span, name, text_of(example, "image/source_id"), size_hw, objects)


def _size(example: Example, where: str) -> tuple[int, int]:
    sides = [numbers_of(example, f"image/{side}", where) for side in ("height", "width")]
    if not all(len(side) == 1 and 1 <= side[0] <= _MOST_SIDE for side in sides):
        h, w = _decode(_only_picture(example, where), where).shape[:2]
        return h, w
    return int(sides[0][0]), int(sides[1][0])


def _objects(example: Example, size_hw: tuple[int, int], where: str, reading: Reading) -> Iterator[_Object]:
    sides = [numbers_of(example, f"image/object/bbox/{side}", where) for side in _SIDES]
    count = len(sides[0])
    texts = example.get("image/object/class/text", [])
    names = [each.decode("utf-8", "replace").strip() for each in texts if isinstance(each, bytes)]
    if any(len(side) != count for side in sides) or len(names) not in (0, count):
        got = ", ".join(map(str, [*map(len, sides), len(names)]))
        raise AnnotationError(f"{where}: expected as many xmin, ymin, xmax, ymax and texts as objects, got {got}")
    labels = _per_object(numbers_of(example, "image/object/class/label", where), count, "class/label", where)
    crowd = _per_object(numbers_of(example, "image/object/is_crowd", where), count, "is_crowd", where)
    group = _per_object(numbers_of(example, "image/object/group_of", where), count, "group_of", where)
    masks = _mask_count(example, count, size_hw, where)

    def parse(k: int) -> _Object:
        box = _box([float(side[k]) for side in sides], size_hw, f"{where}: object {k}")
        text = names[k] if names else ""
        return _Object(f"object {k}", int(labels[k]), text, box, bool(crowd[k] or group[k]), k if masks else None)

    return reading.each(range(count), parse)


def _mask_count(example: Example, count: int, size_hw: tuple[int, int], where: str) -> int:
    stored = example.get("image/object/mask", [])
    masks = len(stored) if isinstance(stored, list) else len(stored) / (size_hw[0] * size_hw[1])
    if masks not in (0, count):
        raise AnnotationError(f"{where}: expected {count} masks, one an object, got {masks:g}")
    return int(masks)


def _per_object(values: Sequence[float], count: int, field: str, where: str) -> Sequence[float]:
    if len(values) not in (0, count):
        raise AnnotationError(
            f"{where}: image/object/{field}: expected {count} numbers, one an object, got {len(values)}"
        )
    return values or [0] * count


def _box(shares: Sequence[float], size_hw: tuple[int, int], where: str) -> Box:
    x1, y1, x2, y2 = shares
    inside = all(-_BEYOND <= share <= 1 + _BEYOND for share in shares)
    if not (inside and x1 <= x2 and y1 <= y2):
        raise AnnotationError(f"{where}: expected xmin, ymin, xmax and ymax as shares from 0 to 1, got {[*shares]}")
    h, w = size_hw
    return x1 * w, y1 * h, x2 * w, y2 * h


# Classes


def _number(each: _Object, classes: Mapping[int, str], where: str) -> int:
    """Return the class's number, by its number or else by its name."""
    if each.number in classes:
        return each.number
    by_name = [number for number, name in classes.items() if name == each.text]
    if by_name:
        return by_name[0]
    if each.number == 0 and not each.text:
        raise AnnotationError(f"{where}: {each.name}: expected a class, got label 0 and no text", code="C302")
    raise AnnotationError(
        f"{where}: {each.name}: expected a class of the label map, got label {each.number} {each.text!r}", code="C301"
    )


def _label_map(source: Path) -> dict[int, str]:
    """Read the label map beside a file or above it; empty where there is none."""
    for folder in folders_up(source, 2):
        maps = sorted(folder.glob("*.pbtxt"))
        if len(maps) > 1:
            got = few((path.name for path in maps), 4)
            raise AnnotationError(f"{source}: expected one label map beside it, got {got}", code="F006")
        if maps:
            return _parse_label_map(maps[0])
    return {}


def _parse_label_map(path: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    told = "\n".join(line.text for line in lines(path) if not line.text.startswith("#"))
    for item in _ITEM.findall(told):
        fields = {name: number or double or single for name, number, double, single in _FIELD.findall(item)}
        name = fields.get("display_name") or fields.get("name")
        if not fields.get("id", "").isdigit() or not name:
            raise AnnotationError(f"{path}: expected items with id and name, got {' '.join(item.split())[:60]!r}")
        number = int(fields["id"])
        if number in found or name in found.values():
            raise AnnotationError(f"{path}: expected every id and name once, got {number} {name!r} twice", code="F004")
        found[number] = name
    if not found:
        raise AnnotationError(f"{path}: expected items with id and name, got none")
    return found


def _stated_classes(objects: Sequence[_Object]) -> dict[int, str]:
    """Name classes by the texts of the objects; by their numbers where there are none."""
    texts = sorted({each.text for each in objects if each.text})
    numbers = sorted({each.number for each in objects if each.number > 0})
    pairs = {(each.number, each.text) for each in objects if each.text and each.number > 0}
    if not texts:
        return {number: f"class {number}" for number in numbers} or {1: ONLY_CLASS}
    by_number = dict(pairs)
    if len(pairs) == len(by_number) == len(set(by_number.values())) == len(texts):
        return by_number
    return dict(enumerate(texts, start=1))


# Records


def _spans(files: Sequence[Path], reading: Reading) -> Iterator[_Span]:
    """Yield every record whose checksums are right; where one of a length is not, the rest of the file is lost."""
    for path in files:
        try:
            yield from _spans_of(path, reading)
        except OSError as error:
            raise AnnotationError(f"{path}: expected a readable file: {error.strerror}", code="F001") from None
        except AnnotationError as error:
            reading.fault(error)


def _spans_of(path: Path, reading: Reading) -> Iterator[_Span]:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = 0
        while start < size:
            head = file.read(_HEAD.size)
            length = _HEAD.unpack(head)[0] if _is_head(head) else -1
            if length < 0 or start + _HEAD.size + length + _SUM.size > size:
                why = "one that is cut off" if length >= 0 or start else "something else"
                raise AnnotationError(f"{path}: byte {start}: expected a whole record, got {why}", code="F001")
            content = file.read(length)
            checksum = file.read(_SUM.size)
            if checksum == _SUM.pack(_masked(content)):
                yield _Span(path, start + _HEAD.size, length, checksum)
            else:
                reading.fault(
                    AnnotationError(
                        f"{path}: byte {start}: expected a record as written, got changed bytes", code="F001"
                    )
                )
            start += _HEAD.size + length + _SUM.size


def _masked(content: bytes) -> int:
    """Return the checksum as it is stored: turned and shifted, so that sums of sums do not repeat."""
    plain = crc32c(content)
    return ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _content(span: _Span) -> bytes:
    try:
        with span.path.open("rb") as file:
            file.seek(span.offset)
            return file.read(span.length)
    except OSError as error:
        raise ImageError(f"{span.path}: expected a readable file: {error.strerror}", code="P101") from None

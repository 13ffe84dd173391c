"""Pascal VOC: boxes from XML, masks from `SegmentationObject`; and what Roboflow and others write like it.

| what | becomes |
|---|---|
| `bndbox` | its corners; in VOC's own files pixels count from 1 and the last is inside |
| `polygon` with x1, y1, x2, y2, ... (Roboflow) | its outline |
| a value of `SegmentationObject` other than 0 and 255 | a mask |
| `difficult` 1 | a region that is ignored, as in VOC's own evaluation |

A mask belongs to the object in the place of its value in the XML file, as VOC says, or else to the one whose
box fits best, if the classes agree. The class of a mask alone is the commonest value of `SegmentationClass`
under it. Classes are those of `labelmap.txt`, or VOC's twenty where every file is VOC's own; others follow by name.

References: VOC2012 development kit; CVAT's and Datumaro's `labelmap.txt`.
Letters: H, W height and width.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Box, Dataset, Runs, stated_or_header_size
from maskrcnn.data.formats.drafts import ONLY_CLASS, Draft, Thing, assemble, numbered, outlined
from maskrcnn.data.formats.label_maps import each_file, split
from maskrcnn.data.formats.pairing import a_few, by_stem, check_size, listed
from maskrcnn.data.formats.pictures import locate
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.texts import Line, lines
from maskrcnn.data.formats.voc_xml import Entry, read_entry, recognises
from maskrcnn.data.images import header_size, natural_key, read_image, read_labels
from maskrcnn.errors import AnnotationError

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""VOC's own classes; the first is 1 in `SegmentationClass`."""

_NO_CLASS = frozenset({(0, 0, 0), (224, 224, 192)})  # the colours of the background and of void
_VOID = 255
_SAME_OBJECT = 0.3  # least box IoU; VOC leaves 5 pixels of void around a mask, which is much of a small one
_PICTURES = ("JPEGImages", "images", "Images", "PNGImages")
_FLAGS = frozenset({"-1", "0", "1"})
_LOOKED_AT = 5
_HEAD = 16384


def find(place: Place) -> list[Path]:
    """Return a VOC folder, a folder of such XML files beside their pictures, or one list of `ImageSets`."""
    if not place.is_folder:
        return [place.path] if _is_list(place.path) and _is_root(folders_up(place.path, 3)[2]) else []
    here = any(recognises(place.head(path, _HEAD)) for path in place.ending(".xml")[:_LOOKED_AT])
    return [place.path] if here or _is_root(place.path) else []


def _is_list(path: Path) -> bool:
    return path.suffix.lower() == ".txt" and folders_up(path, 2)[1].absolute().name == "ImageSets"


def _is_root(folder: Path) -> bool:
    annotations = Place(folder / "Annotations")
    xml = [path for path in a_few(annotations.path) if path.suffix.lower() == ".xml"]
    return (folder / "SegmentationObject").is_dir() or any(recognises(annotations.head(path, _HEAD)) for path in xml)


def read(source: Path, reading: Reading) -> Dataset:
    """Read a VOC folder, a folder of XML files beside their pictures, or the pictures of one list.

    Args:
        source: The folder, or a list in `ImageSets`.
        reading: What becomes of faults; pictures may be missing as long as the XML files say their sizes.

    Raises:
        AnnotationError: A file is broken, a mask has another size than its picture, or a list names a picture of
            which nothing is known.
        ImageError: Pictures or masks are missing or broken.
    """
    root = source if source.is_dir() else folders_up(source, 3)[2]
    colours = _colours(root / "labelmap.txt", reading)
    pages = list(_pages(source, root, reading))
    placed = _placed(pages, root, source, reading)
    palette = _Palette.of(colours)
    drafts = each_file(reading, placed, lambda item: _draft(*item, palette))
    is_own = bool(pages) and all(page.entry is not None and page.entry.is_own for page in pages)
    declared = [name for name in palette.names.values() if name] if colours else VOC_CLASSES if is_own else ()
    return assemble(source, "voc", drafts, reading, numbered(drafts, declared))


# Files


class _Page(NamedTuple):
    """What there is of one picture."""

    stem: str
    entry: Entry | None
    objects: Path | None
    classes: Path | None


def _pages(source: Path, root: Path, reading: Reading) -> Iterator[_Page]:
    folder = root / "Annotations"
    xml = by_stem(listed(folder if folder.is_dir() else root, {".xml"}))
    objects = by_stem(listed(root / "SegmentationObject"))
    classes = by_stem(listed(root / "SegmentationClass"))
    everything = sorted(xml.keys() | objects.keys(), key=lambda stem: natural_key(Path(stem)))
    stems = everything if source == root else _listed_stems(source, set(everything), reading)

    def page(stem: str) -> _Page:
        if stem not in xml and stem not in objects:
            raise AnnotationError(
                f"{source}: {stem}: expected {folder / stem}.xml or a mask, found neither", code="F009"
            )
        entry = read_entry(xml[stem], reading) if stem in xml else None
        return _Page(stem, entry, objects.get(stem), classes.get(stem))

    return reading.each(stems, page)


def _listed_stems(source: Path, known: Collection[str], reading: Reading) -> list[str]:
    """Name the pictures of a list; those of one class say with -1 that it is not on a picture."""
    listed_lines = [line for line in lines(source) if not line.text.startswith("#")]
    rows = reading.each(listed_lines, lambda line: (line.text, "") if line.text in known else _row(line))
    return list(dict.fromkeys(stem for stem, flag in rows if flag != "-1"))


def _row(line: Line) -> tuple[str, str]:
    """Part a line into a name, which may stand in quotes, and a flag where it has one."""
    try:
        words = shlex.split(line.text) if '"' in line.text else line.text.split()
    except ValueError as error:
        raise AnnotationError(f"{line.where}: expected the name of a picture, got {line.text!r}: {error}") from None
    flag = words.pop() if len(words) > 1 and words[-1] in _FLAGS else ""
    return " ".join(words), flag


def _placed(pages: Sequence[_Page], root: Path, source: Path, reading: Reading) -> list[tuple[_Page, Path]]:
    """Find the pictures, by the name in the XML file or else by its own; those that are missing are reported."""
    folders = [*(root / name for name in _PICTURES), root]
    images = [path for folder in folders for path in listed(folder)]
    by_name, stems = {path.name: path for path in reversed(images)}, by_stem(images)

    def name_of(page: _Page) -> str:
        said = page.entry.picture if page.entry else None
        return said or f"{page.stem}.jpg"

    found = [by_name.get(name_of(page)) or stems.get(page.stem) for page in pages]
    absent = [name_of(page) for page, path in zip(pages, found, strict=True) if path is None]
    elsewhere = dict(zip(absent, locate(absent, folders, source, reading), strict=True))
    paths = [path or elsewhere[name_of(page)] for page, path in zip(pages, found, strict=True)]
    placed = zip(pages, paths, strict=True)
    if reading.pictures == "optional":
        return list(placed)
    return [(page, path) for page, path in placed if path.is_file()]


def _colours(path: Path, reading: Reading) -> dict[str, tuple[int, int, int]]:
    """Read `labelmap.txt`: `name:r,g,b:parts:actions`."""
    rows = [line for line in lines(path) if not line.text.startswith("#")] if path.is_file() else []
    return dict(reading.each(rows, _colour))


def _colour(line: Line) -> tuple[str, tuple[int, int, int]]:
    name, _, rest = line.text.partition(":")
    values = [value.strip() for value in rest.partition(":")[0].split(",")]
    if len(values) != 3 or not all(value.isascii() and value.isdigit() and int(value) < 256 for value in values):
        raise AnnotationError(f"{line.where}: expected name:red,green,blue:parts:actions, got {line.text!r}")
    red, green, blue = map(int, values)
    return name.strip(), (red, green, blue)


# Pictures


def _draft(page: _Page, picture: Path, palette: _Palette) -> Draft:
    entry = page.entry or Entry(None, None, [], is_own=False)
    size_hw = stated_or_header_size(picture, entry.size_hw)
    masks = _masks(page, picture, size_hw, palette)
    things = _joined(entry.things, masks) if masks else entry.things
    return Draft(picture.name, picture, size_hw, things)


class _Mask(NamedTuple):
    where: str
    value: int
    runs: Runs
    box: Box
    class_name: str | None


def _masks(page: _Page, picture: Path, size_hw: tuple[int, int], palette: _Palette) -> list[_Mask]:
    if page.objects is None:
        return []
    for path in filter(None, (page.objects, page.classes)):
        check_size(path, header_size(path), size_hw, picture)
    objects = _indices(read_labels(page.objects))
    classes = None if page.classes is None else palette.read(page.classes)
    masks = []
    for value, runs in split(np.where(objects == _VOID, 0, objects)).items():
        x, y, pixels = runs.bitmap(size_hw)
        window = slice(y, y + pixels.shape[0]), slice(x, x + pixels.shape[1])
        where = f"{page.objects}: object {value}"
        class_name = None if classes is None else palette.name_of(classes[window][pixels], where)
        box = (float(x), float(y), float(window[1].stop), float(window[0].stop))
        masks.append(_Mask(where, value, runs, box, class_name))
    return masks


@dataclass(frozen=True)
class _Palette:
    """What the values of `SegmentationClass` mean.

    Attributes:
        names: The class of every index; None where that is background or void.
        index_of: The index of every colour, as one number; empty where there is no `labelmap.txt`.
    """

    names: Mapping[int, str | None]
    index_of: Mapping[int, int]

    @classmethod
    def of(cls, colours: Mapping[str, tuple[int, int, int]]) -> _Palette:
        if not colours:
            return cls({0: None, _VOID: None, **dict(enumerate(VOC_CLASSES, 1))}, {})
        named = {i: None if colour in _NO_CLASS else name for i, (name, colour) in enumerate(colours.items())}
        return cls(
            {_VOID: None, **named}, {(r << 16) + (g << 8) + b: i for i, (r, g, b) in enumerate(colours.values())}
        )

    def read(self, path: Path) -> NDArray[np.int64]:
        """Return (H, W) int64, the index of every pixel's class; -1 for a colour that stands for none."""
        stored = read_labels(path)
        colours = read_image(path).astype(np.int64)
        if not self.index_of or (stored.ndim == 2 and (colours == stored[..., None]).all()):
            return _indices(stored)
        packed = (colours[..., 0] << 16) + (colours[..., 1] << 8) + colours[..., 2]
        values, inverse = np.unique(packed, return_inverse=True)
        return np.array([self.index_of.get(value, -1) for value in values.tolist()])[inverse].reshape(packed.shape)

    def name_of(self, indices: NDArray[np.int64], where: str) -> str | None:
        """Return the commonest class of some pixels; None where that is none."""
        values, counts = np.unique(indices, return_counts=True)
        commonest = int(values[counts.argmax()])
        if commonest in self.names:
            return self.names[commonest]
        got = "a colour that labelmap.txt does not have" if commonest < 0 else f"{commonest}; name it in a labelmap.txt"
        raise AnnotationError(f"{where}: expected a class that has a name, got {got}", code="C301")


def _indices(stored: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return palette indices; of a colour, the index that has it in VOC's palette."""
    if stored.ndim == 2:
        return stored.astype(np.int64)
    bands = stored.astype(np.int64)[..., : 3 if stored.shape[2] > 2 else 1]
    if bands.shape[2] == 1:
        return bands[..., 0]
    index = np.zeros(bands.shape[:2], dtype=np.int64)
    for bit in range(8):
        for band in range(3):
            index |= (bands[..., band] >> (7 - bit) & 1) << (3 * bit + band)
    return index


def _joined(things: Sequence[Thing], masks: Sequence[_Mask]) -> list[Thing]:
    """Give every object its mask; what is left on either side stands alone.

    A box that is ignored becomes an outline: one box without a mask would take the masks of the whole picture.
    """
    mask_of = _matches(things, masks)
    with_masks = [
        replace(thing, shape=masks[mask_of[i]].runs) if i in mask_of else outlined(thing) if thing.crowd else thing
        for i, thing in enumerate(things)
    ]
    alone = [mask for j, mask in enumerate(masks) if j not in mask_of.values()]
    return [*with_masks, *(_alone(mask, bool(things)) for mask in alone)]


def _matches(things: Sequence[Thing], masks: Sequence[_Mask]) -> dict[int, int]:
    """Return which mask belongs to which object."""
    overlap = _iou(_boxes([thing.box for thing in things]), _boxes([mask.box for mask in masks]))
    allowed = np.array(
        [[mask.class_name in (None, thing.class_name) for mask in masks] for thing in things], dtype=np.bool_
    ).reshape(overlap.shape)
    matches: dict[int, int] = {}
    for j, mask in enumerate(masks):
        i = mask.value - 1
        if i < len(things) and allowed[i, j] and overlap[i, j] > 0:
            matches[i] = j
    for flat in np.argsort(-overlap, axis=None, kind="stable").tolist():
        i, j = divmod(flat, len(masks))
        if allowed[i, j] and overlap[i, j] >= _SAME_OBJECT and i not in matches and j not in matches.values():
            matches[i] = j
    return matches


def _iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, M) float64 of (N, 4) and (M, 4) boxes x1, y1, x2, y2."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = (high - low).clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return np.asarray(common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-9))


def _boxes(boxes: Sequence[Box | None]) -> NDArray[np.float64]:
    return np.array([box or (0, 0, 0, 0) for box in boxes], dtype=np.float64).reshape(-1, 4)


def _alone(mask: _Mask, others_are_named: bool) -> Thing:
    if mask.class_name is None and others_are_named:
        raise AnnotationError(f"{mask.where}: expected a class from SegmentationClass or a box, got none", code="C302")
    return Thing(f"mask {mask.value}", mask.class_name or ONLY_CLASS, mask.runs)

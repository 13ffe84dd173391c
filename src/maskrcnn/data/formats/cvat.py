"""CVAT's own XML 1.1: for images, and for video.

| shape | becomes |
|---|---|
| polygon | its outline |
| box, also a turned one | its four sides; boxes only where the file has nothing else |
| ellipse | a polygon that leaves the curve by at most 0.01 pixels |
| mask | its pixels |
| polyline, points, cuboid, skeleton, tag | left out, with the reason |

Shapes of one picture and label with the same `group_id` are one object. What lies in front (`z_order`) hides
nothing of what lies behind. Labels are those that the file declares, in its order.

References: docs.cvat.ai, XML annotation format 1.1.
Letters: V corners of a ring.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Box, Dataset, LeftOut, Rings, Runs, stated_or_header_size
from maskrcnn.data.formats.curves import ellipse_ring, rectangle_ring
from maskrcnn.data.formats.drafts import Draft, Skipped, Thing, assemble, boxes_as_outlines
from maskrcnn.data.formats.fields import expected, number, numbers, polygon, shown, stated_size, text, whole
from maskrcnn.data.formats.pictures import locate, locate_each
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.xml_nodes import Node, load_xml
from maskrcnn.data.images import IMAGE_SUFFIXES
from maskrcnn.errors import AnnotationError
from maskrcnn.ops.rle import Bitmap

_TOP = re.compile(rb"<annotations[\s>]")
_INSIDE = (b"<meta>", b"<image ", b"<track ", b"<version>")
_MOST_FILES = 50
_MOST_PIXELS = 1 << 27
_FRAME = re.compile(r"frame_([0-9]{1,9})", re.IGNORECASE)

Size = tuple[int, int]


class _Image(NamedTuple):
    node: Node
    name: str
    subset: str
    size_hw: Size | None
    where: str


class _Frame(NamedTuple):
    number: int
    name: str
    path: Path


# Recognised


def find(place: Place) -> list[Path]:
    """List CVAT's XML files of a place."""
    return [path for path in place.ending(".xml")[:_MOST_FILES] if _recognises(place.head(path))]


def _recognises(head: bytes) -> bool:
    return _TOP.search(head) is not None and any(sign in head for sign in _INSIDE)


def read(source: Path, reading: Reading) -> Dataset:
    """Read a CVAT file.

    Args:
        source: The XML file.
        reading: What becomes of faults; pictures may be missing where the file says their sizes.

    Raises:
        AnnotationError: The file is broken, or a shape is not what CVAT writes.
        ImageError: Pictures are missing.
    """
    root = load_xml(source)
    if root.tag != "annotations":
        raise AnnotationError(f"{source}: expected <annotations>, got <{root.tag:.40}>")
    drafts, lost = _frames(root, source, reading) if root.all("track") else (_images(root, source, reading), [])
    return assemble(source, "cvat", boxes_as_outlines(drafts), reading, _declared(root), lost)


def _declared(root: Node) -> dict[int, str] | None:
    """Return the declared labels, which stand in the task, the job or the project; None where there are none."""
    meta = root.first("meta")
    labels = [label for holder in meta.inside("labels") for label in holder.all("label")] if meta else []
    names = dict.fromkeys(_class(name) for label in labels if (name := label.value("name")) is not None)
    return dict(enumerate(names, start=1)) or None


def _class(name: str) -> str:
    return " ".join(name.split())


# For images


def _images(root: Node, source: Path, reading: Reading) -> list[Draft]:
    seen: set[tuple[str, str]] = set()
    images = list(reading.each(root.all("image"), lambda node: _image(node, source, seen)))
    here, above = folders_up(source, 2)
    folders = [[here / "images" / image.subset, here / "images", here, above / "images"] for image in images]
    names = [_spelled(image.name, own) for image, own in zip(images, folders, strict=True)]
    paths = locate_each(names, folders, source, reading)
    return list(reading.each(zip(images, paths, strict=True), lambda each: _draft(*each, reading)))


def _image(node: Node, source: Path, seen: set[tuple[str, str]]) -> _Image:
    name = text(node.attributes.get("name"), f"{source}: image {shown(node.attributes.get('id'))}", "name")
    where = f"{source}: {name}"
    subset = node.attributes.get("subset", "").strip()
    if (subset, name) in seen:
        raise AnnotationError(f"{where}: expected one <image> for it, got a second one", code="F004")
    seen.add((subset, name))
    size_hw = stated_size(node.attributes.get("height"), node.attributes.get("width"), where)
    return _Image(node, name, subset, size_hw, where)


def _spelled(name: str, folders: Sequence[Path]) -> str:
    """Add the suffix to the name of a frame, which CVAT leaves away in exports of a video."""
    if not re.fullmatch(r"frame_[0-9]+", name):
        return name
    endings = [ending for suffix in sorted(IMAGE_SUFFIXES) for ending in (suffix, suffix.upper())]
    spellings = (name + ending for folder in folders for ending in endings if (folder / (name + ending)).is_file())
    return next(spellings, f"{name}.png")


def _draft(image: _Image, path: Path, reading: Reading) -> Draft:
    size_hw = stated_or_header_size(path, image.size_hw)

    def thing(item: tuple[int, Node]) -> Thing | Skipped:
        i, node = item
        group = node.attributes.get("group_id", "0")
        return _thing(node, _Spot(f"{node.tag} {i}", image.where, size_hw), node, None if group == "0" else group)

    things = list(reading.each(enumerate(image.node.children), thing))
    if not image.subset:
        return Draft(image.name, path, size_hw, things)
    name = f"{image.subset}/{image.name}"
    return Draft(name, path, size_hw, things, columns={"subset": image.subset}, where=image.where)


# For video


def _frames(root: Node, source: Path, reading: Reading) -> tuple[list[Draft], list[LeftOut]]:
    """Make a draft of every frame that lies there as a picture; shapes on other frames are left out."""
    tracks = [(track, shape) for track in root.all("track") for shape in track.children]
    shapes: dict[int, list[tuple[Node, Node]]] = {}
    for frame, each in reading.each(tracks, lambda each: (_frame_of(*each, source), each)):
        if each[1].attributes.get("outside") != "1":
            shapes.setdefault(frame, []).append(each)
    frames = _pictures(source) or _expected_pictures(sorted(shapes), source, reading)
    stated = _original_size(root, source)

    def draft(frame: _Frame) -> Draft:
        size_hw = stated_or_header_size(frame.path, stated)
        where = f"{source}: {frame.name}"
        things = reading.each(
            shapes.get(frame.number, []),
            lambda each: _thing(each[1], _Spot(_track_name(each[0]), where, size_hw), each[0]),
        )
        return Draft(frame.name, frame.path, size_hw, list(things))

    lost = [
        LeftOut(source, _frame_name(number), _track_name(track), "there is no picture of this frame", "P101")
        for number in sorted(shapes.keys() - {frame.number for frame in frames})
        for track, _ in shapes[number]
    ]
    return list(reading.each(frames, draft)), lost


def _expected_pictures(frames: Sequence[int], source: Path, reading: Reading) -> list[_Frame]:
    names = [_frame_name(number) for number in frames]
    paths = locate(names, [source.parent / "images", source.parent], source, reading)
    return [_Frame(*each) for each in zip(frames, names, paths, strict=True)]


def _frame_name(frame: int) -> str:
    return f"frame_{frame:06d}.png"


def _pictures(source: Path) -> list[_Frame]:
    """List the pictures whose names say which frame they are."""
    folders = [folder for folder in (source.parent / "images", source.parent) if folder.is_dir()]
    for folder in folders:
        named = [(path, _FRAME.fullmatch(path.stem)) for path in Place(folder).ending(*IMAGE_SUFFIXES)]
        frames = [_Frame(int(match[1]), path.name, path) for path, match in named if match]
        if frames:
            return frames
    return []


def _frame_of(track: Node, shape: Node, source: Path) -> int:
    return _whole(shape.attributes.get("frame"), f"{source}: {_track_name(track)}", "frame")


def _track_name(track: Node) -> str:
    return f"track {track.attributes.get('id', '?')}"


def _original_size(root: Node, source: Path) -> Size | None:
    size = next(root.inside("original_size"), None)
    where = f"{source}: original_size"
    return None if size is None else stated_size(size.value("height"), size.value("width"), where)


# Shapes


class _Spot(NamedTuple):
    name: str
    picture: str
    size_hw: Size

    @property
    def where(self) -> str:
        return f"{self.picture}: {self.name}"


class _Outline(NamedTuple):
    shape: Rings | Runs | None
    box: Box | None = None


def _thing(node: Node, spot: _Spot, labelled: Node, group: str | None = None) -> Thing | Skipped:
    """Read a shape; its label stands in itself or, for video, in its track."""
    if node.tag in _SHAPELESS:
        return Skipped(spot.name, _SHAPELESS[node.tag])
    if node.tag not in _OUTLINES:
        raise expected(f"one of {', '.join([*_OUTLINES, *_SHAPELESS])}", node.tag, spot.where, "shape")
    label = _class(labelled.attributes.get("label", ""))
    if not label:
        raise AnnotationError(f"{spot.where}: label: expected a class, got nothing", code="C302")
    outline = _OUTLINES[node.tag](node, spot)
    return Thing(spot.name, label, outline.shape, outline.box, group=group)


def _number(node: Node, field: str, spot: _Spot) -> float:
    return number(node.attributes.get(field), spot.where, field)


def _whole(value: str | None, where: str, field: str, least: int = 0) -> int:
    return whole(number(value, where, field), where, field, least)


def _turn(node: Node, spot: _Spot) -> float:
    return math.radians(_number(node, "rotation", spot)) if "rotation" in node.attributes else 0.0


def _polygon(node: Node, spot: _Spot) -> _Outline:
    return _Outline(Rings((polygon(_points(node, spot), spot.where),)))


def _points(node: Node, spot: _Spot) -> NDArray[np.float64]:
    pairs = [pair.split(",") for pair in node.attributes.get("points", "").split(";") if pair.strip()]
    for pair in pairs:
        if len(pair) != 2:
            raise expected("x,y;x,y;...", ",".join(pair), spot.where, "points")
    return numbers([value for pair in pairs for value in pair], spot.where, "points").reshape(-1, 2)


def _box(node: Node, spot: _Spot) -> _Outline:
    x1, y1, x2, y2 = (_number(node, side, spot) for side in ("xtl", "ytl", "xbr", "ybr"))
    if x2 < x1 or y2 < y1:
        raise expected("a box from its upper left to its lower right", [x1, y1, x2, y2], spot.where, "box")
    turn = _turn(node, spot)
    return _Outline(Rings((rectangle_ring(x1, y1, x2, y2, turn),))) if turn else _Outline(None, (x1, y1, x2, y2))


def _ellipse(node: Node, spot: _Spot) -> _Outline:
    rx, ry = _number(node, "rx", spot), _number(node, "ry", spot)
    if min(rx, ry) < 0:
        raise expected("half axes from 0 up", [rx, ry], spot.where, "rx, ry")
    ring = ellipse_ring(_number(node, "cx", spot), _number(node, "cy", spot), rx, ry, _turn(node, spot))
    return _Outline(Rings((ring,)))


def _mask(node: Node, spot: _Spot) -> _Outline:
    """Read runs that go along the rows of a window and start with background."""
    x, y = (_whole(node.attributes.get(side), spot.where, side) for side in ("left", "top"))
    h, w = (_whole(node.attributes.get(side), spot.where, side, 1) for side in ("height", "width"))
    if y + h > spot.size_hw[0] or x + w > spot.size_hw[1]:
        raise expected(f"a window inside {spot.size_hw[0]}x{spot.size_hw[1]}", [x, y, w, h], spot.where, "mask")
    if h * w > _MOST_PIXELS:
        raise expected(f"at most {_MOST_PIXELS} pixels", h * w, spot.where, "mask")
    spelled = node.attributes.get("rle", "")
    try:
        runs = [int(run) for run in spelled.split(",")]
    except ValueError:
        raise expected("run lengths", spelled, spot.where, "rle") from None
    if min(runs) < 0 or sum(runs) != h * w:
        raise AnnotationError(
            f"{spot.where}: rle: expected lengths that sum to {h * w} for {h}x{w}, got {shown(sum(runs))}", code="G205"
        )
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(h, w)
    return _Outline(Runs.of(Bitmap(x, y, pixels), spot.size_hw))


_OUTLINES: dict[str, Callable[[Node, _Spot], _Outline]] = {
    "polygon": _polygon,
    "box": _box,
    "ellipse": _ellipse,
    "mask": _mask,
}
_SHAPELESS = {
    "polyline": "a line has no area",
    "points": "points have no area",
    "cuboid": "a cuboid has no outline",
    "skeleton": "a skeleton has no area",
    "tag": "a tag is about the whole picture",
}

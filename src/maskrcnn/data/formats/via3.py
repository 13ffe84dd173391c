"""Projects of VIA 3: files, views of them, and metadata with a shape as a list of numbers.

| `xy` | shape |
|---|---|
| 1, cx, cy | point |
| 2, x, y, width, height | rect |
| 3, cx, cy, r | circle |
| 4, cx, cy, rx, ry | ellipse |
| 5 or 6, x1, y1, x2, y2, ... | line, polyline |
| 7, x1, y1, x2, y2, ... | polygon |

Metadata without a shape are about the picture as a whole, and are no objects.

References: VIA 3.0.13, its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from maskrcnn.data.formats.fields import expected, listing, mapping, text, whole
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.via_regions import Entry, Once, Region, parse_region
from maskrcnn.errors import AnnotationError

_FIXED = {
    1: ("point", ("cx", "cy")),
    2: ("rect", ("x", "y", "width", "height")),
    3: ("circle", ("cx", "cy", "r")),
    4: ("ellipse", ("cx", "cy", "rx", "ry")),
}
_POINTS = {5: "polyline", 6: "polyline", 7: "polygon"}
_PICTURE = 2
_CHECKBOX = 2
_KINDS = {4: "a video", 8: "a sound"}


def recognises(document: Mapping[str, object]) -> bool:
    """Say whether parsed JSON is a project of VIA 3."""
    return {"project", "file", "view", "metadata"} <= document.keys()


def folders(root: Mapping[str, object]) -> list[str]:
    """List the folders that the files of a project came from."""
    files = root.get("file")
    entries = files.values() if isinstance(files, dict) else ()
    sources = [entry.get("src") for entry in entries if isinstance(entry, dict)]
    local = [src.removeprefix("file://").replace("\\", "/") for src in sources if isinstance(src, str)]
    return list(dict.fromkeys(str(PurePosixPath(src).parent) for src in local if "/" in src and "://" not in src))


def entries(root: Mapping[str, object], source: Path, reading: Reading) -> Iterator[Entry]:
    """Read the pictures and regions of a project, a view after the other.

    Raises:
        AnnotationError: The project is broken, or not about pictures.
    """
    files = mapping(root.get("file"), str(source), "file")
    views = mapping(root.get("view"), str(source), "view")
    about: dict[str, list[tuple[str, dict[str, object]]]] = {view_id: [] for view_id in views}

    def place(item: tuple[str, object]) -> None:
        where = f"{source}: metadata {item[0]}"
        entry = mapping(item[1], where, "entry")
        view_id = str(entry.get("vid"))
        if view_id not in about:
            raise AnnotationError(f"{where}: vid: expected one of the views, got {view_id!r}", code="F005")
        about[view_id].append((item[0], entry))

    for _ in reading.each(mapping(root.get("metadata"), str(source), "metadata").items(), place):
        pass
    attributes = mapping(root.get("attribute") or {}, str(source), "attribute")
    once = Once()

    def parse(item: tuple[str, object]) -> Entry:
        where = f"{source}: view {item[0]}"
        name = once.check(_picture(item[1], files, where), where)
        shaped = [(key, entry) for key, entry in about[item[0]] if entry.get("xy")]
        regions = reading.each(shaped, lambda each: _region(*each, name, attributes, source))
        return Entry(name, list(regions))

    return reading.each(views.items(), parse)


def _picture(view: object, files: Mapping[str, object], where: str) -> str:
    file_ids = listing(mapping(view, where, "entry").get("fid_list"), where, "fid_list")
    if len(file_ids) != 1:
        raise AnnotationError(f"{where}: fid_list: expected one picture, got {len(file_ids)}", code="F006")
    if str(file_ids[0]) not in files:
        raise AnnotationError(f"{where}: fid_list: expected one of the files, got {file_ids[0]!r}", code="F005")
    where = f"{where}: file {file_ids[0]}"
    file = mapping(files[str(file_ids[0])], where, "entry")
    kind = whole(file.get("type", _PICTURE), where, "type")
    if kind != _PICTURE:
        raise AnnotationError(
            f"{where}: type: expected {_PICTURE}, a picture, got {kind}, {_KINDS.get(kind, 'no kind')}"
        )
    return text(file.get("fname"), where, "fname")


def _region(key: str, entry: Mapping[str, object], name: str, attributes: Mapping[str, object], source: Path) -> Region:
    where = f"{source}: region {key} of {name}"
    shape = _shape(listing(entry.get("xy"), where, "xy"), where)
    values = mapping(entry.get("av") or {}, where, "av")
    return parse_region(
        key,
        {
            "shape_attributes": shape,
            "region_attributes": dict(_attribute(*item, attributes, where) for item in values.items()),
        },
        name,
        source,
    )


def _shape(xy: list[object], where: str) -> dict[str, object]:
    kind, *values = xy
    number = whole(kind, where, "shape")
    if number in _POINTS:
        return {"name": _POINTS[number], "all_points_x": values[::2], "all_points_y": values[1::2]}
    if number not in _FIXED:
        raise expected("1 to 7", kind, where, "shape")
    name, fields = _FIXED[number]
    if len(values) != len(fields):
        raise expected(f"{len(fields)} numbers for a {name}", values, where, "xy")
    return {"name": name, **dict(zip(fields, values, strict=True))}


def _attribute(key: str, value: object, attributes: Mapping[str, object], where: str) -> tuple[str, object]:
    """Return an attribute's name and what was chosen, by their names instead of their ids."""
    definition = mapping(attributes.get(key) or {}, where, f"attribute {key}")
    name = text(definition.get("aname", key), where, f"attribute {key}: aname")
    options = mapping(definition.get("options") or {}, where, f"attribute {key}: options")
    if definition.get("type") == _CHECKBOX and isinstance(value, str):
        return name, {str(options.get(option, option)): True for option in value.split(",") if option}
    return name, options.get(value, value) if isinstance(value, str) else value

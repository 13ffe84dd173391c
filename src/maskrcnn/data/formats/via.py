"""VGG Image Annotator: exports of 1.x and 2.x as JSON or CSV, projects of 2.x and 3.x.

`regions` may be a dict (1.x), a list (2.x), empty or missing (a picture without objects). Image ids are 1, 2, ...
in the file's order, label order is alphabetical. What regions become stands in `via_regions`.

References: VIA 1.0.6 and 2.0.12, their source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from maskrcnn.data.dataset import Dataset, Rings
from maskrcnn.data.formats import via3, via_csv
from maskrcnn.data.formats.drafts import Draft, Skipped, Thing, assemble
from maskrcnn.data.formats.fields import listing, mapping, text
from maskrcnn.data.formats.pictures import is_file, locate
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.via_regions import Entry, Once, Region, class_of, find_class_key, parse_region
from maskrcnn.data.images import header_size
from maskrcnn.errors import FormatError

USUAL_NAMES = ("via_region_data.json", "via_region_data.csv")
"""The names under which VIA exports; the first is taken where both are there."""

_ADE20K = {"imsize", "object"}  # whose files have an entry with a file name too
_SIGNS = (b'"_via_', b'"filename"', b'"project"', b'"region"', b'"file"')


def find(place: Place) -> list[Path]:
    """List the VIA files of a place: that of the usual name, or else every JSON or CSV file that is one.

    A CSV file that names no other pictures than a JSON file beside it is its twin, and is not listed.
    Definitions of attributes are listed where there is nothing else, so that it can be said what they are.
    """
    usual = [path for name in USUAL_NAMES for path in place.files if path.name == name]
    if usual:
        return usual[:1]
    maybe = [path for path in place.ending(".json") if any(sign in place.head(path) for sign in _SIGNS)]
    documents = [path for path in maybe if _recognises(place.json(path))]
    tables = [path for path in place.ending(".csv") if via_csv.recognises(place.head(path))]
    if documents or tables:
        named = set().union(*(_names(place.json(path)) for path in documents))
        return [*documents, *(path for path in tables if not documents or via_csv.picture_names(path) - named)]
    alone = len(place.ending(".json", ".csv")) == 1
    return [path for path in maybe if alone and _has_no_pictures(place.json(path))]


def _recognises(document: object) -> bool:
    if not isinstance(document, dict):
        return False
    if isinstance(document.get("_via_img_metadata"), dict) or via3.recognises(document):
        return True
    first = next(iter(document.values()), None)
    return isinstance(first, dict) and "filename" in first and not _ADE20K & first.keys()


def _has_no_pictures(document: object) -> bool:
    """Say whether parsed JSON is what VIA writes beside annotations: definitions of attributes, settings."""
    if not isinstance(document, dict):
        return False
    return set(document) == {"region", "file"} or any(key.startswith("_via_") for key in document)


def _names(document: object) -> set[str]:
    root = document.get("_via_img_metadata", document) if isinstance(document, dict) else {}
    entries = root.values() if isinstance(root, dict) else ()
    return {str(entry.get("filename")).strip() for entry in entries if isinstance(entry, dict)}


def read(source: Path, reading: Reading, class_key: str | None = None) -> Dataset:
    """Read a VIA file; its pictures are needed, for the file does not say their sizes.

    Args:
        source: The JSON or CSV file.
        reading: What becomes of faults.
        class_key: The region attribute that holds the class; found by itself where it is one of `CLASS_KEYS`
            or the only one, or where all candidates agree on every region.

    Raises:
        AnnotationError: The file is broken, a region is not what VIA writes or has no class where others have
            one, or several attributes could be the class.
        ImageError: Pictures are missing or broken.
    """
    here, above = folders_up(source, 2)
    folders = [here, here / "images", above / "images", above]
    if source.suffix.lower() == ".csv":
        entries = via_csv.entries(source, reading)
    else:
        root = mapping(reading.json(source), str(source), "top level")
        entries = list(
            via3.entries(root, source, reading) if via3.recognises(root) else _entries(root, source, reading)
        )
        folders += _named_folders(root, here)
    objects = [region for entry in entries for region in entry.regions if isinstance(region.shape, Rings)]
    key = find_class_key(objects, source) if class_key is None else class_key
    paths = locate([entry.name for entry in entries], folders, source, replace(reading, pictures="required"))

    def draft(entry: Entry, path: Path) -> Draft:
        things = reading.each(entry.regions, lambda region: _thing(region, key))
        return Draft(entry.name, path, header_size(path), list(things))

    there = [each for each in zip(entries, paths, strict=True) if is_file(each[1])]  # what is not is reported
    drafts = reading.each(there, lambda each: draft(*each))
    return assemble(source, "via", drafts, reading)


def _thing(region: Region, key: str | None) -> Thing | Skipped:
    if isinstance(region.shape, str):
        return Skipped(region.name, region.shape)
    return Thing(region.name, class_of(region, key), region.shape)


def _named_folders(root: dict[str, object], here: Path) -> list[Path]:
    """List the folders that a project names: its default path, and where its files came from."""
    core: object = root.get("_via_settings")
    for field in ("core", "default_filepath"):
        core = core.get(field) if isinstance(core, dict) else None
    return [here / core] if isinstance(core, str) else [here / folder for folder in via3.folders(root)]


def _entries(root: dict[str, object], source: Path, reading: Reading) -> Iterator[Entry]:
    if _has_no_pictures(root) and "_via_img_metadata" not in root:
        raise FormatError(
            f"{source}: expected annotations, got definitions of attributes or settings of VIA, which name no "
            "pictures; open the exported annotations or the project"
        )
    if "_via_img_metadata" in root:
        root = mapping(root["_via_img_metadata"], str(source), "_via_img_metadata")
    once = Once()

    def parse(item: tuple[str, object]) -> Entry:
        key, value = item
        where = f"{source}: {key}"
        entry = mapping(value, where, "entry")
        name = once.check(text(entry.get("filename"), where, "filename"), where)
        return Entry(name, list(_regions(entry.get("regions"), name, source, reading)))

    return reading.each(root.items(), parse)


def _regions(value: object, picture: str, source: Path, reading: Reading) -> Iterator[Region]:
    if value is None:
        return iter(())
    where = f"{source}: {picture}"
    named = value.items() if isinstance(value, dict) else enumerate(listing(value, where, "regions"))
    return reading.each(named, lambda item: parse_region(str(item[0]), item[1], picture, source))

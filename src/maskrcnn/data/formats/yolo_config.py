"""The small files that say what a YOLO set is: `data.yaml`, Darknet's `obj.data`, and lists of class names.

YAML is read as text alone, so that a class may be called `no` or `007`; references from one part to another, with
which a few lines can swell to gigabytes, are refused.

References: docs.ultralytics.com/datasets; pjreddie.com/darknet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from maskrcnn.data.formats.fields import expected, listing, mapping, number, read_bytes, text, whole
from maskrcnn.data.formats.pictures import is_there
from maskrcnn.data.formats.texts import content
from maskrcnn.errors import AnnotationError, FormatError

SPLITS = ("train", "val", "test")
NAME_FILES = ("obj.names", "classes.txt", "classes.names", "data.names")
"""Files with a class name a line."""

_LARGEST = 1 << 18
_DEEPEST = 16
_KEY = re.compile(rb"^\s*[\"']?(names|train|val|test)[\"']?\s*:", re.MULTILINE)


@dataclass(frozen=True)
class Config:
    """What a YOLO set is.

    Attributes:
        file: Where that is said.
        names: The classes by their ids.
        root: The folder from which paths count, as the file says it; empty where it says none.
        splits: Files and folders with pictures, of each split that is named.
    """

    file: Path
    names: Mapping[int, str]
    root: str = ""
    splits: Mapping[str, list[str]] = field(default_factory=dict)


def recognises(head: bytes) -> bool:
    r"""Say whether a YAML file that starts like this describes a YOLO set.

    >>> recognises(b"train: a\nnames: [x]"), recognises(b"nc: 80\\nbackbone:")
    (True, False)
    """
    keys = {match[1] for match in _KEY.finditer(head)}
    return b"names" in keys and len(keys) > 1


def read_yaml(file: Path) -> Config:
    """Read a `data.yaml`.

    Raises:
        AnnotationError: It is broken, or its classes are not said.
    """
    root = mapping(_parsed(file), str(file), "top level")
    if "kpt_shape" in root:
        raise FormatError(f"{file}: expected boxes or outlines, got a set of key points, which have no area")
    names = _names(root.get("names"), str(file))
    count = root.get("nc")
    if count and whole(number(count, str(file), "nc"), str(file), "nc") != len(names):
        raise AnnotationError(f"{file}: nc: expected {len(names)}, as many as names, got {count}", code="F006")
    folder = root.get("path")
    splits = {split: entries for split in SPLITS if (entries := _entries(root.get(split), str(file), split))}
    return Config(file, names, folder.strip() if isinstance(folder, str) else "", splits)


def _parsed(file: Path) -> object:
    import yaml

    raw = read_bytes(file, _LARGEST)
    try:
        _check_plain(yaml.parse(raw, Loader=yaml.BaseLoader), file)
        return yaml.load(raw, Loader=yaml.BaseLoader)  # noqa: S506  # this loader makes nothing but text
    except AnnotationError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None else ""
        problem = getattr(error, "problem", None) or "it can't be read"
        raise AnnotationError(f"{file}: {line}expected YAML, got: {problem}", code="F001") from None
    except (RecursionError, ValueError) as error:
        raise AnnotationError(f"{file}: expected YAML, got: {error}", code="F001") from None


def _check_plain(events: Iterable[object], file: Path) -> None:
    """Look at YAML piece by piece before it is built, for what would take long or much memory."""
    import yaml

    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise AnnotationError(f"{file}: expected at most {_DEEPEST} levels of YAML, got more", code="F001")
        if isinstance(event, yaml.AliasEvent):
            raise AnnotationError(f"{file}: expected YAML without references, got *{event.anchor:.40}", code="F001")


def _names(value: object, where: str) -> dict[int, str]:
    if isinstance(value, dict):
        pairs = [(whole(number(key, where, "names"), where, "names"), name) for key, name in value.items()]
    else:
        pairs = list(enumerate(listing(value, where, "names")))
    return _checked({key: text(name, where, f"names[{key}]") for key, name in pairs}, where)


def _checked(names: dict[int, str], where: str) -> dict[int, str]:
    twice = [name for name in names.values() if list(names.values()).count(name) > 1] if len(names) < 10_000 else []
    if twice:
        raise AnnotationError(f"{where}: names: expected every name once, got {twice[0]!r} a second time", code="F004")
    if not names:
        raise AnnotationError(f"{where}: names: expected at least one class, got none")
    return dict(sorted(names.items()))


def _entries(value: object, where: str, split: str) -> list[str]:
    if value is None or isinstance(value, str):
        return [value.strip()] if value and value.strip() not in ("", "~", "null") else []
    if isinstance(value, list):
        return [text(entry, where, split) for entry in value]
    raise expected("a path or a list of them", value, where, split)


# Darknet


def read_data(file: Path) -> Config:
    """Read Darknet's `obj.data`, whose lines are `key = value`.

    Raises:
        AnnotationError: It is broken, or its list of names is missing.
    """
    pairs = [line.partition("=") for line in content(file, most=_LARGEST).splitlines() if "=" in line]
    values = {key.strip(): value.strip() for key, _, value in pairs}
    splits = {
        split: [values[key]]
        for split, keys in (("train", ("train",)), ("val", ("valid", "val")), ("test", ("test",)))
        for key in keys
        if values.get(key)
    }
    spelled = text(values.get("names"), str(file), "names")
    place = next(iter(nearest(spelled, [file.parent])), None)
    if place is None:
        raise AnnotationError(f"{file}: names: expected a file of class names, got no such file as {spelled}")
    return Config(file, read_names(place), "", splits)


def read_names(file: Path) -> dict[int, str]:
    """Read a list of class names, one a line.

    Raises:
        AnnotationError: It can't be read, or a name comes twice.
    """
    names = [line.strip() for line in content(file, most=_LARGEST).splitlines()]
    while names and not names[-1]:
        names.pop()
    return _checked({i: text(name, f"{file}: line {i + 1}", "name") for i, name in enumerate(names)}, str(file))


def nearest(spelled: str, folders: list[Path]) -> list[Path]:
    """Find a path that was written in another folder or on another machine, by more and more of its end."""
    parts = [part for part in spelled.replace("\\", "/").split("/") if part not in ("", ".")]
    exact = [Path(spelled)] if Path(spelled).is_absolute() else []
    places = [*exact, *(folder.joinpath(*parts[i:]) for i in range(len(parts)) for folder in folders)]
    return [place for place in places if is_there(place)][:1]

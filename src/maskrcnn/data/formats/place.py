"""A file or folder that may hold annotations, looked at once for all formats."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from maskrcnn.data.formats.fields import load_json
from maskrcnn.data.formats.json_stream import is_large, outline
from maskrcnn.data.images import natural_key
from maskrcnn.errors import AnnotationError

SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
"""Folders that are sets of their own, and not parts of one."""

_DEEPEST = 8  # folders inside each other; links can make a circle


def folders_up(path: Path, count: int) -> list[Path]:
    """List the folder that a file or folder lies in, the one above it, and so on.

    A relative path may not name them: above `annotations.json` are `.` and the folder that `.` lies in.
    """
    found: list[Path] = []
    for _ in range(count):
        path = Path(os.path.abspath(path)).parent if path.name in ("", "..") else path.parent  # noqa: PTH100
        found.append(path)
    return found


class Place:
    """What a path holds; nothing is opened before it is asked for.

    Attributes:
        path: A file or a folder that is there.
        parsed: JSON files that were parsed on the way, by their path.
        broken: What was wrong with files that should have been JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broken: list[AnnotationError] = []
        self._parsed: dict[Path, object] = {}

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.path.is_dir()

    @cached_property
    def files(self) -> list[Path]:
        """The file itself, or the visible files that lie directly in the folder, 2 before 10."""
        return self._inner[0]

    @cached_property
    def folders(self) -> list[Path]:
        """The visible folders that lie directly in the folder, 2 before 10."""
        return self._inner[1]

    @cached_property
    def _inner(self) -> tuple[list[Path], list[Path]]:
        if not self.is_folder:
            return [self.path], []
        try:
            with os.scandir(self.path) as entries:
                seen = [(Path(entry), entry.is_dir(), entry.is_file()) for entry in entries if entry.name[0] != "."]
        except OSError:  # such as a folder that nobody may look into
            return [], []
        seen.sort(key=lambda each: natural_key(each[0]))
        return [path for path, _, is_file in seen if is_file], [path for path, is_dir, _ in seen if is_dir]

    def walk(self, deepest: int = _DEEPEST, most: int | None = None) -> Iterator[Place]:
        """Go through the folder and those inside; not where these are sets of their own, as `train` and `val` are.

        Args:
            deepest: How many folders inside each other.
            most: How many of each folder; None for all.
        """
        yield self
        if deepest and not any(folder.name.lower() in SPLITS for folder in self.folders):
            for folder in self.folders[:most]:
                yield from Place(folder).walk(deepest - 1, most)

    def inside(self, name: str) -> Place | None:
        """Return the folder of this name in the folder, or None."""
        return next((Place(folder) for folder in self.folders if folder.name == name), None)

    def ending(self, *suffixes: str) -> list[Path]:
        """Return those of `files` whose suffix is one of these, such as `.json`, in any case."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def json(self, path: Path) -> object:
        """Parse a JSON file once; None where it is broken, which `broken` then says.

        Of a large one, whose parsing would take long, this is only an outline, which is not in `parsed`: the
        first keys, and the first element of each list.
        """
        if path not in self._parsed:
            try:
                self._parsed[path] = outline(path) if is_large(path) else load_json(path)
            except AnnotationError as error:
                self.broken.append(error)
                self._parsed[path] = None
        return self._parsed[path]

    def head(self, path: Path, length: int = 4096) -> bytes:
        """Return the first bytes of a file; nothing where it can't be read."""
        try:
            with path.open("rb") as file:
                return file.read(length)
        except OSError:
            return b""

    @property
    def parsed(self) -> Mapping[Path, object]:
        """JSON files that were parsed on the way, by their path."""
        return {
            path: document for path, document in self._parsed.items() if document is not None and not is_large(path)
        }

"""A file or folder that may hold annotations, looked at once for all formats."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from maskrcnn.data.formats.fields import load_json
from maskrcnn.data.formats.json_stream import is_large, outline
from maskrcnn.data.images import natural_key
from maskrcnn.errors import AnnotationError


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
        return [self.path] if not self.is_folder else [path for path in self._inner if path.is_file()]

    @cached_property
    def folders(self) -> list[Path]:
        """The visible folders that lie directly in the folder, 2 before 10."""
        return [path for path in self._inner if path.is_dir()] if self.is_folder else []

    @cached_property
    def _inner(self) -> list[Path]:
        return sorted((p for p in self.path.iterdir() if not p.name.startswith(".")), key=natural_key)

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

"""Pictures and the files that say what is on them, matched by their names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from maskrcnn.data.formats.place import Place
from maskrcnn.data.images import IMAGE_SUFFIXES, header_size, natural_key
from maskrcnn.errors import AnnotationError, ImageError

LOSSLESS = frozenset({".bmp", ".gif", ".png", ".tif", ".tiff"})
"""Suffixes of pictures that keep every value."""

_FEW = 64


def a_few(folder: Path) -> list[Path]:
    """List some of the visible files and folders in a folder, in no order, however many it holds."""
    try:
        with os.scandir(folder) as entries:
            return [Path(entry) for entry in islice((each for each in entries if each.name[0] != "."), _FEW)]
    except OSError:
        return []


def a_few_deeper(inner: Iterable[Path], folders: int) -> Iterator[Path]:
    """List a few of what lies in the first folders among the files and folders of another one."""
    for folder in islice(filter(Path.is_dir, inner), folders):
        yield from a_few(folder)


def listed(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> list[Path]:
    """List the visible files of these suffixes in a folder, 2 before 10; nothing where there is no such folder."""
    return Place(folder).ending(*suffixes) if folder.is_dir() else []


def deeply_listed(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> list[Path]:
    """List the visible files of these suffixes in a folder and all folders inside, 2 before 10."""
    paths = [Path(inner) / name for inner, _, names in os.walk(folder) for name in names if not name.startswith(".")]
    return sorted((path for path in paths if path.suffix.lower() in suffixes), key=natural_key)


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Name files without their suffix; of several with one stem the first counts."""
    named: dict[str, Path] = {}
    for path in paths:
        named.setdefault(path.stem, path)
    return named


def missing(labels: Path, stem: str, folders: Iterable[Path]) -> ImageError:
    """Return the error for a picture that is not there."""
    looked_in = ", ".join(str(folder) for folder in folders)
    return ImageError(f"{labels}: expected a picture called {stem}.*, found none in {looked_in}", code="P101")


class Pair(NamedTuple):
    """A picture and the file with its labels."""

    picture: Path
    labels: Path

    def size_hw(self) -> tuple[int, int]:
        """Return the size that both have by their headers, so that nothing absurdly large is decoded.

        Raises:
            ImageError: A file can't be read.
            AnnotationError: The sizes differ.
        """
        size_hw = header_size(self.picture)
        check_size(self.labels, header_size(self.labels), size_hw, self.picture)
        return size_hw


def check_size(labels: Path, shape: tuple[int, ...], size_hw: tuple[int, int], picture: Path) -> None:
    """Make sure that labels have the size of their picture.

    Raises:
        AnnotationError: They do not.
    """
    if shape == size_hw:
        return
    hint = "; height and width are exchanged" if shape == size_hw[::-1] else ""
    raise AnnotationError(
        f"{labels}: expected the size of {picture}, {size_hw[0]}x{size_hw[1]} (height x width), "
        f"got {shape[0]}x{shape[1]}{hint}",
        code="P103",
    )

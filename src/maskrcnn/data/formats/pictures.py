"""Where the pictures of an annotation file lie."""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import overload

from maskrcnn.data.columns import Texts
from maskrcnn.data.formats.reading import Reading, refuse
from maskrcnn.errors import ImageError, few

_FEW = 64  # names for which a folder is not listed


class Places(Sequence[Path]):
    """Where pictures lie: folders, and a name in one of them for each; a path is made when it is asked for.

    Args:
        folders: The folders.
        which: The folder of each picture.
        names: The path of each within its folder.
    """

    def __init__(self, folders: Sequence[Path], which: array[int], names: Sequence[str]) -> None:
        self._folders = folders
        self._which = which
        self._names = names

    def __len__(self) -> int:
        return len(self._which)

    @overload
    def __getitem__(self, i: int) -> Path: ...
    @overload
    def __getitem__(self, i: slice) -> list[Path]: ...
    def __getitem__(self, i: int | slice) -> Path | list[Path]:
        """Return one path, or a list of them."""
        if isinstance(i, slice):
            return [self[k] for k in range(len(self))[i]]
        return self._folders[self._which[i]] / self._names[i]


def locate(names: Sequence[str], folders: Iterable[Path], source: Path, reading: Reading) -> list[Path]:
    """Find each picture in the first folder that has it.

    Args:
        names: File names as the annotation file says them; may have folders in them.
        folders: Where to look, the likeliest first.
        source: The annotation file, for the error.
        reading: Whether pictures may be missing; one that may gets the place where it would lie.

    Raises:
        ImageError: Pictures are missing and required.
    """
    return list(places(names, folders, source, reading))


def locate_each(names: Sequence[str], folders: Sequence[Sequence[Path]], source: Path, reading: Reading) -> list[Path]:
    """Find pictures of which each has folders of its own.

    Raises:
        ImageError: Pictures are missing and required.
    """
    lenient = replace(reading, pictures="optional")
    paths = [locate([name], own, source, lenient)[0] for name, own in zip(names, folders, strict=True)]
    missing = [i for i, path in enumerate(paths) if not is_file(path)]
    if missing and reading.pictures == "required":
        everywhere = [folder for i in missing for folder in folders[i]]
        locate([names[i] for i in missing], everywhere, source, reading)
    return paths


def as_it_is(name: str) -> Sequence[str]:
    """Give the name under which a picture lies, where that is the one that a file says."""
    return (name,)


def places(
    names: Sequence[str],
    folders: Iterable[Path],
    source: Path,
    reading: Reading,
    spellings: Callable[[str], Sequence[str]] = as_it_is,
) -> Places:
    """Find each picture as `locate` does, for many pictures: each folder is listed once, and paths are not kept.

    Args:
        names: File names as the annotation file says them; may have folders in them.
        folders: Where to look, the likeliest first.
        source: The annotation file, for the error.
        reading: Whether pictures may be missing; one that may gets the place where it would lie.
        spellings: Gives the names under which a picture may lie, the likeliest first.

    Raises:
        ImageError: Pictures are missing and required.
    """
    present = [folder for folder in dict.fromkeys([*folders, source.parent]) if is_there(folder, Path.is_dir)]
    listing = _Listing(len(names) > _FEW)
    found = [_find(spellings(name), present, listing) for name in names]
    missing = [name for name, place in zip(names, found, strict=True) if place is None]
    if missing and reading.pictures == "required":
        _report(missing, len(names), present, source, reading)
    chosen = [place or (0, name) for name, place in zip(names, found, strict=True)]
    return Places(present, array("H", [which for which, _ in chosen]), Texts.of([name for _, name in chosen]))


def _report(missing: Sequence[str], of: int, looked_in: Sequence[Path], source: Path, reading: Reading) -> None:
    folders = ", ".join(str(folder) for folder in looked_in)
    if reading.fault is not refuse:
        for name in missing:
            reading.fault(ImageError(f"{source}: {name}: expected a picture, found none in {folders}", code="P101"))
        return
    raise ImageError(
        f"{source}: {len(missing)} of {of} pictures are missing: {few(missing, 3)}; looked in {folders}", code="P101"
    )


def _find(names: Sequence[str], folders: Sequence[Path], listing: _Listing) -> tuple[int, str] | None:
    for spelling in _variants(names):
        for which, folder in enumerate(folders):
            if listing.has(folder, spelling):
                return which, spelling
    return None


def _variants(names: Sequence[str]) -> Iterator[str]:
    """Give a picture's names as they are, with slashes for backslashes, and the ends of absolute paths."""
    yield from names
    yield from (name.replace("\\", "/") for name in names if "\\" in name)
    yield from (PureWindowsPath(name).name for name in names if _is_absolute(name))


def _is_absolute(name: str) -> bool:
    if "/" not in name and "\\" not in name:
        return False
    return Path(name).is_absolute() or PureWindowsPath(name).is_absolute()


class _Listing:
    """What files folders hold: asked of the system one by one, or read folder by folder.

    A list knows nothing of the names that a file system takes for the same, such as those in another case. So
    a name that is not in it is asked for all the same, until the system has often agreed.
    """

    def __init__(self, read_folders: bool) -> None:
        self._read_folders = read_folders
        self._files: dict[str, frozenset[str]] = {}
        self._agreed: dict[str, int] = {}

    def has(self, folder: Path, name: str) -> bool:
        """Say whether a folder has a file of this name, which may have folders in it."""
        if not self._read_folders:
            return is_file(folder / name)
        inner, last = str(folder), name
        if "/" in name or os.sep in name:
            inner, last = os.path.split(os.path.join(inner, name))  # noqa: PTH118  # many times faster than Path
        if inner not in self._files:
            self._files[inner], self._agreed[inner] = _files(inner), 0
        if last in self._files[inner]:
            return True
        if self._agreed[inner] >= _FEW:
            return False
        found = is_file(folder / name)
        self._agreed[inner] += -sys.maxsize if found else 1
        return found


def _files(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except (OSError, ValueError):
        return frozenset()


def is_there(path: Path, kind: Callable[[Path], bool] = Path.exists) -> bool:
    """Say whether a path that a file names is there; what can be no name, such as a very long one, is not."""
    try:
        return kind(path)
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Say whether a path that a file names is a file that is there."""
    return is_there(path, Path.is_file)

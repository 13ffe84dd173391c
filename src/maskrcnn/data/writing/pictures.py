"""The pictures of a written set: their names, and how they come there.

A plain file is copied byte for byte, linked, or named where it lies. What is no plain file (a picture inside of an
archive, a band of a map) is written with the values that it reads as: PNG where that holds them, TIFF otherwise. So
is a picture that EXIF turns, for a format whose usual readers do not look at EXIF, as annotations are for the upright
one. Links are symbolic: they reach other file systems, and show where they lead.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Record
from maskrcnn.data.images import IMAGE_SUFFIXES, header, read_image
from maskrcnn.data.writing.how import Placing
from maskrcnn.errors import ImageError, OutputError
from maskrcnn.files import replacing, writing

Exif = Literal["kept", "undone"]

_COMPRESSION = 3


class Naming(NamedTuple):
    """What has to differ between the names of two pictures.

    Attributes:
        shaped: Makes the name that a format wants.
        keys: What a name takes for itself, so that no other may have it.
    """

    shaped: Callable[[PurePosixPath], PurePosixPath]
    keys: Callable[[PurePosixPath], Iterable[str]]


WHOLE = Naming(lambda name: name, lambda name: [str(name)])
"""Names as they are: the format says a picture's whole name."""

STEM = Naming(lambda name: name, lambda name: [str(name.with_suffix(""))])
"""Folders are kept, and two names differ without their suffix too: the format has one file a picture."""

FLAT = Naming(lambda name: PurePosixPath("-".join(name.parts)), lambda name: [name.stem])
"""One folder for all: names of folders become a part of the file's name."""


class Names:
    """Gives names of which no two are alike, for file systems that do not tell `a` from `A` too."""

    def __init__(self, naming: Naming = WHOLE) -> None:
        self._naming = naming
        self._taken: set[str] = set()

    def give(self, wanted: PurePosixPath) -> PurePosixPath:
        """Return the name as the format wants it, numbered where it is taken."""
        first = given = self._naming.shaped(wanted)
        number = 1
        while not self._taken.isdisjoint(keys := {key.casefold() for key in self._naming.keys(given)}):
            number += 1
            given = first.with_name(f"{first.stem}-{number}{first.suffix}")
        self._taken |= keys
        return given


def inside(name: str) -> PurePosixPath:
    r"""Return a name with forward slashes that stays inside its folder.

    >>> inside(r"C:\photos\..\cat.jpg"), inside("/a/b.png")
    (PurePosixPath('photos/cat.jpg'), PurePosixPath('a/b.png'))
    """
    pieces = [piece for piece in name.replace("\\", "/").split("/") if piece not in ("", ".", "..")]
    if pieces and len(pieces[0]) == 2 and pieces[0].endswith(":"):
        pieces = pieces[1:]
    return PurePosixPath(*pieces) if pieces else PurePosixPath("picture")


class Pictures:
    """Puts the pictures of a set into a folder, one by one.

    Args:
        folder: Where they go.
        way: `copy`; `link`; `keep`, then plain files are named where they are; or `none`, then only names are given.
        exif: `kept` where the format's readers turn pictures by EXIF, `undone` where they may not.
        naming: What has to differ between the names of two pictures.
    """

    def __init__(self, folder: Path, way: Placing, exif: Exif, naming: Naming = WHOLE) -> None:
        self.folder, self._way, self._exif = folder, way, exif
        self._names = Names(naming)
        self._folders: dict[Path, Path] = {}  # most pictures of a set are in the same few

    def put(self, record: Record) -> PurePosixPath:
        """Put a picture where it belongs unless it is there already, and return its name below the folder.

        One that is kept has the way to it from the folder above instead, where the annotation file is.

        Raises:
            ImageError: The picture is missing or broken.
            OutputError: It can't be written.
        """
        if self._way == "none":
            return self._name(inside(record.name))
        if self._way == "keep" and record.read is read_image:
            return PurePosixPath(self._way_to(record.path))
        if not self._is_taken_as_it_is(record):
            pixels = record.read(record.path)
            name = self._name(_with_suffix(record.name, suffix_for(pixels)))
            if not (self.folder / name).is_file():
                with replacing(self.folder / name) as temporary:
                    save(temporary, pixels)
            return name
        name = self._name(_with_its_suffix(record))
        if self._way == "link":
            _link(record.path, self.folder / name)
        else:
            _copy(record.path, self.folder / name)
        return name

    def _name(self, wanted: PurePosixPath) -> PurePosixPath:
        again = len(wanted.parts) > 1 and wanted.parts[0] == self.folder.name  # no `images/images`
        return self._names.give(PurePosixPath(*wanted.parts[1:]) if again else wanted)

    def _way_to(self, path: Path) -> str:
        """Return how to get to a file from the folder above, with slashes; the whole path where there is no way."""
        try:
            way = os.path.relpath(self._resolved(path.parent) / path.name, self._resolved(self.folder.parent))
        except ValueError:  # another drive
            return str(path.absolute())
        return Path(way).as_posix()

    def _resolved(self, folder: Path) -> Path:
        if folder not in self._folders:
            self._folders[folder] = folder.resolve()
        return self._folders[folder]

    def _is_taken_as_it_is(self, record: Record) -> bool:
        if record.read is not read_image:
            return False
        return self._exif == "kept" or header(record.path).orientation == 1


def _with_suffix(name: str, suffix: str) -> PurePosixPath:
    path = inside(name)
    is_file = path.suffix.lower() in IMAGE_SUFFIXES
    return path.with_suffix(suffix) if is_file else path.with_name(f"{path.name}{suffix}")


def _with_its_suffix(record: Record) -> PurePosixPath:
    """Return the name of a picture; one that does not say what kind of file it is gets the file's suffix."""
    path, suffix = inside(record.name), record.path.suffix
    says = path.suffix.lower() in IMAGE_SUFFIXES or path.suffix == suffix
    return path if says else path.with_name(f"{path.name}{suffix}")


def _copy(source: Path, target: Path) -> None:
    if target.is_file() and not target.is_symlink() and target.stat().st_size == _size(source):
        return
    with replacing(target) as temporary:
        try:
            shutil.copyfile(source, temporary)
        except FileNotFoundError:
            raise ImageError(f"{source}: expected a picture, got no such file", code="P101") from None


def _size(source: Path) -> int:
    try:
        return source.stat().st_size
    except FileNotFoundError:
        raise ImageError(f"{source}: expected a picture, got no such file", code="P101") from None
    except OSError as error:
        raise ImageError(f"{source}: expected a picture: {error.strerror}", code="P101") from None


def _link(source: Path, target: Path) -> None:
    _size(source)  # a link may lead nowhere
    if target.is_file() and target.samefile(source):
        return
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(source.resolve())
    except OSError as error:
        raise OutputError(
            f"{target}: could not be linked to {source}: {error.strerror}; take --pictures copy"
        ) from error


# Pixels


def suffix_for(pixels: NDArray[np.generic]) -> str:
    """Return `.png` for what a PNG file gives back as it is, (H, W, bands), and `.tif` for everything else."""
    return ".png" if (pixels.dtype.name, pixels.shape[2]) in (("uint8", 3), ("uint16", 1)) else ".tif"


def save(path: Path, pixels: NDArray[np.generic]) -> None:
    """Write a picture of any bands and dtype, (H, W, bands), as the suffix says."""
    (write_png if path.suffix == ".png" else write_tiff)(path, pixels)


def write_png(path: Path, pixels: NDArray[np.generic]) -> None:
    """Write a picture of 1, 3 or 4 bands, (H, W, bands), as PNG."""
    from PIL import Image

    plain = np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    Image.fromarray(plain).save(path, format="PNG", compress_level=_COMPRESSION)


def write_tiff(path: Path, pixels: NDArray[np.generic]) -> None:
    """Write a picture of any bands and dtype, (H, W, bands), with deflate."""
    from tifffile import imwrite

    bands = pixels.shape[2]
    if bands == 1:
        imwrite(path, pixels[..., 0], photometric="minisblack", compression="zlib", metadata=None)
    else:
        colours = "rgb" if bands == 3 and pixels.dtype.kind == "u" else "minisblack"
        imwrite(path, pixels, photometric=colours, planarconfig="contig", compression="zlib", metadata=None)

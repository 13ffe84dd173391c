"""Files that are whole or not there: written beside their place, then moved onto it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from maskrcnn.errors import OutputError

CACHE = "MASKRCNN_CACHE"
"""The environment variable that names the cache folder."""

_MOST_LETTERS = 200  # of a name that becomes a longer one; file systems end at 255
_HINTS = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EDQUOT: "free some space or choose another folder",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.ENOTDIR: "a part of its path is a file",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; what is written there becomes `path` when the block ends well.

    Missing folders are made. A block that fails leaves nothing behind, and an older `path` untouched; one that is
    killed leaves `.name.*` beside it.

    Raises:
        OutputError: The folder can't be made or written, or the disk is full.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name[:_MOST_LETTERS]}.{token_hex(4)}{path.suffix}")
        temporary.touch(exist_ok=False)
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write into a sentence.

    Raises:
        OutputError: What could not be written, why, and a hint where one is certain.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        hint = f"; {_HINTS[error.errno]}" if error.errno in _HINTS else ""
        raise OutputError(f"{path}: could not be written: {error.strerror or error}{hint}") from error


def make_folder(path: Path) -> None:
    """Make a folder, or find that it is there, and that a file can be written in it.

    A job that takes long asks this first, so that its results have a place when they are there.

    Raises:
        OutputError: Something else is there, or nothing can be written there.
    """
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: expected a folder, got a file; choose another folder")
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{token_hex(8)}"
        probe.touch(exist_ok=False)
        probe.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, whole or not at all, and of the same bytes on every system.

    Raises:
        OutputError: It can't be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def cache_folder() -> Path:
    """Return the folder that keeps what was fetched or unpacked: `MASKRCNN_CACHE`, or the system's place for that."""
    if os.environ.get(CACHE):
        return Path(os.environ[CACHE]).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "maskrcnn" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/maskrcnn"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maskrcnn"

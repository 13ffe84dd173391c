"""Files that are whole or not there: written beside their place, then moved onto it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskrcnn.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; what is written there becomes `path` when the block ends well.

    Missing folders are made. A block that fails leaves nothing behind, and an older `path` untouched.

    Raises:
        OutputError: The folder can't be made or written, or the disk is full.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
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
        hint = "; free some space or choose another folder" if error.errno == errno.ENOSPC else ""
        raise OutputError(f"{path}: could not be written: {error.strerror or error}{hint}") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, whole or not at all.

    Raises:
        OutputError: It can't be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

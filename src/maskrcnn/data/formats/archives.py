"""Archives of sets: unpacked once into the cache folder, and nowhere else.

An archive is somebody else's: it may name files outside of its folder, hold links and devices, or unpack to a
thousand times its size. Names and kinds are checked before a file is written, sizes while it is.

References: APPNOTE.TXT 6.3.10 (zip); POSIX.1-2001 (pax), GNU tar.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import io
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import IO, NamedTuple, cast

from filelock import FileLock

from maskrcnn.errors import AnnotationError
from maskrcnn.files import cache_folder, make_folder, writing

MOST_FILES = 2_000_000
MOST_GROWTH = 200
"""How many times its own size an archive may unpack to, once that is more than `USUAL_BYTES`."""

USUAL_BYTES = 1 << 30

_KEPT_FREE = 1 << 28  # bytes of the disk
_LONGEST_HEAD = 1 << 24  # bytes that the reader of a tar may want at once
_CHUNK = 1 << 18
_DEEPEST_TOP = 3
_MAC_NOTES = "__MACOSX"
_DRIVE = re.compile(r"^[A-Za-z]:")
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_ENCRYPTED, _UTF8 = 0x1, 0x800  # flags of a zip's entry

_OPENERS: dict[str, Callable[[Path], object]] = {
    ".tar": io.FileIO,
    ".tar.gz": gzip.GzipFile,
    ".tgz": gzip.GzipFile,
    ".tar.bz2": bz2.BZ2File,
    ".tar.xz": lzma.LZMAFile,
}
SUFFIXES = (".zip", *_OPENERS)
"""Endings of the archives that are unpacked."""


class _File(NamedTuple):
    name: str
    content: IO[bytes]


def unpacked(path: Path) -> Path:
    """Return the folder that an archive was unpacked to; any other path comes back as it is.

    A folder that is alone at the top is entered. Behind the archive may stand a folder or file inside it, as in
    `balloon.zip/train`. An archive that was unpacked before is not unpacked again.

    Raises:
        AnnotationError: The archive is unsafe, encrypted, cut off or broken.
        OutputError: The cache folder can't be written, or has no room.
    """
    archive = next((place for place in (path, *path.parents) if _is_archive(place)), None)
    if archive is None:
        return path
    folder = _unpack(archive)
    inner = path.relative_to(archive)
    top = _top(folder)
    return folder / inner if (folder / inner).exists() and inner.parts else top / inner


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


def _top(folder: Path) -> Path:
    for _ in range(_DEEPEST_TOP):
        visible = [inner for inner in folder.iterdir() if not inner.name.startswith(".")]
        if len(visible) != 1 or not visible[0].is_dir():
            break
        folder = visible[0]
    return folder


def _unpack(archive: Path) -> Path:
    place = cache_folder() / "sets"
    make_folder(place)
    target = place / _name(archive)
    if target.is_dir():  # whole, as it got its name when it was
        return target
    with writing(target), FileLock(place / ".lock"):
        if target.is_dir():
            return target
        for rest in place.glob(f".{target.name}.*.part"):  # of a call that was killed
            shutil.rmtree(rest)
        unfinished = place / f".{target.name}.{token_hex(4)}.part"
        unfinished.mkdir()
        try:
            _write_all(archive, unfinished)
            unfinished.rename(target)
        except BaseException:
            shutil.rmtree(unfinished)
            raise
    return target


def _name(archive: Path) -> str:
    """Name the folder of an archive: another one for every state of the file."""
    about = archive.stat()
    key = f"{archive.resolve()}\0{about.st_size}\0{about.st_mtime_ns}"
    stem = re.sub(r"[^\w-]+", "-", archive.name.split(".")[0])[:60]
    return f"{stem}-{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:16]}"


def _write_all(archive: Path, folder: Path) -> None:
    files = _zipped if archive.name.lower().endswith(".zip") else _tarred
    budget = _Budget(archive, folder)
    seen: set[PurePosixPath] = set()
    with _sentences(archive):
        for file in files(archive, budget):
            inner = _safe(file.name, archive)
            if inner in seen:
                raise AnnotationError(f"{archive}: {inner}: expected every file once, got it twice", code="F004")
            seen.add(inner)
            place = folder / inner
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as out:
                while chunk := file.content.read(_CHUNK):
                    budget.spend(len(chunk))
                    out.write(chunk)


class _Budget:
    """What an archive may take: of the disk, and in proportion to its own size."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self._archive = archive
        self._free = shutil.disk_usage(folder).free - _KEPT_FREE
        self._most = max(USUAL_BYTES, MOST_GROWTH * archive.stat().st_size)
        self._spent = 0
        self._files = 0

    def check(self, size: int) -> None:
        """Refuse an archive that unpacks to so many bytes."""
        if size > self._most:
            raise _unsafe(self._archive, f"at most {self._most >> 20:,} MiB when unpacked, got more")
        if size > self._free:
            raise AnnotationError(
                f"{self._archive}: expected room for {size >> 20:,} MiB in {cache_folder()}, got "
                f"{max(self._free, 0) >> 20:,} MiB; free some, or set MASKRCNN_CACHE to another disk",
                code="F007",
            )

    def spend(self, size: int) -> None:
        """Count bytes that are written."""
        self._spent += size
        self.check(self._spent)

    def count(self) -> None:
        """Count a file or folder."""
        self._files += 1
        if self._files > MOST_FILES:
            raise _unsafe(self._archive, f"at most {MOST_FILES:,} files, got more")


def _unsafe(archive: Path, what: str) -> AnnotationError:
    return AnnotationError(f"{archive}: expected {what}; nothing was unpacked", code="F007")


def _safe(name: str, archive: Path) -> PurePosixPath:
    """Return where a file goes, below the folder of the set."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or _DRIVE.match(name) or "\0" in name or not path.parts:
        raise _unsafe(archive, f"files inside of one folder, got {name!r}")
    return path


@contextmanager
def _sentences(archive: Path) -> Iterator[None]:
    """Say what is wrong with an archive."""
    try:
        yield
    except AnnotationError:
        raise
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the disk's refusal; a broken stream has no number, or seeks amiss
            raise
        raise _broken(archive, error) from None
    except Exception as error:  # the readers raise whatever their own slip is: struct.error, KeyError, zlib.error
        raise _broken(archive, error) from None


def _broken(archive: Path, error: Exception) -> AnnotationError:
    why = str(error) or "it ends too soon"
    return AnnotationError(f"{archive}: expected a whole archive, got a broken one: {why}", code="F001")


# Kinds


def _zipped(archive: Path, budget: _Budget) -> Iterator[_File]:
    with zipfile.ZipFile(archive) as file:
        entries = [entry for entry in file.infolist() if not entry.filename.startswith(_MAC_NOTES)]
        for entry in entries:
            budget.count()
            _check_entry(entry, archive)
        budget.check(sum(entry.file_size for entry in entries))
        for entry in entries:
            if not entry.is_dir():
                with file.open(entry) as content:
                    yield _File(_spelling(entry), content)


def _check_entry(entry: zipfile.ZipInfo, archive: Path) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _unsafe(archive, f"files and folders only, got a link or device {entry.filename!r}")
    if not entry.is_dir():
        _safe(_spelling(entry), archive)
    if entry.flag_bits & _ENCRYPTED:
        raise AnnotationError(
            f"{archive}: {entry.filename}: expected an archive without a password, got an encrypted one; unpack it "
            "yourself and name the folder",
            code="F001",
        )
    if entry.compress_type not in _METHODS:
        raise AnnotationError(
            f"{archive}: {entry.filename}: expected deflate, bzip2 or lzma, got compression {entry.compress_type}; "
            "unpack it yourself and name the folder",
            code="F001",
        )


def _spelling(entry: zipfile.ZipInfo) -> str:
    """Return the name of an entry, which many programs write as UTF-8 or Shift JIS without saying so."""
    if entry.flag_bits & _UTF8 or entry.filename.isascii():
        return entry.filename
    raw = entry.filename.encode("cp437", "replace")
    for encoding in ("utf-8", "cp932"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return entry.filename


def _tarred(archive: Path, budget: _Budget) -> Iterator[_File]:
    ending = next(suffix for suffix in _OPENERS if archive.name.lower().endswith(suffix))
    with cast(IO[bytes], _OPENERS[ending](archive)) as plain:
        stream = cast(IO[bytes], _Metered(plain, archive, budget))
        with tarfile.open(fileobj=stream, mode="r:") as file:
            for entry in file:
                budget.count()
                if not (entry.isreg() or entry.isdir()) or entry.issparse():
                    raise _unsafe(archive, f"files and folders only, got a link or device {entry.name!r}")
                content = file.extractfile(entry)
                if content is not None and not entry.name.startswith(_MAC_NOTES):
                    yield _File(entry.name, content)
                file.members = []  # type: ignore[attr-defined]  # which would hold every entry to the end


class _Metered:
    """A decompressed stream that gives no more at once than a head may need, and no more in all than is allowed."""

    def __init__(self, file: IO[bytes], archive: Path, budget: _Budget) -> None:
        self._file, self._archive, self._budget = file, archive, budget

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_HEAD:
            raise _unsafe(self._archive, f"heads of at most {_LONGEST_HEAD >> 20} MiB, got a longer one")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._budget.check(offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

"""Files that are fetched from the web once and kept: resumed where they were cut, checked, and whole or not there.

A proxy is taken from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), as by other programs.

References: RFC 9110, 13.1.5 (If-Range), 14 (range requests) and 15.3.7 (partial content).
"""

from __future__ import annotations

import hashlib
import http.client
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urldefrag, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, url2pathname

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from maskrcnn.errors import OutputError, WeightsError
from maskrcnn.files import CACHE, cache_folder, writing
from maskrcnn.version import __version__

PAUSES = (0.5, 2.0, 5.0)  # seconds before the next try, as long as nothing more arrives
PATIENCE = 30.0  # seconds without a byte after which a connection counts as cut
_CHUNK = 1 << 18
_BUSY = (408, 425, 429)
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")

Advance = Callable[[int, int | None], None]  # bytes that are there, bytes in all where known


class Checksum(NamedTuple):
    """What is published of a file's hash.

    Attributes:
        kind: Which hash.
        start: Its first hexadecimal digits, or all of them.
    """

    kind: Literal["sha256", "md5"]
    start: str

    def __str__(self) -> str:
        """Write it as the fragment of an address does, `sha256=bf2d0c1e`."""
        return f"{self.kind}={self.start}"

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """Read `sha256=bf2d0c1e` or `md5=f10217`.

        >>> Checksum.parse("sha256=bf2d0c1e").start
        'bf2d0c1e'

        Raises:
            WeightsError: It is neither.
        """
        if not re.fullmatch(r"sha256=[0-9a-f]{6,64}|md5=[0-9a-f]{6,32}", text):
            raise WeightsError(f"#{text}: expected a checksum such as #sha256=bf2d0c1e, got something else")
        kind, _, start = text.partition("=")
        return cls("md5" if kind == "md5" else "sha256", start)


class _CutError(Exception):
    """The server or the network gave up before the end; another try may go on."""


# ---- places


def place_of(url: str) -> Path:
    """Return where in the cache the file of an address lies, whether it is there or not.

    >>> place_of("https://example.org/zoo/model.pth").relative_to(cache_folder()).as_posix()
    'example.org/zoo/model.pth'
    """
    url = urldefrag(url).url
    parts = urlsplit(url)
    names = [part for part in parts.path.split("/") if part] or ["index"]
    safe = [re.sub(r"[^\w.-]|^\.+$", "_", name) for name in names]
    if parts.query or parts.path != "/".join(["", *safe]):  # two addresses must not share a place
        safe[-1] = f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{safe[-1]}"
    return cache_folder().joinpath(re.sub(r"[^\w.-]", "_", parts.netloc), *safe)


# ---- fetching


def fetch(url: str, *, checksum: Checksum | None = None) -> Path:
    """Return the file of an address, fetched unless the cache has it.

    A fetch that was cut goes on where it stopped. Of two processes that want the same file one fetches, and the other
    waits. A bar on stderr shows it on a terminal, one line elsewhere.

    Args:
        url: An address of https or http, or of a file on this machine; `#sha256=...` at its end is a checksum.
        checksum: What is published of the file's hash; looked at every time the file is asked for.

    Raises:
        WeightsError: There is no such file, no network, or the hash is another one.
        OutputError: The cache can't be written, or the disk is full.
    """
    url, fragment = urldefrag(url)
    checksum = checksum or (Checksum.parse(fragment) if fragment else None)
    parts = urlsplit(url)
    if parts.scheme == "file":
        target = Path(url2pathname(parts.path))
        if not target.is_file():
            raise WeightsError(f"{url}: expected a file, got nothing there")
    elif parts.scheme in ("https", "http") and parts.netloc:
        target = place_of(url)
        if not target.is_file():
            _fetch_alone(url, target, checksum)
            return target
    else:
        raise WeightsError(f"{url}: expected an address that begins with https://, http:// or file://")
    _check_kept(target, checksum)
    return target


def _check_kept(path: Path, checksum: Checksum | None) -> None:
    if checksum and (found := _other_hash(path, checksum)):
        raise WeightsError(
            f"{path}: expected a file whose {checksum.kind} begins with {checksum.start}, got {found}; "
            "remove it to fetch it anew"
        )


def _other_hash(path: Path, checksum: Checksum) -> str | None:
    """Return the start of the file's hash where it is not the published one."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(checksum.kind, usedforsecurity=False)).hexdigest()
    return None if digest.startswith(checksum.start) else digest[: len(checksum.start)]


def _fetch_alone(url: str, target: Path, checksum: Checksum | None) -> None:
    """Fetch while no other process does; where one was quicker, take what it left."""
    with _locked(target):
        if target.is_file():
            _check_kept(target, checksum)
            return
        part = target.with_name(f"{target.name}.part")
        if checksum is None:  # nothing would tell that an old part belongs to another version
            part.unlink(missing_ok=True)
        _fill(url, part, target, checksum)
        with writing(target):
            part.replace(target)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    lock = FileLock(f"{target}.lock")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0.1)
        except Timeout:
            _say(f"waiting for another process that fetches {target.name}")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fill(url: str, part: Path, target: Path, checksum: Checksum | None) -> None:
    """Fetch into `part` until it is whole and has the published hash."""
    _say(f"fetching {url}")
    source = _Source(url, part, target, trusted=checksum is not None)
    resumed = part.exists()
    while True:
        with _bar(target.name) as advance:
            source.take_all(advance)
        found = _other_hash(part, checksum) if checksum else None
        if checksum is None or found is None:
            return
        part.unlink()
        if not resumed:
            raise WeightsError(
                f"{url}: expected a file whose {checksum.kind} begins with {checksum.start}, got {found}; "
                "the file there was changed, or something on the way changes it"
            )
        resumed = False  # what was there may have been of another file: once more from the beginning


class _Source:
    """One address, given piece by piece.

    Args:
        url: Where from.
        part: What has arrived so far; it grows.
        target: Where a person without a network would put the file.
        trusted: Whether a hash will tell that all pieces are of one file; else the server has to say so.
    """

    def __init__(self, url: str, part: Path, target: Path, *, trusted: bool) -> None:
        self.url, self.part, self.target, self.trusted = url, part, target, trusted
        self.validator = ""  # what the server calls this version of the file
        self.reached = False

    def take_all(self, advance: Advance) -> None:
        """Fetch to the end, trying again after a cut as long as there is hope."""
        failures = 0
        while True:
            before = self._size()
            try:
                self._take(before, advance)
            except _CutError as cut:
                failures = 1 if self._size() > before else failures + 1
                if failures > len(PAUSES):
                    kept = "what arrived is kept, the same command goes on there" if self.trusted else "try again"
                    raise WeightsError(f"{self.url}: could not be fetched: {cut}; {kept}") from None
                time.sleep(PAUSES[failures - 1])
            else:
                return

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _take(self, have: int, advance: Advance) -> None:
        """Ask for what is missing and append it; `part` may turn out to be whole already."""
        if not (self.trusted or self.validator):
            have = 0
        with self._open(have) as response:
            if response.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._settle(have, response)
                return
            have = self._begin(have, response)
            length = response.headers.get("Content-Length")
            total = have + int(length) if length else None
            self._check_room(total, have)
            with writing(self.part), self.part.open("ab" if have else "wb") as file:
                for chunk in _chunks(response):
                    file.write(chunk)
                    have += len(chunk)
                    advance(have, total)
        if total is not None and have < total:
            raise _CutError(f"the connection was cut after {have} of {total} bytes")

    def _settle(self, have: int, response: Any) -> None:
        """Decide on a part that the server has nothing to add to: whole, or of another file."""
        if response.headers.get("Content-Range") != f"bytes */{have}":
            self.part.unlink()
            raise _CutError("the part that was there does not belong to the file")

    def _begin(self, have: int, response: Any) -> int:
        """Return how many bytes go before what the server sends; 0 where it sends the whole file instead."""
        etag = response.headers.get("ETag", "")
        self.validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
        if response.status != http.client.PARTIAL_CONTENT:
            return 0
        found = _RANGE.match(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != have:
            self.part.unlink(missing_ok=True)
            raise _CutError("the server sent another piece than it was asked for")
        return have

    def _check_room(self, total: int | None, have: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if total is not None and total - have > free:
            raise OutputError(
                f"{self.target}: could not be written: {_megabytes(total - have)} are missing and "
                f"{_megabytes(free)} are free; free some space or set {CACHE} to another folder"
            )

    def _open(self, have: int) -> Any:
        request = Request(self.url, headers={"User-Agent": f"maskrcnn/{__version__}"})  # noqa: S310 - https or http
        if have:
            request.add_header("Range", f"bytes={have}-")
            if self.validator:
                request.add_header("If-Range", self.validator)
        try:
            response = build_opener(_Redirects).open(request, timeout=PATIENCE)
        except HTTPError as error:
            return self._refused(error)
        except (OSError, http.client.HTTPException) as error:
            reason = _reason(error)
            if self.reached:
                raise _CutError(reason) from None
            raise WeightsError(
                f"{self.url}: could not be reached: {reason}; behind a proxy set HTTPS_PROXY, "
                f"without a network put the file at {self.target}"
            ) from None
        self.reached = True
        return response

    def _refused(self, error: HTTPError) -> HTTPError:
        """Turn a server's no into a sentence, or into another try where it is only busy."""
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return error
        error.close()
        if error.code in _BUSY or error.code >= http.client.INTERNAL_SERVER_ERROR:
            raise _CutError(f"the server said {error.code} {error.reason}")
        raise WeightsError(f"{self.url}: expected a file, got {error.code} {error.reason}; check the address") from None


class _Redirects(HTTPRedirectHandler):
    """Follows from http to https, never back, and to nothing else."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        allowed = ("https",) if req.type == "https" else ("https", "http")
        if urlsplit(newurl).scheme not in allowed:
            raise HTTPError(req.full_url, code, f"{msg} to {newurl}, which is not followed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _chunks(response: Any) -> Iterator[bytes]:
    """Give what arrives until the end, or until the connection breaks."""
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _CutError(_reason(error)) from None
        if not chunk:
            return
        yield chunk


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, URLError) else error
    words = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return str(words)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"


# ---- words


def _console() -> Console:
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def _say(line: str) -> None:
    _console().print(line, soft_wrap=True)


@contextmanager
def _bar(name: str) -> Iterator[Advance]:
    console = _console()
    columns = (
        *(TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn()),
        *(TransferSpeedColumn(), TimeRemainingColumn()),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

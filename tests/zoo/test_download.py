"""What fetching does against a server on this machine: resumes, checks, lands whole, and says what went wrong."""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from maskrcnn.errors import OutputError, WeightsError
from maskrcnn.files import cache_folder
from maskrcnn.zoo import download
from maskrcnn.zoo.download import Checksum, fetch, place_of

CONTENT = bytes(range(256)) * 40
OTHER = CONTENT[::-1]
SHA256 = Checksum("sha256", hashlib.sha256(CONTENT).hexdigest()[:8])
MD5 = Checksum("md5", hashlib.md5(CONTENT).hexdigest()[:6])


class Asked(NamedTuple):
    path: str
    range: str | None
    if_range: str | None


class Server(ThreadingHTTPServer):
    """Serves `CONTENT` under any path; the path's first part says how it misbehaves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[Asked] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self.server.asked.append(Asked(self.path, self.headers["Range"], self.headers["If-Range"]))
        way = self.path.removeprefix("http://nowhere.invalid").split("/")[1]
        getattr(self, f"_{way}", self._plain)()

    @property
    def first(self) -> bool:
        return len(self.server.asked) == 1

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        fields = {"Content-Length": str(len(body)), **{name.replace("_", "-"): text for name, text in headers.items()}}
        for name, text in fields.items():
            if text:
                self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def _plain(self, content: bytes = CONTENT, **headers: str) -> None:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if found is None:
            self._send(200, content, **headers)
        elif int(found[1]) >= len(content):
            self._send(416, b"", Content_Range=f"bytes */{len(content)}")
        else:
            start = int(found[1])
            body = content[start:]
            self._send(206, body, Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}", **headers)

    def _half(self, **headers: str) -> None:
        """Promise everything and hang up after a half."""
        self._send(200, CONTENT[: len(CONTENT) // 2], Content_Length=str(len(CONTENT)), **headers)
        self.close_connection = True

    def _cut(self) -> None:
        self._half() if self.first else self._plain()

    def _etag(self) -> None:
        self._half(ETag='"one"') if self.first else self._plain(ETag='"one"')

    def _rangeless(self) -> None:
        self._half() if self.first else self._send(200, CONTENT)

    def _astray(self) -> None:
        """Answer a range with another piece, once."""
        if len(self.server.asked) == 2:
            self._send(206, CONTENT[7:], Content_Range=f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self._cut()

    def _chunked(self) -> None:
        self._send(
            200, b"%x\r\n%s\r\n0\r\n\r\n" % (len(CONTENT), CONTENT), Content_Length="", Transfer_Encoding="chunked"
        )

    def _never(self) -> None:
        self._send(200, b"", Content_Length=str(len(CONTENT)))
        self.close_connection = True

    def _busy(self) -> None:
        self._send(503, b"") if self.first else self._plain()

    def _missing(self) -> None:
        self._send(404, b"<html>not here</html>")

    def _moved(self) -> None:
        self._send(302, b"", Location="/plain/model.pth")

    def _astray_scheme(self) -> None:
        self._send(302, b"", Location="ftp://127.0.0.1/model.pth")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("MASKRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0, 0.0))
    return tmp_path / "cache"


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


# ---- what works


@pytest.mark.parametrize("checksum", [None, SHA256, MD5])
@pytest.mark.parametrize("way", ["plain", "cut", "etag", "rangeless", "astray", "chunked", "busy", "moved"])
def test_the_file_arrives_whole_whatever_the_server_does(
    server: Server, cache: Path, way: str, checksum: Checksum | None
) -> None:
    path = fetch(f"{server.url}/{way}/model.pth", checksum=checksum)
    assert path.read_bytes() == CONTENT
    assert path == place_of(f"{server.url}/{way}/model.pth")
    assert kept(cache) == ["model.pth"]


def test_it_is_fetched_once(server: Server) -> None:
    first = fetch(f"{server.url}/plain/model.pth", checksum=SHA256)
    assert fetch(f"{server.url}/plain/model.pth", checksum=SHA256) == first
    assert len(server.asked) == 1


def test_a_cut_connection_goes_on_where_it_stopped(server: Server) -> None:
    fetch(f"{server.url}/cut/model.pth", checksum=SHA256)
    assert [asked.range for asked in server.asked] == [None, f"bytes={len(CONTENT) // 2}-"]


def test_without_a_hash_it_goes_on_only_where_the_server_names_its_version(server: Server) -> None:
    fetch(f"{server.url}/etag/model.pth")
    assert [(asked.range, asked.if_range) for asked in server.asked] == [
        (None, None),
        (f"bytes={len(CONTENT) // 2}-", '"one"'),
    ]
    server.asked.clear()
    fetch(f"{server.url}/cut/model.pth")
    assert [asked.range for asked in server.asked] == [None, None]


@pytest.mark.parametrize("size", [1, 300, len(CONTENT)])
def test_a_part_that_an_earlier_command_left_is_used(server: Server, size: int) -> None:
    place = place_of(f"{server.url}/plain/model.pth")
    place.parent.mkdir(parents=True)
    place.with_name("model.pth.part").write_bytes(CONTENT[:size])
    assert fetch(f"{server.url}/plain/model.pth", checksum=SHA256).read_bytes() == CONTENT
    assert [asked.range for asked in server.asked] == [f"bytes={size}-"]


@pytest.mark.parametrize("part", [OTHER[:300], OTHER, CONTENT + b"more"])
@pytest.mark.parametrize("checksum", [None, SHA256])
def test_a_part_of_another_file_is_dropped(server: Server, part: bytes, checksum: Checksum | None) -> None:
    place = place_of(f"{server.url}/plain/model.pth")
    place.parent.mkdir(parents=True)
    place.with_name("model.pth.part").write_bytes(part)
    assert fetch(f"{server.url}/plain/model.pth", checksum=checksum).read_bytes() == CONTENT


def test_a_checksum_may_stand_in_the_address(server: Server) -> None:
    assert fetch(f"{server.url}/plain/model.pth#{SHA256}").read_bytes() == CONTENT
    with pytest.raises(WeightsError, match=r"expected a file whose md5 begins with 00000000, got "):
        fetch(f"{server.url}/plain/other.pth#md5=00000000")
    with pytest.raises(WeightsError, match=r"^#crc=1: expected a checksum such as #sha256=bf2d0c1e, got "):
        fetch(f"{server.url}/plain/model.pth#crc=1")


def test_a_proxy_is_taken_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    assert fetch("http://nowhere.invalid/plain/model.pth", checksum=SHA256).read_bytes() == CONTENT
    assert [asked.path for asked in server.asked] == ["http://nowhere.invalid/plain/model.pth"]


def test_two_processes_fetch_it_once(server: Server) -> None:
    code = f"from maskrcnn.zoo.download import fetch; print(fetch({server.url + '/cut/model.pth'!r}, checksum=None))"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    paths = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    (path,) = paths
    assert Path(path).read_bytes() == CONTENT
    assert len(server.asked) == 2  # the cut one and the one after it


def test_a_file_of_this_machine_stays_where_it_is(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a model.pth"
    path.write_bytes(CONTENT)
    assert fetch(path.as_uri(), checksum=SHA256) == path
    assert not cache.exists()


# ---- places


def test_one_variable_moves_the_cache_and_without_it_the_system_decides(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("MASKRCNN_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "maskrcnn"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache/maskrcnn"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library/Caches/maskrcnn"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache_folder() == tmp_path / "maskrcnn/cache"


def test_every_address_has_a_place_of_its_own_inside_the_cache(cache: Path) -> None:
    addresses = [
        "https://a.org/m.pth",
        "https://b.org/m.pth",
        "https://a.org/x/m.pth",
        "https://a.org/m.pth?version=1",
        "https://a.org/m.pth?version=2",
        "https://a.org/x%2Fm.pth",
        "https://a.org/x:m.pth",
        "https://a.org/../m.pth",
        "https://a.org/",
    ]
    places = [place_of(address) for address in addresses]
    assert len(set(places)) == len(addresses)
    assert all(".." not in place.relative_to(cache).parts for place in places)
    assert place_of("https://a.org/m.pth#sha256=00000000") == places[0]


# ---- what goes wrong


def test_a_wrong_hash_leaves_nothing(server: Server, cache: Path) -> None:
    wrong = Checksum("sha256", "0123abcd")
    with pytest.raises(WeightsError) as raised:
        fetch(f"{server.url}/plain/model.pth", checksum=wrong)
    assert str(raised.value) == (
        f"{server.url}/plain/model.pth: expected a file whose sha256 begins with 0123abcd, got {SHA256.start}; "
        "the file there was changed, or something on the way changes it"
    )
    assert kept(cache) == []


def test_a_file_in_the_cache_is_looked_at_too(server: Server) -> None:
    place = place_of(f"{server.url}/plain/model.pth")
    place.parent.mkdir(parents=True)
    place.write_bytes(OTHER)
    with pytest.raises(WeightsError, match=rf"model.pth: expected a file whose sha256 begins with {SHA256.start}, got"):
        fetch(f"{server.url}/plain/model.pth", checksum=SHA256)
    assert place.read_bytes() == OTHER
    assert server.asked == []


def test_a_missing_file_is_a_sentence_and_asked_for_once(server: Server, cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"/missing/m.pth: expected a file, got 404 Not Found; check the address$"):
        fetch(f"{server.url}/missing/m.pth", checksum=SHA256)
    assert len(server.asked) == 1
    assert kept(cache) == []


def test_a_server_that_gives_nothing_is_given_up_after_some_tries(server: Server) -> None:
    with pytest.raises(WeightsError, match=rf"could not be fetched: the connection was cut after 0 of {len(CONTENT)}"):
        fetch(f"{server.url}/never/m.pth", checksum=SHA256)
    assert len(server.asked) == 4


def test_without_a_network_it_says_where_to_put_the_file(cache: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/zoo/m.pth"
    with pytest.raises(WeightsError) as raised:
        fetch(url)
    assert str(raised.value) == (
        f"{url}: could not be reached: Connection refused; behind a proxy set HTTPS_PROXY, "
        f"without a network put the file at {place_of(url)}"
    )
    place_of(url).write_bytes(CONTENT)
    assert fetch(url, checksum=SHA256) == place_of(url)


def test_a_full_disk_is_noticed_before_it_is_full(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = download.shutil.disk_usage(cache.parent)._replace(free=len(CONTENT) - 1)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: full)
    with pytest.raises(OutputError, match=r"model.pth: could not be written: 0 MB are missing and 0 MB are free; free"):
        fetch(f"{server.url}/plain/model.pth")
    assert kept(cache) == []


def test_a_cache_that_cannot_be_written(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "words.txt").write_text("words")
    monkeypatch.setenv("MASKRCNN_CACHE", str(tmp_path / "words.txt"))
    with pytest.raises(OutputError, match=r"could not be written: Not a directory; a part of its path is a file"):
        fetch(f"{server.url}/plain/model.pth")
    assert server.asked == []


@pytest.mark.parametrize("url", ["ftp://a.org/m.pth", "https:///m.pth", "data:,abc"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(WeightsError, match=r": expected an address that begins with https://, http:// or file://$"):
        fetch(url)


def test_a_file_address_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nothing.pth: expected a file, got nothing there$"):
        fetch((tmp_path / "nothing.pth").as_uri())


def test_a_redirection_to_another_kind_of_address_is_not_followed(server: Server) -> None:
    with pytest.raises(WeightsError, match=r"got 302 Found to ftp://127.0.0.1/model.pth, which is not followed"):
        fetch(f"{server.url}/astray_scheme/m.pth")


def test_from_https_it_never_goes_back_to_http() -> None:
    handler: Any = download._Redirects()
    secure = download.Request("https://a.org/m.pth")
    assert handler.redirect_request(secure, None, 302, "Found", {}, "https://b.org/m.pth").full_url.startswith("https")
    with pytest.raises(download.HTTPError, match="not followed"):
        handler.redirect_request(secure, None, 302, "Found", {}, "http://b.org/m.pth")


def test_words_go_to_stderr(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(f"{server.url}/plain/model.pth")
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"fetching {server.url}/plain/model.pth\n")

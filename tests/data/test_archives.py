from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.formats import archives
from maskrcnn.errors import AnnotationError, FormatError

Files = dict[str, bytes]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASKRCNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sets"


def a_set(prefix: str = "") -> Files:
    picture = io.BytesIO()
    Image.fromarray(np.full((6, 8, 3), 7, np.uint8)).save(picture, "PNG")
    document = {
        "images": [{"id": 5, "file_name": "a.png", "height": 6, "width": 8}],
        "annotations": [{"id": 1, "image_id": 5, "category_id": 7, "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]}],
        "categories": [{"id": 7, "name": "cat"}],
    }
    return {f"{prefix}instances.json": json.dumps(document).encode(), f"{prefix}images/a.png": picture.getvalue()}


def zipped(path: Path, files: Files, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def tarred(path: Path, files: Files, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return path


MAKERS: dict[str, Callable[[Path, Files], Path]] = {
    "set.zip": zipped,
    "set.ZIP": zipped,
    "set.tar": tarred,
    "set.tar.gz": lambda path, files: tarred(path, files, "w:gz"),
    "set.tgz": lambda path, files: tarred(path, files, "w:gz"),
    "set.tar.bz2": lambda path, files: tarred(path, files, "w:bz2"),
    "set.tar.xz": lambda path, files: tarred(path, files, "w:xz"),
}


@pytest.mark.parametrize("prefix", ["", "top/", "top/inner/"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_set_in_an_archive_is_opened(name: str, prefix: str, tmp_path: Path) -> None:
    notes = {"__MACOSX/._a.png": b"x"} | ({f"{prefix}._notes": b"x"} if prefix else {})
    dataset = open_dataset(MAKERS[name](tmp_path / name, a_set(prefix) | notes))
    assert dataset.format == "coco"
    assert dataset[0].instances.names == ["cat"]
    assert (dataset[0].image == 7).all()


def test_an_archive_is_unpacked_once_until_it_changes(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "my set.v2.zip", a_set())
    first = archives.unpacked(path)
    mark = first / "mark"
    mark.touch()
    assert archives.unpacked(path) == first
    assert mark.exists()
    assert first.parent == cache
    assert first.name.startswith("my-set-")
    os.utime(path, (1, 1))
    assert archives.unpacked(path) != first


def test_a_folder_inside_can_be_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "set.zip", a_set("balloon/train/") | a_set("balloon/val/"))
    with pytest.raises(FormatError, match=r"try .*train or .*val"):
        open_dataset(path)
    for inner in ("train", "balloon/val", "balloon/train/instances.json"):
        assert len(open_dataset(path / inner)) == 1
    with pytest.raises(FormatError, match="no such file or folder"):
        open_dataset(path / "test")


def test_other_paths_come_back(tmp_path: Path) -> None:
    (tmp_path / "folder.zip").mkdir()
    for path in (tmp_path, tmp_path / "folder.zip", tmp_path / "none.zip", tmp_path / "a.json"):
        assert archives.unpacked(path) == path


def test_what_a_killed_call_left_is_removed(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "set.zip", a_set())
    name = archives.unpacked(path).name
    (cache / name).rename(cache / f".{name}.0123.part")
    archives.unpacked(path)
    assert not list(cache.glob(".*.part"))


# ---- names


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/evil", "\\evil", "..\\evil", "C:\\evil", "c:evil", "a/..", "."]
)
@pytest.mark.parametrize("maker", ["set.zip", "set.tar", "set.tgz"])
def test_names_that_lead_out_are_refused(maker: str, name: str, tmp_path: Path, cache: Path) -> None:
    path = MAKERS[maker](tmp_path / maker, a_set() | {name: b"bad"})
    with pytest.raises(AnnotationError, match="files inside of one folder") as error:
        open_dataset(path)
    assert error.value.code == "F007"
    assert not [p for p in tmp_path.rglob("*") if "evil" in p.name]
    assert not [p for p in cache.iterdir() if p.is_dir()]


def test_backslashes_are_slashes_and_old_names_are_spelt(tmp_path: Path) -> None:
    inside = "写真/画像.txt"
    for encoding in ("utf-8", "cp932"):
        path = tmp_path / f"{encoding}.zip"
        disguised = inside.encode(encoding).decode("cp437")
        with zipfile.ZipFile(path, "w") as file:
            entry = zipfile.ZipInfo("x" * len(inside.encode(encoding)))
            file.writestr(entry, b"1")
        path.write_bytes(path.read_bytes().replace(entry.filename.encode(), inside.encode(encoding)))
        assert zipfile.ZipFile(path).namelist() == [disguised]
        assert [p.name for p in archives.unpacked(path).iterdir()] == ["画像.txt"]
    windows = archives.unpacked(zipped(tmp_path / "windows.zip", {"top\\a\\b.txt": b"1", "top\\c.txt": b"2"}))
    assert (windows / "a/b.txt").read_bytes() == b"1"


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "set.zip", {"aa": b"1", "ab": b"2"})
    path.write_bytes(path.read_bytes().replace(b"ab", b"aa"))
    with pytest.raises(AnnotationError, match="expected every file once, got it twice"):
        archives.unpacked(path)


# ---- kinds


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "set.tar", "w") as file:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = kind, "/etc/passwd"
        file.addfile(entry)
    with pytest.raises(AnnotationError, match="files and folders only, got a link or device 'link'") as error:
        open_dataset(tmp_path / "set.tar")
    assert error.value.code == "F007"


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010666])
def test_links_and_devices_in_a_zip_are_refused(mode: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = mode << 16
        file.writestr(entry, "/etc/passwd")
    with pytest.raises(AnnotationError, match="got a link or device 'link'"):
        open_dataset(tmp_path / "set.zip")


def flagged(path: Path, at: int, value: int) -> Path:
    """Change a byte of the only entry's head and of its line in the directory."""
    raw = bytearray(path.read_bytes())
    raw[6 + at] = value
    raw[raw.index(b"PK\x01\x02") + 8 + at] = value
    path.write_bytes(raw)
    return path


def test_a_password_and_an_unknown_compression_are_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="a: expected an archive without a password, got an encrypted one"):
        archives.unpacked(flagged(zipped(tmp_path / "1.zip", {"a": b"1"}), 0, 1))
    with pytest.raises(AnnotationError, match="expected deflate, bzip2 or lzma, got compression 9"):
        archives.unpacked(flagged(zipped(tmp_path / "2.zip", {"a": b"1"}), 2, 9))


# ---- sizes


@pytest.mark.parametrize("maker", ["set.zip", "set.tar.gz", "set.tar.xz"])
def test_bombs_are_refused(maker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(archives, "USUAL_BYTES", 1 << 20)
    path = MAKERS[maker](tmp_path / maker, {"a": bytes(1 << 22)})
    with pytest.raises(AnnotationError, match="expected at most 1 MiB when unpacked, got more") as error:
        archives.unpacked(path)
    assert error.value.code == "F007"
    assert not [p for p in cache.iterdir() if p.is_dir()]


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "set.zip", {"a": bytes(5000)})
    path.write_bytes(path.read_bytes().replace((5000).to_bytes(4, "little"), (50).to_bytes(4, "little")))
    with pytest.raises(AnnotationError, match="got a broken one"):
        archives.unpacked(path)


def test_a_head_longer_than_memory_should_be_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as file:
        entry = tarfile.TarInfo("././@PaxHeader")
        entry.type, entry.size = tarfile.XHDTYPE, 1 << 25
        file.addfile(entry, io.BytesIO(bytes(1 << 25)))
    with pytest.raises(AnnotationError, match="heads of at most 16 MiB, got a longer one"):
        archives.unpacked(tmp_path / "set.tar.gz")


def test_too_many_files_and_too_small_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "set.zip", {str(i): b"" for i in range(6)})
    monkeypatch.setattr(archives, "MOST_FILES", 5)
    with pytest.raises(AnnotationError, match="at most 5 files, got more"):
        archives.unpacked(path)
    monkeypatch.setattr(archives, "_KEPT_FREE", 1 << 60)
    with pytest.raises(AnnotationError, match=r"expected room for 0 MiB in .*, got 0 MiB; free some, or set MASKRCNN_"):
        archives.unpacked(zipped(tmp_path / "other.zip", {"a": b"1"}))


@pytest.mark.parametrize("maker", MAKERS)
def test_archives_that_are_cut_off_or_no_archives(maker: str, tmp_path: Path, cache: Path) -> None:
    noise = np.random.default_rng(0).bytes(30_000)
    whole = MAKERS[maker](tmp_path / maker, {"a": noise, "b": noise}).read_bytes()
    for i, content in enumerate([whole[: len(whole) // 2], whole[:100], b"", b"<html>not found</html>" * 40]):
        path = tmp_path / f"{i}-{maker}"
        path.write_bytes(content)
        with pytest.raises(AnnotationError, match="expected a whole archive, got a broken one") as error:
            archives.unpacked(path)
        assert error.value.code == "F001"
    assert not [p for p in cache.iterdir() if p.is_dir()]


@pytest.mark.parametrize("maker", ["set.zip", "set.tar", "set.tgz"])
def test_a_changed_byte_ends_in_a_sentence_or_in_files(maker: str, tmp_path: Path) -> None:
    whole = MAKERS[maker](tmp_path / maker, a_set()).read_bytes()
    random = np.random.default_rng(1)
    path, survived = tmp_path / f"changed-{maker}", 0
    for i in range(120):
        raw = bytearray(whole)
        for at in random.integers(0, len(raw), 3):
            raw[at] = random.integers(256)
        path.write_bytes(raw)
        os.utime(path, (i, i))
        with suppress(AnnotationError):
            assert archives.unpacked(path).is_dir()
            survived += 1
    assert 0 < survived < 120

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskrcnn.errors import OutputError
from maskrcnn.files import make_folder, replacing, write_text, writing


def test_a_file_appears_whole_in_folders_that_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a/b/c.txt"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    write_text(path, "older")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text(f"newer {1 / 0}" if temporary.write_text("half") else "")
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_is_hidden_beside_its_place_and_of_its_kind(tmp_path: Path) -> None:
    with replacing(tmp_path / "c.jpg") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.match(".c.jpg.*.jpg")
        assert (tmp_path / "c.jpg").with_name(temporary.name) in tmp_path.glob(".c.jpg.*")


def test_files_have_the_rights_that_the_user_gives_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "c.txt", "")
    finally:
        os.umask(before)
    assert (tmp_path / "c.txt").stat().st_mode & 0o777 == 0o640


def test_the_longest_name_that_a_file_can_have(tmp_path: Path) -> None:
    write_text(tmp_path / ("x" * 251 + ".txt"), "long")
    with pytest.raises(OutputError, match="File name too long; choose a shorter name"):
        write_text(tmp_path / ("x" * 252 + ".txt"), "longer")


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "x: could not be written: No space left on device; free some space or choose another folder"),
        (errno.EACCES, "x: could not be written: Permission denied; choose a folder that you may write to"),
        (errno.EROFS, "x: could not be written: Read-only file system; choose a folder that you may write to"),
        (errno.EIO, "x: could not be written: Input/output error"),
    ],
)
def test_a_refusal_is_a_sentence_with_a_hint_where_one_is_certain(number: int, sentence: str) -> None:
    with pytest.raises(OutputError) as caught, writing(Path("x")):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == sentence


def test_a_sentence_passes_through(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"^mine$"), replacing(tmp_path / "x"):
        raise OutputError("mine")


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(OutputError, match="x: could not be written: Is a directory"):
        write_text(tmp_path / "x", "")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    make_folder(tmp_path / "a/b")
    make_folder(tmp_path / "a/b")
    assert list((tmp_path / "a/b").iterdir()) == []


def test_a_folder_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OutputError, match="a: expected a folder, got a file"):
        make_folder(tmp_path / "a")
    with pytest.raises(OutputError, match="a/b: could not be written: Not a directory; a part of its path is a file"):
        make_folder(tmp_path / "a/b")


@pytest.fixture
def nobody() -> Iterator[None]:
    """Be a user whom the rights of folders bind, which they do not bind the administrator."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.usefixtures("nobody")
def test_a_folder_that_one_may_not_write_to() -> None:
    with pytest.raises(OutputError, match="Permission denied; choose a folder that you may write to"):
        make_folder(Path("/"))
    with pytest.raises(OutputError, match="Permission denied; choose a folder that you may write to"):
        write_text(Path("/maskrcnn.txt"), "")

"""Looking into folders, whatever order the file system lists them in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from maskrcnn.data.formats import ade20k, cityscapes, mots
from maskrcnn.data.formats.pairing import a_few
from maskrcnn.data.formats.place import Place


class Listing:
    """A folder's entries by falling or rising name, as `os.scandir` gives them."""

    def __init__(self, folder: Path, reverse: bool) -> None:
        with _SCANDIR(folder) as entries:
            self._entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=reverse))

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Listing:
        return self

    def __next__(self) -> os.DirEntry[str]:
        return next(self._entries)


_SCANDIR = os.scandir


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("find", "files"),
    [
        (mots.find, ["images/s/1.jpg", "instances/m/1.png", "instances/a.txt", "instances/z.txt"]),
        (
            cityscapes.find,
            [f"gtFine/val/{name}" for name in ("m/m_1_gtFine_instanceIds.png", "a.txt", "b", "c", "x", "y", "z")],
        ),
        (ade20k.find, [f"training/{name}" for name in ("m/m/x_seg.png", "m/m/x_atr.txt", "a.txt", "b", "c", "x", "y")]),
    ],
)
def test_a_folder_is_known_in_whatever_order_its_files_come(
    find: Callable[[Place], list[Path]],
    files: list[str],
    reverse: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(os, "scandir", lambda folder: Listing(folder, reverse))
    assert find(Place(tmp_path))


def test_a_few_are_visible_however_many_are_hidden(tmp_path: Path) -> None:
    for i in range(100):
        (tmp_path / f"._{i}.png").touch()
    (tmp_path / "1.png").touch()
    assert a_few(tmp_path) == [tmp_path / "1.png"]
    assert a_few(tmp_path / "nowhere") == []

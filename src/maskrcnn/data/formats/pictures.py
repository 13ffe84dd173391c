"""Where the pictures of an annotation file lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PureWindowsPath

from maskrcnn.data.formats.reading import Reading, refuse
from maskrcnn.errors import ImageError


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
    present = [folder for folder in dict.fromkeys([*folders, source.parent]) if _is(folder, Path.is_dir)]
    found = [_find(name, present) for name in names]
    missing = [name for name, path in zip(names, found, strict=True) if path is None]
    if missing and reading.pictures == "required":
        _report(missing, len(names), present, source, reading)
    return [path or present[0] / name for name, path in zip(names, found, strict=True)]


def _report(missing: Sequence[str], of: int, looked_in: Sequence[Path], source: Path, reading: Reading) -> None:
    folders = ", ".join(str(folder) for folder in looked_in)
    if reading.fault is not refuse:
        for name in missing:
            reading.fault(ImageError(f"{source}: {name}: expected a picture, found none in {folders}", code="P101"))
        return
    first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    raise ImageError(
        f"{source}: {len(missing)} of {of} pictures are missing: {first}; looked in {folders}", code="P101"
    )


def _find(name: str, folders: Sequence[Path]) -> Path | None:
    spellings = [name, name.replace("\\", "/")]
    if Path(name).is_absolute() or PureWindowsPath(name).is_absolute():
        spellings.append(PureWindowsPath(name).name)
    places = (folder / spelling for spelling in spellings for folder in folders)
    return next((place for place in places if _is(place, Path.is_file)), None)


def _is(path: Path, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(path)
    except OSError:  # a name that no file can have, such as a very long one
        return False

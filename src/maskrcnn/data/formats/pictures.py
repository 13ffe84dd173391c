"""Where the pictures of an annotation file lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PureWindowsPath
from typing import Literal

from maskrcnn.errors import ImageError

Pictures = Literal["required", "optional"]


def locate(names: Sequence[str], folders: Iterable[Path], source: Path, pictures: Pictures) -> list[Path]:
    """Find each picture in the first folder that has it.

    Args:
        names: File names as the annotation file says them; may have folders in them.
        folders: Where to look, the likeliest first.
        source: The annotation file, for the error.
        pictures: With `optional`, a picture that is nowhere gets the place where it would lie.

    Raises:
        ImageError: Pictures are missing and required.
    """
    present = [folder for folder in dict.fromkeys([*folders, source.parent]) if _is(folder, Path.is_dir)]
    found = [_find(name, present) for name in names]
    missing = [name for name, path in zip(names, found, strict=True) if path is None]
    if missing and pictures == "required":
        first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ImageError(
            f"{source}: {len(missing)} of {len(names)} pictures are missing: {first}; "
            f"looked in {', '.join(str(folder) for folder in present)}"
        )
    return [path or present[0] / name for name, path in zip(names, found, strict=True)]


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

"""The folder of a written set: claimed by one call, gone on with by the same, refused to any other."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from maskrcnn.errors import OutputError
from maskrcnn.files import write_text, writing

CALL_FILE = ".maskrcnn-convert.json"
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{8}(\.[^.]+)?")  # as `files.replacing` names what a kill leaves

Call = Mapping[str, str | float]


def claim(out: Path, call: Call) -> None:
    """Make a folder this call's own, or find that it is; what a killed call left half written is removed.

    Args:
        out: The folder: new, empty, or begun by the same call.
        call: What decides every byte that is written there; `set` is the fingerprint of the set.

    Raises:
        OutputError: It holds something else, or can't be written.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: expected a folder, got a file; choose another place")
    with writing(out):
        if (out / CALL_FILE).is_file():
            _compare(out, call)
            _tidy(out)
            return
        held = sorted(path.name for path in out.glob("*") if not path.name.startswith(f".{CALL_FILE}"))
        if held:
            raise OutputError(
                f"{out}: expected an empty folder or one that this command began, got a folder with {held[0]}; "
                "choose another folder"
            )
        write_text(out / CALL_FILE, json.dumps(call, indent=1))


def _compare(out: Path, call: Call) -> None:
    try:
        found = json.loads((out / CALL_FILE).read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise OutputError(
            f"{out / CALL_FILE}: expected what a convert wrote, got something else; choose another folder"
        )
    if found.get("set") != call["set"]:
        raise OutputError(
            f"{out}: expected an empty folder or one that this command began, got one that was begun from another set, "
            "or before its annotations changed; choose another folder"
        )
    for name, value in call.items():
        if found.get(name) != value:
            raise OutputError(
                f"{out}: expected an empty folder or one that this command began, got one that was begun with "
                f"{name} {found.get(name)} instead of {value}; choose another folder"
            )


def _tidy(out: Path) -> None:
    for path in out.rglob(".*"):
        if _UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink()

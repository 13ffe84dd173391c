"""The folder of a written set: claimed by one call, gone on with by the same, refused to any other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from maskrcnn.errors import OutputError
from maskrcnn.files import write_text, writing

CALL_FILE = ".made.json"
"""What a folder keeps of the call; hidden, as programs that read other formats take every file they see."""

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{8}(\.[^.]+)?")  # as `files.replacing` names what a kill leaves
_DIGEST = re.compile(r"[0-9a-f]{64}")
_EXPECTED = "expected an empty folder or one that this command began"

Call = Mapping[str, object]


def claim(out: Path, call: Call, name: str = CALL_FILE) -> None:
    """Make a folder this call's own, or find that it is; what a killed call left half written is removed.

    Args:
        out: The folder: new, empty, or begun by the same call.
        call: What decides every byte that is written there, as JSON; `set` is the fingerprint of the set.
        name: The file that keeps the call.

    Raises:
        OutputError: It holds something else, or can't be written.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: expected a folder, got a file; choose another place")
    call = json.loads(json.dumps(call))
    with writing(out):
        if (out / name).is_file():
            _compare(out, call, name)
            _tidy(out)
            return
        held = sorted(path.name for path in out.glob("*") if path.name == CALL_FILE or path.name[0] != ".")
    if held:
        raise OutputError(f"{out}: {_EXPECTED}, got a folder with {held[0]}; choose another folder")
    write_text(out / name, json.dumps(call, indent=1) + "\n")


def _compare(out: Path, call: Call, name: str) -> None:
    try:
        found = json.loads((out / name).read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise OutputError(f"{out / name}: expected what began this folder, got something else; choose another folder")
    for difference in _differences(found, call):
        raise OutputError(f"{out}: {_EXPECTED}, got one that was begun {difference}; choose another folder")


def _differences(found: Mapping[str, object], call: Call) -> Iterator[str]:
    """Say what differs, the first value first; values of values are compared one by one."""
    for name, value in call.items():
        other = found.get(name)
        if value == other:
            continue
        if isinstance(value, dict) and isinstance(other, dict):
            yield from _differences(other, value)
        if name == "set":
            yield "from another set, or before its annotations changed"
        elif isinstance(value, str) and _DIGEST.fullmatch(value):
            yield f"with other {name}"
        else:
            yield f"with {name} {_say(other)} instead of {_say(value)}"


def _say(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _tidy(out: Path) -> None:
    for path in out.rglob(".*"):
        if _UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink()

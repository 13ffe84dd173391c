"""Settings as words of the command line."""

from __future__ import annotations

import json
from typing import Any

from maskrcnn.errors import InputError


def parse_setting(text: str) -> dict[str, Any]:
    """Read one dotted setting; the value is JSON, or a word.

    >>> parse_setting("train.augment.turn=0.5")
    {'train': {'augment': {'turn': 0.5}}}

    Raises:
        InputError: There is no `=`.
    """
    name, equals, value = text.partition("=")
    if not equals or not all(name.split(".")):
        raise InputError(f"--set: expected name=value such as model.rpn.samples=128, got {text!r}")
    try:
        parsed: Any = json.loads(value)
    except json.JSONDecodeError:
        parsed = value
    for part in reversed(name.split(".")):
        parsed = {part: parsed}
    result: dict[str, Any] = parsed
    return result

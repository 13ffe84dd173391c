"""Weights of other projects, read without their code, every tensor accounted for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskrcnn.zoo.download import fetch
    from maskrcnn.zoo.foreign import Foreign, Recognised
    from maskrcnn.zoo.ledger import Entry
    from maskrcnn.zoo.opening import convert, open_file, open_weights
    from maskrcnn.zoo.published import PUBLISHED, resolve
    from maskrcnn.zoo.reading import read_foreign, recognise

# torch takes over a second to import: the list of names does without
_HOMES = {
    "Entry": "maskrcnn.zoo.ledger",
    "Foreign": "maskrcnn.zoo.foreign",
    "PUBLISHED": "maskrcnn.zoo.published",
    "Recognised": "maskrcnn.zoo.foreign",
    "convert": "maskrcnn.zoo.opening",
    "fetch": "maskrcnn.zoo.download",
    "open_file": "maskrcnn.zoo.opening",
    "open_weights": "maskrcnn.zoo.opening",
    "read_foreign": "maskrcnn.zoo.reading",
    "recognise": "maskrcnn.zoo.reading",
    "resolve": "maskrcnn.zoo.published",
}

__all__ = [
    "PUBLISHED",
    "Entry",
    "Foreign",
    "Recognised",
    "convert",
    "fetch",
    "open_file",
    "open_weights",
    "read_foreign",
    "recognise",
    "resolve",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'maskrcnn.zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""Annotated pictures: read from files, varied, and put together into batches."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskrcnn.data.dataset import Dataset
    from maskrcnn.data.formats import open_dataset

__all__ = ["Dataset", "open_dataset"]

_HOME = {"Dataset": "maskrcnn.data.dataset", "open_dataset": "maskrcnn.data.formats"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)

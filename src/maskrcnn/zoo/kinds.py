"""What an importer is made of: marks to know a file by, tables of names, folds, and settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from maskrcnn.zoo.folds import Own
from maskrcnn.zoo.ledger import Entry
from maskrcnn.zoo.names import Rule, Skip

# how files begin
HDF5 = b"\x89HDF\r\n\x1a\n"
ARCHIVE = b"PK\x03\x04"
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"(", b"}", b"ccollections")

SETTINGS = "settings."  # start of the own names of tensors that say something about the settings


class Found(NamedTuple):
    """What a file holds.

    Attributes:
        path: The file.
        tensors: By their names there; taken out one by one on the way.
        names: These names, in their order there.
        notes: What else lies beside them, such as the names of classes.
        beside: Lines of the ledger for what lies beside them.
    """

    path: Path
    tensors: dict[str, Tensor]
    names: tuple[str, ...]
    notes: Mapping[str, object]
    beside: tuple[Entry, ...]


class Kind(NamedTuple):
    """One importer.

    Attributes:
        name: What the kind of file is called.
        complete: False for a backbone alone.
        marks: Patterns; a file of this kind has a tensor for each.
        rules: Names of tensors that are used.
        skips: Names of tensors that are not.
        fold: What happens to the tensors after they have their own names.
        settings: Numbers and formulas as nested names and values, besides those that the shapes decide.
        refine: Those of them that the file says otherwise.
        classes: Names of so many classes, where the file or their number tells them.
    """

    name: str
    complete: bool
    marks: tuple[str, ...]
    rules: tuple[Rule, ...]
    skips: tuple[Skip, ...]
    fold: Callable[[Own], None]
    settings: Mapping[str, Any]
    refine: Callable[[Own], dict[str, Any]]
    classes: Callable[[Own, int], Sequence[str] | None]

    def fits(self, names: Sequence[str]) -> bool:
        """Tell whether a file with these tensors is of this kind."""
        return all(any(re.fullmatch(mark, name) for name in names) for mark in self.marks)


def no_names(_: Own, __: int) -> None:
    """Leave the classes unnamed."""


def no_fold(_: Own) -> None:
    """Leave the tensors as they are."""


def as_it_is(_: Own) -> dict[str, Any]:
    """Leave the settings as they are."""
    return {}


def of_backbone(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Take what concerns a backbone alone."""
    pixels = {name: settings["input"][name] for name in ("mean", "std")}
    return {"backbone": settings["backbone"], "input": pixels}

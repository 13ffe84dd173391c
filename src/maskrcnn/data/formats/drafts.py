"""Pictures whose objects know the name of their class, made into a set when all names are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskrcnn.data.dataset import Annotation, Box, Dataset, Record, Rings, Runs, sift

ONLY_CLASS = "object"
"""The class of objects that have no name."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object.

    Attributes:
        name: What errors call it.
        class_name: Its class; None for a region that is ignored for every class.
        shape: Its outline or run lengths; None where there is a box only.
        box: x1, y1, x2, y2; None where the source says none.
        crowd: True where nothing is to be learnt.
    """

    name: str
    class_name: str | None
    shape: Rings | Runs | None
    box: Box | None = None
    crowd: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A picture.

    Attributes:
        name: How results call it.
        path: Where it lies.
        size_hw: Upright height and width.
        things: Its objects.
        looked_for: Names of the classes that were looked for; None for all.
    """

    name: str
    path: Path
    size_hw: tuple[int, int]
    things: Sequence[Thing]
    looked_for: frozenset[str] | None = None


def assemble(source: Path, kind: str, drafts: Iterable[Draft], declared: Sequence[str] = ()) -> Dataset:
    """Make a set: pictures get the ids 1, 2, ... in their order, classes 1 to K.

    Args:
        source: What was opened.
        kind: The name of its format.
        drafts: The pictures.
        declared: Classes that the set has in any case, in their order; others follow by name.

    Raises:
        AnnotationError: There is no picture.
    """
    drafts = list(drafts)
    named = {thing.class_name for draft in drafts for thing in draft.things if thing.class_name is not None}
    looked_for = {name for draft in drafts for name in draft.looked_for or ()}
    class_names = (*declared, *sorted((named | looked_for) - set(declared))) or (ONLY_CLASS,)
    label_of = {name: label for label, name in enumerate(class_names)}
    records = [
        Record(
            draft.name,
            draft.path,
            i,
            draft.size_hw,
            tuple(_annotations(draft.things, label_of)),
            None if draft.looked_for is None else frozenset(label_of[name] for name in draft.looked_for),
        )
        for i, draft in enumerate(drafts, 1)
    ]
    kept, left_out = sift(records, source)
    return Dataset(source, kind, class_names, range(1, len(class_names) + 1), kept, left_out)


def _annotations(things: Iterable[Thing], label_of: dict[str, int]) -> Iterator[Annotation]:
    for thing in things:
        labels = label_of.values() if thing.class_name is None else [label_of[thing.class_name]]
        for label in labels:
            yield Annotation(thing.name, label, thing.shape, thing.box, crowd=thing.crowd)

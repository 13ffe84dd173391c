"""Pictures whose objects know the name of their class, made into a set when all names are known.

Formats differ in how they write an object, not in what they mean. Each reader makes `Draft`s of `Thing` and
`Skipped`, and `assemble` gives them labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Box, Dataset, LeftOut, Record, Rings, Runs, View, sift
from maskrcnn.data.formats.curves import rectangle_ring
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import read_image
from maskrcnn.errors import AnnotationError, few
from maskrcnn.ops.rle import overlaid

ONLY_CLASS = "object"
"""The class of objects that have no name."""


@dataclass(frozen=True, slots=True)
class Thing:
    """What becomes an object, or a part of one.

    Attributes:
        name: What errors call it, such as `shape 3`.
        class_name: Its class; None for a region that is ignored for every class.
        shape: Its outline or run lengths; None where there is a box only.
        box: x1, y1, x2, y2; None where the source says none.
        crowd: True where nothing is to be learnt.
        view: How much of it can be seen; None where the source does not say.
        group: Things of one picture and class with the same group are one object; None for an object of its own.
    """

    name: str
    class_name: str | None
    shape: Rings | Runs | None
    box: Box | None = None
    crowd: bool = False
    view: View | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """What cannot become an object.

    Attributes:
        name: What errors call it.
        reason: Why.
        code: Which of the findings this is.
    """

    name: str
    reason: str
    code: str = "G202"


@dataclass(frozen=True, slots=True)
class Draft:
    """A picture and what is on it.

    Attributes:
        name: How results call it.
        path: Where it lies.
        size_hw: Upright height and width.
        things: Its objects, in the file's order.
        looked_for: Names of the classes that were looked for; None for all.
        columns: What else is known of the picture.
        read: How its pixels are read from `path`.
        where: File and picture, for errors; empty for the set and the picture's name.
    """

    name: str
    path: Path
    size_hw: tuple[int, int]
    things: Sequence[Thing | Skipped]
    looked_for: frozenset[str] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[Path], NDArray[np.generic]] = read_image
    where: str = ""


def assemble(
    source: Path,
    format_name: str,
    drafts: Iterable[Draft],
    reading: Reading,
    classes: Mapping[int, str] | None = None,
    left_out: Sequence[LeftOut] = (),
) -> Dataset:
    """Make a set of drafts.

    Args:
        source: What was opened.
        format_name: Its kind.
        drafts: The pictures; they get the ids 1, 2, ... in this order.
        reading: What becomes of objects of an unknown class.
        classes: All classes by the source's own ids, in label order; those of `numbered(drafts)` by default.
        left_out: What is known already to belong to none of the drafts.

    Raises:
        AnnotationError: There is no draft, or an object is of another class.
    """
    drafts = [replace(draft, things=_joined(draft)) for draft in drafts]
    classes = numbered(drafts) if classes is None else classes
    label_of = {name: label for label, name in enumerate(classes.values())}
    records = [
        Record(
            draft.name,
            draft.path,
            image_id,
            draft.size_hw,
            tuple(_annotations(draft, label_of, source, reading)),
            None if draft.looked_for is None else frozenset(label_of[name] for name in draft.looked_for),
            draft.columns,
            draft.read,
        )
        for image_id, draft in enumerate(drafts, start=1)
    ]
    skipped = [
        LeftOut(source, draft.name, each.name, each.reason, each.code)
        for draft in drafts
        for each in draft.things
        if isinstance(each, Skipped)
    ]
    kept, outside = sift(records, source)
    return Dataset(source, format_name, tuple(classes.values()), tuple(classes), kept, [*left_out, *skipped, *outside])


def numbered(drafts: Iterable[Draft], first: Iterable[str] = ()) -> dict[int, str]:
    """Number classes from 1: some that the set has in any case, in their order, then those that occur, by name."""
    drafts = list(drafts)
    named = {thing.class_name for draft in drafts for thing in _things(draft) if thing.class_name is not None}
    looked_for = {name for draft in drafts for name in draft.looked_for or ()}
    names = dict.fromkeys([*first, *sorted(named | looked_for)])
    return dict(enumerate(names or [ONLY_CLASS], start=1))


def boxes_as_outlines(drafts: Iterable[Draft]) -> list[Draft]:
    """Give boxes their four sides as outline in a set that has other outlines.

    Beside polygons a rectangle is one more way to draw an outline. In a set that has nothing but rectangles they
    are boxes, and nothing is known of the masks.
    """
    drafts = list(drafts)
    if all(thing.shape is None for draft in drafts for thing in _things(draft)):
        return drafts
    return [
        replace(draft, things=[each if isinstance(each, Skipped) else outlined(each) for each in draft.things])
        for draft in drafts
    ]


def outlined(thing: Thing) -> Thing:
    """Give a box its four sides as outline."""
    if thing.shape is not None or thing.box is None:
        return thing
    return replace(thing, shape=Rings((rectangle_ring(*thing.box),)))


def _things(draft: Draft) -> Iterator[Thing]:
    return (each for each in draft.things if isinstance(each, Thing))


def _annotations(draft: Draft, label_of: Mapping[str, int], source: Path, reading: Reading) -> Iterator[Annotation]:
    def labels(thing: Thing) -> tuple[Thing, Iterable[int]]:
        if thing.class_name is None:
            return thing, label_of.values()
        if thing.class_name not in label_of:
            raise AnnotationError(
                f"{draft.where or f'{source}: {draft.name}'}: {thing.name}: "
                f"expected one of the classes {few(map(repr, label_of), 6)}, got {thing.class_name!r}",
                code="C301",
            )
        return thing, [label_of[thing.class_name]]

    for thing, own in reading.each(_things(draft), labels):
        for label in own:
            yield Annotation(thing.name, label, thing.shape, thing.box, crowd=thing.crowd, view=thing.view)


# Groups


def _joined(draft: Draft) -> list[Thing | Skipped]:
    """Make one object of the things of a class that share a group; it stands where the first of them stood."""
    parts: dict[tuple[str, str | None], list[Thing]] = {}
    for thing in _things(draft):
        if thing.group is not None:
            parts.setdefault((thing.group, thing.class_name), []).append(thing)
    joined: list[Thing | Skipped] = []
    for each in draft.things:
        if isinstance(each, Skipped) or each.group is None:
            joined.append(each)
        elif (mine := parts[each.group, each.class_name])[0] is each:
            joined.append(_union(mine, draft.size_hw))
    return joined


def _union(parts: Sequence[Thing], size_hw: tuple[int, int]) -> Thing:
    if len(parts) == 1:
        return parts[0]
    first = replace(parts[0], name=" + ".join(part.name for part in parts[:4]) + (" + ..." if len(parts) > 4 else ""))
    if all(part.shape is None for part in parts):
        x1, y1, x2, y2 = zip(*(part.box for part in parts if part.box is not None), strict=True)
        return replace(first, box=(min(x1), min(y1), max(x2), max(y2)))
    shapes = [part.shape for part in map(outlined, parts) if part.shape is not None]
    rings = [shape for shape in shapes if isinstance(shape, Rings)]
    if len(rings) == len(shapes):
        return replace(first, shape=Rings(tuple(ring for shape in rings for ring in shape.rings)), box=None)
    return replace(first, shape=Runs.of(overlaid([shape.bitmap(size_hw) for shape in shapes]), size_hw), box=None)

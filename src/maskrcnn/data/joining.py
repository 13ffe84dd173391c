"""Several data sets as one: classes joined by name, pictures numbered anew, and known which class was looked for where.

A picture of a set that lacks some of the joint classes may show objects of them without an annotation; its record
says which classes were looked for (`Record.labelled`), and training and evaluation go by it. The joint category ids
are 1 to K in the order in which the classes come, the image ids 1, 2, ... . A picture is named after its set too,
`balloon/a.jpg`, and the set is one of its columns, `set`.

Letters: K joint classes.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from maskrcnn.data.classes import Classes, choose, names_of, parse_classes
from maskrcnn.data.dataset import Annotation, Dataset, LazyRecords, Record, annotations_of, head_of
from maskrcnn.data.formats.drafts import ONLY_CLASS
from maskrcnn.errors import InputError

SET = "set"
"""The column that says which set a picture comes from."""

_SPLITS = {"train", "val", "valid", "validation", "test"}
_USUAL = {"annotations", "annotation", "images", "labels", "data", "via_region_data", "instances_default", "dataset"}


@dataclass(frozen=True, eq=False)
class _Part:
    """One of the sets.

    Attributes:
        name: What it is called.
        records: Its pictures.
        labels: The joint label of each of its classes.
        classes: K.
    """

    name: str
    records: Sequence[Record]
    labels: tuple[int, ...]
    classes: int

    def head(self, i: int, image_id: int) -> Record:
        """Make a joint record without its annotations."""
        old = head_of(self.records, i)
        return replace(
            old,
            name=f"{self.name}/{old.name}",
            image_id=image_id,
            annotations=(),
            labelled=self._labelled(old.labelled),
            columns={**old.columns, SET: self.name},
        )

    def annotations(self, i: int) -> tuple[Annotation, ...]:
        """Make the annotations of a joint record."""
        return tuple(replace(old, label=self.labels[old.label]) for old in annotations_of(self.records, i))

    def _labelled(self, old: frozenset[int] | None) -> frozenset[int] | None:
        joint = frozenset(self.labels if old is None else (self.labels[label] for label in old))
        return None if len(joint) == self.classes else joint


class _Joint(LazyRecords):
    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts
        self._ends = list(accumulate(len(part.records) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def head(self, i: int) -> Record:
        part, inside = self._place(i)
        return part.head(inside, i + 1)

    def annotations(self, i: int) -> tuple[Annotation, ...]:
        part, inside = self._place(i)
        return part.annotations(inside)

    def _place(self, i: int) -> tuple[_Part, int]:
        part = bisect_right(self._ends, i)
        return self._parts[part], i - (self._ends[part - 1] if part else 0)


def join(datasets: Sequence[Dataset], classes: Classes | None = None, known: Iterable[str] = ()) -> Dataset:
    """Make one data set of several, whose classes are joined by name; a view, nothing is copied.

    Sets with boxes only are joined with masked ones: each picture keeps what it has.

    ```python
    both = join([open_dataset("balloons"), open_dataset("kites")])
    ```

    Args:
        datasets: At least one; one alone keeps its names and numbers.
        classes: Merges, renames or drops classes, each of which at least one of the sets has (`maskrcnn.data.classes`).
        known: Names in `classes` that no set need have, as they are in other data that is used with these.

    Raises:
        InputError: There is no set, the names of two classes differ by case or white space only and no `classes`
            say what they are, or `classes` does not fit.
    """
    if not datasets:
        raise InputError("data: expected at least one data set, got none")
    if classes is not None:
        everywhere = set(known).union(*map(names_of, datasets))
        datasets = [choose(dataset, classes, everywhere).apply(dataset) for dataset in datasets]
    if len(datasets) == 1:
        return datasets[0]
    names = list(dict.fromkeys(name for dataset in datasets for name in dataset.class_names))
    if classes is None:
        _check_spelling(names, datasets)
    else:
        names.sort(key=list(parse_classes(classes)).index)
    parts = [
        _Part(name, dataset.records, tuple(map(names.index, dataset.class_names)), len(names))
        for name, dataset in zip(set_names([dataset.source for dataset in datasets]), datasets, strict=True)
    ]
    wider = {
        name: each
        for dataset in reversed(datasets)
        for name, each in zip(dataset.class_names, dataset.supercategories, strict=True)
        if each
    }
    return Dataset(
        _common_folder([dataset.source for dataset in datasets]),
        "+".join(dict.fromkeys(dataset.format for dataset in datasets)),
        names,
        range(1, len(names) + 1),
        _Joint(parts),
        [
            replace(left, picture=f"{part.name}/{left.picture}")
            for part, dataset in zip(parts, datasets, strict=True)
            for left in dataset.left_out
        ],
        [wider.get(name, "") for name in names],
    )


def nameless(dataset: Dataset) -> bool:
    """Say whether a data set names no class at all, as a VIA file without attributes does."""
    return dataset.format == "via" and dataset.class_names == (ONLY_CLASS,)


def naming_notes(datasets: Sequence[Dataset], classes: Classes | None = None) -> list[str]:
    """Say of each set whose objects nobody named what they count as beside the others.

    Two such sets may show different things, which nobody can tell from their files.
    """
    parts = {} if classes is None else parse_classes(classes)
    taken = next((new for new, old in parts.items() if ONLY_CLASS in old), ONLY_CLASS)
    return [
        f"{each.source} calls its objects {ONLY_CLASS!r} only: they count as {taken!r}"
        for each in datasets
        if each.class_names == (ONLY_CLASS,)
    ]


def set_names(sources: Sequence[Path]) -> list[str]:
    """Name sets after the ends of their paths, as much of them as tells them apart.

    >>> set_names([Path("balloon/train/via_region_data.json"), Path("kite/train/via_region_data.json")])
    ['balloon-train', 'kite-train']
    >>> set_names([Path("a/annotations/instances_val.json"), Path("a/annotations/instances_val.json"), Path("b.json")])
    ['a-val', 'a-val-2', 'b']
    """
    telling = [_telling_parts(source) for source in sources]
    for length in range(1, max(map(len, telling)) + 1):
        names = ["-".join(parts[-length:]) for parts in telling]
        if len(set(names)) == len(names):
            return names
    counts = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if count == 1 else f"{name}-{count}" for name, count in zip(names, counts, strict=True)]


def _telling_parts(source: Path) -> list[str]:
    """Return the parts of a path without those that every set has."""
    parts = [part for part in source.with_suffix("").parts if part not in (source.anchor, "..", ".")]
    telling = [part.removeprefix("instances_") for part in parts if part.lower() not in _USUAL] or ["set"]
    return [*telling[:-2], "-".join(telling[-2:])] if telling[-1] in _SPLITS else telling


def _common_folder(sources: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([source.absolute() for source in sources]))


def _check_spelling(names: Sequence[str], datasets: Sequence[Dataset]) -> None:
    """Refuse names that are the same but for case and white space, as they would become two classes."""
    spelt: dict[str, str] = {}
    for name in names:
        other = spelt.setdefault("".join(name.casefold().split()), name)
        if other != name:
            where = [next(each.source for each in datasets if one in each.class_names) for one in (other, name)]
            raise InputError(
                f"classes: expected names that differ by more than case and white space, got {other!r} in {where[0]} "
                f'and {name!r} in {where[1]}; make them one with --classes "{other}={other},{name}; ..."'
            )

"""Classes merged, renamed or dropped on reading: `vehicle=car,truck,bus;person;animal=cat,dog,horse`.

A class of the result stands left of `=`, those of the data that it is made of stand on the right; a name alone is
both. A name on the right that is no class of the data but a supercategory stands for all its classes. A class that
is not mentioned is dropped: its objects are gone, the pictures stay. Labels follow the order of the mapping, and
the category ids of the result are 1 to K in that order, as a class that is merged of several has no id of its own.

Letters: K classes of the result.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from maskrcnn.data.dataset import Annotation, Dataset, LazyRecords, Record, annotations_of, head_of
from maskrcnn.errors import InputError, few

Classes = str | Mapping[str, str | Iterable[str]] | Iterable[str]
"""A mapping as text, as a dictionary of a new name to old ones, or as the names of the classes to keep."""

_SHOWN = 8  # dropped classes that are named


def parse_classes(classes: Classes) -> dict[str, tuple[str, ...]]:
    """Return the names of the data that each new class is made of.

    >>> parse_classes("vehicle=car, truck; person")
    {'vehicle': ('car', 'truck'), 'person': ('person',)}
    >>> parse_classes(["cat", "dog"])
    {'cat': ('cat',), 'dog': ('dog',)}

    Raises:
        InputError: A name is missing, or comes twice.
    """
    if isinstance(classes, str):
        pairs = [_pair(part) for part in classes.split(";") if part.strip()]
    elif isinstance(classes, Mapping):
        pairs = [(new, (old,) if isinstance(old, str) else tuple(old)) for new, old in classes.items()]
    else:
        pairs = [(name, (name,)) for name in classes]
    if not pairs or any(not new or not old or not all(old) for new, old in pairs):
        raise InputError(f"classes: expected a mapping such as vehicle=car,truck;person, got {classes!r}")
    _check_once([new for new, _ in pairs], "as a new class")
    _check_once([name for _, old in pairs for name in old], "on the right")
    return dict(pairs)


def format_classes(classes: Classes) -> str:
    """Write a mapping as the text that the command line takes.

    >>> format_classes({"vehicle": ["car", "truck"], "person": "person"})
    'vehicle=car,truck;person=person'
    """
    return ";".join(f"{new}={','.join(old)}" for new, old in parse_classes(classes).items())


def _pair(part: str) -> tuple[str, tuple[str, ...]]:
    new, equals, old = part.partition("=")
    return new.strip(), tuple(name.strip() for name in (old if equals else new).split(","))


def _check_once(names: Sequence[str], where: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"classes: expected every name once {where}, got {twice[0]!r} twice")


@dataclass(frozen=True)
class Choice:
    """What becomes of the classes of a data set.

    Attributes:
        names: The K new ones, in label order.
        labels: For each class of the data the label that it gets; None where it is dropped.
    """

    names: tuple[str, ...]
    labels: tuple[int | None, ...]

    def apply(self, dataset: Dataset) -> Dataset:
        """Return the data set with the new classes, a view of the old one."""
        wider: list[set[str]] = [set() for _ in self.names]
        for label, supercategory in zip(self.labels, dataset.supercategories, strict=True):
            if label is not None:
                wider[label].add(supercategory)
        return dataset.change(
            class_names=self.names,
            category_ids=range(1, len(self.names) + 1),
            records=_Relabelled(dataset.records, self),
            supercategories=[names.pop() if len(names) == 1 else "" for names in wider],
        )

    def category_ids(self, dataset: Dataset) -> dict[int, int]:
        """Return the category id in the result of each category id of the data that is kept."""
        pairs = zip(dataset.category_ids, self.labels, strict=True)
        return {category_id: label + 1 for category_id, label in pairs if label is not None}

    def report(self, dataset: Dataset) -> str:
        """Count what is kept and what is dropped; every record is looked at once."""
        objects = Counter(annotation.label for record in dataset.records for annotation in record.annotations)
        kept = sum(count for label, count in objects.items() if self.labels[label] is not None)
        dropped = [(dataset.class_names[label], n) for label, n in objects.most_common() if self.labels[label] is None]
        named = ", ".join(f"{name} {count:,}" for name, count in dropped[:_SHOWN])
        more = f" and {len(dropped) - _SHOWN} more classes" if len(dropped) > _SHOWN else ""
        return f"kept {kept:,} of {objects.total():,} objects" + (f"; dropped: {named}{more}" if dropped else "")

    def labelled(self, old: frozenset[int] | None) -> frozenset[int] | None:
        """Return the new classes of which every part was looked for; None where that is all of them."""
        if old is None:
            return None
        partly = {new for label, new in enumerate(self.labels) if label not in old}
        whole = frozenset(range(len(self.names))) - partly
        return None if len(whole) == len(self.names) else whole


class _Relabelled(LazyRecords):
    def __init__(self, records: Sequence[Record], choice: Choice) -> None:
        self._records = records
        self._choice = choice

    def __len__(self) -> int:
        return len(self._records)

    def head(self, i: int) -> Record:
        old = head_of(self._records, i)
        return replace(old, labelled=self._choice.labelled(old.labelled), annotations=())

    def annotations(self, i: int) -> tuple[Annotation, ...]:
        paired = ((old, self._choice.labels[old.label]) for old in annotations_of(self._records, i))
        return tuple(replace(old, label=label) for old, label in paired if label is not None)


def choose(dataset: Dataset, classes: Classes, known: Iterable[str] = ()) -> Choice:
    """Find the classes of a data set that a mapping names.

    A new class none of whose parts is in this set is left out of the result.

    Args:
        dataset: The data.
        classes: The mapping.
        known: Names that need not be in this set, as they are in another one that is used with it.

    Raises:
        InputError: A name is neither a class nor a supercategory, a class is named twice, or no class is left.
    """
    parts = parse_classes(classes)
    unknown = [name for names in parts.values() for name in names if not _labels_of(name, dataset)]
    elsewhere = set(known)
    missing = [name for name in unknown if name not in elsewhere]
    if missing or len(unknown) == sum(map(len, parts.values())):
        raise _unknown(missing or unknown, dataset)
    found = {new: [label for name in old for label in _labels_of(name, dataset)] for new, old in parts.items()}
    present = {new: labels for new, labels in found.items() if labels}
    chosen = [dataset.class_names[label] for labels in present.values() for label in labels]
    _check_once(chosen, "(a supercategory stands for all its classes)")
    place = {label: i for i, labels in enumerate(present.values()) for label in labels}
    return Choice(tuple(present), tuple(place.get(label) for label in range(len(dataset.class_names))))


def choose_classes(dataset: Dataset, classes: Classes) -> Dataset:
    """Return a data set with merged, renamed or dropped classes.

    >>> from pathlib import Path
    >>> pictures = [Record("a.jpg", Path("a.jpg"), 1, (6, 8), ())]
    >>> dataset = Dataset(Path("a.json"), "coco", ["car", "truck", "tie"], [3, 8, 32], pictures)
    >>> choose_classes(dataset, "vehicle=car,truck").class_names
    ('vehicle',)

    Raises:
        InputError: The mapping is none, or names a class that the data does not have.
    """
    return choose(dataset, classes).apply(dataset)


def names_of(dataset: Dataset) -> set[str]:
    """Return all names that a mapping may have on the right."""
    return {*dataset.class_names, *filter(None, dataset.supercategories)}


def _labels_of(name: str, dataset: Dataset) -> list[int]:
    if name in dataset.class_names:
        return [dataset.class_names.index(name)]
    return [label for label, wider in enumerate(dataset.supercategories) if name and wider == name]


def _unknown(missing: Sequence[str], dataset: Dataset) -> InputError:
    known = sorted(names_of(dataset))
    folded = {name.casefold(): name for name in known}
    wanted = missing[0].casefold()
    close = [wanted] if wanted in folded else difflib.get_close_matches(wanted, folded, n=3, cutoff=0.6)
    near = " or ".join(repr(folded[each]) for each in close)
    hint = f"did you mean {near} for {missing[0]!r}?" if near else f"its classes are {few(dataset.class_names, 10)}"
    return InputError(f"classes: expected classes of {dataset.source}, got {few(map(repr, missing), 5)}; {hint}")

"""`maskrcnn data split`, `sample` and `merge`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from maskrcnn.cli.opening import Wanted, describe, open_chosen
from maskrcnn.cli.words import Advance, count_of, progress, say
from maskrcnn.data import open_dataset
from maskrcnn.data.classes import choose, names_of
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.joining import join, naming_notes
from maskrcnn.data.splits import sample, split
from maskrcnn.data.writing import coco
from maskrcnn.data.writing.folder import claim
from maskrcnn.data.writing.how import Placing, Writing
from maskrcnn.errors import InputError

_SHOWN = 8


def run_split(
    path: Path, out: Path, shares: Mapping[str, float], by: str, seed: int, pictures: Placing, wanted: Wanted
) -> None:
    """Part a set and write the parts."""
    asked = {name: share for name, share in shares.items() if share}
    if not asked or sum(asked.values()) >= 1:
        raise InputError(f"--val, --test: expected shares that leave something to train on, got {_listed(shares)}")
    asked = {"train": 1 - sum(asked.values()), **asked}
    dataset = open_chosen(path, wanted)
    describe(dataset)
    parts = {name: dataset.select(index) for name, index in split(dataset, asked, by, seed).items()}
    how = {"shares": asked, "by": by, "seed": seed, "pictures": pictures}
    claim(out, {"command": "split", **_facts(dataset, wanted), **how})
    _write({name: (out / name, part) for name, part in parts.items()}, pictures)
    counts = {name: _objects(part) for name, part in parts.items()}
    for name, part in parts.items():
        share = len(part) / len(dataset)
        say(f"{out / name}: {count_of(len(part), 'picture')} ({share:.1%}), {count_of(counts[name].total(), 'object')}")
    left = len(dataset) - sum(map(len, parts.values()))
    if left:
        say(f"note: {count_of(left, 'picture')} left out, with values that belong to different parts")
    everything = sum(counts.values(), Counter())
    for name, count in counts.items():
        _say_missing(name, [dataset.class_names[label] for label in sorted(everything.keys() - count.keys())])


def run_sample(path: Path, out: Path, count: int, by: str, seed: int, pictures: Placing, wanted: Wanted) -> None:
    """Take some pictures and write them."""
    dataset = open_chosen(path, wanted)
    describe(dataset)
    chosen = dataset.select(sample(dataset, count, by, seed))
    how = {"count": count, "by": by, "seed": seed, "pictures": pictures}
    claim(out, {"command": "sample", **_facts(dataset, wanted), **how})
    _write({"sample": (out, chosen)}, pictures)
    found = _objects(chosen)
    say(f"{out}: {count_of(len(chosen), 'picture')}, {count_of(found.total(), 'object')}")
    absent = _objects(dataset).keys() - found.keys()
    _say_missing("the sample", [dataset.class_names[label] for label in sorted(absent)])


def run_merge(paths: Sequence[Path], out: Path, pictures: Placing, wanted: Wanted) -> None:
    """Join sets and write the joint one."""
    sets = [open_dataset(path, format=wanted.format) for path in paths]
    for dataset in sets:
        if wanted.classes is not None:
            known = set[str]().union(*map(names_of, sets))
            say(f"{dataset.source}: {choose(dataset, wanted.classes, known).report(dataset)}")
    for note in naming_notes(sets, wanted.classes):
        say(f"note: {note}")
    joint = join(sets, wanted.classes)
    describe(joint)
    sources = [str(dataset.source.resolve()) for dataset in sets]
    claim(out, {"command": "merge", **_facts(joint, wanted), "sources": sources, "pictures": pictures})
    _write({"merge": (out, joint)}, pictures)
    found = _objects(joint)
    partly = sum(record.labelled is not None for record in joint.records)
    named = ", ".join(f"{name} {found[label]:,}" for label, name in enumerate(joint.class_names[:_SHOWN]))
    say(f"{out}: {count_of(len(joint), 'picture')}, {count_of(found.total(), 'object')}: {named}")
    if partly:
        say(f"note: in {count_of(partly, 'picture')} not every class was looked for; the set says which")


def _listed(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:g}" for name, share in shares.items())


def _facts(dataset: Dataset, wanted: Wanted) -> dict[str, object]:
    return {
        "source": str(dataset.source.resolve()),
        "format": dataset.format,
        "set": dataset.fingerprint(),
        "classes": wanted.classes,
    }


def _write(parts: Mapping[str, tuple[Path, Dataset]], pictures: Placing) -> None:
    total = sum(len(part) for _, part in parts.values())
    before = 0
    with progress("writing") as advance:
        for folder, part in parts.values():
            step = partial(_step, advance, before, total)
            coco.write(part, folder, Writing(coco.EXACTNESS, 0.0, pictures, step))
            before += len(part)


def _step(advance: Advance, before: int, total: int, done: int, _: int) -> None:
    advance(before + done, total)


def _objects(dataset: Dataset) -> Counter[int]:
    return Counter(annotation.label for record in dataset.records for annotation in record.annotations)


def _say_missing(where: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        say(f"note: {where} shows nothing of {', '.join(names[:_SHOWN])}{more}")

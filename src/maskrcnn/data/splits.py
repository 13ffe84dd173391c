"""A set parted for training, validation and test: at random, by classes, by groups or by place.

`random` draws pictures. `stratified` gives every part its share of the pictures of each class, the rarest class
first (iterative stratification). A column such as `spacecraft_id` keeps pictures of one value in one part. With
`spacecraft_id,background_id`, pictures that share a value of either hang together, directly or through others; where
all do, `spacecraft_id*background_id` parts the values of each column and leaves out pictures whose values fall into
different parts. `region` keeps neighbours on the map together, by blocks of the columns `x` and `y`. Every split
follows from its seed.

References: Sechidis, Tsoumakas and Vlahavas, On the stratification of multi-label data (2011), algorithm 1.
Letters: N pictures, P parts, K classes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Dataset, head_of
from maskrcnn.errors import InputError

RANDOM, STRATIFIED, REGION = "random", "stratified", "region"
TOGETHER, CROSSED = ",", "*"
PLACE = ("x", "y")
"""Columns with the place of a picture on a map."""

_BLOCKS = 64  # of a map, about
_TOLERANCE = 0.5  # a part that is off its share by more than this much of it is refused

Parts = dict[str, list[int]]


def split(dataset: Dataset, shares: Mapping[str, float], by: str = RANDOM, seed: int = 0) -> Parts:
    """Part the pictures of a set.

    ```python
    parts = split(dataset, {"train": 0.8, "val": 0.2}, by="stratified")
    train, val = (dataset.select(parts[name]) for name in ("train", "val"))
    ```

    Args:
        dataset: The set.
        shares: Names of the P parts, and what share of the pictures each is to have; they sum up to 1.
        by: `random`, `stratified`, `region`, or the names of columns joined by `,` or by `*`.
        seed: At least 0.

    Returns:
        The pictures of each part, rising; every picture is in exactly one, or with `*` in one at most.

    Raises:
        InputError: A share is out of range, the set has too few pictures, has no such column, or hangs together so
            that it can't be parted like this.
    """
    _check_shares(shares, len(dataset))
    weights, rng = np.array(list(shares.values())), np.random.default_rng([seed, len(dataset)])
    if by == RANDOM:
        return _parts(_random(len(dataset), weights, rng), shares)
    if by == STRATIFIED:
        return _parts(_stratified(classes_of(dataset), weights, rng), shares)
    if CROSSED in by:
        columns = [_column(dataset, name) for name in _names(by, CROSSED)]
        return _checked(_parts(_crossed(columns, weights, rng), shares), shares, by)
    columns = [_blocks(dataset)] if by == REGION else [_column(dataset, name) for name in _names(by, TOGETHER)]
    return _checked(_parts(_grouped(_connected(columns), weights, rng), shares), shares, by)


def _parts(part: NDArray[np.int64], shares: Mapping[str, float]) -> Parts:
    return {name: np.flatnonzero(part == p).tolist() for p, name in enumerate(shares)}


def _check_shares(shares: Mapping[str, float], pictures: int) -> None:
    total = sum(shares.values())
    if len(shares) < 2 or min(shares.values()) <= 0 or not math.isclose(total, 1, abs_tol=1e-6):
        listed = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise InputError(f"split: expected two or more shares above 0 that sum up to 1, got {listed}")
    if pictures < len(shares):
        raise InputError(f"split: expected a picture for each of {len(shares)} parts, got {pictures} in all")


def _counts(pictures: int, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return (P) int64, how many pictures each part gets: at least 1, the largest part what is left.

    >>> _counts(10, np.array([0.75, 0.24, 0.01]))
    array([7, 2, 1])
    """
    counts = np.maximum(np.floor(pictures * weights + 0.5).astype(np.int64), 1)
    largest = int(np.argmax(weights))
    counts[largest] = pictures - (counts.sum() - counts[largest])
    while counts[largest] < 1:  # so few pictures that rounding left it none
        counts[int(np.argmax(counts))] -= 1
        counts[largest] += 1
    return counts


def _random(pictures: int, weights: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return (N) int64, the part of each picture."""
    return rng.permutation(np.repeat(np.arange(len(weights)), _counts(pictures, weights)))


# By classes


def classes_of(dataset: Dataset) -> list[frozenset[int]]:
    """Return the labels that each picture has objects of."""
    return [frozenset(annotation.label for annotation in record.annotations) for record in dataset.records]


def _stratified(
    labels: Sequence[frozenset[int]], weights: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return (N) int64: each part gets its share of the pictures of every class, the rarest class first."""
    room = _counts(len(labels), weights).astype(np.float64)
    share = room / len(labels)
    order = rng.permutation(len(labels))
    waiting: dict[int, set[int]] = defaultdict(set)
    for i in order.tolist():
        for label in labels[i]:
            waiting[label].add(i)
    wanted = {label: share * len(pictures) for label, pictures in waiting.items()}
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels))
    part = np.full(len(labels), -1, dtype=np.int64)
    while waiting:
        rarest = min(waiting, key=lambda label: (len(waiting[label]), label))
        for i in sorted(waiting[rarest], key=rank.__getitem__):
            part[i] = _neediest(wanted[rarest], room)
            room[part[i]] -= 1
            for label in labels[i]:
                wanted[label][part[i]] -= 1
                waiting[label].discard(i)
        waiting = {label: pictures for label, pictures in waiting.items() if pictures}
    for i in order[part[order] < 0].tolist():  # pictures without objects
        part[i] = int(np.argmax(room))
        room[part[i]] -= 1
    return part


def _neediest(wanted: NDArray[np.float64], room: NDArray[np.float64]) -> int:
    """Return the part with room that lacks most pictures of a class, of equal ones that with most room."""
    return max(range(len(room)), key=lambda p: (room[p] > 0, round(float(wanted[p]), 9), room[p]))


# By groups


def _names(by: str, between: str) -> list[str]:
    names = [name.strip() for name in by.split(between) if name.strip()]
    if not names:
        raise InputError(f"split: expected {RANDOM}, {STRATIFIED}, {REGION} or names of columns, got {by!r}")
    return names


def _column(dataset: Dataset, name: str) -> list[Hashable]:
    rows = [head_of(dataset.records, i).columns for i in range(len(dataset))]
    lacking = sum(name not in row for row in rows)
    if lacking:
        known = sorted({key for row in rows for key in row})
        got = f"none for {lacking:,} of {len(rows):,} pictures" if lacking < len(rows) else "no such column"
        hint = f"columns: {', '.join(known)}" if known else f"this data has none; take {RANDOM} or {STRATIFIED}"
        raise InputError(f"split by {name}: expected a column of {dataset.source}, got {got}; {hint}")
    return [row[name] for row in rows]


def _blocks(dataset: Dataset) -> list[Hashable]:
    """Return the square block of the map that each picture lies in."""
    place = np.array([_numbers(dataset, name) for name in PLACE])
    place -= place.min(axis=1, keepdims=True)
    w, h = place.max(axis=1)
    side = max(math.sqrt(w * h / _BLOCKS), max(w, h) / _BLOCKS) or 1.0
    return [(int(x), int(y)) for x, y in (place / side).T]


def _numbers(dataset: Dataset, name: str) -> NDArray[np.float64]:
    texts = [str(text) for text in _column(dataset, name)]
    try:
        values = np.array(texts, dtype=np.float64)
    except ValueError:
        values = np.array([math.nan])
    if not np.isfinite(values).all():
        raise InputError(f"split by {REGION}: column {name}: expected numbers, got {texts[0]!r} or the like")
    return values


def _connected(columns: Sequence[Sequence[Hashable]]) -> NDArray[np.int64]:
    """Number the groups of pictures that share a value of any column, directly or through others.

    >>> _connected([["a", "a", "b", "c"], [1, 2, 2, 3]])
    array([0, 0, 0, 1])
    """
    parent = list(range(len(columns[0])))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for column in columns:
        first: dict[Hashable, int] = {}
        for i, value in enumerate(column):
            a, b = sorted((root(i), root(first.setdefault(value, i))))
            parent[b] = a
    _, groups = np.unique([root(i) for i in range(len(parent))], return_inverse=True)
    return groups.astype(np.int64)


def _grouped(groups: NDArray[np.int64], weights: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return (N) int64: whole groups, large ones first, each to the part that lacks most pictures."""
    sizes = np.bincount(groups)
    missing = weights * len(groups)
    part = np.zeros(len(sizes), dtype=np.int64)
    order = rng.permutation(len(sizes))
    for group in order[np.argsort(-sizes[order], kind="stable")].tolist():
        part[group] = int(np.argmax(missing))
        missing[part[group]] -= sizes[group]
    return part[groups]


def _crossed(
    columns: Sequence[Sequence[Hashable]], weights: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return (N) int64: the part of those pictures whose values are all of one part, and -1 for the others.

    Of m columns a picture falls into a part by all of them with the product of their shares, so each column is parted
    by the m-th root of what is wanted.
    """
    roots = weights ** (1 / len(columns))
    chosen = np.stack([_grouped(_connected([column]), roots / roots.sum(), rng) for column in columns])
    return np.where((chosen == chosen[0]).all(axis=0), chosen[0], -1)


def _checked(parts: Parts, shares: Mapping[str, float], by: str) -> Parts:
    """Refuse a split that is far from what was asked for, as large groups can't be cut."""
    total = sum(map(len, parts.values()))
    for name, pictures in parts.items():
        if not total or abs(len(pictures) / total - shares[name]) > _TOLERANCE * shares[name]:
            raise InputError(
                f"split by {by}: expected about {shares[name]:.0%} of the pictures in {name}, got {len(pictures):,} of "
                f"{total:,}: the pictures hang together in too large groups; ask for other shares"
                + (f", join the columns by {CROSSED}, or name one only" if TOGETHER in by else "")
            )
    return parts


# Samples


def sample(dataset: Dataset, count: int, by: str = RANDOM, seed: int = 0) -> list[int]:
    """Choose some pictures of a set.

    Args:
        dataset: The set.
        count: How many.
        by: `random`; or `stratified`, so that every class is there as long as there is room for it.
        seed: At least 0.

    Returns:
        The pictures, rising.

    Raises:
        InputError: The set has fewer pictures, or `by` is something else.
    """
    if not 1 <= count <= len(dataset):
        raise InputError(f"sample: expected 1 to {len(dataset):,} pictures, got {count:,}")
    rng = np.random.default_rng([seed, len(dataset), count])
    order = rng.permutation(len(dataset)).tolist()
    if by == STRATIFIED:
        first = _covering(classes_of(dataset), order, count)
        order = list(dict.fromkeys([*first, *order]))
    elif by != RANDOM:
        raise InputError(f"sample: expected {RANDOM} or {STRATIFIED}, got {by!r}")
    return sorted(order[:count])


def _covering(labels: Sequence[frozenset[int]], order: Iterable[int], count: int) -> list[int]:
    """Choose pictures so that few show every class: for the rarest missing class the one with most missing ones."""
    having: dict[int, list[int]] = defaultdict(list)
    for i in order:
        for label in labels[i]:
            having[label].append(i)
    found: list[int] = []
    while having and len(found) < count:
        rarest = min(having, key=lambda label: (len(having[label]), label))
        found.append(max(having[rarest], key=lambda i: len(labels[i] & having.keys())))
        for label in labels[found[-1]] & having.keys():
            del having[label]
    return found

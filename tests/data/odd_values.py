"""Documents that differ from a good one in a single place: none may end in a bare exception."""

from __future__ import annotations

import copy
from collections.abc import Iterator


def places(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


ODD = [None, True, -1, 0, 2.5, 1e400, 10**400, "", "a", "-1", [], [[]], [None], {}, {"a": 1}]


def with_odd_values(document: dict[str, object]) -> Iterator[object]:
    """Make every document that differs from a good one in a single place."""
    for *path, last in filter(None, places(document)):
        for odd in ODD:
            changed = copy.deepcopy(document)
            holder: object = changed
            for key in path:
                holder = holder[key]
            holder[last] = odd
            yield changed

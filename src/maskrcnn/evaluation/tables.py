"""Tables for the terminal of what was measured beside COCO's numbers, and of two models compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from maskrcnn.evaluation.coco import BOUNDARY, KINDS, Interval, Metrics, show

if TYPE_CHECKING:
    from rich.table import Table

    from maskrcnn.evaluation.bootstrap import Difference

_KINDS = (*KINDS, BOUNDARY)


def other_names(metrics: Metrics) -> list[str]:
    """List the numbers that are not COCO's, without the kind before them.

    >>> other_names(Metrics({"box/AP": 0.5, "box/voc/AP50": 0.6}, {}, 1, 1, 0, 1))
    ['voc/AP50']
    """
    names = dict.fromkeys(key.partition("/")[2] for key in metrics.values)
    return [name for name in names if "/" in name]


def measure_table(metrics: Metrics) -> Table:
    """Lay out the numbers that are not COCO's, each with its definition."""
    from rich.table import Table

    names = other_names(metrics)
    kinds = [kind for kind in _KINDS if any(f"{kind}/{name}" in metrics.values for name in names)]
    out = Table(title="Other measures", title_justify="left", show_lines=True)
    out.add_column("number", no_wrap=True)
    for kind in kinds:
        out.add_column(kind, justify="right", style="bold", no_wrap=True)
    out.add_column("what it is")
    for name in names:
        keys = [f"{kind}/{name}" for kind in kinds]
        cells = [show(metrics.values[key]) if key in metrics.values else "" for key in keys]
        out.add_row(name, *cells, next(metrics.meanings[key] for key in keys if key in metrics.meanings))
    return out


def interval_table(metrics: Metrics, intervals: Mapping[str, Interval]) -> Table:
    """Lay out each number with the interval that it lies in."""
    from rich.table import Table

    caption = "95 % intervals, from pictures drawn with replacement"
    out = Table(title="Intervals", caption=caption, title_justify="left")
    for heading in ("number", "value", "from", "to"):
        out.add_column(heading, justify="left" if heading == "number" else "right", no_wrap=True)
    for name, interval in intervals.items():
        out.add_row(name, show(metrics.values[name]), *map(show, interval))
    return out


def difference_table(differences: Mapping[str, Difference], first: str, second: str) -> Table:
    """Lay out the numbers of two models, and between which values the second is better than the first."""
    from rich.table import Table

    caption = (
        f"first: {first}\nsecond: {second}\ndifference: second less first, with its 95 % interval, from the same "
        "pictures drawn with replacement for both; a star where it leaves out 0"
    )
    out = Table(title="Compared", caption=caption, title_justify="left")
    for heading in ("number", "first", "second", "difference", "from", "to", ""):
        out.add_column(heading, justify="left" if heading == "number" else "right", no_wrap=True)
    for name, one in differences.items():
        signed = [f"{value:+.3f}" for value in (one.difference, *one.interval)]
        out.add_row(name, show(one.first), show(one.second), *signed, "*" if one.clear else "")
    return out

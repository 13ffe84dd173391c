"""The numbers that a run logged, over all sessions that it took.

Each session writes a CSV file of its own; where a later session repeated steps after a kill, its numbers count.
"""

from __future__ import annotations

import csv
from pathlib import Path

Row = dict[str, float]


def _session(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def read_history(run: Path) -> list[Row]:
    """Return the logged rows of a run by rising step, each with `step` and what was logged there."""
    rows: list[Row] = []
    for path in sorted((run / "logs").glob("version_*/metrics.csv"), key=lambda p: int(p.parent.name[8:])):
        session = _session(path)
        first = min((row["step"] for row in session), default=float("inf"))
        rows = [row for row in rows if row["step"] < first] + session
    return rows


def curve(rows: list[Row], name: str) -> tuple[list[float], list[float]]:
    """Return steps and values of one logged number."""
    points = [(row["step"], row[name]) for row in rows if name in row]
    return [step for step, _ in points], [value for _, value in points]

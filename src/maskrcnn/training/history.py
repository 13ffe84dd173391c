"""The numbers of a run as one CSV file, whatever number of sessions it took.

A row is written before the checkpoint that follows it, and a session that goes on from a checkpoint first drops
the rows behind it: the file reads as if the run had never been interrupted.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from maskrcnn.files import write_text, writing

Row = dict[str, float]

LOSSES = ("objectness", "proposal_box", "class", "box", "mask")
SHOWN = ("AP", "AP50", "AP75", "AR100")
COLUMNS = (
    "step",
    "epoch",
    "train/rate",
    "train/loss",
    *(f"train/{name}" for name in LOSSES),
    "val/AP",
    *(f"val/{kind}/{name}" for kind in ("box", "mask") for name in SHOWN),
)


class History:
    """Writes the file.

    Args:
        path: Where.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, step: int) -> None:
        """Keep the rows before a step, of a run that goes on from there, and drop the others.

        Raises:
            OutputError: The file can't be written.
        """
        kept = [_values(row) for row in _rows(self.path) if row["step"] < step]
        write_text(self.path, _lines([COLUMNS, *kept]))

    def write(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Add rows at the end, each with `step` and what was measured there.

        Raises:
            OutputError: The file can't be written.
        """
        with writing(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(_lines([_values(row) for row in rows]))


def _values(row: Mapping[str, float]) -> list[str]:
    return [_text(name, row[name]) if name in row else "" for name in COLUMNS]


def _text(name: str, value: float) -> str:
    return str(int(value)) if name in ("step", "epoch") else repr(float(value))


def _lines(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")  # a kill may have left half a line
    return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(whole.splitlines())]


def read_history(run: Path) -> list[Row]:
    """Return the numbers of a run by rising step, one row a step, each with `step` and what was measured there.

    Args:
        run: The run's folder.
    """
    merged: dict[float, Row] = {}
    for row in _rows(run / "logs" / "history.csv"):
        merged.setdefault(row["step"], {}).update(row)
    return [merged[step] for step in sorted(merged)]


def curve(rows: Sequence[Row], name: str) -> tuple[list[float], list[float]]:
    """Return steps and values of one number, where it was measured.

    >>> curve([{"step": 0, "val/AP": 0.25}, {"step": 1}, {"step": 2, "val/AP": 0.5}], "val/AP")
    ([0, 2], [0.25, 0.5])
    """
    points = [(row["step"], row[name]) for row in rows if name in row]
    return [step for step, _ in points], [value for _, value in points]

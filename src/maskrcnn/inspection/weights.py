"""The weights of a model: numbers and histogram of every tensor, and what looks dead or overflown.

Letters: C output channels of a layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from maskrcnn.draw.bars import TIMES
from maskrcnn.draw.page import Cell, Headline, Table, render
from maskrcnn.files import write_text
from maskrcnn.version import __version__
from maskrcnn.zoo.opening import open_weights

BARS = 48
HUGE = 1000.0  # a trained network has no weight as large
FADED = 1e-6  # of a tensor's largest number: an output channel of which no number is above this says nothing
DEAD, OVERFLOWN, BROKEN, FADING = "dead", "overflow", "not a number", "dead channels"
_SPREADS = ("running_var",)  # statistics, which may be as large as the features are


class TensorNumbers(NamedTuple):
    """A tensor in numbers.

    Attributes:
        name: As in the file.
        shape: Its sides.
        low: Least number; of those that are finite, as all that follow.
        high: Greatest.
        mean: Mean.
        std: Standard deviation.
        dead: How many of its C output channels have only zeros, or next to it.
        mark: What is wrong: `dead`, `overflow`, `not a number`, `dead channels`, or nothing.
        counts: How many numbers are in each of equal parts from the least to the greatest.
    """

    name: str
    shape: tuple[int, ...]
    low: float
    high: float
    mean: float
    std: float
    dead: int
    mark: str
    counts: tuple[int, ...]


def inspect_weights(tensors: Mapping[str, Tensor]) -> list[TensorNumbers]:
    """Measure tensors.

    A tensor is marked where a number is not finite, where one is beyond 1000, but for variances, or where all are the
    same, but for one-dimensional ones, of which only scales may not be all zero. Of the others output channels with
    nothing but zeros are counted.

    Args:
        tensors: By name; of any number of axes, output channels first.

    >>> [each.mark for each in inspect_weights({"a": torch.zeros(2, 3), "b": torch.tensor([[0.0], [2.0]])})]
    ['dead', 'dead channels']
    """
    return [_measure(name, tensor) for name, tensor in tensors.items() if tensor.numel()]


def _measure(name: str, tensor: Tensor) -> TensorNumbers:
    values = tensor.detach().cpu().double()
    finite = values[values.isfinite()]
    known = finite if finite.numel() else values.new_zeros(1)
    low, high = known.min().item(), known.max().item()
    counts = torch.histc(known, BARS, low, high) if high > low else torch.tensor([known.numel()])
    dead = _dead_channels(values) if values.ndim > 1 else 0
    return TensorNumbers(
        name,
        tuple(tensor.shape),
        low,
        high,
        known.mean().item(),
        known.std(correction=0).item(),
        dead,
        _mark(name, values, finite.numel(), (low, high), dead),
        tuple(int(count) for count in counts.tolist()),
    )


def _dead_channels(values: Tensor) -> int:
    largest = values.abs().flatten(1).amax(dim=1)
    return int((largest <= FADED * largest.max()).sum())


def _mark(name: str, values: Tensor, finite: int, span: tuple[float, float], dead: int) -> str:
    low, high = span
    if finite < values.numel():
        return BROKEN
    if max(-low, high) > HUGE and not name.endswith(_SPREADS):
        return OVERFLOWN
    if low == high and (values.ndim > 1 or (low == 0 and name.endswith(("norm.weight", "running_var")))):
        return DEAD
    return FADING if dead else ""


def weight_table(rows: Sequence[TensorNumbers]) -> Table:
    """Put tensors into a table."""
    cells: list[list[Cell]] = [
        [row.name, shape_of(row), row.low, row.high, row.mean, row.std, words_of(row)] for row in rows
    ]
    return Table("Weights", ("tensor", "shape", "least", "greatest", "mean", "std", "mark"), cells, _note(), digits=4)


def shape_of(row: TensorNumbers) -> str:
    """Write the sides of a tensor."""
    return f" {TIMES} ".join(map(str, row.shape)) or "one number"


def words_of(row: TensorNumbers) -> str:
    """Say what is wrong with a tensor, if anything is."""
    return f"{row.dead} of {row.shape[0]} channels dead" if row.mark == FADING else row.mark


def _note() -> str:
    return (
        f"dead: all numbers are the same; overflow: one is beyond {HUGE:g}; not a number: one is not finite. A dead "
        "channel has no number that counts."
    )


class Group(NamedTuple):
    """The tensors of a part of the network."""

    name: str
    rows: Sequence[TensorNumbers]

    @property
    def marked(self) -> int:
        """How many have a mark."""
        return sum(bool(row.mark) for row in self.rows)


def _groups(rows: Sequence[TensorNumbers]) -> list[Group]:
    def part(row: TensorNumbers) -> str:
        pieces = row.name.split(".")
        return ".".join(pieces[:2]) if pieces[0] == "backbone" else pieces[0]

    return [Group(name, list(own)) for name, own in groupby(rows, part)]


def outline(counts: Sequence[int]) -> str:
    """Draw a histogram as the path of an SVG of 96 by 24; heights are square roots, so that tails can be seen.

    >>> outline((4, 1))
    'M0,24V0.0H48.0V12.0H96.0V24Z'
    """
    most, width = max(counts) ** 0.5, 96 / len(counts)
    steps = (f"V{24 - 24 * count**0.5 / most:.1f}H{(i + 1) * width:.1f}" for i, count in enumerate(counts))
    return f"M0,24{''.join(steps)}V24Z"


def show_weights(model: str | Path, out: str | Path) -> Path:
    """Write a page with numbers and histogram of every tensor of a model.

    Args:
        model: A model file, address or name, as `load` takes them.
        out: The page to write.

    Returns:
        The page.

    Raises:
        WeightsError: The file is missing, broken, can't be fetched, or holds no model of a known kind.
        OutputError: The page can't be written.
    """
    write_text(Path(out), weights_page(Path(str(model)).name, inspect_weights(open_weights(model).tensors)))
    return Path(out)


def weights_page(title: str, rows: Sequence[TensorNumbers]) -> str:
    """Make the page, a whole HTML document."""
    numbers = sum(torch.Size(row.shape).numel() for row in rows)
    marked = [row for row in rows if row.mark]
    headlines = [
        Headline(f"{len(rows):,}", "tensors"),
        Headline(f"{numbers / 1e6:.1f} M", "numbers"),
        Headline(f"{len(marked):,}", "marked", "dead, overflown or not a number"),
        Headline(f"{max((max(abs(row.low), abs(row.high)) for row in rows), default=0.0):.4g}", "largest number"),
    ]
    return render(
        "weights.html",
        "maskrcnn.inspection",
        filters={"outline": outline, "shape": shape_of, "words": words_of},
        title=title,
        headlines=headlines,
        groups=_groups(rows),
        marked=marked,
        note=_note(),
        version=__version__,
    )

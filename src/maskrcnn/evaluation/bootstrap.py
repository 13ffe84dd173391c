"""How much the numbers hang on the pictures that happened to be there, and whether one model is better than another.

Pictures are drawn with replacement, as many as there are, again and again; an interval holds 95 % of what the number
then is. Two models are measured on the same draws, so what is hard for both is no difference.

References: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13: percentile intervals.
Letters: B pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from maskrcnn.errors import InputError
from maskrcnn.evaluation.coco import Interval, Values
from maskrcnn.evaluation.counting import Times
from maskrcnn.evaluation.measuring import Evaluation

SAMPLES = 1000
SHARE = 0.95
Progress = Callable[[int, int], None]


class Difference(NamedTuple):
    """A number of two models, and how much higher it is for the second one.

    Attributes:
        first: Of the first model.
        second: Of the second one.
        interval: Of second less first.
    """

    first: float
    second: float
    interval: Interval

    @property
    def difference(self) -> float:
        """Second less first."""
        return self.second - self.first

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval.low > 0 or self.interval.high < 0


def intervals(
    evaluation: Evaluation, samples: int = SAMPLES, seed: int = 0, progress: Progress | None = None
) -> dict[str, Interval]:
    """Return the interval of each number over all classes by its name; numbers without a value have none.

    Args:
        evaluation: What was counted.
        samples: How often pictures are drawn.
        seed: Of the draws.
        progress: Called with draws done and draws in all.

    Raises:
        InputError: There are fewer than two pictures, or samples.
    """
    drawn: dict[str, list[float]] = {}
    for times in _draws(evaluation, samples, seed, progress):
        for name, value in evaluation.values(times)[0].items():
            if value is not None:
                drawn.setdefault(name, []).append(value)
    return {name: _interval(values) for name, values in drawn.items()}


def compare(
    first: Evaluation,
    second: Evaluation,
    samples: int = SAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Difference]:
    """Compare two models, or two sets of results, on the same pictures; only numbers that both have.

    Args:
        first: What was counted of one.
        second: What was counted of the other.
        samples: How often pictures are drawn.
        seed: Of the draws.
        progress: Called with draws done and draws in all.

    Raises:
        InputError: They were measured on different pictures, or have no number in common, or there are fewer than two
            pictures, or samples.
    """
    if first.truth.sizes_hw != second.truth.sizes_hw or first.truth.names != second.truth.names:
        raise InputError("compare: expected two evaluations of the same pictures and classes, got different ones")
    if not set(first.values()[0]) & set(second.values()[0]):
        raise InputError(
            f"compare: expected numbers that both have, got {' and '.join(first.kinds) or 'none'} of one "
            f"and {' and '.join(second.kinds) or 'none'} of the other"
        )
    drawn: dict[str, list[float]] = {}
    for times in _draws(first, samples, seed, progress):
        for name, value in _differences(first.values(times)[0], second.values(times)[0]).items():
            drawn.setdefault(name, []).append(value)
    one, other = first.values()[0], second.values()[0]
    return {
        name: Difference(a, b, _interval(drawn[name]))
        for name in _differences(one, other)
        if name in drawn and (a := one[name]) is not None and (b := other[name]) is not None
    }


def _differences(first: Values, second: Values) -> dict[str, float]:
    return {name: b - a for name, a in first.items() if a is not None and (b := second.get(name)) is not None}


def _draws(evaluation: Evaluation, samples: int, seed: int, progress: Progress | None) -> Iterator[Times]:
    ids = np.array(sorted(evaluation.truth.sizes_hw), dtype=np.int64)
    if len(ids) < 2 or samples < 2:
        raise InputError(f"bootstrap: expected two pictures and two samples or more, got {len(ids)} and {samples}")
    generator = np.random.default_rng(seed)
    for done in range(1, samples + 1):
        yield Times(ids, np.bincount(generator.integers(len(ids), size=len(ids)), minlength=len(ids)))
        if progress:
            progress(done, samples)


def _interval(values: list[float]) -> Interval:
    rest = (1 - SHARE) / 2
    low, high = np.quantile(values, [rest, 1 - rest])
    return Interval(float(low), float(high))

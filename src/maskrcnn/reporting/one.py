"""The page of one run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Dataset
from maskrcnn.draw.chart import Chart, layout
from maskrcnn.draw.page import Headline, Table, render
from maskrcnn.evaluation.report import headlines, tables
from maskrcnn.reporting.cases import Case, Cases, Wrong, choose, collect, judged
from maskrcnn.reporting.charts import training_charts
from maskrcnn.reporting.measuring import Measured, Progress
from maskrcnn.reporting.runs import same_data
from maskrcnn.reporting.shots import Crop, Shot, cut_out, sceneries, shoot
from maskrcnn.reporting.words import (
    QUALITY,
    RIGHT,
    Colour,
    card_words,
    colours,
    data_of,
    many,
    settings_of,
    versions_of,
)
from maskrcnn.training.folder import describe
from maskrcnn.version import __version__

SURE = 0.5
CASES = 24  # of each kind
FIRST = 6  # pictures that are seen before one asks for all


class Card(NamedTuple):
    """A picture with its numbers; `place` is its place in the data."""

    shot: Shot
    place: int
    quality: float
    words: str


@dataclass(frozen=True)
class Gallery:
    """The pictures of a page.

    Attributes:
        cards: Pictures with truth and prediction, the worst first.
        choice: How they were chosen.
        missed: Objects that were not found, those that were nearly found first.
        missed_note: How many there are of how many.
        false: Detections that are wrong, the surest first.
        false_note: Likewise.
    """

    cards: Sequence[Card]
    choice: str
    missed: Sequence[Crop]
    missed_note: str
    false: Sequence[Crop]
    false_note: str


@dataclass(frozen=True)
class RunPage:
    """Everything on the page; whatever is empty is left out.

    Attributes:
        title: The page's name.
        lead: One sentence below it.
        headlines: The numbers that matter most.
        notes: What should be known first.
        names: The classes, in the order of the data.
        gallery: Pictures.
        scores: Tables of AP.
        curves: How precision, recall and probability belong together.
        training: Losses, learning rate and AP over the steps.
        settings: Names and values that made the run.
        data: What is known of the data.
        versions: Names and versions of the software and the machine.
    """

    title: str
    lead: str
    headlines: Sequence[Headline]
    notes: Sequence[str]
    names: Sequence[str]
    gallery: Gallery
    scores: Sequence[Table]
    curves: Sequence[Chart]
    training: Sequence[Chart]
    settings: Mapping[str, object]
    data: Mapping[str, object]
    versions: Mapping[str, object]

    @property
    def charts(self) -> list[Chart]:
        """What is written as figures too."""
        return [*self.curves, *self.training]

    @property
    def colours(self) -> list[Colour]:
        """The colour of each class."""
        return colours(self.names)

    def html(self) -> str:
        """Make the page, a whole HTML document."""
        return render(
            "run.html",
            "maskrcnn.reporting",
            page=self,
            curves=[layout(chart) for chart in self.curves],
            training=[layout(chart) for chart in self.training],
            first=FIRST,
            right=RIGHT,
            quality=QUALITY,
            version=__version__,
        )


def run_page(measured: Measured, dataset: Dataset, count: int, score: float | None, progress: Progress) -> RunPage:
    """Find out everything that the page of one run says.

    Args:
        measured: The run.
        dataset: What it was measured on.
        count: Pictures to show at most.
        score: Detections below this probability are not shown.
        progress: Is told what is done.
    """
    told, metrics = measured.told, measured.metrics
    shown = SURE if score is None else score
    least = np.full(len(dataset.class_names), shown)
    return RunPage(
        title=told.name,
        lead=_lead(measured, dataset),
        headlines=headlines(metrics),
        notes=_notes(measured, dataset),
        names=dataset.class_names,
        gallery=_gallery(measured, dataset, least, f"at least {shown:g}", count, progress),
        scores=tables(metrics),
        curves=[],
        training=training_charts(told.history),
        settings=settings_of(told),
        data=data_of(told, describe(dataset)),
        versions=versions_of(told),
    )


def _lead(measured: Measured, dataset: Dataset) -> str:
    told = measured.told
    learnt = (told.facts.get("data") or {}).get("pictures")
    of = f" after learning from {many(learnt, 'picture')}" if isinstance(learnt, int) else ""
    return (
        f"{told.model.backbone.depth} measured on {many(len(dataset), 'picture')} with "
        f"{many(measured.metrics.objects, 'object')} of {many(len(dataset.class_names), 'class')}{of}. "
        f"Reading and finding took {measured.found.seconds / len(dataset):.2g} s a picture."
    )


def _notes(measured: Measured, dataset: Dataset) -> list[str]:
    told = measured.told
    if told.facts.get("validation") and not same_data(told, dataset.fingerprint()):
        return ["This is other data than the run was measured on while it trained, so its AP there was another."]
    return []


def _gallery(
    measured: Measured, dataset: Dataset, least: NDArray[np.float64], shown: str, count: int, progress: Progress
) -> Gallery:
    cases = collect(judged(measured.kind, measured.truth, measured.found.results, least), CASES)
    chosen = choose(cases.pictures, count)
    drawn = _draw(measured, dataset, least, cases, chosen, progress)
    return Gallery(
        [drawn.cards[each] for each in chosen],
        _choice(len(chosen), len(cases.pictures), shown),
        [drawn.crops["missed", n] for n in range(len(cases.missed))],
        _of(len(cases.missed), cases.missed_count, "missed object"),
        [drawn.crops["false", n] for n in range(len(cases.false))],
        _of(len(cases.false), cases.false_count, "false detection"),
    )


class _Drawn(NamedTuple):
    """Cards by their place among the pictures, crops by what they are of and their place among the cases."""

    cards: dict[int, Card]
    crops: dict[tuple[Wrong, int], Crop]


def _draw(
    measured: Measured,
    dataset: Dataset,
    least: NDArray[np.float64],
    cases: Cases,
    chosen: Collection[int],
    progress: Progress,
) -> _Drawn:
    """Read each picture that is shown once, and draw all that is shown of it."""
    drawn = _Drawn({}, {})
    wanted = {cases.pictures[each].image_id: each for each in chosen}
    own = _by_picture(cases)
    needed = {*wanted, *own}
    stream = sceneries(dataset, measured.kind, measured.truth, [measured.found.results], least, needed)
    for done, scenery in enumerate(stream, 1):
        image_id = scenery.sample.image_id
        if image_id in wanted:
            place = wanted[image_id]
            went = cases.pictures[place]
            words = card_words(went.right, went.missed, went.false)
            drawn.cards[place] = Card(shoot(scenery), place, went.quality, words)
        for of, n, case in own.get(image_id, ()):
            drawn.crops[of, n] = cut_out(scenery, case, of)
        progress("drawing", done, len(needed))
    return drawn


def _by_picture(cases: Cases) -> dict[int, list[tuple[Wrong, int, Case]]]:
    own: dict[int, list[tuple[Wrong, int, Case]]] = {}
    kinds: tuple[tuple[Wrong, list[Case]], ...] = (("missed", cases.missed), ("false", cases.false))
    for of, each in kinds:
        for n, case in enumerate(each):
            own.setdefault(case.image_id, []).append((of, n, case))
    return own


def _choice(shown: int, total: int, least: str) -> str:
    which = (
        f"All {many(total, 'picture')}, the worst first."
        if shown == total
        else f"{shown:,} of {many(total, 'picture')}, the worst first: half of them the worst, a quarter the best, "
        "the others spread between."
    )
    return f"{which} Detections with a probability of {least} are shown."


def _of(shown: int, total: int, noun: str) -> str:
    if not total:
        return f"There is no {noun}."
    return f"All {many(total, noun)}." if shown == total else f"{shown:,} of {many(total, noun)}."

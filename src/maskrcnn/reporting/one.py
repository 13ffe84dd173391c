"""The page of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskrcnn.data.dataset import Dataset
from maskrcnn.draw.chart import Chart
from maskrcnn.draw.layout import contact_sheet
from maskrcnn.draw.page import Headline, Table
from maskrcnn.evaluation.analysis import Analyser, Analysis
from maskrcnn.evaluation.errors import ERRORS
from maskrcnn.evaluation.errors import Case as Error
from maskrcnn.evaluation.report import headlines, tables
from maskrcnn.evaluation.scenes import scenes
from maskrcnn.reporting.cases import Case, Cases, Collector, Picture, Wrong, choose, error_case, judged
from maskrcnn.reporting.charts import training_charts
from maskrcnn.reporting.faults import (
    ErrorRow,
    Matrix,
    calibration_chart,
    class_curves,
    error_rows,
    errors_note,
    matrix,
    mistakes,
    threshold_table,
)
from maskrcnn.reporting.measuring import Measured, Progress, Sure
from maskrcnn.reporting.page import Page
from maskrcnn.reporting.runs import same_data
from maskrcnn.reporting.shots import Crop, Shot, cut_out, differing, sceneries, shoot
from maskrcnn.reporting.words import (
    card_words,
    data_of,
    many,
    settings_of,
    versions_of,
)
from maskrcnn.training.folder import describe

CASES = 24  # missed objects and false detections that are shown
EXAMPLES = 6  # of each class of errors
FIRST = 6  # pictures that are seen before one asks for all, and that are on the sheet
COLUMNS = 3


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
        sheet: The first of them, each with its differences; None without any.
        missed: Objects that were not found, those that were nearly found first.
        missed_note: How many there are of how many.
        false: Detections that are wrong, the surest first.
        false_note: Likewise.
    """

    cards: Sequence[Card]
    choice: str
    sheet: Image.Image | None
    missed: Sequence[Crop]
    missed_note: str
    false: Sequence[Crop]
    false_note: str


@dataclass(frozen=True)
class Faults:
    """What is wrong.

    Attributes:
        rows: The classes of errors.
        note: What their numbers are.
        examples: Some of each class, the surest first.
        matrix: Which class is taken for which, of few classes.
        mistakes: Likewise, of many.
        thresholds: The best threshold of each class.
    """

    rows: Sequence[ErrorRow]
    note: str
    examples: Mapping[str, Sequence[Crop]]
    matrix: Matrix | None
    mistakes: Table | None
    thresholds: Table

    @classmethod
    def of(cls, analysis: Analysis, examples: Mapping[str, Sequence[Crop]]) -> Faults:
        """Lay an analysis out."""
        errors, confusion = analysis.errors, analysis.confusion
        return cls(
            error_rows(errors),
            errors_note(errors),
            examples,
            matrix(confusion),
            mistakes(confusion),
            threshold_table(analysis),
        )


@dataclass(frozen=True)
class RunPage(Page):
    """Everything on the page; whatever is empty is left out.

    Attributes:
        title: The page's name.
        lead: One sentence below it.
        headlines: The numbers that matter most.
        notes: What should be known first.
        names: The classes, in the order of the data.
        gallery: Pictures.
        scores: Tables of AP.
        faults: What is wrong; None to leave it out.
        curves: How precision, recall and probability belong together.
        training: Losses, learning rate and AP over the steps.
        settings: Names and values that made the run.
        data: What is known of the data.
        versions: Names and versions of the software and the machine.
    """

    template = "run.html"

    title: str
    lead: str
    headlines: Sequence[Headline]
    notes: Sequence[str]
    names: Sequence[str]
    gallery: Gallery
    scores: Sequence[Table]
    faults: Faults | None
    curves: Sequence[Chart]
    training: Sequence[Chart]
    settings: Mapping[str, object]
    data: Mapping[str, object]
    versions: Mapping[str, object]

    @property
    def sheets(self) -> dict[str, Image.Image]:
        """What is written as pictures too, by the names of the files."""
        return {} if self.gallery.sheet is None else {"worst pictures": self.gallery.sheet}

    @property
    def first(self) -> int:
        """How many pictures are shown before more are asked for."""
        return FIRST


def run_page(measured: Measured, dataset: Dataset, count: int, score: float | None, progress: Progress) -> RunPage:
    """Find out everything that the page of one run says.

    Args:
        measured: The run.
        dataset: What it was measured on.
        count: Pictures to show at most.
        score: Detections below this probability are not shown.
        progress: Is told what is done.
    """
    told, truth, results = measured.told, measured.truth, measured.found.results
    sure = Sure.of(measured, score)
    analyser = Analyser(measured.kind, dataset.class_names, sure=sure.by_name)
    collector = Collector(CASES)
    for scene in scenes(measured.kind, truth, results):
        analyser.add(scene)
        collector.add(judged(scene, sure.least))
    analysis, cases = analyser.analysis(), collector.cases()
    chosen = choose(cases.pictures, count)
    drawn = _draw(measured, dataset, sure.least, _Wanted.of(cases, chosen, analysis), progress)
    return RunPage(
        title=told.name,
        lead=_lead(measured, dataset),
        headlines=headlines(measured.metrics),
        notes=_notes(measured, dataset),
        names=dataset.class_names,
        gallery=Gallery(
            [drawn.cards[each] for each in chosen],
            _choice(len(chosen), len(cases.pictures), sure.words),
            _sheet(drawn, chosen),
            drawn.list("all missed", len(cases.missed)),
            _of(len(cases.missed), cases.missed_count, "missed object"),
            drawn.list("all false", len(cases.false)),
            _of(len(cases.false), cases.false_count, "false detection"),
        ),
        scores=tables(measured.metrics),
        faults=Faults.of(analysis, {name: drawn.list(name, EXAMPLES) for name in ERRORS}),
        curves=[*class_curves(measured.metrics.kinds, truth, results), calibration_chart(analysis.calibration)],
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


class _Cut(NamedTuple):
    """What is to be cut out of a picture: for which list, at which place in it."""

    name: str
    place: int
    of: Wrong
    case: Case | Error


class _Wanted(NamedTuple):
    """What is to be drawn.

    Attributes:
        pictures: How each picture of the data went.
        cards: Which of them are shown, by the picture's id.
        cuts: What is cut out, by the picture's id.
    """

    pictures: Sequence[Picture]
    cards: dict[int, int]
    cuts: dict[int, list[_Cut]]

    @classmethod
    def of(cls, cases: Cases, chosen: Sequence[int], analysis: Analysis) -> _Wanted:
        """Gather the pictures, the missed and false ones, and examples of every class of errors."""
        cuts = [_Cut("all missed", n, "missed", case) for n, case in enumerate(cases.missed)]
        cuts += [_Cut("all false", n, "false", case) for n, case in enumerate(cases.false)]
        for name in ERRORS:
            for n, error in enumerate(analysis.errors.cases.of(name, EXAMPLES)):
                cuts.append(_Cut(name, n, "missed" if error.detection is None else "false", error))
        by_picture: dict[int, list[_Cut]] = {}
        for cut in cuts:
            by_picture.setdefault(cut.case.image_id, []).append(cut)
        return cls(cases.pictures, {cases.pictures[each].image_id: each for each in chosen}, by_picture)


def _sheet(drawn: _Drawn, chosen: Sequence[int]) -> Image.Image | None:
    first = [each for each in chosen if each in drawn.differences]
    names = [drawn.cards[each].shot.name for each in first]
    return contact_sheet([drawn.differences[each] for each in first], COLUMNS, names) if first else None


class _Drawn(NamedTuple):
    """Cards and differences by their place among the pictures, crops by their list and their place in it."""

    cards: dict[int, Card]
    differences: dict[int, Image.Image]
    crops: dict[tuple[str, int], Crop]

    def list(self, name: str, most: int) -> list[Crop]:
        """Return the crops of a list."""
        return [self.crops[name, n] for n in range(most) if (name, n) in self.crops]


def _draw(
    measured: Measured, dataset: Dataset, least: NDArray[np.float64], wanted: _Wanted, progress: Progress
) -> _Drawn:
    """Read each picture that is shown once, and draw all that is shown of it."""
    drawn = _Drawn({}, {}, {})
    worst = set(list(wanted.cards.values())[:FIRST])
    needed = {*wanted.cards, *wanted.cuts}
    stream = sceneries(dataset, measured.kind, measured.truth, [measured.found.results], [least], needed)
    for done, scenery in enumerate(stream, 1):
        image_id = scenery.sample.image_id
        if image_id in wanted.cards:
            place = wanted.cards[image_id]
            went = wanted.pictures[place]
            words = card_words(went.right, went.missed, went.false)
            drawn.cards[place] = Card(shoot(scenery), place, went.quality, words)
            if place in worst:
                drawn.differences[place] = differing(scenery)
        for cut in wanted.cuts.get(image_id, ()):
            case = error_case(scenery.judged[0].scene, cut.case) if isinstance(cut.case, Error) else cut.case
            drawn.crops[cut.name, cut.place] = cut_out(scenery, case, cut.of)
        progress("drawing", done, len(needed))
    return drawn


def _choice(shown: int, total: int, least: str) -> str:
    which = (
        f"All {many(total, 'picture')}, the worst first."
        if shown == total
        else f"{shown:,} of {many(total, 'picture')}, the worst first: half of them the worst, a quarter the best, "
        "the others spread between."
    )
    return f"{which} Detections with a probability of at least {least} are shown."


def _of(shown: int, total: int, noun: str) -> str:
    if not total:
        return f"There is no {noun}."
    if total == 1:
        return f"The only {noun}."
    return f"All {many(total, noun)}." if shown == total else f"{shown:,} of {many(total, noun)}."

"""What stands on the page of one run: numbers, words and pictures, each with what it is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskrcnn.draw.chart import Chart, Drawing, layout
from maskrcnn.draw.page import Headline, Table
from maskrcnn.draw.palette import RGB, ink_on, palette
from maskrcnn.evaluation.coco import Metrics
from maskrcnn.evaluation.report import headlines, tables
from maskrcnn.reporting.cases import IOU, Cases
from maskrcnn.reporting.runs import Told
from maskrcnn.reporting.shots import Crop, Shot


@dataclass(frozen=True)
class Card:
    """A picture with its numbers."""

    shot: Shot
    place: int
    quality: float
    words: str


@dataclass(frozen=True)
class Colour:
    """The colour of a class and what can be read on it, as CSS has them."""

    fill: str
    ink: str


@dataclass(frozen=True)
class Galleries:
    """The pictures of a page.

    Attributes:
        cards: Pictures with truth and prediction, the worst first.
        choice: How they were chosen, one sentence.
        missed: Objects that were not found, those that were nearly found first.
        false: Detections that are wrong, the surest first.
        missed_note: How many there are of how many.
        false_note: Likewise.
    """

    cards: Sequence[Card]
    choice: str
    missed: Sequence[Crop]
    false: Sequence[Crop]
    missed_note: str
    false_note: str


@dataclass(frozen=True)
class RunPage:
    """Everything on the page; whatever is empty is left out.

    Attributes:
        title: The page's name.
        lead: One sentence below it.
        headlines: The numbers that matter most.
        notes: What should be known first.
        colours: Of the classes, in the order of the data.
        galleries: Pictures.
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
    colours: Sequence[Colour]
    galleries: Galleries
    scores: Sequence[Table]
    curves: Sequence[Drawing]
    training: Sequence[Drawing]
    settings: Mapping[str, object]
    data: Mapping[str, object]
    versions: Mapping[str, object]


def colours(class_names: Sequence[str]) -> list[Colour]:
    """Return the colour of each class as CSS has it."""
    return [Colour(_css(fill), _css(ink_on(fill))) for fill in palette(class_names)]


def _css(colour: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def drawings(charts: Sequence[Chart]) -> list[Drawing]:
    """Lay charts out."""
    return [layout(chart) for chart in charts]


def many(number: int, noun: str) -> str:
    """Say how many.

    >>> many(1, "picture"), many(1200, "class")
    ('1 picture', '1,200 classes')
    """
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def galleries(cards: Sequence[Card], missed: Sequence[Crop], false: Sequence[Crop], cases: Cases, least: str) -> Galleries:
    """Put the pictures of a page into words."""
    total = len(cases.pictures)
    if len(cards) == total:
        choice = f"All {many(total, 'picture')}, the worst first."
    else:
        choice = (
            f"{len(cards):,} of {many(total, 'picture')}, the worst first: half of them the worst, "
            "a quarter the best, the others spread between."
        )
    return Galleries(
        cards,
        f"{choice} Shown are detections with a probability of {least}.",
        missed,
        false,
        _of(len(missed), cases.missed_count, "missed object"),
        _of(len(false), cases.false_count, "false detection"),
    )


def _of(shown: int, total: int, noun: str) -> str:
    if not total:
        return f"There is no {noun}."
    return f"All {many(total, noun)}." if shown == total else f"{shown:,} of {many(total, noun)}."


def card_words(right: int, missed: int, false: int) -> str:
    """Say how a picture went.

    >>> card_words(3, 1, 0)
    '3 right, 1 missed'
    >>> card_words(0, 0, 0)
    'nothing there, nothing found'
    """
    counts = ((right, "right"), (missed, "missed"), (false, "false"))
    return ", ".join(f"{count} {what}" for count, what in counts if count) or "nothing there, nothing found"


def settings_of(told: Told) -> dict[str, object]:
    """Write the settings of a run as dotted names; classes are shown elsewhere."""
    values = {"model": told.model.model_dump(mode="json"), "train": told.train.model_dump(mode="json")}
    flat = dict(_flat(values))
    flat.pop("model.classes", None)
    return flat


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def versions_of(told: Told) -> dict[str, object]:
    """Return names and versions of the software and the machine."""
    return {**told.facts.get("versions", {}), **told.facts.get("machine", {})}


def data_of(told: Told, measured: Mapping[str, object]) -> dict[str, object]:
    """Return what is known of the data that a run learnt from, and of that which it is measured on."""
    values: dict[str, object] = {}
    for role, noted in (("learnt from", told.facts.get("data")), ("measured on", measured)):
        for name in ("source", "format", "pictures", "fingerprint"):
            if isinstance(noted, Mapping) and name in noted:
                values[f"{role}: {name}"] = noted[name]
    values["seed"] = told.facts.get("seed")
    return values


def scores(metrics: Metrics) -> tuple[list[Headline], list[Table]]:
    """Return the numbers of an evaluation, the most important ones first."""
    return headlines(metrics), tables(metrics)


IOU_WORDS = f"A detection is right where it overlaps an object of its class by an IoU of at least {IOU:g}."

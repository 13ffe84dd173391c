"""What both kinds of pages say in the same way: colours, settings, facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskrcnn.draw.palette import RGB, ink_on, palette
from maskrcnn.reporting.cases import IOU
from maskrcnn.reporting.runs import Told

RIGHT = f"A detection is right where it overlaps an object of its class by an IoU of at least {IOU:g}."
QUALITY = (
    "The number is the picture's panoptic quality: the IoUs of the right ones, divided by their number and half the "
    "number of missed and false ones."
)


@dataclass(frozen=True)
class Colour:
    """The colour of a class and what can be read on it, as CSS has them."""

    fill: str
    ink: str


def colours(class_names: Sequence[str]) -> list[Colour]:
    """Return the colour of each class as CSS has it."""
    return [Colour(_css(fill), _css(ink_on(fill))) for fill in palette(class_names)]


def _css(colour: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def many(number: int, noun: str) -> str:
    """Say how many.

    >>> many(1, "picture"), many(1200, "class")
    ('1 picture', '1,200 classes')
    """
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


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
    """Write the settings of a run as dotted names, without the classes, which the data names."""
    values = {"model": told.model.model_dump(mode="json"), "train": told.train.model_dump(mode="json")}
    return {name: value for name, value in _flat(values) if name != "model.classes"}


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
        if isinstance(noted, Mapping):
            values |= {f"{role}: {name}": noted[name] for name in _NOTED if name in noted}
    return {**values, "seed": told.facts.get("seed")}


_NOTED = ("source", "format", "pictures", "fingerprint")

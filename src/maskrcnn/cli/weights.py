"""`maskrcnn weights list`, `info` and `convert`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from maskrcnn.cli.settings import parse_setting
from maskrcnn.cli.words import give, say, show
from maskrcnn.errors import InputError, few
from maskrcnn.zoo.download import place_of
from maskrcnn.zoo.published import PUBLISHED, Published

if TYPE_CHECKING:
    from maskrcnn.config import ModelConfig
    from maskrcnn.zoo.ledger import Entry
    from maskrcnn.zoo.opening import Opened

_MOST_NAMES = 4
_MOST_CLASSES = 10


# ---- list


def print_json() -> None:
    """Print the published models as JSON on stdout, each with its place in the cache."""
    rows = []
    for model in PUBLISHED:
        place = place_of(model.url)
        rows.append({**model._asdict(), "file": str(place), "fetched": place.is_file()})
    give([json.dumps(rows, indent=1)])


def print_table() -> None:
    """Print the published models as a table on stdout."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for column in ("name", "box AP", "mask AP", "hash", "licence", "address"):
        table.add_column(column, justify="right" if column.endswith("AP") else "left", overflow="fold")
    for model in PUBLISHED:
        ap = [_percent(model.box_ap), _percent(model.mask_ap)]
        table.add_row(model.name, *ap, model.checksum or "", _brief(model), model.url)
    show(table, width=240)
    say("AP is what the project states, on COCO's val2017 in percent; a licence in brackets is that of its code alone")


def _percent(ap: float | None) -> str:
    return "" if ap is None else f"{ap:.1f}"


def _brief(model: Published) -> str:
    licence, _, restriction = model.licence.partition(";")
    return f"({licence})" if restriction else licence


# ---- info


def run_info(source: str) -> None:
    """Print what a weight file holds."""
    from maskrcnn.zoo.opening import open_file

    table = Table.grid(padding=(0, 2))
    for name, text in _facts(open_file(source)):
        table.add_row(name, text)
    show(table, width=240)


def _facts(opened: Opened) -> Iterator[tuple[str, str]]:
    config, tensors = opened.weights.config, opened.weights.tensors
    yield "file", str(opened.path)
    yield "kind", opened.kind + ("" if opened.complete else ", without heads; training can start from it")
    yield "backbone", f"{config.backbone.depth}, {config.backbone.norm} norm, stride in the {config.backbone.stride_in}"
    if opened.complete:
        yield from _model_facts(config)
    yield "bands", f"{config.input.bands}, mean {_numbers(config.input.mean)}, std {_numbers(config.input.std)}"
    millions = sum(tensor.numel() for tensor in tensors.values()) / 1e6
    yield "tensors", f"{len(tensors)} with {millions:.1f} million numbers"
    if opened.ledger:
        ignored = len(opened.ignored())
        yield "of the file", f"{len(opened.ledger) - ignored} tensors used, {ignored} ignored"
    for line in ignored_lines(opened.ledger):
        yield "ignored", line


def _model_facts(config: ModelConfig) -> Iterator[tuple[str, str]]:
    yield "pyramid", f"{config.pyramid.channels} channels, {config.pyramid.norm} norm"
    yield "heads", f"boxes {config.box_head.kind}, masks {config.mask_head.convs} convolutions, RPN {config.rpn.depth}"
    yield "classes", f"{len(config.classes)}: {few(config.classes, _MOST_CLASSES)}"
    if config.detect.class_thresholds:
        named = zip(config.classes, config.detect.class_thresholds, strict=True)
        yield "thresholds", few((f"{name} {value:.3f}" for name, value in named), _MOST_CLASSES)
    picture = config.input
    yield "pictures", f"{picture.resize}, min_size {picture.min_size}, max_size {picture.max_size}"


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def ignored_lines(ledger: Sequence[Entry]) -> list[str]:
    """Group the ignored tensors of a file by reason, a line each."""
    groups: dict[str, list[str]] = {}
    for name, outcome, reason in ledger:
        if outcome == "ignored":
            groups.setdefault(reason, []).append(name)
    return [f"{len(names)} ({reason}): {few(names, _MOST_NAMES)}" for reason, names in groups.items()]


# ---- convert


def parse_names(text: str) -> list[str]:
    """Read names with commas between them.

    >>> parse_names("cat, hot dog")
    ['cat', 'hot dog']

    Raises:
        InputError: There is nothing between two commas.
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InputError(f"--classes: expected names with commas between them, got an empty one in {text!r}")
    return names


def parse_model_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Read dotted settings of the model.

    >>> parse_model_settings(["model.rpn.nms_iou=0.9", "model.detect.detections=400"])
    {'rpn': {'nms_iou': 0.9}, 'detect': {'detections': 400}}

    Raises:
        InputError: One does not read, or is none of the model's.
    """
    from maskrcnn.settings import merge

    values = merge(*(parse_setting(text) for text in texts))
    for name in values:
        if name != "model" or not isinstance(values[name], dict):
            raise InputError(f"--set: expected settings of the model such as model.rpn.nms_iou=0.9, got {name}")
    model: dict[str, Any] = values.get("model", {})
    return model


def run_conversion(source: str, out: Path, classes: str | None, settings: Sequence[str], to: str) -> None:
    """Convert a file, and say what was left out."""
    from maskrcnn.zoo.opening import convert

    names = None if classes is None else parse_names(classes)
    done = convert(source, out, classes=names, settings=parse_model_settings(settings), to=to)
    ledger = done.opened.ledger
    if ledger:
        say(f"{done.opened.kind}: {len(ledger) - len(done.opened.ignored())} of {len(ledger)} tensors used")
    for line in ignored_lines(ledger):
        say(f"ignored: {line}")
    for note in done.notes:
        say(f"note: {note}")
    say(f"classes: {few(done.config.classes, _MOST_CLASSES)}")
    say(f"model: {out}")

"""The commands and their options, frozen here, so that a change of them is a decision."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import typer

from maskrcnn.cli import app as commands
from maskrcnn.config import BackboneConfig, Stage, TrainConfig
from maskrcnn.data.synth import KINDS, LAYOUTS
from maskrcnn.data.writing import WRITERS
from maskrcnn.data.writing.how import Way
from maskrcnn.training.setup import PRESETS

CONTRACT = {
    "maskrcnn": "--version --debug",
    "maskrcnn train": (
        "DATA --out --val --format --classes --weights --resume --preset --backbone --min-size --max-size --epochs "
        "--train-layers --stages --patience --batch --accumulate --learning-rate/--lr --precision --checkpointing "
        "--compile --seed --accelerator --devices --nodes --workers --logger --config --set"
    ),
    "maskrcnn evaluate": (
        "[MODEL] DATA --out --results --measures --detections --bootstrap --against --format --classes "
        "--device --backend --precision --threads --batch --workers"
    ),
    "maskrcnn predict": (
        "MODEL PICTURES --out --json --score --style --device --backend --precision --threads --batch --workers"
    ),
    "maskrcnn errors": (
        "[MODEL] DATA --out --results --store --score --format --classes "
        "--device --backend --precision --threads --batch --workers"
    ),
    "maskrcnn inspect": (
        "MODEL|DATA [PICTURE] --data --weights --out --open --score --format --classes --device --threads"
    ),
    "maskrcnn report": ("RUN --out --data --open --pictures --score --format --classes --device --batch --workers"),
    "maskrcnn export": "MODEL --to --out --takes --pictures --data --int8 --calibrate",
    "maskrcnn demo": "--out --seed",
    "maskrcnn data": "",
    "maskrcnn data show": "DATA --out --open --count --seed --format --classes",
    "maskrcnn data doctor": "DATA --depth --json --out --fix --deleak --only --ignore --format",
    "maskrcnn data convert": "DATA OUT --format --tolerance --pictures --from",
    "maskrcnn data split": "DATA OUT --val --test --by --seed --pictures --format --classes",
    "maskrcnn data merge": "DATA --out --pictures --format --classes",
    "maskrcnn data sample": "DATA OUT --count --by --seed --pictures --format --classes",
    "maskrcnn data crop": "DATA OUT --size --overlap --min-share --empty --format --classes",
    "maskrcnn data compose": (
        "DATA OUT --backgrounds --count --size --seed --objects --scale --turn --light --hidden --format --classes"
    ),
    "maskrcnn data synth": "KIND OUT --count --seed --size --layout",
    "maskrcnn weights": "",
    "maskrcnn weights list": "--json",
    "maskrcnn weights info": "FILE",
    "maskrcnn weights convert": "FILE OUT --classes --set --to",
}
DEFAULTS = {
    "maskrcnn train": {"accelerator": "auto", "devices": 1, "nodes": 1, "resume": False},
    "maskrcnn evaluate": {
        "measures": "coco",
        "detections": "1,10,100",
        "bootstrap": 0,
        "against": None,
        "backend": None,
        "precision": None,
        "threads": None,
        "batch": 1,
        "workers": 0,
    },
    "maskrcnn predict": {"json_lines": False, "score": None, "batch": 1, "workers": 0},
    "maskrcnn export": {"takes": "network", "pictures": None, "data_": None, "int8": False, "calibrate": None},
    "maskrcnn demo": {"seed": 0},
    "maskrcnn report": {"out": None, "data_": None, "open_": False, "pictures": 100, "score": None, "batch": 1},
    "maskrcnn inspect": {"data": None, "weights": False, "out": None, "open_": False, "score": None},
    "maskrcnn data show": {"out": None, "open_": False, "count": 24, "seed": 0, "format_": None},
    "maskrcnn data doctor": {"depth": "pixels", "json_": False, "only": "", "ignore": "", "format_": None},
    "maskrcnn data convert": {"tolerance": 0.0, "pictures": "copy", "from_": None},
    "maskrcnn data split": {"val": 0.2, "test": 0, "by": "random", "seed": 0, "pictures": "keep"},
    "maskrcnn data merge": {"pictures": "keep", "format_": None, "classes": None},
    "maskrcnn data sample": {"by": "random", "seed": 0, "pictures": "keep"},
    "maskrcnn data crop": {"size": "512x512", "overlap": 64, "min_share": 0.1, "empty": "keep", "format_": None},
    "maskrcnn data synth": {"count": 100, "seed": 0, "size": "192x256", "layout": "coco"},
    "maskrcnn weights list": {"json_": False},
    "maskrcnn weights convert": {"classes": None, "to": "maskrcnn"},
}


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, f"{path} {name}")


COMMANDS = dict(walk(typer.main.get_command(commands), "maskrcnn"))


def spelling(parameter: Any) -> str:
    return "/".join(parameter.opts) if parameter.param_type_name == "option" else parameter.metavar


def test_commands_are_frozen() -> None:
    assert list(COMMANDS) == list(CONTRACT)


@pytest.mark.parametrize("path", CONTRACT)
def test_options_are_frozen(path: str) -> None:
    ours = [p for p in COMMANDS[path].params if "completion" not in spelling(p)]
    assert " ".join(spelling(parameter) for parameter in ours) == CONTRACT[path]


@pytest.mark.parametrize("path", DEFAULTS)
def test_defaults_are_frozen(path: str) -> None:
    defaults = {p.name: p.default for p in COMMANDS[path].params}
    assert {name: defaults[name] for name in DEFAULTS[path]} == DEFAULTS[path]


@pytest.mark.parametrize("path", CONTRACT)
def test_every_command_and_option_is_documented(path: str) -> None:
    command = COMMANDS[path]
    assert command.help
    assert all(parameter.help for parameter in command.params), path


def test_choices_are_those_of_the_settings() -> None:
    from maskrcnn.cli import app as module_app  # the Typer object; its module holds the choices
    from maskrcnn.cli.data.convert import Format, Pictures
    from maskrcnn.cli.data.crop import Empty
    from maskrcnn.cli.data.synth import Kind, Layout
    from maskrcnn.cli.export import Takes, Target
    from maskrcnn.cli.options import Arithmetic
    from maskrcnn.cli.predict import StyleName
    from maskrcnn.cli.train import Backbone, Layers, Precision, Preset
    from maskrcnn.data import tiles
    from maskrcnn.draw.styles import STYLES
    from maskrcnn.engines.choice import AUTO, PRECISIONS
    from maskrcnn.engines.graphs import metadata
    from maskrcnn.export import FORMATS

    assert module_app is commands
    assert get_args(Backbone) == get_args(BackboneConfig.model_fields["depth"].annotation)
    assert set(get_args(Layers)) == set(get_args(Stage.model_fields["layers"].annotation))
    assert get_args(Precision) == get_args(TrainConfig.model_fields["precision"].annotation)
    assert get_args(Arithmetic) == (AUTO, *PRECISIONS)
    assert set(get_args(Preset)) == set(PRESETS)
    assert set(get_args(Target)) == set(FORMATS)
    assert get_args(Takes) == get_args(metadata.Takes)
    assert get_args(StyleName) == tuple(STYLES)
    assert set(get_args(Kind)) == set(KINDS)
    assert set(get_args(Layout)) == set(LAYOUTS)
    assert set(get_args(Format)) == set(WRITERS)
    assert set(get_args(Pictures)) == set(get_args(Way))
    assert get_args(Empty) == get_args(tiles.Empty)


def example_lines(path: str) -> list[list[str]]:
    """Return the example commands at the end of a help page."""
    text = (COMMANDS[path].epilog or "").replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(r"^ +(maskrcnn .*)$", text, flags=re.MULTILINE)]


@pytest.mark.parametrize(
    "path",
    [
        *("maskrcnn", "maskrcnn train", "maskrcnn evaluate", "maskrcnn predict"),
        *("maskrcnn data show", "maskrcnn data convert", "maskrcnn data split", "maskrcnn data merge"),
        *("maskrcnn data sample", "maskrcnn data crop", "maskrcnn data compose", "maskrcnn data synth"),
        *("maskrcnn data doctor", "maskrcnn report"),
        *("maskrcnn weights list", "maskrcnn weights info", "maskrcnn weights convert"),
    ],
)
def test_examples_of_the_help_parse(path: str) -> None:
    lines = example_lines(path)
    assert lines
    for _, *words in lines:
        command = COMMANDS["maskrcnn"]
        while hasattr(command, "commands"):
            command, words = command.commands[words[0]], words[1:]
        words = words[: words.index(">")] if ">" in words else words
        command.make_context(command.name, list(words))

"""Write `docs/settings.md` from the settings classes: `python docs/settings.py`.

Names, defaults, ranges and meanings come from `maskrcnn.config`, so the page can't say anything else than the code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from inspect import getdoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from maskrcnn.config import ModelConfig, Stage, TrainConfig
from maskrcnn.settings import Settings
from maskrcnn.training.setup import PRESETS, Preset

PAGE = Path(__file__).with_name("settings.md")

HEAD = """\
# Settings

Every setting of a model and of its training, with its default and its meaning.

This page is written by `python docs/settings.py` from `src/maskrcnn/config.py`.
Change the code and not the page; a test compares the two.

## How to set them

The name of a setting is its path below, such as `model.rpn.samples` or `train.augment.flip`.

On the command line, `--set` takes one setting, and may be given several times:

```bash
maskrcnn train photos/train --out run --set model.rpn.samples=128 --set train.augment.turn=0.5
```

`--config` takes a JSON file with the two parts `model` and `train`.
The `settings.json` of an earlier run is such a file:

```bash
maskrcnn train photos/train --out run2 --config run/settings.json
```

The common ones have options of their own, such as `--epochs`, `--batch` and `--min-size`.
Where several say something, the option wins over `--set`, and `--set` wins over the file.

In Python, `maskrcnn.train` takes the same names as nested dictionaries:

```python
import maskrcnn

maskrcnn.train(
    "photos/train",
    out="run3",
    model={"rpn": {"samples": 128}},
    settings={"stages": [{"epochs": 2}], "augment": {"turn": 0.5}},
)
```

A setting that does not exist is refused, with the nearest name that does.
A value of the wrong type or out of range is refused too: nothing is coerced.

## What is chosen for you

A new run does not start from the defaults alone. Before your own settings are laid over them, these are chosen:

- `model.classes` from the data. They can't be set.
- `model.input.min_size` and `max_size` from the sizes of the pictures, with an upper limit for the short edge.
- `model.input.mean` and `std` from the pictures. For 8-bit RGB they are the usual ones of ImageNet.
- `model.anchors.sizes` from the objects: five doubling sizes, the smallest of them from 4 to 32 pixels. They overlap
  the objects most where anchors stand, at the size at which the network sees the pictures, which may be yours.
- The parts of the network from the preset: `small` on a CPU and `full` on a GPU, or the one that `--preset` names.

At most 200 pictures, spread evenly over the set, are looked at for this.
A run that starts from a model file with `--weights` keeps the settings of that file, apart from the classes.

"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, *_presets(), "## `model`\n\n", *_section(ModelConfig, "model", 3)]
    parts += ["## `train`\n\n", *_section(TrainConfig, "train", 3)]
    return "".join(parts).rstrip() + "\n"


def _presets() -> Iterator[str]:
    yield "### The presets\n\n"
    yield "What a preset sets otherwise than the defaults below:\n\n"
    names = list(PRESETS)
    yield f"| setting | {' | '.join(f'`{name}`' for name in names)} |\n|---|{'---|' * len(names)}\n"
    values = [_changes(preset) for preset in PRESETS.values()]
    defaults = _flat(ModelConfig(classes=("any",)).model_dump(mode="json"))
    for name in dict.fromkeys(name for value in values for name in value):
        cells = [_code(value.get(name, defaults.get(name))) for value in values]
        yield f"| `model.{name}` | {' | '.join(cells)} |\n"
    limits = " | ".join(str(preset.short_edge) for preset in PRESETS.values())
    yield f"| upper limit of the fitted `model.input.min_size` | {limits} |\n\n"


def _changes(preset: Preset) -> dict[str, Any]:
    parts = preset._asdict()
    return {
        f"{part}.{name}": value
        for part, settings in parts.items()
        if isinstance(settings, BaseModel)
        for name, value in _flat(settings.model_dump(mode="json", exclude_unset=True)).items()
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _section(settings: type[Settings], path: str, level: int) -> Iterator[str]:
    """Write one class as a table, then those that lie in it."""
    first, meanings = _documented(settings)
    yield f"{first}\n\n| setting | default | values | meaning |\n|---|---|---|---|\n"
    inner: list[tuple[str, type[Settings]]] = []
    for name, field in settings.model_fields.items():
        below = _settings_class(field)
        if below is not None:
            inner.append((f"{path}.{name}", below))
        else:
            yield f"| `{path}.{name}` | {_default(field)} | {_values(field)} | {meanings[name]} |\n"
    yield "\n"
    if settings is TrainConfig:
        inner.append((f"{path}.stages[]", Stage))
    for name, below in inner:
        yield f"{'#' * level} `{name}`\n\n"
        yield from _section(below, name, level + 1)


def _documented(settings: type[Settings]) -> tuple[str, dict[str, str]]:
    """Return the first sentence of a class's docstring and what it says of every attribute."""
    first, _, rest = (getdoc(settings) or "").partition("\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", rest, flags=re.MULTILINE)
    meanings = {name: " ".join(text.split()) for name, text in entries}
    return first, {name: text.replace("|", "\\|") for name, text in meanings.items()}


def _settings_class(field: FieldInfo) -> type[Settings] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Settings) else None


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "from the data"
    value = field.default
    if isinstance(value, tuple):
        value = [each.model_dump(mode="json") if isinstance(each, BaseModel) else each for each in value]
    return _code(value)


def _code(value: Any) -> str:
    return f"`{json.dumps(value)}`"


def _values(field: FieldInfo) -> str:
    """Say in a few words what a field may hold."""
    return _kind_of(field.annotation, field.metadata)


def _kind_of(kind: Any, metadata: Sequence[Any] = ()) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(_code(value) for value in get_args(kind))
    if get_origin(kind) is Annotated:
        inner, *metadata = get_args(kind)
        return _kind_of(inner, [limit for field in metadata for limit in getattr(field, "metadata", [field])])
    if get_origin(kind) in (Union, UnionType):
        return ", ".join(map(_kind_of, get_args(kind)))
    words = {bool: "true, false", int: "whole number", float: "number", str: "text", NoneType: "null"}
    what = words.get(kind, "list") if isinstance(kind, type) else "list"
    limits = [text for text in map(_limit, metadata) if text]
    return f"{what} {' and '.join(limits)}".strip()


def _limit(limit: Any) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return " and ".join(f"{sign} {getattr(limit, name):g}" for name, sign in signs.items() if hasattr(limit, name))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

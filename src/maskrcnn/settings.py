"""What every settings object is: strict, frozen, and clear about what does not fit.

References: pydantic, strict mode.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from maskrcnn.errors import ConfigError


class Settings(BaseModel):
    """Base of every settings object: unknown keys are refused with the nearest name, values are never coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, ser_json_inf_nan="constants")

    @classmethod
    def parse(cls, values: dict[str, Any], source: str = "settings") -> Self:
        """Check plain values.

        Args:
            values: Nested names and values, as JSON gives them.
            source: Where they come from, for the error.

        Raises:
            ConfigError: A key is unknown or a value does not fit; every such place is named.

        >>> from maskrcnn.config import ModelConfig
        >>> ModelConfig.parse({"classes": ["cat"], "clases": 3})
        Traceback (most recent call last):
        maskrcnn.errors.ConfigError: settings: clases: unknown setting; did you mean 'classes'?
        """
        try:
            return cls.model_validate_json(json.dumps(values, default=_plain), strict=True)
        except ValidationError as error:
            raise ConfigError(f"{source}: {_explain(cls, error)}") from None

    @classmethod
    def parse_json(cls, text: str, source: str = "settings") -> Self:
        """Check settings that are written as JSON.

        Raises:
            ConfigError: The text is not a JSON object, or `parse` refuses it.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{source}: expected JSON, got an error at line {error.lineno}: {error.msg}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"{source}: expected a JSON object, got {type(values).__name__}")
        return cls.parse(values, source)

    def change(self, **changes: object) -> Self:
        """Return a checked copy with some fields of this level replaced; None leaves a field as it is.

        >>> from maskrcnn.config import DetectConfig
        >>> DetectConfig().change(score_threshold=0.5, detections=None).score_threshold
        0.5
        """
        given = {name: value for name, value in changes.items() if value is not None}
        return type(self).parse({**self.model_dump(mode="json"), **given})


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"expected a plain value, got {type(value).__name__}")


def _explain(cls: type[BaseModel], error: ValidationError) -> str:
    places = [e["loc"] for e in error.errors()]
    own = [e for e in error.errors() if not any(e["loc"] == place[: len(e["loc"])] != place for place in places)]
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or cls.__name__}: {_sentence(cls, e)}" for e in own)


def _sentence(cls: type[BaseModel], error: Any) -> str:
    if error["type"] != "extra_forbidden":
        said = str(error["msg"]).removeprefix("Value error, ")
        return said if error["type"] == "value_error" else f"{said}, got {error['input']!r}"
    level: Any = cls
    for step in error["loc"][:-1]:
        level = get_args(level)[0] if isinstance(step, int) else level.model_fields[step].annotation
    near = difflib.get_close_matches(str(error["loc"][-1]), level.model_fields, n=1, cutoff=0.5)
    return "unknown setting; " + (
        f"did you mean '{near[0]}'?" if near else f"expected one of {', '.join(level.model_fields)}"
    )


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lay nested names and values over each other; the later ones win.

    >>> merge({"rpn": {"depth": 1, "stride": 1}}, {"rpn": {"depth": 2}})
    {'rpn': {'depth': 2, 'stride': 1}}
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
            merged[name] = merge(merged[name], value) if both else value
    return merged

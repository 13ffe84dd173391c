"""Files, parsed JSON and values out of it, checked; errors name the place, the field, what was expected and what is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.errors import AnnotationError

FARTHEST = 1_000_000.0
"""Largest coordinate, in pixels: drawing an outline takes time proportional to its length."""

_LARGEST_ID = 2**63 - 1
_MOST_PIXELS = 1 << 30


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Read an annotation file, of at most so many bytes.

    Raises:
        AnnotationError: It can't be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            raw = file.read() if most is None else file.read(most + 1)
    except FileNotFoundError:
        raise AnnotationError(f"{path}: expected an annotation file, got no such file", code="F001") from None
    except OSError as error:
        raise AnnotationError(f"{path}: expected a readable file: {error.strerror}", code="F001") from None
    if most is not None and len(raw) > most:
        raise AnnotationError(f"{path}: expected at most {most >> 10} KiB, got more", code="F001")
    return raw


def load_json(path: Path) -> object:
    """Parse a JSON file.

    Raises:
        AnnotationError: It can't be read or is not JSON.
    """
    raw = read_bytes(path)
    try:
        return json.loads(raw)
    except json.JSONDecodeError as error:
        raise AnnotationError(
            f"{path}: line {error.lineno}, column {error.colno}: expected JSON, got: {error.msg}", code="F001"
        ) from None
    except UnicodeDecodeError:
        raise AnnotationError(f"{path}: expected JSON in UTF-8, got other bytes", code="F001") from None
    except (RecursionError, ValueError) as error:
        raise AnnotationError(f"{path}: expected JSON, got: {error}", code="F001") from None


def shown(value: object) -> str:
    """Shorten a value for an error.

    >>> shown(None), shown("x"), shown([0] * 99)
    ('nothing', "'x'", '[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0...')
    """
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 48 else f"{text[:45]}..."


def expected(what: str, value: object, where: str, field: str) -> AnnotationError:
    """Return the error for a field that is not what it should be."""
    return AnnotationError(f"{where}: {field}: expected {what}, got {shown(value)}")


def mapping(value: object, where: str, field: str) -> dict[str, object]:
    """Return a JSON object.

    Raises:
        AnnotationError: It is something else.
    """
    if not isinstance(value, dict):
        raise expected("an object", value, where, field)
    return value


def listing(value: object, where: str, field: str) -> list[object]:
    """Return a JSON list.

    Raises:
        AnnotationError: It is something else.
    """
    if not isinstance(value, list):
        raise expected("a list", value, where, field)
    return value


def text(value: object, where: str, field: str) -> str:
    """Return a string that is not blank, without white space around it.

    Raises:
        AnnotationError: It is something else.
    """
    if not isinstance(value, str) or not value.strip():
        raise expected("a text", value, where, field)
    return value.strip()


def number(value: object, where: str, field: str, most: float = FARTHEST) -> float:
    """Return a number, which may be written as a string.

    Raises:
        AnnotationError: It is something else, or beyond plus or minus `most`.
    """
    plain = value
    if isinstance(value, str):
        try:
            plain = float(value)
        except ValueError:
            plain = None
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise expected("a number", value, where, field)
    if not -most <= plain <= most:
        raise expected(f"a number within {most:.0f}", value, where, field)
    return float(plain)


def whole(value: object, where: str, field: str, least: int = 0) -> int:
    """Return a whole number.

    Raises:
        AnnotationError: It is something else or less than `least`.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _LARGEST_ID:
        raise expected(f"a whole number from {least} up", value, where, field)
    return value


def stated_size(height: object, width: object, where: str) -> tuple[int, int] | None:
    """Return the height and width that a file says; None where it says neither.

    Raises:
        AnnotationError: They are no whole numbers from 1 up, or those of no picture.
    """
    if height is None and width is None:
        return None
    h, w = (whole(number(side, where, name), where, name, 1) for name, side in (("height", height), ("width", width)))
    if h * w > _MOST_PIXELS:
        raise AnnotationError(f"{where}: expected at most {_MOST_PIXELS:,} pixels, got {h}x{w} (height x width)")
    return h, w


def numbers(value: object, where: str, field: str) -> NDArray[np.float64]:
    """Return a list of coordinates, (n) float64; each may be written as a string.

    Raises:
        AnnotationError: It is something else, or one of them is no number or absurdly far away.
    """
    values = listing(value, where, field)
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.array([[]])
    if array.ndim == 1 and (np.abs(array) <= FARTHEST).all():
        return array
    return np.array([number(single, where, f"{field}[{i}]") for i, single in enumerate(values)])


def polygon(ring: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Return a ring of corners, (V, 2) float64, as it is.

    Raises:
        AnnotationError: It has fewer than 3 points.
    """
    if len(ring) < 3:
        raise AnnotationError(f"{where}: polygon has {len(ring)} points, expected at least 3", code="G201")
    return ring

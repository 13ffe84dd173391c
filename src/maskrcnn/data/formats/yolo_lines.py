"""Label files of YOLO and DOTA: a line an object.

| line | becomes |
|---|---|
| class, x, y, width, height | a box only; x and y are its middle |
| class, x1, y1, x2, y2, x3, y3, ... | an outline of 3 corners and more; 4 are a turned box |
| x1, y1, ..., x4, y4, class name, difficulty | an outline, in pixels (DOTA) |

YOLO's numbers are shares of the picture's width and height. Up to a twentieth beyond the picture they are taken
for its border; farther out they are refused.

References: docs.ultralytics.com/datasets/segment; captain-whu.github.io/DOTA.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskrcnn.data.dataset import Rings
from maskrcnn.data.formats.drafts import Thing
from maskrcnn.data.formats.fields import numbers, whole
from maskrcnn.data.formats.texts import content
from maskrcnn.errors import AnnotationError

_SLACK = 0.05
_BOX = 5
_TURNED = 8  # numbers of DOTA's four corners
_CUT = 4096  # bytes, or more, that a file's start has where the file goes on
_DOTA_HEADER = ("imagesource:", "gsd:")


@dataclass(frozen=True)
class Labels:
    """A label file and what is needed to read it.

    Attributes:
        file: Where it lies.
        size_hw: Height and width of its picture.
        names: The classes by their ids; empty where none are known, then an id is its own name.
    """

    file: Path
    size_hw: tuple[int, int]
    names: Mapping[int, str]

    def thing(self, line: int, words: list[str]) -> Thing:
        """Read a line.

        Raises:
            AnnotationError: It is not what YOLO or DOTA write.
        """
        name = f"line {line}"
        where = f"{self.file}: {name}"
        if _is_dota(words):
            corners = numbers(list(words[:_TURNED]), where, "corners").reshape(-1, 2)
            return Thing(name, words[_TURNED], Rings((corners,)))
        class_name = self._class(words[0], where)
        shares = numbers(list(words[1:]), where, "numbers")
        if not _fits(words):
            raise AnnotationError(
                f"{where}: expected a class and a box of 4 numbers or an outline of 3 corners and more, "
                f"got a class and {len(shares)} numbers{_hint(words)}"
            )
        if (worst := shares[np.abs(shares - 0.5).argmax()]) < -_SLACK or worst > 1 + _SLACK:
            raise AnnotationError(
                f"{where}: expected shares of the picture's width and height from 0 to 1, got {worst:g}; "
                "are these pixels?"
            )
        h, w = self.size_hw
        if len(words) == _BOX:
            x, y, width, height = shares.tolist()
            x1, y1 = max(x - width / 2, 0) * w, max(y - height / 2, 0) * h
            x2, y2 = min(x + width / 2, 1) * w, min(y + height / 2, 1) * h
            return Thing(name, class_name, None, (x1, y1, max(x1, x2), max(y1, y2)))
        return Thing(name, class_name, Rings((np.minimum(np.maximum(shares, 0), 1).reshape(-1, 2) * [w, h],)))

    def _class(self, word: str, where: str) -> str:
        class_id = whole(_plain(word), where, "class")
        if not self.names:
            return str(class_id)
        if class_id not in self.names:
            known = f"{min(self.names)} to {max(self.names)}"
            raise AnnotationError(f"{where}: class: expected one of {known}, got {class_id}", code="C301")
        return self.names[class_id]


def lines(file: Path) -> list[tuple[int, list[str]]]:
    """Return the numbers and words of the lines of a label file; blank ones and DOTA's header are passed over.

    Raises:
        AnnotationError: It can't be read.
    """
    split = [(i, line.split()) for i, line in enumerate(content(file).split("\n"), start=1)]
    return [(i, words) for i, words in split if words and not words[0].lower().startswith(_DOTA_HEADER)]


def looks_like(head: bytes) -> bool:
    """Say whether a file that starts like this is a label file with an object.

    >>> looks_like(b"0 0.5 0.5 0.2 0.1"), looks_like(b"Car 0 0 0 1 2 3 4"), looks_like(b"")
    (True, False, False)
    """
    split = [line.split() for line in head.decode("utf-8-sig", errors="replace").split("\n")]
    first = next((words for words in split if words and not words[0].lower().startswith(_DOTA_HEADER)), [])
    if _is_dota(first):
        return True
    is_cut = first is split[-1] and len(head) >= _CUT  # then nothing is known of its last word
    return len(first) >= _BOX and isinstance(_plain(first[0]), float) and all(map(_is_number, first[: -is_cut or None]))


def _is_dota(words: list[str]) -> bool:
    named = _TURNED < len(words) <= _TURNED + 2 and not _is_number(words[_TURNED])
    return named and all(map(_is_number, words[:_TURNED]))


def _fits(words: list[str]) -> bool:
    return len(words) == _BOX or (len(words) >= 7 and len(words) % 2 == 1)


def _hint(words: list[str]) -> str:
    if len(words) == _BOX + 1:
        return "; a sixth number is the score of a detection, which is no annotation"
    return ""


def _plain(word: str) -> object:
    """Return the number that a word says, or the word."""
    return float(word) if _is_number(word) else word


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True

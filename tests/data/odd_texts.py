"""Texts that differ from a good one in a single word, or end too early: none may end in a bare exception."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from maskrcnn.data import open_dataset
from maskrcnn.errors import MaskRCNNError

ODD_WORDS = ["", "-1", "0", "nan", "9" * 400, "a", "\0", '"', "<", "&x;", "é,", "[" * 9]


def with_odd_words(text: str) -> Iterator[bytes]:
    """Make every text that has one odd word, and every one that ends after some word."""
    for match in re.finditer(r"[\w.+#-]+", text):
        yield text[: match.end()].encode()
        for odd in ODD_WORDS:
            yield (text[: match.start()] + odd + text[match.end() :]).encode()


def with_odd_bytes(text: str) -> Iterator[bytes]:
    """Make texts in other encodings, and with bytes that are none."""
    yield from (text.encode("utf-16"), text.encode() + b"\xff\xfe", b"", b"\0" * 9, b"\xef\xbb\xbf" + text.encode())


def open_or_refuse(path: Path, format_name: str) -> None:
    """Open a set and draw its masks; anything but an error of this package is a failure of the test."""
    try:
        dataset = open_dataset(path, format=format_name)
        for i in range(len(dataset)):
            dataset.instances(i)
    except MaskRCNNError:
        pass

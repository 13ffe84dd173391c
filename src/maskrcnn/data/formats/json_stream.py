"""Large JSON files, read value by value: only a window of the text is in memory.

The lists that are wanted may stand in any order. One that stands behind a long list is looked for by its
quoted key; where that does not occur just once, everything is read instead.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NoReturn

from maskrcnn.data.formats.fields import expected
from maskrcnn.errors import AnnotationError

LARGE = 16 * 2**20
"""Bytes from which on a file is not parsed as a whole."""

_WINDOW = 2**22
_MOST_KEYS = 32  # that an outline holds
_LONGEST_KEY = 4096  # with the space before its colon
_SPACE = re.compile(r"[ \t\n\r]*")
_DELIMITER = re.compile(r"[ \t\n\r]*([,\]])[ \t\n\r]*")


def is_large(path: Path) -> bool:
    """Say whether a file is to be read as a stream; false where it can't be read, or is not in UTF-8."""
    try:
        if path.stat().st_size < LARGE:
            return False
        with path.open("rb") as file:
            return json.detect_encoding(file.read(4)) in ("utf-8", "utf-8-sig")
    except OSError:
        return False


class Stream:
    """A place in a JSON file, which moves on as values are read.

    Args:
        file: What to read; nothing else moves its position meanwhile.
        path: What errors call it.
        offset: Bytes before the first value.
    """

    def __init__(self, file: BinaryIO, path: Path, offset: int = 0) -> None:
        file.seek(offset)
        if offset == 0 and file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        self._file, self._path = file, path
        self._before = file.tell()  # bytes before the window
        self._bytes_decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")
        self._decode = json.JSONDecoder().raw_decode
        self._text, self._at, self._ended = "", 0, False

    def offset(self) -> int:
        """Return the bytes before this place."""
        return self._before + _size(self._text[: self._at])

    def peek(self) -> str:
        """Return the character at which the next value starts, or nothing at the end of the file."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._fill()

    def value(self) -> object:
        """Read a value of any kind.

        Raises:
            AnnotationError: It is not JSON.
        """
        self.peek()
        while True:
            problem, at = "", 0
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                problem, at = error.msg, error.pos
            except (RecursionError, ValueError) as error:
                raise AnnotationError(f"{self._path}: expected JSON, got: {error}", code="F001") from None
            if self._ended and problem:
                self._refuse(problem, at)
            if not problem and (self._ended or end < len(self._text)):  # a number may go on in the next window
                self._at = end
                return value
            self._fill()

    def elements(self) -> Iterator[object]:
        """Read the elements of a list, one by one.

        Raises:
            AnnotationError: It is not JSON, or no list.
        """
        self._take("[", "Expecting value")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            try:
                value, end = self._decode(self._text, self._at)
                match = _DELIMITER.match(self._text, end)
            except (ValueError, RecursionError):
                match = None
            if match is None or match.end() == len(self._text):  # the window ends here
                yield self.value()
                self.peek()
                match = _DELIMITER.match(self._text, self._at)
                if match is None:
                    self._refuse("Expecting ',' delimiter", self._at)
                self._at = match.end()
            else:
                self._at = match.end()
                yield value
            if match[1] == "]":
                return

    def keys(self) -> Iterator[str]:
        """Give the keys of an object one by one; the place is then its value, which has to be read.

        Raises:
            AnnotationError: It is not JSON, or no object.
        """
        self._take("{", "Expecting value")
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                self._refuse("Expecting property name enclosed in double quotes", self._at)
            key = str(self.value())
            self._take(":", "Expecting ':' delimiter")
            self.peek()
            yield key
            if self.peek() == "}":
                self._at += 1
                return
            self._take(",", "Expecting ',' delimiter")

    def skip(self) -> None:
        """Read on to behind the next value."""
        if self.peek() == "[":
            for _ in self.elements():
                pass
        else:
            self.value()

    def _take(self, character: str, problem: str) -> None:
        if self.peek() != character:
            self._refuse(problem, self._at)
        self._at += 1

    def _fill(self) -> None:
        """Forget what was passed and read on, as much again as is left of the window."""
        self._before = self.offset()
        self._text = self._text[self._at :]
        self._at = 0
        data = self._file.read(max(_WINDOW, len(self._text)))
        self._ended = not data
        try:
            self._text += self._bytes_decoder.decode(data, self._ended)
        except UnicodeDecodeError:
            raise AnnotationError(f"{self._path}: expected JSON in UTF-8, got other bytes", code="F001") from None

    def _refuse(self, problem: str, at: int) -> NoReturn:
        line, column = _line_and_column(self._path, self._before + _size(self._text[:at]))
        raise AnnotationError(f"{self._path}: line {line}, column {column}: expected JSON, got: {problem}", code="F001")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _line_and_column(path: Path, offset: int) -> tuple[int, int]:
    line, start, passed = 1, 0, 0
    with path.open("rb") as file:
        while passed < offset:
            data = file.read(min(_WINDOW, offset - passed))
            line += data.count(b"\n")
            last = data.rfind(b"\n")
            start = passed + last + 1 if last >= 0 else start
            passed += len(data)
        file.seek(start)
        return line, len(file.read(offset - start).decode("utf-8", "replace")) + 1


@contextmanager
def streaming(path: Path, offset: int = 0) -> Iterator[Stream]:
    """Open a file as a stream.

    Raises:
        AnnotationError: It can't be read.
    """
    with _reading(path), path.open("rb") as file:
        yield Stream(file, path, offset)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AnnotationError(f"{path}: expected a readable file: {error.strerror}", code="F001") from None


def elements_at(path: Path, offset: int, field: str) -> Iterator[object]:
    """Read the elements of the list that starts at an offset.

    Raises:
        AnnotationError: It is no list.
    """
    with streaming(path, offset) as stream:
        if stream.peek() != "[":
            raise expected("a list", stream.value(), str(path), field)
        yield from stream.elements()


def find_sections(path: Path, keys: Sequence[str]) -> dict[str, int]:
    """Find the values of an object's own keys: the bytes before each; one that is missing is left out.

    Raises:
        AnnotationError: The file is not JSON, or no object.
    """
    found: dict[str, int] = {}
    with streaming(path) as stream:
        if stream.peek() not in "{":
            raise expected("an object", stream.value(), str(path), "top level")
        for key in stream.keys():  # noqa: SIM118  # a stream is no dict
            if key in keys:
                found[key] = stream.offset()
            if stream.peek() == "[":
                late = {key: _occurrences(path, key, stream.offset()) for key in keys if key not in found}
                if all(len(offsets) == 1 for offsets in late.values()):
                    return found | {key: offset for key, (offset,) in late.items()}
            stream.skip()
    return found


def outline(path: Path, keys: Sequence[str] = ("images", "annotations", "categories")) -> object:
    """Read the beginning of a file: its first keys, and the first element of each list.

    Args:
        path: A JSON file.
        keys: Looked for wherever they stand.

    Raises:
        AnnotationError: The file is not JSON.
    """
    with streaming(path) as stream:
        first = stream.peek()
        if first == "[":
            return list(islice(stream.elements(), 1))
        if first != "{":
            return stream.value()
        document: dict[str, object] = {}
        for key in islice(stream.keys(), _MOST_KEYS):
            if stream.peek() == "[":
                document[key] = list(islice(stream.elements(), 1))
                break
            document[key] = stream.value()
        start = stream.offset()
    for key in keys:
        offsets = [] if key in document else _occurrences(path, key, start)
        if offsets:
            document[key] = list(islice(elements_at(path, offsets[0], key), 1))
    if 0 < sum(key in document for key in keys) < len(keys):  # is the rest cut off?
        find_sections(path, keys)
    return document


def _occurrences(path: Path, key: str, start: int) -> list[int]:
    """List the bytes before each list that has a quoted key, the first two of them."""
    wanted = re.compile(re.escape(json.dumps(key).encode()) + rb"[ \t\n\r]*:[ \t\n\r]*\[")
    found: list[int] = []
    with _reading(path), path.open("rb") as file:
        file.seek(start)
        rest = b""
        while len(found) < 2 and (data := file.read(_WINDOW)):
            block, before = rest + data, file.tell() - len(data) - len(rest)
            found += [before + match.end() - 1 for match in wanted.finditer(block)]
            rest = block[max(len(block) - _LONGEST_KEY, found[-1] + 1 - before if found else 0) :]
    return found[:2]

"""A set opened so that what is wrong with its records is collected instead of ending the work."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.findings import Finding
from maskrcnn.data.images import IMAGE_SUFFIXES
from maskrcnn.errors import DataError

_ANNOTATION = re.compile(r"^(?:annotation|annotations|region|shape|object|line|row|feature|segment)\b")
_GOT = re.compile(r"got (-?\d+)\b")


@dataclass
class Opened:
    """What could be read.

    Attributes:
        path: What was named.
        dataset: The set without its faulty records; None where nothing of it can be used.
        faults: What was wrong with records, in the order in which it was found; a set that makes its records
            when they are asked for finds more of it later.
        fatal: What made it impossible to read anything.
    """

    path: Path
    dataset: Dataset | None = None
    faults: list[DataError] = field(default_factory=list)
    fatal: DataError | None = None

    @property
    def source(self) -> str:
        """The annotation file, or what was named."""
        return str(self.path if self.dataset is None else self.dataset.source)

    def findings(self) -> list[Finding]:
        """Report what was wrong with records, and what was left out."""
        found = [as_finding(error, self.source) for error in self.faults]
        if self.fatal is not None and self.fatal not in self.faults:
            found.append(as_finding(self.fatal, self.source))
        if self.dataset is not None:
            found += [
                Finding(left.code, str(left.file), left.picture, left.name, left.reason)
                for left in self.dataset.left_out
            ]
        return _without_echoes(found)


def open_tolerantly(path: str | Path | Dataset, format: str | None = None) -> Opened:  # noqa: A002  # as the door has it
    """Open a set and collect what is wrong with its records; pictures may be missing."""
    if isinstance(path, Dataset):
        return Opened(path.source, path)
    opened = Opened(Path(path))
    try:
        opened.dataset = open_dataset(path, format=format, pictures="optional", fault=opened.faults.append)
    except DataError as error:
        opened.fatal = error
    return opened


def as_finding(error: DataError, source: str) -> Finding:
    """Make a finding of an error, whose sentence begins with the file and the record.

    >>> as_finding(DataError("a.json: region 3 of cat.jpg: x: expected a number"), "a.json")
    Finding(code='F003', file='a.json', picture='cat.jpg', annotation='region 3', detail='x: expected a number')
    """
    sentence = str(error)
    file = source if sentence.startswith(f"{source}: ") else sentence.partition(": ")[0]
    rest = sentence.removeprefix(f"{file}: ")
    if Path(file).suffix.lower() in IMAGE_SUFFIXES and file != source:
        return Finding(error.code, source, Path(file).name, "", sentence)
    about, _, detail = rest.partition(": ")
    annotation, _, picture = about.partition(" of ")
    if detail and _ANNOTATION.match(annotation):
        return Finding(error.code, file, picture, annotation, detail)
    if detail and Path(about).suffix.lower() in IMAGE_SUFFIXES:
        return Finding(error.code, file, about, "", detail)
    return Finding(error.code, file, "", "", rest)


def _without_echoes(findings: list[Finding]) -> list[Finding]:
    """Drop what only follows from a picture that is missing: that it can't be read, and the same said twice."""
    missing = {Path(found.picture).name for found in findings if found.code == "P101"}
    told: set[tuple[str, str]] = set()
    kept = []
    for found in findings:
        echo = found.code in ("P101", "P102") and (found.code, found.picture) in told
        if not echo and not (found.code == "P102" and Path(found.picture).name in missing):
            kept.append(found)
        told.add((found.code, found.picture))
    return kept


def off_by_one(opened: Opened, used: set[int]) -> list[Finding]:
    """Report it where class ids are one apart from those that are declared, or there is one name too few.

    Args:
        opened: The set; ids that it does not declare are in the sentences of its faults.
        used: The ids of classes that objects have.
    """
    if opened.dataset is None:
        return []
    said = [_GOT.search(str(error)) for error in opened.faults if error.code == "C301"]
    unknown = {int(match[1]) for match in said if match is not None}
    declared = set(opened.dataset.category_ids)
    if not unknown:
        return []
    ids = used | unknown
    said_so = f"objects have the ids {_span(ids)}, declared are {_span(declared)}"
    hints = {
        "were they counted from 0?": {number + 1 for number in ids} <= declared,
        "were they counted from 1?": {number - 1 for number in ids} <= declared,
        "is the list of names one short?": unknown == {max(declared) + 1} and used == declared,
    }
    return [Finding("C304", opened.source, "", "", f"{said_so}: {hint}") for hint, fits in hints.items() if fits][:1]


def _span(ids: set[int]) -> str:
    return f"{min(ids)} to {max(ids)}" if len(ids) > 1 else f"{min(ids)}"

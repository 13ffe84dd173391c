"""What a doctor's visit found, for people and for programs."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from maskrcnn.data.findings import RULES, SEVERITIES, Finding
from maskrcnn.errors import InputError
from maskrcnn.files import write_text


@dataclass(frozen=True)
class Patient:
    """What was read of a set.

    Attributes:
        source: The annotation file, or what was named where none could be read.
        format: Its kind; empty where nothing could be read.
        pictures: How many.
        objects: How many annotated objects, ignored regions too.
        left_out: How many records and annotations could not be used.
    """

    source: str
    format: str
    pictures: int
    objects: int
    left_out: int


@dataclass(frozen=True)
class Report:
    """What was found, the gravest first.

    Attributes:
        patients: The sets, in the order in which they were named.
        findings: Everything that was found in them.
    """

    patients: tuple[Patient, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many findings would stop training."""
        return self.counts()["error"]

    def counts(self) -> Counter[str]:
        """Count the findings of each severity."""
        return Counter(finding.rule.severity for finding in self.findings)

    def lines(self) -> Iterator[str]:
        """Write each finding as a JSON object on a line."""
        return (json.dumps(as_json(finding), ensure_ascii=False) for finding in self.findings)

    def write(self, path: str | Path) -> None:
        """Write everything as one JSON file.

        Raises:
            OutputError: It can't be written.
        """
        document = {
            "sets": [vars(patient) for patient in self.patients],
            "findings": [as_json(finding) for finding in self.findings],
        }
        write_text(Path(path), json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def as_json(finding: Finding) -> dict[str, str]:
    """Return all that is known of a finding."""
    rule = finding.rule
    return {
        "code": finding.code,
        "name": rule.name,
        "severity": rule.severity,
        "file": finding.file,
        "picture": finding.picture,
        "annotation": finding.annotation,
        "detail": finding.detail,
        "effect": rule.effect,
        "mend": rule.mend,
    }


def in_order(findings: Collection[Finding]) -> list[Finding]:
    """Sort findings by severity and code; those of one code stay as they were found."""
    return sorted(findings, key=lambda finding: (SEVERITIES.index(finding.rule.severity), finding.code))


def codes(text: str) -> frozenset[str]:
    """Read codes or names that are separated by commas.

    >>> sorted(codes("p101, tiny-object"))
    ['G209', 'P101']

    Raises:
        InputError: There is no such finding.
    """
    named = {rule.name: code for code, rule in RULES.items()}
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    for word in wanted:
        if word.upper() not in RULES and word.lower() not in named:
            near = difflib.get_close_matches(word.lower(), [*named, *map(str.lower, RULES)], n=1, cutoff=0.5)
            hint = f"; did you mean {near[0].upper() if near[0].upper() in RULES else near[0]}?" if near else ""
            raise InputError(f"finding: expected a code such as P101 or its name, got {word!r}{hint}")
    return frozenset(word.upper() if word.upper() in RULES else named[word.lower()] for word in wanted)

"""What can be wrong with data: every finding has a code that stays, and says what it does to training.

Letters of the codes: F the annotation file and its records, P pictures, G the geometry of objects, C classes,
S the set as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]


class Rule(NamedTuple):
    """A kind of finding.

    Attributes:
        name: A few words joined by hyphens, as people search for it.
        severity: `error` stops training; `warning` harms it; `note` is worth a look.
        effect: What it does to training or evaluation.
        mend: What `--fix` does about it in a copy; empty where only a person can.
    """

    name: str
    severity: Severity
    effect: str
    mend: str = ""


RULES: dict[str, Rule] = {
    "F001": Rule("unreadable-file", "error", "nothing of the file can be used"),
    "F002": Rule("unknown-format", "error", "nothing can be read"),
    "F003": Rule("malformed-record", "error", "the record has no meaning, so it can't be learnt", "leaves it out"),
    "F004": Rule("duplicate-record", "error", "it is not certain which of the two holds", "keeps the first"),
    "F005": Rule("unknown-picture", "error", "the object belongs to no picture", "leaves it out"),
    "F006": Rule("several-meanings", "error", "it is not certain what was meant"),
    "F007": Rule("unsafe-archive", "error", "unpacking could write outside of its folder or fill the disk"),
    "P101": Rule("missing-picture", "error", "training would stop when it is asked for", "leaves it out"),
    "P102": Rule("broken-picture", "error", "training would stop when it is decoded", "leaves it out"),
    "P103": Rule("other-size", "error", "masks would lie beside their objects"),
    "G201": Rule("too-few-points", "error", "an outline of less than three points has no area", "leaves it out"),
    "G202": Rule("no-area", "warning", "a point or a line can't be learnt; the object is left out", "leaves it out"),
    "G203": Rule("outside-picture", "warning", "nothing of the object can be seen; it is left out", "leaves it out"),
    "G204": Rule("empty-mask", "warning", "the object has no pixel; it is left out", "leaves it out"),
    "G205": Rule("broken-runs", "error", "run lengths that do not fit the picture are no mask", "leaves it out"),
    "C301": Rule("unknown-class", "error", "the object's class is not one of those that are declared", "leaves it out"),
    "C302": Rule("no-class", "error", "the object has no class where others have one", "leaves it out"),
    "C303": Rule("several-classes", "error", "the object has several classes where one is needed", "leaves it out"),
}
"""Every kind of finding, by its code."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or worth a look.

    Attributes:
        code: One of `RULES`.
        file: The annotation file or folder.
        picture: The picture's name; empty where the finding is about more than one.
        annotation: Which annotation, such as `annotation 1768`; empty where it is about more than one.
        detail: What exactly is wrong: what was expected, what was found.
    """

    code: str
    file: str
    picture: str
    annotation: str
    detail: str

    @property
    def rule(self) -> Rule:
        """What kind of finding it is."""
        return RULES[self.code]

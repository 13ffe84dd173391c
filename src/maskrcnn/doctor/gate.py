"""The cheap part of a visit, before training and evaluation: errors are refused, warnings are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.findings import RULES, Finding
from maskrcnn.doctor.classes import Tally
from maskrcnn.doctor.columns import columns_of, in_chunks
from maskrcnn.doctor.looking import look_at
from maskrcnn.doctor.pairs import overlaps
from maskrcnn.doctor.pictures import Album
from maskrcnn.doctor.report import in_order
from maskrcnn.doctor.shapes import QUICK
from maskrcnn.errors import AnnotationError

RECORDS = 5000
"""Pictures whose objects are looked at; of more, so many are taken evenly."""

HEADS = 500
"""Pictures whose files are looked at, likewise."""

Say = Callable[[str], None]


def _say_nothing(_: str) -> None: ...


def admit(dataset: Dataset, say: Say = _say_nothing) -> None:
    """Refuse a set with errors, and say in one line how many warnings there are.

    At most 5,000 pictures' objects and the heads of 500 files are looked at, so that it takes a second or two at
    most; `maskrcnn data doctor` looks at everything.

    Args:
        dataset: What is to be trained or measured on.
        say: Takes the line about warnings.

    Raises:
        AnnotationError: There is an error; its sentence has the code and the name of the finding.
    """
    findings = in_order(_findings(dataset))
    errors = [finding for finding in findings if finding.rule.severity == "error"]
    if errors:
        first = errors[0]
        about = f"{first.picture}: " if first.picture and first.picture not in first.detail else ""
        more = f" ({len(errors) - 1:,} more such errors)" if len(errors) > 1 else ""
        raise AnnotationError(
            f"{dataset.source}: {first.code} {first.rule.name}: {about}{first.detail}{more}; "
            f"see all with: maskrcnn data doctor {dataset.source}",
            code=first.code,
        )
    warnings = Counter(finding.code for finding in findings if finding.rule.severity == "warning")
    if warnings:
        say(_line(dataset, warnings))


def _findings(dataset: Dataset) -> list[Finding]:
    tally, found = Tally(dataset), list[Finding]()
    for columns in in_chunks(dataset, _spread(len(dataset), RECORDS)):
        tally.add(columns)
        for check in (*QUICK, overlaps) if len(columns) else ():
            found += check(columns)
    return [*found, *tally.findings(), *_of_heads(dataset)]


def _of_heads(dataset: Dataset) -> list[Finding]:
    album = Album(dataset)
    columns = columns_of(dataset, [dataset.records[i] for i in _spread(len(dataset), HEADS)])
    looks = zip(columns.records, look_at(columns.records, "headers"), strict=True)
    return [*(finding for record, look in looks for finding in album.add(record, look)), *album.turns()]


def _spread(count: int, most: int) -> Sequence[int]:
    """Choose at most so many numbers below a count, evenly."""
    chosen: list[int] = np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64)).tolist()
    return chosen


def _line(dataset: Dataset, warnings: Counter[str]) -> str:
    total = sum(warnings.values())
    kinds = ", ".join(f"{count:,} {RULES[code].name} ({code})" for code, count in warnings.most_common(3))
    more = ", ..." if len(warnings) > 3 else ""
    looked = f" in {RECORDS:,} of {len(dataset):,} pictures" if len(dataset) > RECORDS else ""
    noun = "warning" if total == 1 else "warnings"
    return f"note: {total:,} {noun}{looked}: {kinds}{more}; see all with: maskrcnn data doctor {dataset.source}"

"""`maskrcnn data doctor`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from maskrcnn.cli.words import count_of, give, progress, say, show
from maskrcnn.data.findings import RULES, SEVERITIES, Finding
from maskrcnn.doctor.copying import Copied
from maskrcnn.doctor.examining import Visit, examine
from maskrcnn.doctor.looking import Depth
from maskrcnn.doctor.mending import deleak, mend
from maskrcnn.doctor.report import Report, codes
from maskrcnn.errors import InputError

COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


@dataclass(frozen=True)
class Wishes:
    """What was asked for beside the sets, as the options of the command have it."""

    depth: Depth
    as_json: bool
    out: Path | None
    fix: Path | None
    deleak: Path | None
    only: str
    ignore: str
    format: str | None


def run_doctor(data: Sequence[Path], wishes: Wishes) -> int:
    """Examine, report, and write what is wanted; return 1 where there are errors."""
    only, ignore = codes(wishes.only), codes(wishes.ignore)
    _check(data, wishes)
    with progress("examining") as advance:
        visit = examine(*data, depth=wishes.depth, format=wishes.format, only=only, ignore=ignore, progress=advance)
    _say_read(visit.report)
    if wishes.as_json:
        give(visit.report.lines())
    elif visit.report.findings:
        _show(visit.report)
    if wishes.out is not None:
        visit.report.write(wishes.out)
        say(f"all findings in {wishes.out}")
    _write(visit, wishes, ignore)
    _say_result(visit.report)
    return 1 if visit.report.errors else 0


def _check(data: Sequence[Path], wishes: Wishes) -> None:
    """Refuse before the work what could not be done after it."""
    for option, wanted in (("--fix", wishes.fix), ("--deleak", wishes.deleak)):
        if wanted is not None and wishes.depth != "pixels":
            raise InputError(f"{option}: expected --depth pixels beside it, got {wishes.depth}")
    if wishes.deleak is not None and len(data) < 2:
        raise InputError("--deleak: expected DATA and OTHER, got one set")


def _say_read(report: Report) -> None:
    for patient in report.patients:
        if patient.format:
            say(
                f"{patient.source} ({patient.format}): {count_of(patient.pictures, 'picture')}, "
                f"{count_of(patient.objects, 'object')} read; {patient.left_out:,} left out"
            )
        else:
            say(f"{patient.source}: nothing could be read")


def _show(report: Report) -> None:
    grouped: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        grouped[finding.code].append(finding)
    table = Table(show_lines=True, expand=False)
    table.add_column("code", no_wrap=True)
    table.add_column("found", ratio=5, overflow="fold")
    table.add_column("what it does", ratio=3)
    table.add_column("--fix", ratio=2)
    for code, found in grouped.items():
        rule = RULES[code]
        head = Text(f"{rule.name}, {len(found):,} times" if len(found) > 1 else rule.name, style="bold")
        cell = Text.assemble(head, "\n", ("e.g. " if len(found) > 1 else ""), _example(found[0], report))
        table.add_row(
            Text(f"{code}\n{rule.severity}", style=COLOURS[rule.severity]), cell, rule.effect, rule.mend or "-"
        )
    show(table)


def _example(finding: Finding, report: Report) -> str:
    about = " of ".join(filter(None, (finding.annotation, finding.picture)))
    several = len(report.patients) > 1 or finding.file not in {patient.source for patient in report.patients}
    file = "/".join(Path(finding.file).parts[-2:])
    return ": ".join(filter(None, (file if several else "", about, finding.detail)))


def _write(visit: Visit, wishes: Wishes, ignore: frozenset[str]) -> None:
    if wishes.fix is not None:
        with progress("mending") as advance:
            _say_written(mend(visit, wishes.fix, ignore=ignore, progress=advance))
    if wishes.deleak is not None:
        with progress("writing") as advance:
            for written in deleak(visit, wishes.deleak, progress=advance):
                _say_written(written)


def _say_written(written: Copied) -> None:
    say(
        f"{count_of(written.pictures, 'picture')}, {count_of(written.objects, 'object')} in {written.folder}; "
        f"{count_of(written.changes, 'change')} listed in {written.folder / 'fixes.json'}"
    )


def _say_result(report: Report) -> None:
    counts = report.counts()
    found = [count_of(counts[severity], severity) for severity in SEVERITIES if counts[severity]]
    say(", ".join(found) if found else "nothing found")

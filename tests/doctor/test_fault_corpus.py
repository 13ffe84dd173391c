from __future__ import annotations

from pathlib import Path

import pytest
from fault_corpus import CLEAN, FAULTS, READER_FAULTS, Fault, coco_set

from maskrcnn.data import open_dataset
from maskrcnn.data.findings import RULES, Finding
from maskrcnn.data.synth import synthesise
from maskrcnn.doctor import examine
from maskrcnn.errors import DataError

SHARED = Path(__file__).parents[2] / "../shared/data"


def grave(findings: tuple[Finding, ...]) -> set[str]:
    """Return the codes above note."""
    return {finding.code for finding in findings if finding.rule.severity != "note"}


@pytest.mark.parametrize("kind", CLEAN)
def test_nothing_is_found_in_a_clean_set(kind: str, tmp_path: Path) -> None:
    report = examine(CLEAN[kind](tmp_path / "clean").save()).report
    assert (report.patients[0].pictures, report.patients[0].objects, report.patients[0].left_out) == (8, 24, 0)
    assert [str(finding) for finding in report.findings] == []


@pytest.mark.parametrize("kind", ["shapes", "spacecraft"])
def test_drawn_sets_are_clean(kind: str, tmp_path: Path) -> None:
    synthesise(kind, tmp_path / "drawn", 40, size_hw=(128, 160))
    assert grave(examine(tmp_path / "drawn").report.findings) <= {"G209"}  # craft far away are tiny


def check(fault: Fault, folder: Path) -> None:
    given = CLEAN[fault.kind](folder)
    fault.seed(given)
    findings = examine(given.save()).report.findings
    said = [str(finding) for finding in findings]
    found = [finding for finding in findings if finding.code == fault.code]
    assert len(found) == fault.times, said
    picture, annotation = fault.where
    assert picture in (None, found[0].picture), said
    assert annotation in (None, found[0].annotation), said
    assert grave(findings) <= {fault.code, *fault.beside}, said


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_seeded_fault_is_found_under_its_code_and_nothing_else(fault: Fault, tmp_path: Path) -> None:
    check(fault, tmp_path / "set")


def _collects(folder: Path) -> bool:
    given = coco_set(folder)
    given.annotation()["image_id"] = 99
    try:
        open_dataset(given.save(), fault=lambda error: None)
    except DataError:
        return False
    return True


@pytest.mark.parametrize("fault", READER_FAULTS, ids=lambda fault: fault.name)
def test_a_seeded_fault_in_a_record_of_coco(fault: Fault, tmp_path: Path) -> None:
    if not _collects(tmp_path / "probe"):
        pytest.skip("the COCO reader stops at the first fault")
    check(fault, tmp_path / "set")


def test_the_corpus_is_large_and_leaves_out_no_finding() -> None:
    assert len(FAULTS) >= 40
    between_sets = {"S405", "S406", "S407"}
    of_folders = {"F007", "F009"}  # no file of COCO or VIA can have them
    assert {fault.code for fault in [*FAULTS, *READER_FAULTS]} == set(RULES) - between_sets - of_folders


TINY = "coco_tiny_80/annotations/instances_{}2017.json"
CONFIRMED: dict[str, set[tuple[str, str]]] = {
    "balloon/train": set(),
    "balloon/val": set(),
    "via_kudzu/train": set(),
    "via_kudzu/val": set(),
    # an armchair that is annotated as a couch and, with its leg, as a chair
    TINY.format("train"): {("G212", "annotation 2222700"), ("G219", "annotation 1901023")},
    # a table that fills its picture, and the inside of a bowl
    TINY.format("val"): {("G219", "annotation 2132251"), ("G219", "annotation 1533108")},
    # one photograph twice with five and with two regions; another one stored twice
    "via_car_damage/train": {("P106", "48.jpg"), ("S404", "19.jpg")},
}


@pytest.mark.parametrize("place", CONFIRMED)
def test_findings_in_real_sets_are_those_that_were_looked_at(place: str) -> None:
    if not (SHARED / place).exists():
        pytest.skip("../shared/data is not here")
    findings = examine(SHARED / place).report.findings
    found = {(each.code, each.annotation or each.picture) for each in findings if each.picture}
    assert found == CONFIRMED[place]
    assert {each.code for each in findings if not each.picture} <= {"C309", "S403"}

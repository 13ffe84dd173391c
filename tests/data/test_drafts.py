from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskrcnn.data.dataset import Dataset, Rings, Runs
from maskrcnn.data.formats.curves import rectangle_ring
from maskrcnn.data.formats.drafts import Draft, Skipped, Thing, assemble, boxes_as_outlines, numbered
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError, DataError
from maskrcnn.ops.rle import Bitmap

SIZE_HW = (6, 8)
SOURCE = Path("set.json")
BOX = (1.0, 1.0, 3.0, 3.0)


def outline(x: float) -> Rings:
    return Rings((rectangle_ring(x, 1, x + 2, 3),))


def draft(*things: Thing | Skipped, **known: object) -> Draft:
    return Draft("a.png", Path("a.png"), SIZE_HW, things, **known)


def made(*things: Thing | Skipped, classes: dict[int, str] | None = None) -> Dataset:
    return assemble(SOURCE, "test", [draft(*things)], Reading(), classes)


def test_classes_are_those_that_occur_by_name_behind_those_that_the_set_has_in_any_case() -> None:
    drafts = [draft(Thing("1", "dog", None, BOX)), draft(Thing("2", "ant", None, BOX), looked_for=frozenset({"cat"}))]
    assert numbered(drafts) == {1: "ant", 2: "cat", 3: "dog"}
    assert numbered(drafts, ["fox", "dog", "fox"]) == {1: "fox", 2: "dog", 3: "ant", 4: "cat"}
    assert numbered([draft(Thing("1", None, None, BOX))]) == {1: "object"}


def test_classes_keep_the_ids_of_the_source() -> None:
    dataset = made(Thing("1", "dog", None, BOX), classes={7: "cat", 3: "dog"})
    assert (dataset.class_names, dataset.category_ids) == (("cat", "dog"), (7, 3))
    assert [each.label for each in dataset.records[0].annotations] == [1]


def test_an_object_of_another_class_is_a_fault_that_says_where() -> None:
    things = Thing("shape 1", "fox", None, BOX), Thing("shape 2", "dog", None, BOX)
    with pytest.raises(
        AnnotationError, match=r"^set\.json: a\.png: shape 1: expected one of .*'dog', got 'fox'$"
    ) as no:
        made(*things, classes={1: "dog"})
    assert no.value.code == "C301"
    with pytest.raises(AnnotationError, match=r"^a\.txt: shape 1: expected"):
        assemble(SOURCE, "test", [draft(*things, where="a.txt")], Reading(), {1: "dog"})
    seen: list[DataError] = []
    dataset = assemble(SOURCE, "test", [draft(*things)], Reading(fault=seen.append), {1: "dog"})
    assert [each.name for each in dataset.records[0].annotations] == ["shape 2"]
    assert len(seen) == 1


def test_what_has_no_class_is_ignored_for_every_class() -> None:
    annotations = made(
        Thing("1", "dog", None, BOX), Thing("2", None, None, BOX, crowd=True), classes={1: "cat", 2: "dog"}
    )
    assert [(each.name, each.label, each.crowd) for each in annotations.records[0].annotations] == [
        ("1", 1, False),
        ("2", 0, True),
        ("2", 1, True),
    ]


def test_what_was_looked_for_and_what_else_is_known_stays_with_the_picture() -> None:
    known = draft(looked_for=frozenset({"cat"}), columns={"place": "here"})
    record = assemble(SOURCE, "test", [known], Reading(), {1: "ant", 2: "cat"}).records[0]
    assert (record.labelled, record.columns) == (frozenset({1}), {"place": "here"})


def test_things_of_one_group_and_class_are_one_object_where_the_first_stood() -> None:
    runs = Runs.of(Bitmap(5, 4, np.ones((1, 2), dtype=bool)), SIZE_HW)
    dataset = made(
        Thing("1", "cat", outline(0), group="g"),
        Thing("2", "dog", outline(1), group="g"),
        Thing("3", "cat", runs, group="g"),
        Thing("4", "cat", outline(3)),
        Skipped("5", "a point has no area"),
        classes={1: "cat", 2: "dog"},
    )
    assert [each.name for each in dataset.records[0].annotations] == ["1 + 3", "2", "4"]
    assert dataset.instances(0).masks.areas().tolist() == [6, 4, 4]
    assert [(left.name, left.code) for left in dataset.left_out] == [("5", "G202")]


def test_boxes_become_outlines_only_beside_outlines() -> None:
    alone, beside = draft(Thing("1", "cat", None, BOX)), draft(Thing("2", "cat", outline(0)), Skipped("3", "why"))
    assert boxes_as_outlines([alone]) == [alone]
    boxed, _ = boxes_as_outlines([alone, beside])
    assert isinstance(boxed.things[0].shape, Rings)
    assert boxed.things[0].shape.extent() == BOX

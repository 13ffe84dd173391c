"""Rows of classes are matched by name; every tensor of both sides gets a line, whatever the shapes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskrcnn.model.mask_rcnn import build
from maskrcnn.training.transfer import summary, transfer


@pytest.fixture(autouse=True)
def _small(shrunk):
    """Of no effect on what is tested."""


def model_of(tiny, *classes, **changes):
    return build(tiny.change(classes=list(classes), **changes))


def numbered(model):
    """Make row r of every tensor full of r plus a share of one that tells tensors apart."""
    tensors = {}
    for i, (name, value) in enumerate(model.state_dict().items()):
        rows = torch.arange(len(value) if value.ndim else 1).view(-1, *[1] * max(value.ndim - 1, 0)).expand_as(value)
        tensors[name] = (rows + 0.5 + i / 1000).to(value.dtype)
    return tensors


def rows_of(value) -> list[int]:
    """Read the numbers of the old rows back; -1 is a fresh one."""
    first = value.reshape(len(value), -1)[:, 0].tolist()
    return [int(x) if x >= 0.5 else -1 for x in first]


def blank(model):
    with torch.no_grad():
        for value in model.state_dict().values():
            value.zero_()
    return model


def outcomes(lines):
    return {line.name: line.outcome for line in lines}


def test_rows_follow_their_names_and_background_stays_last(tiny):
    old = model_of(tiny, "cat", "dog", "horse")
    new = blank(model_of(tiny, "horse", "bird", "cat"))
    lines = transfer(new, numbered(old), old.config.classes)
    state = new.state_dict()
    for part in ("weight", "bias"):
        assert rows_of(state[f"box_head.logits.{part}"]) == [2, -1, 0, 3]
        assert rows_of(state[f"box_head.deltas.{part}"]) == [8, 9, 10, 11, -1, -1, -1, -1, 0, 1, 2, 3]
        assert rows_of(state[f"mask_head.logits.{part}"]) == [2, -1, 0]
    partly = {line.name for line in lines if line.outcome == "partly"}
    heads = ("box_head.logits", "box_head.deltas", "mask_head.logits")
    assert partly == {f"{name}.{part}" for name in heads for part in ("weight", "bias")}
    assert {line.reason for line in lines if line.outcome == "partly"} == {"the file has horse, cat; fresh: bird"}


def test_what_is_not_of_a_class_is_the_old_value_exactly(tiny):
    old, new = model_of(tiny, "cat"), model_of(tiny, "cat", "dog")
    tensors = numbered(old)
    lines = transfer(new, tensors, old.config.classes)
    loaded = [line.name for line in lines if line.outcome == "loaded"]
    assert len(loaded) == len(lines) - 6
    assert all(torch.equal(new.state_dict()[name], tensors[name]) for name in loaded)


def test_the_same_classes_in_another_order_load_in_full(tiny):
    old, new = model_of(tiny, "a", "b"), model_of(tiny, "b", "a")
    lines = transfer(new, numbered(old), old.config.classes)
    assert set(outcomes(lines).values()) == {"loaded"}
    assert rows_of(new.state_dict()["box_head.logits.weight"]) == [1, 0, 2]


def test_without_a_shared_class_only_background_comes_along(tiny):
    old, new = model_of(tiny, "cat", "dog"), blank(model_of(tiny, "ship", "tree"))
    lines = transfer(new, numbered(old), old.config.classes)
    assert rows_of(new.state_dict()["box_head.logits.weight"]) == [-1, -1, 2]
    assert rows_of(new.state_dict()["mask_head.logits.weight"]) == [-1, -1]
    found = outcomes(lines)
    assert (found["box_head.logits.weight"], found["box_head.deltas.weight"]) == ("partly", "fresh")
    assert {line.reason for line in lines if line.outcome == "fresh"} == {
        "the file has none of these classes; fresh: ship, tree"
    }


@pytest.mark.parametrize("new_classes", [("ship",), ("ship", "tree", "dog")])
def test_class_agnostic_heads_load_whatever_the_classes_are(tiny, new_classes):
    agnostic = {
        "box_head": tiny.box_head.change(class_agnostic=True),
        "mask_head": tiny.mask_head.change(class_agnostic=True),
    }
    old, new = model_of(tiny, "cat", **agnostic), model_of(tiny, *new_classes, **agnostic)
    lines = transfer(new, numbered(old), old.config.classes)
    state = new.state_dict()
    assert rows_of(state["box_head.deltas.weight"]) == [0, 1, 2, 3]
    assert rows_of(state["mask_head.logits.bias"]) == [0]
    assert outcomes(lines)["box_head.deltas.weight"] == "loaded"
    assert outcomes(lines)["box_head.logits.weight"] == "partly"


def test_other_shapes_stay_fresh_and_say_why(tiny):
    old = model_of(tiny, "cat", "dog")
    new = model_of(tiny, "dog", pyramid=tiny.pyramid.change(channels=8), box_head=tiny.box_head.change(channels=24))
    before = {name: value.clone() for name, value in new.state_dict().items()}
    lines = transfer(new, numbered(old), old.config.classes)
    reasons = {line.name: line.reason for line in lines if line.outcome == "fresh"}
    assert reasons["box_head.logits.weight"] == "shape (2, 24) here, (3, 32) in the file"
    assert reasons["pyramid.lateral.0.conv.weight"] == "shape (8, 16, 1, 1) here, (16, 16, 1, 1) in the file"
    assert all(torch.equal(new.state_dict()[name], before[name]) for name in reasons)
    assert outcomes(lines)["backbone.stem.conv1.conv.weight"] == "loaded"


def test_every_tensor_of_both_sides_has_one_line(tiny):
    old = model_of(tiny, "cat")
    new = model_of(tiny, "cat", mask_head=tiny.mask_head.change(convs=2))
    tensors = {**numbered(old), "teacher.weight": torch.ones(2)}
    del tensors["rpn.head.objectness.bias"]
    lines = transfer(new, tensors, old.config.classes)
    names = [line.name for line in lines]
    assert sorted(names) == sorted({*new.state_dict(), *tensors})
    assert [line for line in lines if line.outcome == "unused"] == [
        ("teacher.weight", "unused", "the new model has no such tensor")
    ]
    assert {line.name for line in lines if line.reason == "not in the file"} == {
        name for name in new.state_dict() if name == "rpn.head.objectness.bias" or name.startswith("mask_head.convs.1.")
    }
    assert sum(count for _, count, _ in summary(lines)) == len(lines)


NAMES = st.lists(st.sampled_from("abcdef"), min_size=1, unique=True)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])  # of settings that are frozen
@given(old_classes=NAMES, new_classes=NAMES, old_agnostic=st.booleans(), new_agnostic=st.booleans())
def test_any_two_lists_of_classes_meet_by_name(tiny, old_classes, new_classes, old_agnostic, new_agnostic):
    old = model_of(tiny, *old_classes, box_head=tiny.box_head.change(class_agnostic=old_agnostic))
    new = blank(model_of(tiny, *new_classes, box_head=tiny.box_head.change(class_agnostic=new_agnostic)))
    lines = transfer(new, numbered(old), old_classes)
    assert {line.name for line in lines} == set(new.state_dict()) == set(old.state_dict())
    rows = rows_of(new.state_dict()["box_head.logits.weight"])
    expected = [old_classes.index(name) if name in old_classes else -1 for name in new_classes]
    assert rows == [*expected, len(old_classes)]


def test_the_table_groups_what_happened(tiny):
    old, new = model_of(tiny, "cat", "dog"), model_of(tiny, "cat", "bird")
    rows = summary(transfer(new, numbered(old), old.config.classes))
    assert [row[0] for row in rows] == ["loaded", "partly"]
    outcome, count, words = rows[1]
    assert (outcome, count) == ("partly", 6)
    assert words.startswith("the file has cat; fresh: bird: box_head.logits.weight, box_head.logits.bias, ")
    assert words.endswith(" ...")

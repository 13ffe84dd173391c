"""Several sets as one: names, numbers, and which class was looked for where."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sets import boxed, named_objects, record, set_of

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset, LeftOut
from maskrcnn.data.joining import join, naming_notes, set_names
from maskrcnn.errors import InputError

SHARED = Path(__file__).parents[2] / "../shared/data"
A = {"names": ("cat", "dog"), "source": "a/set.json"}
B = {"names": ("bird", "cat"), "source": "b/set.json"}


def test_classes_are_joined_by_name_and_pictures_numbered_anew() -> None:
    joint = join([set_of((0,), (1, 0), **A), set_of((0, 1), **B)])
    assert joint.class_names == ("cat", "dog", "bird")
    assert joint.category_ids == (1, 2, 3)
    assert named_objects(joint) == [["cat"], ["dog", "cat"], ["bird", "cat"]]
    assert [each.image_id for each in joint.records] == [1, 2, 3]
    assert [each.name for each in joint.records] == ["a-set/1.png", "a-set/2.png", "b-set/1.png"]
    assert [each.columns["set"] for each in joint.records] == ["a-set", "a-set", "b-set"]
    assert [each.path for each in joint.records] == [Path(f"pictures/{i}.png") for i in (1, 2, 1)]


def test_a_picture_says_which_of_the_joint_classes_were_looked_for() -> None:
    joint = join([set_of((0,), **A), set_of((0,), **B)])
    assert [each.labelled for each in joint.records] == [{0, 1}, {0, 2}]


def test_where_a_set_has_all_classes_nothing_is_marked() -> None:
    joint = join([set_of((0,), **A), set_of((1,), names=("dog", "cat"), source="b/set.json")])
    assert [each.labelled for each in joint.records] == [None, None]
    assert named_objects(joint) == [["cat"], ["cat"]]


def test_what_a_set_knows_of_its_pictures_goes_along() -> None:
    partly = [record("x.png", 1, 0, labelled=frozenset({1}), columns={"place": "here"})]
    first = Dataset(Path("a/set.json"), "via", ("cat", "dog"), (1, 2), partly)
    joint = join([first, set_of((0,), **B)])
    assert joint.records[0].labelled == {1}
    assert joint.records[0].columns == {"place": "here", "set": "a-set"}
    assert joint.format == "via+coco"


def test_one_set_alone_stays_as_it_is() -> None:
    dataset = set_of((0,), **A)
    assert join([dataset]) is dataset
    assert join([dataset], "dog").class_names == ("dog",)


def test_boxes_are_joined_with_masks() -> None:
    boxes = Dataset(Path("b/set.json"), "coco", ("cat",), (1,), [replace(record("x.png", 1), annotations=(boxed(0),))])
    joint = join([set_of((0,), **A), boxes])
    assert joint.instances(0).masks is not None
    assert joint.instances(1).masks is None
    assert joint.instances(1).boxes.tolist() == [[1, 1, 4, 5]]


def test_annotations_that_were_left_out_are_still_named() -> None:
    left = LeftOut(Path("a/set.json"), "1.png", "region 0", "a point has no area", "G202")
    joint = join([set_of((0,), left_out=[left], **A), set_of((0,), **B)])
    assert joint.left_out == (replace(left, picture="a-set/1.png"),)
    assert joint.select([0]).left_out == joint.left_out
    assert joint.select([1]).left_out == ()


def test_names_that_differ_by_case_or_space_are_refused_with_the_way_out() -> None:
    sets = [set_of((0,), **A), set_of((0,), names=("Cat ",), source="b/set.json")]
    with pytest.raises(InputError, match="got 'cat' in a/set\\.json and 'Cat ' in b/set\\.json; make them one with"):
        join(sets)
    assert join(sets, {"cat": ["cat", "Cat "]}).class_names == ("cat",)
    assert join(sets, ["cat", "Cat "]).class_names == ("cat", "Cat ")


def test_classes_are_chosen_over_all_sets_in_the_order_of_the_mapping() -> None:
    joint = join([set_of((0, 1), **A), set_of((0, 1), **B)], "bird;beast=cat,dog")
    assert joint.class_names == ("bird", "beast")
    assert named_objects(joint) == [["beast", "beast"], ["bird", "beast"]]
    # a merged class counts as looked for in a set that has any of its parts
    assert [each.labelled for each in joint.records] == [{1}, None]
    with pytest.raises(InputError, match="got 'zebra'"):
        join([set_of((0,), **A), set_of((0,), **B)], "cat;zebra")


def test_sets_that_name_no_class_say_what_they_count_as() -> None:
    """Two such sets may be of different things: balloons in one, bugs in the other."""
    bare = [set_of((0,), names=("object",), source=f"{name}/via.json") for name in "ab"]
    named = set_of((0, 1), names=("object", "cat"), source="c/coco.json")
    assert naming_notes([*bare, named], "balloon=object") == [
        "a/via.json calls its objects 'object' only: they count as 'balloon'",
        "b/via.json calls its objects 'object' only: they count as 'balloon'",
    ]
    assert naming_notes(bare[:1]) == ["a/via.json calls its objects 'object' only: they count as 'object'"]


def test_no_set_is_refused() -> None:
    with pytest.raises(InputError, match="expected at least one data set"):
        join([])


def test_sets_are_named_after_what_tells_them_apart() -> None:
    assert set_names([Path("/x/coco/annotations/instances_train2017.json"), Path("y/labels.json")]) == [
        "train2017",
        "y",
    ]
    assert set_names([Path("a/train/x.json"), Path("b/train/x.json")]) == ["a-train-x", "b-train-x"]
    assert set_names([Path("balloon/train/labels.json"), Path("c.json")]) == ["balloon-train", "c"]
    assert set_names([Path("annotations.json"), Path("images/annotations.json")]) == ["set", "set-2"]


@given(st.lists(st.lists(st.sets(st.integers(0, 2)), min_size=1, max_size=4), min_size=2, max_size=4))
def test_no_picture_and_no_object_is_lost(sets) -> None:
    datasets = [set_of(*map(tuple, pictures), source=f"{i}/set.json") for i, pictures in enumerate(sets)]
    joint = join(datasets)
    assert len(joint) == sum(map(len, datasets))
    assert named_objects(joint) == [names for dataset in datasets for names in named_objects(dataset)]
    assert [each.image_id for each in pickle.loads(pickle.dumps(joint.records))] == list(range(1, len(joint) + 1))


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
def test_balloons_and_bugs() -> None:
    joint = join(
        [open_dataset(SHARED / "balloon/train"), open_dataset(SHARED / "via_kudzu/train")], "balloon=object;kudzu"
    )
    assert (len(joint), joint.class_names) == (61 + 24, ("balloon", "kudzu"))
    assert sum(map(len, named_objects(joint))) == 255 + 520
    assert joint[0].labelled == {0}
    assert joint[84].labelled == {1}
    assert set(joint[84].instances.names) == {"kudzu"}

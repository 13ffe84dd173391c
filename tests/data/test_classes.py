"""Classes merged, renamed and dropped; what a class that was not looked for becomes."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from sets import named_objects, record, set_of

from maskrcnn.data import open_dataset
from maskrcnn.data.classes import choose, choose_classes, format_classes, parse_classes
from maskrcnn.data.dataset import Dataset
from maskrcnn.errors import InputError

TINY = Path(__file__).parents[2] / "../shared/data/coco_tiny_80/annotations/instances_train2017.json"
PETS = ("cat", "dog", "horse")


def test_classes_are_merged_renamed_and_dropped_and_pictures_stay() -> None:
    dataset = set_of((0, 1, 2), (2,), (0, 0))
    chosen = choose_classes(dataset, "pet=dog,cat;")
    assert chosen.class_names == ("pet",)
    assert chosen.category_ids == (1,)
    assert named_objects(chosen) == [["pet", "pet"], [], ["pet", "pet"]]
    assert [each.image_id for each in chosen.records] == [10, 20, 30]
    assert named_objects(dataset) == [["cat", "dog", "horse"], ["horse"], ["cat", "cat"]]


def test_labels_and_ids_follow_the_order_of_the_mapping() -> None:
    chosen = choose_classes(set_of((0, 2)), "horse; mouser=cat")
    assert (chosen.class_names, chosen.category_ids) == (("horse", "mouser"), (1, 2))
    assert named_objects(chosen) == [["mouser", "horse"]]
    assert choose(set_of((0,)), "horse;mouser=cat").category_ids(set_of((0,))) == {2: 2, 4: 1}


@pytest.mark.parametrize(
    "classes", ["pet=cat,dog;horse", {"pet": ["cat", "dog"], "horse": "horse"}, " pet = cat , dog ; horse = horse ; "]
)
def test_a_mapping_is_a_text_or_a_dictionary(classes) -> None:
    assert parse_classes(classes) == {"pet": ("cat", "dog"), "horse": ("horse",)}
    assert parse_classes(format_classes(classes)) == parse_classes(classes)


def test_names_alone_keep_their_classes() -> None:
    assert choose_classes(set_of((0, 1)), ["dog", "cat"]).class_names == ("dog", "cat")


def test_a_supercategory_stands_for_its_classes_unless_a_class_has_its_name() -> None:
    wider = ("animal", "animal", "dog")
    chosen = choose_classes(set_of((0, 1, 2), supercategories=wider), "beast=animal;dog=horse")
    assert named_objects(chosen) == [["beast", "beast", "dog"]]
    assert chosen.supercategories == ("animal", "dog")
    assert named_objects(choose_classes(set_of((0, 1, 2), supercategories=wider), "dog")) == [["dog"]]
    mixed = choose_classes(set_of((0, 1, 2), supercategories=wider), "all=animal,horse")
    assert mixed.supercategories == ("",)


def test_what_is_kept_and_dropped_is_counted() -> None:
    dataset = set_of((0, 1, 2), (2, 2), ())
    assert choose(dataset, "cat").report(dataset) == "kept 1 of 5 objects; dropped: horse 3, dog 1"
    assert choose(dataset, "a=cat,dog,horse").report(dataset) == "kept 5 of 5 objects"
    many = set_of(tuple(range(12)), names=[f"class {i}" for i in range(12)])
    assert choose(many, "class 0").report(many).endswith("class 8 1 and 3 more classes")


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ("Dog", "expected classes of a/set.json, got 'Dog'; did you mean 'dog' for 'Dog'?"),
        ("a=hors,cta", "expected classes of a/set.json, got 'hors', 'cta'; did you mean 'horse' for 'hors'?"),
        ("zebra", "got 'zebra'; its classes are cat, dog, horse"),
        ("pet=cat;pet=dog", "expected every name once as a new class, got 'pet' twice"),
        ("a=cat;b=cat", "expected every name once on the right, got 'cat' twice"),
        ("a=pets;b=cat", "(a supercategory stands for all its classes), got 'cat' twice"),
        ("", "expected a mapping such as vehicle=car,truck;person, got ''"),
        ("a=", "expected a mapping such as"),
        ("=cat", "expected a mapping such as"),
        ("a=cat,,dog", "expected a mapping such as"),
        ({"a": []}, "expected a mapping such as"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_hint(classes, sentence) -> None:
    with pytest.raises(InputError) as caught:
        choose(set_of((0,), supercategories=("pets", "pets", "")), classes)
    assert sentence in str(caught.value)


def test_names_of_other_data_are_known_but_one_class_must_be_here() -> None:
    chosen = choose(set_of((0, 1)), "pet=cat,Hund;bird", known={"Hund", "bird"})
    assert chosen.names == ("pet",)
    with pytest.raises(InputError, match="expected classes of"):
        choose(set_of((0, 1)), "bird", known={"bird"})


@pytest.mark.parametrize(
    ("labelled", "expected"),
    [
        (None, None),
        ({0, 1, 2}, None),
        ({0, 2}, {1}),  # of pet=cat,dog only one was looked for
        ({0, 1}, {0}),
        (set(), set()),
    ],
)
def test_a_merged_class_was_looked_for_where_all_its_parts_were(labelled, expected) -> None:
    old = record("a.png", 1, 0, labelled=None if labelled is None else frozenset(labelled))
    dataset = Dataset(Path("a.json"), "coco", PETS, (1, 2, 3), [old])
    new = choose_classes(dataset, "pet=cat,dog;horse").records[0]
    assert new == replace(old, labelled=None if expected is None else frozenset(expected), annotations=new.annotations)


def test_records_are_made_when_asked_for_and_travel_to_other_processes() -> None:
    records = choose_classes(set_of((0, 1), (2,), (1,)), "dog").records
    assert len(pickle.loads(pickle.dumps(records))) == 3
    assert [each.image_id for each in records[1:]] == [20, 30]
    assert records[-1].image_id == records[2].image_id == 30
    assert [len(each.annotations) for each in records] == [1, 0, 1]
    with pytest.raises(IndexError):
        records[3]


def test_a_view_gives_samples_and_parts_as_any_set(tmp_path: Path) -> None:
    from maskrcnn.data.synth import synthesise

    synthesise("shapes", tmp_path, 3, size_hw=(64, 96))
    dataset = open_dataset(tmp_path, classes="round=circle")
    assert [set(sample.instances.names) <= {"round"} for sample in dataset] == [True] * 3
    assert dataset.select([2]).image_id(0) == dataset.image_id(2)
    assert dataset.fingerprint() != open_dataset(tmp_path).fingerprint()


@pytest.mark.skipif(not TINY.is_file(), reason="../shared/data is not here")
def test_the_example_of_the_help_on_coco() -> None:
    dataset = open_dataset(TINY)
    choice = choose(dataset, "vehicle=car,truck,bus;person;animal=cat,dog,horse")
    assert choice.report(dataset).startswith("kept 206 of 705 objects; dropped: bottle 85, carrot 27")
    chosen = choice.apply(dataset)
    assert len(chosen) == len(dataset) == 80
    assert sum(map(len, named_objects(chosen))) == 206

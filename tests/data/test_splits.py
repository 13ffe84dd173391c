"""Laws of splits and samples: nothing is lost, nothing comes twice, groups stay whole, the seed decides."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sets import record, set_of

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.splits import sample, split
from maskrcnn.errors import InputError

TINY = Path(__file__).parents[2] / "../shared/data/coco_tiny_80/annotations/instances_train2017.json"
HALVES = {"train": 0.5, "val": 0.5}
USUAL = {"train": 0.7, "val": 0.2, "test": 0.1}


def with_columns(*rows: dict[str, str]) -> Dataset:
    records = [record(f"{i}.png", i, columns=row) for i, row in enumerate(rows, 1)]
    return Dataset(Path("a.csv"), "pose-bowl", ("craft",), (1,), records)


def drawn(pictures: int, classes: int = 6, seed: int = 0) -> Dataset:
    """Pictures that show classes of very different frequency, some of them nothing."""
    rng = np.random.default_rng(seed)
    frequency = 0.5 ** np.arange(1, classes + 1)
    rows = [tuple(np.flatnonzero(rng.random(classes) < frequency).tolist()) for _ in range(pictures)]
    return set_of(*rows, names=[f"class {k}" for k in range(classes)])


@pytest.mark.parametrize("by", ["random", "stratified"])
@given(pictures=st.integers(3, 80), seed=st.integers(0, 5), share=st.sampled_from([0.1, 0.2, 0.45]))
def test_every_picture_is_in_exactly_one_part_and_the_counts_are_those_asked_for(by, pictures, seed, share) -> None:
    dataset = drawn(pictures, seed=seed)
    parts = split(dataset, {"train": 0.9 - share, "val": share, "test": 0.1}, by, seed)
    assert sorted(i for part in parts.values() for i in part) == list(range(pictures))
    assert all(part == sorted(part) for part in parts.values())
    assert len(parts["val"]) == max(1, int(pictures * share + 0.5))
    assert len(parts["test"]) == max(1, int(pictures * 0.1 + 0.5))


@pytest.mark.parametrize("by", ["random", "stratified", "place", "region"])
def test_the_seed_decides(by) -> None:
    rows = [{"place": str(i // 3), "x": str(i % 9), "y": str(i // 9)} for i in range(90)]
    dataset = with_columns(*rows)
    first, again, other = (split(dataset, USUAL, by, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_stratified_parts_have_their_share_of_every_class() -> None:
    dataset = drawn(200)
    parts = split(dataset, USUAL, "stratified")
    total = Counter(each.label for one in dataset.records for each in one.annotations)
    for name, share in USUAL.items():
        found = Counter(each.label for i in parts[name] for each in dataset.records[i].annotations)
        assert all(abs(found[label] - share * count) <= 1.5 for label, count in total.items()), (name, found, total)


def test_a_class_with_two_pictures_is_on_both_sides() -> None:
    dataset = set_of(*[(0,)] * 18, (0, 1), (1,))
    for seed in range(5):
        parts = split(dataset, HALVES, "stratified", seed)
        assert all(
            sum(1 in {each.label for each in dataset.records[i].annotations} for i in part) == 1
            for part in parts.values()
        )


def test_no_value_of_a_column_is_in_two_parts() -> None:
    rng = np.random.default_rng(0)
    dataset = with_columns(*({"craft": str(value)} for value in rng.integers(0, 30, 300)))
    parts = split(dataset, USUAL, "craft")
    seen = [{dataset.records[i].columns["craft"] for i in part} for part in parts.values()]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 30
    assert {name: round(len(part) / 300, 1) for name, part in parts.items()} == USUAL


def test_pictures_that_share_a_value_of_any_column_stay_together() -> None:
    """Chains of three: a0 b0, a0 b1, a1 b1 hang together by a0 and by b1."""
    rows = [{"a": f"{i}/{a}", "b": f"{i}/{b}"} for i in range(20) for a, b in ((0, 0), (0, 1), (1, 1))]
    parts = split(with_columns(*rows), HALVES, "a, b")
    for part in parts.values():
        assert len(part) == 30
        assert Counter(i // 3 for i in part) == dict.fromkeys({i // 3 for i in part}, 3)


def test_columns_that_hang_together_are_crossed_and_what_mixes_parts_is_left_out() -> None:
    """As in a set of spacecraft over backgrounds at random: all hangs together, yet both can be unseen."""
    rng = np.random.default_rng(0)
    pairs = zip(rng.integers(0, 30, 3000).tolist(), rng.integers(0, 288, 3000).tolist(), strict=True)
    dataset = with_columns(*({"craft": str(craft), "place": str(place)} for craft, place in pairs))
    shares = {"train": 0.8, "val": 0.2}
    with pytest.raises(InputError, match=r"join the columns by \*"):
        split(dataset, shares, "craft,place")
    parts = split(dataset, shares, "craft*place")
    seen = [
        [{dataset.records[i].columns[name] for i in part} for part in parts.values()] for name in ("craft", "place")
    ]
    assert all(not first & second for first, second in seen)
    kept = sum(map(len, parts.values()))
    assert len(set(parts["train"]) | set(parts["val"])) == kept
    assert kept > 0.5 * 3000
    assert 0.15 < len(parts["val"]) / kept < 0.25


def test_neighbours_on_the_map_stay_together() -> None:
    """A hundred by a hundred places: the parts are blocks, so few pictures have a neighbour in another part."""
    side = 60
    dataset = with_columns(*({"x": str(5e5 + 10 * x), "y": f"{-10.5 * y}"} for y in range(side) for x in range(side)))
    parts = split(dataset, {"train": 0.8, "val": 0.2}, "region")
    val = np.zeros((side, side), dtype=bool)
    val.flat[parts["val"]] = True
    beside = (val[:, 1:] != val[:, :-1]).sum() + (val[1:] != val[:-1]).sum()
    assert 0.15 < val.mean() < 0.25
    assert beside < 0.12 * 2 * side * side
    shuffled = np.random.default_rng(0).permutation(val.ravel()).reshape(side, side)
    assert (shuffled[:, 1:] != shuffled[:, :-1]).sum() + (shuffled[1:] != shuffled[:-1]).sum() > 2 * beside


def test_pictures_of_one_place_are_one_region() -> None:
    with pytest.raises(InputError, match="hang together in too large groups"):
        split(with_columns(*[{"x": "3", "y": "4"}] * 10), HALVES, "region")


@pytest.mark.parametrize(
    ("by", "sentence"),
    [
        ("colour", "split by colour: expected a column of a.csv, got no such column; columns: craft, x, y"),
        ("craft,", None),
        ("y", "expected a column of a.csv, got none for 1 of 4 pictures"),
        ("region", "got none for 1 of 4 pictures"),
        (" , ", "expected random, stratified, region or names of columns, got ' , '"),
        ("x", "expected about 50% of the pictures in train, got 4 of 4: the pictures hang together"),
        ("x,craft", "ask for other shares, join the columns by *, or name one only"),
        ("x*craft", "expected about 50% of the pictures in"),
        ("*", "expected random, stratified, region or names of columns, got '*'"),
    ],
)
def test_what_cannot_be_split_is_refused_with_a_reason(by, sentence) -> None:
    rows = [{"craft": str(i), "x": "1", "y": str(i)} for i in range(3)]
    dataset = with_columns(*rows, {"craft": "3", "x": "1"})
    if sentence is None:
        assert sum(map(len, split(dataset, HALVES, by).values())) == 4
        return
    with pytest.raises(InputError) as caught:
        split(dataset, HALVES, by)
    assert sentence in str(caught.value)


def test_a_place_that_is_no_number_is_refused() -> None:
    for text in ("north", "nan", ""):
        with pytest.raises(InputError, match="column x: expected numbers"):
            split(with_columns({"x": "1", "y": "1"}, {"x": text, "y": "1"}), HALVES, "region")


def test_a_set_without_columns_says_what_else_there_is() -> None:
    with pytest.raises(InputError, match="this data has none; take random or stratified"):
        split(set_of((0,), (1,)), HALVES, "craft")


@pytest.mark.parametrize("shares", [{"a": 1.0}, {"a": 0.5, "b": 0.4}, {"a": 1.2, "b": -0.2}, {"a": 1.0, "b": 0.0}])
def test_shares_must_make_a_whole(shares) -> None:
    with pytest.raises(InputError, match="expected two or more shares above 0 that sum up to 1"):
        split(drawn(10), shares)


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="expected a picture for each of 3 parts, got 2 in all"):
        split(set_of((0,), (1,)), USUAL)
    assert {name: len(part) for name, part in split(set_of((0,), (1,), (2,)), USUAL).items()} == dict.fromkeys(USUAL, 1)


# Samples


@pytest.mark.parametrize("by", ["random", "stratified"])
@given(pictures=st.integers(1, 40), seed=st.integers(0, 5), data=st.data())
def test_a_sample_has_so_many_pictures_each_once(by, pictures, seed, data) -> None:
    dataset = drawn(pictures, seed=seed)
    count = data.draw(st.integers(1, pictures))
    found = sample(dataset, count, by, seed)
    assert len(set(found)) == len(found) == count
    assert found == sorted(found) == sample(dataset, count, by, seed)
    assert set(found) <= set(range(pictures))


def test_a_stratified_sample_shows_every_class() -> None:
    dataset = set_of(*[(0,)] * 50, (1,), (2,), (1, 2))
    for seed in range(5):
        found = sample(dataset, 2, "stratified", seed)
        assert {each.label for i in found for each in dataset.records[i].annotations} == {0, 1, 2}


def test_a_sample_is_no_larger_than_the_set() -> None:
    for count in (0, 11):
        with pytest.raises(InputError, match="expected 1 to 10 pictures"):
            sample(drawn(10), count)
    with pytest.raises(InputError, match="expected random or stratified, got 'region'"):
        sample(drawn(10), 1, "region")


@pytest.mark.skipif(not TINY.is_file(), reason="../shared/data is not here")
def test_coco_in_parts() -> None:
    dataset = open_dataset(TINY)
    parts = split(dataset, {"train": 0.8, "val": 0.2}, "stratified")
    objects = {name: sum(len(dataset.records[i].annotations) for i in part) for name, part in parts.items()}
    assert sum(objects.values()) == 705
    assert len(parts["val"]) == 16
    shown = {each.label for i in sample(dataset, 70, "stratified") for each in dataset.records[i].annotations}
    assert len(shown) == len({each.label for one in dataset.records for each in one.annotations})

"""Which pictures form which batch: a pure function of seed and epoch."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.config import InputConfig
from maskrcnn.data.sampling import TrainingSampler, picture_key, picture_rng
from maskrcnn.errors import InputError

CONFIG = InputConfig(min_size=64, max_size=128)
LYING, STANDING = (64, 128), (128, 64)


def sampler_of(lying: int, standing: int, batch_size: int, seed: int = 3, **ranks: int) -> TrainingSampler:
    return TrainingSampler([LYING] * lying + [STANDING] * standing, CONFIG, batch_size, seed, **ranks)


@given(
    lying=st.integers(0, 20),
    standing=st.integers(0, 20),
    batch_size=st.integers(1, 5),
    world_size=st.integers(1, 3),
    epoch=st.integers(0, 5),
)
@settings(max_examples=100, deadline=None)
def test_every_picture_comes_once_and_the_last_batch_is_filled_up(lying, standing, batch_size, world_size, epoch):
    if lying + standing == 0:
        return
    sampler = sampler_of(lying, standing, batch_size, world_size=world_size)
    joint = sampler.joint_batches(epoch)
    count = Counter(joint.ravel().tolist())
    size = batch_size * world_size
    assert sorted(count) == list(range(lying + standing))
    assert joint.shape == (len(sampler), size)
    assert joint.size - (lying + standing) < size
    repeated = [batch for batch in joint.tolist() if any(count[index] > 1 for index in batch)]
    mixed = [batch for batch in joint.tolist() if len({index < lying for index in batch}) > 1]
    assert len(mixed) <= 2  # what both orientations leave over is less than two joint batches
    if lying + standing >= size:
        assert max(count.values()) <= 2
        assert all(len(set(batch)) == size for batch in joint.tolist())
    if joint.size == lying + standing:
        assert not repeated


def test_slices_of_the_ranks_put_together_are_the_joint_batch_in_its_shape():
    one = list(sampler_of(13, 6, 4))
    two = [list(sampler_of(13, 6, 2, rank=rank, world_size=2)) for rank in range(2)]
    assert len(one) == len(two[0]) == len(two[1]) == 5
    for joint, left, right in zip(one, *two, strict=True):
        assert left.indices + right.indices == joint.indices
        assert left.shape_hw == right.shape_hw == joint.shape_hw
    assert {job.shape_hw for job in one} <= {LYING, STANDING, (128, 128)}


def test_the_order_follows_from_seed_and_epoch_alone():
    again, other = sampler_of(20, 0, 4), sampler_of(20, 0, 4, seed=4)
    sampler = sampler_of(20, 0, 4)
    first = list(sampler)
    assert list(again) == first
    assert list(other) != first
    sampler.set_epoch(1)
    assert [job.indices for job in sampler] != [job.indices for job in first]
    assert {job.epoch for job in sampler} == {1}
    sampler.set_epoch(0)
    assert list(sampler) == first


def test_iteration_begins_in_the_middle_and_setting_the_same_epoch_stays_there():
    sampler = sampler_of(20, 0, 4)
    whole = list(sampler)
    sampler.batch = 2
    sampler.set_epoch(0)
    assert list(sampler) == whole[2:]
    sampler.set_epoch(1)
    assert sampler.batch == 0


def test_fewer_pictures_than_a_batch_come_several_times():
    joint = sampler_of(2, 1, 8).joint_batches(0)
    assert joint.shape == (1, 8)
    assert sorted(Counter(joint[0].tolist()).values()) == [2, 3, 3]


def test_square_padding_has_no_orientation():
    config = InputConfig(resize="square", min_size=64, max_size=128)
    sampler = TrainingSampler([LYING] * 50 + [STANDING] * 50, config, 10, 0)
    assert {job.shape_hw for job in sampler} == {(128, 128)}
    assert any(min(job.indices) < 50 <= max(job.indices) for job in sampler)


def test_random_numbers_of_a_picture_follow_from_seed_epoch_and_index():
    keys = {picture_key(seed, epoch, index) for seed in range(4) for epoch in range(4) for index in range(4)}
    assert len(keys) == 64
    assert all(0 <= key < 2**63 for key in keys)
    assert max(keys) > 2**61
    draws = {picture_rng(1, epoch, index).random() for epoch in range(5) for index in range(5)}
    assert len(draws) == 25
    assert picture_rng(1, 2, 3).random() == np.random.default_rng([1, 2, 3]).random()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([], CONFIG, 1, 0), "training data: expected at least one picture, got none"),
        (([LYING], CONFIG, 0, 0), "expected a batch size of at least 1"),
        (([LYING], CONFIG, 1, -1), "seed of at least 0"),
        (([LYING], CONFIG, 1, 0, 2, 2), "a rank below 2, got 1, 0 and 2"),
    ],
)
def test_what_can_not_be_sampled_is_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        TrainingSampler(*arguments)


def test_an_epoch_is_random_rather_than_sorted():
    sampler = sampler_of(40, 40, 8)
    orientations = [job.shape_hw for job in islice(sampler, 10)]
    assert len(set(orientations[:5])) == 2
    assert sorted(sampler.joint_batches(0).ravel().tolist()) != sampler.joint_batches(0).ravel().tolist()

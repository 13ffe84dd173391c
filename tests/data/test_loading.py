"""The same stream of batches whatever loads it, resumed exactly, with errors as they were raised."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from maskrcnn.config import InputConfig
from maskrcnn.data.batches import DeferredBatch
from maskrcnn.data.copy_paste import CopyPaste
from maskrcnn.data.loading import TrainingLoader
from maskrcnn.data.transforms import Colour, Compose, Defer, HorizontalFlip, RandomCrop, Resize, ScaleJitter, Turn90
from maskrcnn.errors import AnnotationError, ImageError, InputError, MaskRCNNError
from maskrcnn.ops.rle import Bitmap
from maskrcnn.structures import Batch, Bitmaps, Instances, Sample

CONFIG = InputConfig(min_size=24, max_size=48)
AUGMENT = Compose((Resize(CONFIG), RandomCrop(0.7), Turn90(), HorizontalFlip(), Colour(0.2, 0.2, 0.2)))


@dataclass(frozen=True)
class Drawn:
    """A data set of drawn pictures: `index` objects in picture `index`, up to four, one of them one pixel."""

    count: int = 11
    broken: int = -1
    error: MaskRCNNError | None = None

    def __len__(self) -> int:
        return self.count

    def size_hw(self, index: int) -> tuple[int, int]:
        return (20, 30) if index % 3 else (40, 20)

    def __getitem__(self, index: int) -> Sample:
        if index == self.broken and self.error is not None:
            raise self.error
        h, w = self.size_hw(index)
        image = np.random.default_rng(index).integers(0, 256, (h, w, 3), dtype=np.uint8)
        bitmaps = [Bitmap(i, i, np.ones((1 + i * 4, 1 + i * 3), dtype=bool)) for i in range(min(index, 4))]
        masks = Bitmaps(bitmaps, (h, w))
        labels = np.zeros(len(bitmaps), dtype=np.int64)
        crowd = np.arange(len(bitmaps)) == 3
        instances = Instances((h, w), masks.boxes(), labels, ("thing",), masks, crowd=crowd)
        return Sample(image, instances, Path(f"{index}.png"), index)


def loader_of(pictures=None, **changes) -> TrainingLoader:
    arguments = {"batch_size": 2, "seed": 9, "workers": 0, **changes}
    return TrainingLoader(pictures or Drawn(), CONFIG, AUGMENT, **arguments)


def tensors(batch: Batch) -> list[torch.Tensor]:
    return [*batch.masks, *(value for value in batch if isinstance(value, torch.Tensor))]


def same(a: Batch, b: Batch) -> bool:
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))


def same_stream(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(map(same, a, b))


def epochs(loader: TrainingLoader, count: int) -> list[Batch]:
    return [batch for _ in range(count) for batch in loader]


@pytest.fixture(scope="module")
def unbroken() -> list[Batch]:
    """Two epochs, loaded in this process."""
    return epochs(loader_of(), 2)


def test_epochs_differ_and_have_every_picture(unbroken):
    assert len(unbroken) == 12
    keys = [torch.cat([batch.keys for batch in half]).unique() for half in (unbroken[:6], unbroken[6:])]
    assert len(keys[0]) == len(keys[1]) == 11
    assert not set(keys[0].tolist()) & set(keys[1].tolist())


@pytest.mark.parametrize("workers", [1, 2])
def test_the_stream_does_not_depend_on_the_number_of_workers(unbroken, workers):
    assert same_stream(epochs(loader_of(workers=workers), 2), unbroken)


@pytest.mark.parametrize(("workers", "taken"), [(0, 0), (0, 4), (2, 4), (0, 6), (0, 8), (1, 8)])
def test_a_resumed_stream_goes_on_exactly(unbroken, workers, taken):
    broken_off = loader_of(workers=workers)
    stream = (batch for _ in range(2) for batch in broken_off)
    assert same_stream(list(islice(stream, taken)), unbroken[:taken])
    resumed = loader_of(workers=workers)
    resumed.load_state_dict(broken_off.state_dict())
    rest = list(resumed)
    # Asked for right after its last batch, an epoch has nothing left; the next iteration is the next epoch.
    expected = {0: unbroken[:6], 4: unbroken[4:6], 6: [], 8: unbroken[8:]}[taken]
    assert same_stream(rest, expected)
    assert len(resumed) == 6
    if taken < 8:
        assert same_stream(list(resumed), unbroken[6:])


def test_an_iterator_made_early_follows_what_is_loaded_and_set_later(unbroken):
    loader = loader_of()
    early = iter(loader)
    loader.sampler.set_epoch(1)
    assert same(next(early), unbroken[6])
    loader = loader_of()
    early = iter(loader)
    loader.load_state_dict({**loader.state_dict(), "epoch": 1, "batch": 3})
    loader.sampler.set_epoch(1)
    assert same_stream(list(early), unbroken[9:])


def test_leaving_an_epoch_early_with_workers_leaves_nothing_behind(unbroken):
    loader = loader_of(workers=2)
    assert same(next(iter(loader)), unbroken[0])
    loader.sampler.set_epoch(1)
    assert same_stream(list(loader), unbroken[6:])


def test_closing_ends_the_workers_and_iterating_starts_new_ones():
    before = set(multiprocessing.active_children())
    loader = loader_of(workers=2)
    assert len(list(loader)) == 6
    assert len(set(multiprocessing.active_children()) - before) == 2
    loader.close()
    assert set(multiprocessing.active_children()) <= before
    assert len(list(loader)) == 6
    loader.close()


def test_the_random_numbers_of_the_training_are_left_alone():
    torch.manual_seed(5)
    list(loader_of(workers=1))
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), after)


def test_two_ranks_see_together_what_one_sees():
    joint = loader_of(batch_size=4)
    ranks = [loader_of(batch_size=2, rank=rank, world_size=2) for rank in range(2)]
    assert len(joint) == len(ranks[0]) == 3
    for whole, left, right in zip(joint, *ranks, strict=True):
        assert torch.equal(torch.cat([left.keys, right.keys]), whole.keys)
        assert torch.equal(torch.cat([left.size_hw, right.size_hw]), whole.size_hw)
        assert torch.equal(torch.cat([left.boxes, right.boxes]), whole.boxes)
        if left.images.shape == whole.images.shape == right.images.shape:
            assert torch.equal(torch.cat([left.images, right.images]), whole.images)
    assert ranks[0].state_dict() == joint.state_dict()


def test_shapes_are_few_and_hold_what_turns_make(unbroken):
    assert {tuple(batch.images.shape[2:]) for batch in unbroken} <= {(32, 32), (32, 64), (64, 32), (64, 64)}
    assert {tuple(batch.labels.shape) for batch in unbroken} == {(2, 8)}
    assert all((batch.size_hw <= torch.tensor(batch.images.shape[2:])).all() for batch in unbroken)
    assert {batch.ignored.shape[1] for batch in unbroken} == {0, 8}


def test_pictures_without_any_object_make_ordinary_batches():
    (batch,) = loader_of(Drawn(1))
    assert (batch.labels == -1).all()
    assert batch.images.shape[0] == 2  # the only picture, twice


@pytest.mark.parametrize(
    ("change", "name"),
    [({"seed": 1}, "seed"), ({"batch_size": 3}, "joint_batch_size"), ({"pictures": Drawn(12)}, "pictures")],
)
def test_a_state_of_another_stream_is_refused(change, name):
    with pytest.raises(InputError, match=f"saved place in the training data: {name}: expected"):
        loader_of(**change).load_state_dict(loader_of().state_dict())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", [ImageError, AnnotationError])
def test_an_error_in_a_worker_arrives_as_it_was(workers, kind):
    sentence = "train/via.json: region 3 of 5.png: polygon has 2 points, expected at least 3"
    pictures = Drawn(broken=5, error=kind(sentence))
    with pytest.raises(kind) as caught:
        list(loader_of(pictures, workers=workers))
    assert type(caught.value) is kind
    assert str(caught.value) == sentence


def test_pictures_with_other_bands_than_the_model_are_refused():
    grey = InputConfig(mean=(0.0,), std=(1.0,), min_size=24, max_size=48)
    with pytest.raises(ImageError, match=r"^0\.png: expected a picture with 1 bands, got 3$"):
        list(TrainingLoader(Drawn(1), grey, AUGMENT, batch_size=1, seed=0))


@pytest.mark.parametrize(("resize", "sampling"), [("short_edge", "antialias"), ("centred_square", "zero_edge")])
@pytest.mark.parametrize(("workers", "most_pixels"), [(0, 1 << 22), (1, 1 << 22), (0, 700), (0, 1)])
def test_pictures_that_are_made_later_are_the_same(resize, sampling, workers, most_pixels):
    config = InputConfig(min_size=24, max_size=48, resize=resize, sampling=sampling)
    chain = (HorizontalFlip(), Turn90(), RandomCrop(0.7), Colour(0.2, 0.2, 0.2, 0.1), Resize(config), ScaleJitter())
    streams = []
    for first in ((), (Defer(most_pixels),)):  # 600 or 800 pixels: all, some or none are deferred
        transform = CopyPaste(Drawn(), Compose((*first, *chain)), 0.8)
        loader = TrainingLoader(Drawn(), config, transform, batch_size=4, seed=9, workers=workers)
        streams.append(list(loader))
        loader.close()
    now, later = streams
    assert any(isinstance(batch, DeferredBatch) for batch in later) == (most_pixels > 1)
    assert same_stream(now, [batch.made() if isinstance(batch, DeferredBatch) else batch for batch in later])


def test_a_deferred_batch_travels_whole():
    batch = next(iter(TrainingLoader(Drawn(), CONFIG, Compose((Defer(), AUGMENT)), batch_size=2, seed=9)))
    assert batch.batch.images.shape[2:] == (0, 0)
    moved = batch.to(torch.device("meta"))
    assert {tensor.device.type for tensor in tensors(moved.made())} == {"meta"}

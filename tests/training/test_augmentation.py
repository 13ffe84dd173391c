from __future__ import annotations

from pathlib import Path

import torch

from maskrcnn.config import AugmentConfig, InputConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.copy_paste import CopyPaste
from maskrcnn.data.loading import TrainingLoader
from maskrcnn.data.transforms import Compose
from maskrcnn.training.fit import augmentation

PICTURE = InputConfig(min_size=64, max_size=96)


def test_copying_is_off_by_default_and_stands_round_the_whole_chain(shapes: Path) -> None:
    dataset = open_dataset(shapes / "train")
    assert isinstance(augmentation(AugmentConfig(), PICTURE, dataset), Compose)
    chain = augmentation(AugmentConfig(copy_paste=0.5), PICTURE, dataset)
    assert isinstance(chain, CopyPaste)
    assert chain.p == 0.5
    assert chain.before == augmentation(AugmentConfig(), PICTURE, dataset)


def test_pasted_batches_do_not_depend_on_the_processes_that_make_them(shapes: Path) -> None:
    dataset = open_dataset(shapes / "train")
    batches = []
    for workers in (0, 1):
        transform = augmentation(AugmentConfig(copy_paste=1.0), PICTURE, dataset)
        loader = TrainingLoader(dataset, PICTURE, transform, batch_size=4, seed=3, workers=workers)
        batches.append(next(iter(loader)))
        loader.close()
    one, other = batches
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.boxes, other.boxes)
    assert torch.equal(one.masks.sums, other.masks.sums)
    alone = TrainingLoader(dataset, PICTURE, augmentation(AugmentConfig(), PICTURE, dataset), batch_size=4, seed=3)
    assert (one.labels >= 0).sum() > (next(iter(alone)).labels >= 0).sum()

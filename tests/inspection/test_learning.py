"""What a training step would make of a picture is what it makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskrcnn.config import ModelConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.batches import collate
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.geometry import resize
from maskrcnn.data.synth import synthesise
from maskrcnn.errors import InputError
from maskrcnn.inspection.learning import KEY, Lesson, labelled_sample, learn
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.prediction import Predictor
from maskrcnn.structures import Batch

NAMES = ("triangle", "circle", "square")  # in another order than the data's


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("shapes")
    synthesise("shapes", folder, 3, seed=3, size_hw=(64, 96))
    return open_dataset(folder)


@pytest.fixture(scope="module")
def model(tiny: ModelConfig) -> MaskRCNN:
    torch.manual_seed(2)
    return build(tiny.change(classes=NAMES)).eval()


@pytest.fixture(scope="module")
def batch(model: MaskRCNN, dataset: Dataset) -> Batch:
    sample = labelled_sample(dataset, 0, NAMES)
    return collate([resize(sample, (64, 96))], [KEY], (64, 96))


@pytest.fixture(scope="module")
def lesson(model: MaskRCNN, dataset: Dataset) -> Lesson:
    sample = labelled_sample(dataset, 0, NAMES)
    return learn(model, Predictor(model).trace(sample.image), sample)


def test_losses_are_those_of_a_step(model: MaskRCNN, batch: Batch, lesson: Lesson) -> None:
    """Group norms do the same in training, so a step on the same picture with the same key gives the same."""
    model.train()
    with torch.no_grad():
        expected = model.losses(batch)
    model.eval()
    assert list(lesson.losses) == list(expected)
    for name, loss in expected.items():
        mean, samples = lesson.losses[name]
        assert mean == pytest.approx(loss.mean.item(), rel=1e-4), name
        assert samples == int(loss.samples)
    assert lesson.losses["mask"][1] > 0


def iou(a: np.ndarray, b: np.ndarray) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))


@pytest.mark.parametrize(("what", "least"), [("regions", 0.5), ("anchors", 0.0)])
def test_positive_ones_lie_on_the_object_that_they_name(lesson: Lesson, what: str, least: float) -> None:
    chosen = getattr(lesson, what)
    assert chosen.positive.any()
    assert (~chosen.positive).any()
    for box, positive, target, value in zip(chosen.boxes, chosen.positive, chosen.target, chosen.iou, strict=True):
        every = [iou(box, each) for each in lesson.objects]
        assert value == pytest.approx(max(every), abs=1e-4)
        if positive:
            assert every[target] == pytest.approx(max(every), abs=1e-4)
            assert value > least - 1e-6
    assert sum(chosen.counts) >= len(chosen.boxes)


def test_wanted_masks_are_the_shares_that_objects_cover(dataset: Dataset, lesson: Lesson) -> None:
    """Slowly: every cell cut into 8 by 8 points, each looked up in the object's mask."""
    sample = labelled_sample(dataset, 0, NAMES)
    assert sample.instances.masks is not None
    planes = sample.instances.masks.dense()
    assert len(lesson.masks.boxes) > 2
    for (x1, y1, x2, y2), target, wanted in zip(
        lesson.masks.boxes.tolist(), lesson.masks.target, lesson.masks.wanted, strict=True
    ):
        M, at = len(wanted), (np.arange(len(wanted) * 8) + 0.5) / (len(wanted) * 8)
        i = np.floor(y1 + at * (y2 - y1)).astype(int).clip(0, planes.shape[1] - 1)
        j = np.floor(x1 + at * (x2 - x1)).astype(int).clip(0, planes.shape[2] - 1)
        slow = planes[target][i][:, j].reshape(M, 8, M, 8).mean(axis=(1, 3))
        assert np.abs(slow - wanted).mean() < 0.02
    assert set(lesson.masks.target.tolist()) <= set(lesson.regions.target[lesson.regions.positive].tolist())
    assert ((lesson.masks.drawn > 0) & (lesson.masks.drawn < 1)).all()


def test_labels_become_those_of_the_model_by_name(dataset: Dataset) -> None:
    sample = labelled_sample(dataset, 0, NAMES)
    assert sample.instances.names == dataset[0].instances.names
    assert sample.instances.class_names == NAMES


def test_a_class_that_the_model_does_not_know_is_named(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="expected classes that the model knows"):
        labelled_sample(dataset, 0, ("cat",))


def test_a_picture_without_objects_teaches_background_only(model: MaskRCNN, dataset: Dataset, tmp_path: Path) -> None:
    empty = dataset.change(records=[dataset.records[0].__class__(**{
        **{name: getattr(dataset.records[0], name) for name in dataset.records[0].__slots__}, "annotations": (),
    })])  # fmt: skip
    sample = labelled_sample(empty, 0, NAMES)
    lesson = learn(model, Predictor(model).trace(sample.image), sample)
    assert lesson.objects.shape == (0, 4)
    assert not lesson.anchors.positive.any()
    assert not lesson.regions.positive.any()
    assert len(lesson.masks.boxes) == 0
    assert lesson.losses["mask"] == (0.0, 0)
    assert lesson.losses["objectness"][0] > 0

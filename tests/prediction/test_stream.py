from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from eager_model import eager
from PIL import Image

from maskrcnn.config import ModelConfig
from maskrcnn.errors import ImageError, MaskRCNNError
from maskrcnn.prediction import Predictor
from maskrcnn.prediction.stream import Found, predict_all, strictly
from maskrcnn.structures import Instances

SIZES_HW = [(64, 96), (64, 64), (64, 96), (50, 96), (96, 64)]


@pytest.fixture
def predictor(tiny: ModelConfig) -> Predictor:
    return Predictor(eager(tiny))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Five pictures of several sizes, and a broken one in the middle."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(len(SIZES_HW) + 1)]
    whole = [path for i, path in enumerate(paths) if i != 2]
    for path, size_hw in zip(whole, SIZES_HW, strict=True):
        Image.fromarray(rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8)).save(path)
    paths[2].write_bytes(paths[0].read_bytes()[:200])
    return paths


def outline(found: Found) -> object:
    if isinstance(found, MaskRCNNError):
        return str(found)
    return found.size_hw, found.labels.tolist(), np.round(found.boxes, 2).tolist()


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (2, 0), (4, 0), (100, 0), (2, 2)])
def test_a_result_a_picture_in_order_whatever_is_read_together(
    predictor: Predictor, pictures: list[Path], batch: int, workers: int
) -> None:
    stream = predict_all(predictor, len(pictures), pictures.__getitem__, batch=batch, workers=workers)
    found = list(stream)
    assert len(found) == len(pictures)
    assert [i for i, each in enumerate(found) if isinstance(each, ImageError)] == [2]
    assert "2.png: expected a whole picture" in str(found[2])
    alone = [predictor.predict(path) for i, path in enumerate(pictures) if i != 2]
    assert [outline(each) for i, each in enumerate(found) if i != 2] == [outline(each) for each in alone]


def test_results_come_one_by_one(predictor: Predictor, pictures: list[Path]) -> None:
    read: list[int] = []

    def picture(i: int) -> Path:
        read.append(i)
        return pictures[i]

    stream = predict_all(predictor, len(pictures), picture)
    next(stream)
    assert read == [0]


def test_no_picture_gives_no_result(predictor: Predictor, pictures: list[Path]) -> None:
    assert list(predict_all(predictor, 0, pictures.__getitem__)) == []


def test_all_broken(predictor: Predictor, pictures: list[Path]) -> None:
    found = list(predict_all(predictor, 3, lambda _: pictures[2], batch=2))
    assert [type(each) for each in found] == [ImageError] * 3


def test_nothing_is_drawn_from_the_generator_of_a_training(predictor: Predictor, pictures: list[Path]) -> None:
    before = torch.get_rng_state()
    list(predict_all(predictor, len(pictures), pictures.__getitem__))
    assert torch.equal(torch.get_rng_state(), before)


def test_strictly_raises_the_first_error() -> None:
    empty = Instances.empty((4, 5), ("cat",))

    def results() -> Iterator[Found]:
        yield empty
        yield ImageError("a.png: broken")

    stream = strictly(results())
    assert next(stream) is empty
    with pytest.raises(ImageError, match=r"a\.png: broken"):
        next(stream)

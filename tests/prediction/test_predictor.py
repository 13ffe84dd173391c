from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from eager_model import assert_same, eager, picture
from PIL import Image

from maskrcnn.config import InputConfig, ModelConfig
from maskrcnn.errors import ImageError, InputError
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.postprocess import Detections
from maskrcnn.prediction import Predictor
from maskrcnn.prediction import predictor as predictor_module
from maskrcnn.prediction.objects import to_instances
from maskrcnn.prediction.preparing import prepare
from maskrcnn.structures import Batch

ORIENTATION = 274


@pytest.fixture
def predictor(tiny: ModelConfig) -> Predictor:
    return Predictor(eager(tiny))


# ---- what predict takes


def test_path_text_pillow_and_array_are_one_picture(predictor: Predictor, tmp_path: Path) -> None:
    array = picture()
    path = tmp_path / "a.png"
    Image.fromarray(array).save(path)
    expected = predictor.predict(array)
    for same in (path, str(path), Image.fromarray(array), array[:, :, ::-1][:, :, ::-1]):
        assert_same(predictor.predict(same), expected)


def test_two_axes_of_8_bits_are_a_grey_photograph(predictor: Predictor) -> None:
    grey = picture(bands=1)
    assert_same(predictor.predict(grey[..., 0]), predictor.predict(np.repeat(grey, 3, axis=2)))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_any_dtype_is_taken_by_its_values(predictor: Predictor, dtype: type) -> None:
    array = picture()
    assert_same(predictor.predict(array.astype(dtype)), predictor.predict(array))


def test_list_and_tuple_give_a_list_in_their_order(predictor: Predictor) -> None:
    pictures = [picture(1), picture(2, (40, 40)), picture(3, (96, 64))]
    alone = [predictor.predict(each) for each in pictures]
    for several in (pictures, tuple(pictures)):
        found = predictor.predict(several)
        assert isinstance(found, list)
        for one, expected in zip(found, alone, strict=True):
            assert_same(one, expected)
    assert predictor.predict([]) == []


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (None, "got NoneType"),
        (3, "got int"),
        (b"a.png", "got bytes"),
        ({"a.png"}, "got set"),
        (torch.zeros(3, 8, 8), "got Tensor"),
        (np.zeros((2, 8, 8, 3)), r"got float64 of shape \(2, 8, 8, 3\)"),
        (np.zeros((8, 8, 3), dtype=complex), "got complex128"),
        (np.zeros((0, 8, 3), dtype=np.uint8), r"got shape \(0, 8, 3\)"),
        (np.zeros((3, 64, 96), dtype=np.uint8), r"use image.transpose\(1, 2, 0\)"),
        (np.zeros((8, 8, 4), dtype=np.uint8), "image: expected 3 bands, as the model was trained on, got 4 bands"),
        (np.zeros((8, 8), dtype=np.uint16), "image: expected 3 bands, as the model was trained on, got 1 band"),
        ("nothing.png", "nothing.png: expected a picture, got no such file"),
        ([picture(), 7], "picture 1, counted from 0: image: expected a path, .* got int"),
        ([picture(), picture()[..., :2]], "picture 1, counted from 0: image: expected 3 bands"),
        ([["a.png"]], "picture 0, counted from 0: .* got list"),
    ],
)
def test_anything_else_is_refused(predictor: Predictor, wrong: Any, got: str) -> None:
    with pytest.raises((InputError, ImageError), match=got):
        predictor.predict(wrong)


# ---- what it gives


def test_objects_lie_in_the_pixels_that_came_in_by_falling_score(predictor: Predictor) -> None:
    found = predictor.predict(picture(size_hw=(150, 100)))
    assert found.size_hw == (150, 100)
    assert len(found) > 5
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [100, 150, 100, 150]).all()
    assert found.boxes[:, 3].max() > 100  # also where the network's own 96x64 pixels have ended
    assert (np.diff(found.scores) <= 0).all()
    assert found.class_names == ("cat", "dog", "horse")
    assert set(found.names[:5]) == {"cat"}
    assert found.masks is not None
    assert found.masks.dense().shape == (len(found), 150, 100)


def test_detections_are_scaled_by_each_side_of_its_own(tiny: ModelConfig) -> None:
    detections = Detections(
        boxes=torch.tensor([[[10.0, 20.0, 30.0, 40.0], [0.0, 0.0, 0.0, 0.0]]]),
        scores=torch.tensor([[0.75, 0.0]]),
        labels=torch.tensor([[2, -1]]),
        masks=torch.ones(1, 2, 28, 28),
    )
    found = to_instances(detections, 0, resized_hw=(50, 100), size_hw=(100, 50), config=tiny)
    assert found.boxes.tolist() == [[5.0, 40.0, 15.0, 80.0]]
    assert (found.names, found.scores.tolist()) == (["horse"], [0.75])
    assert found.masks is not None
    assert found.masks.areas().tolist() == [10 * 40]


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 700), (700, 1), (5, 9)])
def test_tiny_and_narrow_pictures_are_ordinary(predictor: Predictor, size_hw: tuple[int, int]) -> None:
    found = predictor.predict(np.full((*size_hw, 3), 90, dtype=np.uint8))
    assert found.size_hw == size_hw
    assert (found.boxes <= [size_hw[1], size_hw[0]] * 2).all()


def test_nothing_found_is_an_ordinary_value(tiny: ModelConfig, predictor: Predictor) -> None:
    silent = tiny.change(detect=tiny.detect.change(score_threshold=1.0))
    model = build(silent)
    model.load_state_dict(predictor.model.state_dict())
    found = Predictor(model).predict(picture())
    assert (len(found), found.boxes.shape, found.names) == (0, (0, 4), [])
    assert found.masks is not None
    assert (found.masks.rle(), found.masks.polygons(), found.masks.dense().shape) == ([], [], (0, 64, 96))


def test_a_picture_is_predicted_the_same_whatever_it_runs_with(predictor: Predictor) -> None:
    pictures = [picture(seed, size) for seed, size in enumerate([(64, 96), (60, 90), (96, 64), (64, 96), (33, 96)])]
    prepared = [prepare(each, predictor.config.input) for each in pictures]
    together = predictor.predict_prepared(prepared)
    for one, alone in zip(together, prepared, strict=True):
        assert_same(one, predictor.predict_prepared([alone])[0])


def test_on_a_gpu_pictures_of_a_list_run_together(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [picture(seed) for seed in range(5)]
    alone = predictor.predict(pictures)
    sizes, run = [], predictor.engine
    monkeypatch.setitem(predictor_module.TOGETHER, "cpu", 3)
    monkeypatch.setattr(predictor, "engine", lambda images, size_hw: sizes.append(len(images)) or run(images, size_hw))
    monkeypatch.setattr(predictor.engine, "config", run.config, raising=False)
    together = predictor.predict(pictures)
    assert sizes == [3, 2]
    for one, other in zip(alone, together, strict=True):
        assert_same(one, other)
    with pytest.raises(InputError, match="picture 4, counted from 0"):
        predictor.predict([*pictures[:4], 7])  # type: ignore[list-item]


def test_a_file_is_turned_by_its_orientation_and_a_pillow_picture_is_not(predictor: Predictor, tmp_path: Path) -> None:
    stored = picture(size_hw=(64, 96))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be shown a quarter turn clockwise
    path = tmp_path / "turned.png"
    Image.fromarray(stored).save(path, exif=exif)
    assert_same(predictor.predict(path), predictor.predict(np.rot90(stored, -1)))
    with Image.open(path) as image:
        assert predictor.predict(image).size_hw == (64, 96)


# ---- other bands


def with_bands(config: ModelConfig, *means: float) -> Predictor:
    """Build a predictor for as many bands of 16 bits as there are means."""
    torch.manual_seed(0)
    deep = InputConfig(mean=means, std=(9000.0,) * len(means), min_size=64, max_size=96)
    return Predictor(build(config.change(input=deep, detect=config.detect.change(score_threshold=0.01))))


def test_sixteen_bit_grey_files_and_arrays_of_two_axes_suit_a_model_of_one_band(
    tiny: ModelConfig, tmp_path: Path
) -> None:
    predictor = with_bands(tiny, 30000.0)
    deep = picture(bands=1)[..., 0].astype(np.uint16) * 257
    path = tmp_path / "deep.png"
    Image.fromarray(deep).save(path)
    expected = predictor.predict(deep[..., None])
    assert_same(predictor.predict(path), expected)
    assert_same(predictor.predict(deep), expected)
    assert len(predictor.predict(picture(bands=1)[..., 0])) > 0  # 8 bits of two axes: one band too
    with pytest.raises(ImageError, match="expected 1 band, as the model was trained on, got 3 bands"):
        predictor.predict(picture())


def test_four_bands(tiny: ModelConfig) -> None:
    predictor = with_bands(tiny, 1.0, 2.0, 3.0, 4.0)
    found = predictor.predict(picture(bands=4).astype(np.uint16) * 257)
    assert len(found) > 0
    assert found.size_hw == (64, 96)


# ---- other formulas

OTHERS: list[dict[str, Any]] = [
    {"input": {"resize": "centred_square"}},
    {"input": {"resize": "centred", "min_scale": 1.3, "divisor": 64}},
    {"input": {"sampling": "plain"}, "anchors": {"rounding": "whole"}, "mask_head": {"paste": "padded"}},
    {"regions": {"level": "floor_after", "sampler": "unaligned"}},
    {
        "input": {"resize": "centred_square", "sampling": "zero_edge"},
        "backbone": {"pool_padding": "after"},
        "anchors": {"corners": "inclusive"},
        "rpn": {"ranking": "all", "stride": 2, "min_side": 0.0},
        "regions": {"level": "round", "sampler": "corners"},
        "mask_head": {"paste": "zero_edge"},
        "detect": {"choice": "best"},
        "delta_clamp": None,
    },
]


def other(tiny: ModelConfig, changes: dict[str, Any]) -> Predictor:
    """Make the eager model with other formulas."""
    model = eager(tiny)
    values = model.config.model_dump(mode="json")
    for part, given in changes.items():
        values[part] = {**values[part], **given} if isinstance(given, dict) else given
    changed = build(ModelConfig.parse(values))
    changed.load_state_dict(model.state_dict())
    return Predictor(changed)


@pytest.mark.parametrize("changes", OTHERS)
def test_every_formula_gives_results_in_the_picture_alone_and_in_a_batch(
    tiny: ModelConfig, changes: dict[str, Any]
) -> None:
    predictor = other(tiny, changes)
    pictures = [picture(seed, size_hw) for seed, size_hw in enumerate([(50, 90), (90, 50), (64, 96), (7, 60)])]
    config = predictor.config.input
    together = predictor.predict_prepared([prepare(each, config) for each in pictures])
    for array, found in zip(pictures, together, strict=True):
        h, w = array.shape[:2]
        assert (found.boxes >= 0).all()
        assert (found.boxes <= [w, h, w, h]).all()
        assert found.masks is not None
        assert found.masks.dense().shape == (len(found), h, w)
        assert_same(found, predictor.predict(array))


@pytest.mark.parametrize("changes", OTHERS)
def test_every_formula_learns(tiny: ModelConfig, changes: dict[str, Any], make_batch: Callable[..., Batch]) -> None:
    model = other(tiny, changes).model.train()
    losses = model.losses(make_batch([[(10, 10, 20, 24, 0), (40, 20, 30, 30, 1)], []]))
    torch.stack([loss.mean for loss in losses.values()]).sum().backward()
    assert all(loss.mean.isfinite() for loss in losses.values())


def test_a_centred_picture_comes_back_from_where_it_lay(tiny: ModelConfig) -> None:
    """A model that gives the window as its only box gives the whole picture."""
    predictor = other(tiny, OTHERS[-1])
    limits = predictor.model.frame.limits(torch.tensor([[48, 96]]), (96, 96))
    box = predictor.model.frame.leave(limits.picture[:, None], limits)
    detections = Detections(box, torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, 28, 28))
    found = to_instances(detections, 0, resized_hw=(48, 96), size_hw=(37, 74), config=predictor.config)
    assert found.boxes.tolist() == [[0, 0, 74, 37]]
    assert found.masks is not None
    assert found.masks.dense().all()


def test_a_box_that_ends_on_its_last_pixel_is_scaled_from_first_to_last(tiny: ModelConfig) -> None:
    """From 21 pixels to 41, pixels 5 and 10 are 10 and 20; the box ends behind the latter."""
    predictor = other(tiny, OTHERS[-1])
    detections = Detections(
        torch.tensor([[[5.0, 5.0, 11.0, 11.0]]]), torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.int64),
        torch.ones(1, 1, 28, 28),
    )  # fmt: skip
    found = to_instances(detections, 0, resized_hw=(21, 21), size_hw=(41, 41), config=predictor.config)
    assert found.boxes.tolist() == [[10, 10, 21, 21]]


# ---- what runs it


def test_a_network_that_still_learns_runs_as_it_is(tiny: ModelConfig) -> None:
    model = build(tiny).eval()
    running = Predictor(model)
    model.load_state_dict(eager(tiny).state_dict())
    assert running.model is model
    assert_same(running.predict(picture()), Predictor(eager(tiny)).predict(picture()))


def test_a_warm_up_takes_time_and_changes_nothing(predictor: Predictor) -> None:
    before = predictor.predict(picture())
    assert predictor.warm_up() > 0
    assert predictor.warm_up((30, 50), batch=2) > 0
    assert_same(predictor.predict(picture()), before)

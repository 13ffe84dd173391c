"""Steps by hand, and the law that a picture is the same whether its steps are taken at once or later."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from maskrcnn.ops.pixels import (
    Deferred,
    Flip,
    Paste,
    Recolour,
    Resample,
    Step,
    TurnLeft,
    Window,
    change,
    with_tensors,
)

RAMP = np.arange(6).reshape(2, 3, 1)
DTYPES = [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.uint64, np.float32, np.float64]


def taken(step: Step, size_hw: tuple[int, int], image=RAMP) -> list:
    return change(image, step, size_hw)[..., 0].tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_moves_by_hand_in_every_type(dtype) -> None:
    image = RAMP.astype(dtype)
    assert taken(Flip(2), (2, 3), image) == [[2, 1, 0], [5, 4, 3]]
    assert taken(Flip(1), (2, 3), image) == [[3, 4, 5], [0, 1, 2]]
    assert taken(TurnLeft(), (3, 2), image) == [[2, 5], [1, 4], [0, 3]]
    assert taken(Window(1, 0, (2, 2)), (2, 2), image) == [[1, 2], [4, 5]]
    assert change(image, Flip(2), (2, 3)).dtype == dtype


def test_colours_by_hand() -> None:
    swap = Recolour(torch.tensor([[0.0, 1.0], [2.0, 0.0]]), 0.5)
    image = np.array([[[1, 3], [3, 5]]])  # mean 3
    assert change(image.astype(np.float32), swap, (1, 2)).tolist() == [[[4.5, 3.5], [6.5, 7.5]]]
    assert change(image.astype(np.uint16), swap, (1, 2)).tolist() == [[[4, 4], [6, 8]]]  # halves to even
    bright = Recolour(torch.eye(2) * 100, 0.0)
    assert change(image.astype(np.uint8), bright, (1, 2)).tolist() == [[[100, 255], [255, 255]]]
    dark = Recolour(-torch.eye(2), 0.0)
    assert change(image.astype(np.uint8), dark, (1, 2)).max() == 0
    assert change(image.astype(np.int16), dark, (1, 2)).min() == -5


def test_what_is_not_uint8_is_resampled_as_float32() -> None:
    assert change(RAMP.astype(np.uint16), Resample((1, 3)), (1, 3)).dtype == np.float32
    assert change(RAMP.astype(np.uint8), Resample((1, 3)), (1, 3)).dtype == np.uint8
    assert change(RAMP.astype(np.uint8), Resample((4, 3), "zero_edge"), (4, 3)).shape == (4, 3, 1)


def test_pasting_reaches_as_far_as_both_pictures_do() -> None:
    other = Deferred.of(np.full((3, 2, 1), 9)).then(Flip(1), (3, 2))
    covered = torch.tensor([[True, False, False], [False, True, False]])
    assert taken(Paste(other, covered), (2, 3)) == [[9, 1, 2], [3, 9, 5]]
    assert RAMP.ravel().tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("image", [RAMP[:, ::-1], RAMP.astype(">i2"), np.broadcast_to(np.uint8(7), (2, 3, 1))])
def test_arrays_that_torch_refuses(image) -> None:
    assert taken(Flip(2), (2, 3), image) == image[:, ::-1, 0].tolist()


@st.composite
def chains(draw: st.DrawFn) -> tuple[np.ndarray, list[tuple[Step, tuple[int, int]]]]:
    """A picture and some steps, each with the size after it."""
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    bands = draw(st.sampled_from([1, 3, 5]))
    H, W = h, w = draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    steps: list[tuple[Step, tuple[int, int]]] = []
    for kind in draw(st.lists(st.sampled_from(["flip", "turn", "cut", "size", "colour", "paste"]), max_size=5)):
        step: Step
        if kind == "flip":
            step = Flip(int(rng.integers(1, 3)))
        elif kind == "turn":
            step, h, w = TurnLeft(), w, h
        elif kind == "cut":
            y, x = int(rng.integers(h)), int(rng.integers(w))
            h, w = int(rng.integers(1, h - y + 1)), int(rng.integers(1, w - x + 1))
            step = Window(x, y, (h, w))
        elif kind == "size":
            h, w = int(rng.integers(1, 12)), int(rng.integers(1, 12))
            step = Resample((h, w))
        elif kind == "colour":
            mixing = torch.from_numpy(rng.uniform(0, 1, (bands, bands)).astype(np.float32))
            step = Recolour(mixing, float(rng.uniform(-0.2, 0.2)))
        else:
            covered = np.zeros((h, w), dtype=bool)
            covered[: h // 2 + 1, : w // 2 + 1] = True
            other = Deferred.of(rng.integers(0, 256, (h, w, bands), dtype=np.uint8)).then(Flip(2), (h, w))
            step = Paste(other, torch.from_numpy(covered))
        steps.append((step, (h, w)))
    dtype = draw(st.sampled_from([np.uint8, np.uint16, np.float32]))
    return rng.integers(0, 256, (H, W, bands)).astype(dtype), steps


@given(chains())
def test_later_is_as_now(chain) -> None:
    image, steps = chain
    before = image.copy()
    now, later = image, Deferred.of(image)
    for step, size_hw in steps:
        now, later = change(now, step, size_hw), later.then(step, size_hw)
    made = later.made().permute(1, 2, 0).numpy()
    assert now.shape == made.shape == later.shape
    assert now.dtype == made.dtype
    assert np.array_equal(now, made)
    assert np.array_equal(image, before)


def test_tensors_are_found_in_tuples_within_tuples() -> None:
    paste = Paste(Deferred.of(RAMP), torch.ones(2, 3, dtype=torch.bool))
    deferred = Deferred(torch.zeros(1, 2, 3), (2, 3), (Flip(2), Recolour(torch.eye(1), 0.0), paste))
    met: list[tuple[int, ...]] = []
    again = with_tensors(deferred, lambda tensor: met.append(tuple(tensor.shape)) or tensor + 1)
    assert met == [(1, 2, 3), (1, 1), (1, 2, 3), (2, 3)]
    assert isinstance(again.steps[2], Paste)
    assert again.size_hw == (2, 3)
    assert again.steps[0] == Flip(2)
    assert int(again.pixels.sum()) == 6


ACCELERATED = (
    (Flip(2), (4, 6)),
    (TurnLeft(), (6, 4)),
    (Window(1, 1, (4, 3)), (4, 3)),
    (Recolour(torch.eye(3), 0.1), (4, 3)),
    (Resample((8, 6)), (8, 6)),
    (Paste(Deferred.of(np.zeros((8, 6, 3), dtype=np.uint8)), torch.ones(8, 6, dtype=torch.bool)), (8, 6)),
    (Resample((4, 1)), (4, 1)),
    (Resample((3, 3), "zero_edge"), (3, 3)),
)


def on_accelerator(deferred: Deferred) -> Deferred:
    """Bring a picture to a device that knows shapes only: it can't show a value or compute with another device."""
    return with_tensors(deferred, lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device="lazy"))


def test_all_steps_stay_on_the_device_of_the_pixels_and_never_wait_for_it() -> None:
    deferred = Deferred.of(np.zeros((4, 6, 3), dtype=np.uint8))
    for step, size_hw in ACCELERATED:
        deferred = deferred.then(step, size_hw)
    with FakeTensorMode():
        made = on_accelerator(deferred).made()
    assert (made.device.type, made.dtype, made.shape) == ("lazy", torch.uint8, (3, 3, 3))


def test_a_step_whose_tensors_stayed_behind_is_noticed() -> None:
    with FakeTensorMode() as fakes:
        deferred = on_accelerator(Deferred.of(np.zeros((4, 6, 3), dtype=np.uint8)))
        with pytest.raises(RuntimeError, match="device"):
            deferred.then(Recolour(fakes.from_tensor(torch.eye(3)), 0.1), (4, 6)).made()

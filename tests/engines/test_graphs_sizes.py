"""A graph resizes as the package does, in the same formulas written for sizes that are not known yet."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from maskrcnn.config import InputConfig, Resize, Sampling
from maskrcnn.engines.graphs.whole import SAMPLINGS, SCALES
from maskrcnn.ops.resize import resize_image, target_size


def test_every_way_and_every_sampling_is_there() -> None:
    assert {*SCALES, "none"} == set(get_args(Resize))
    assert set(SAMPLINGS) == set(get_args(Sampling))


@pytest.mark.parametrize("resize", sorted(SCALES))
@pytest.mark.parametrize("sampling", sorted(SAMPLINGS))
def test_sizes_are_those_of_the_package(resize: Resize, sampling: Sampling) -> None:
    rng = np.random.default_rng(0)
    for config in (
        InputConfig(resize=resize, sampling=sampling),
        InputConfig(resize=resize, sampling=sampling, min_size=64, max_size=100, min_scale=1.5),
    ):
        for h, w in [*rng.integers(1, 3000, (300, 2)).tolist(), (800, 1333), (49, 49), (1280, 1284)]:
            scale = SCALES[resize](h, w, config)
            found = tuple(max(1, SAMPLINGS[sampling].side(side, scale)) for side in (h, w))
            assert found == target_size((h, w), config), (h, w)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("sampling", sorted(SAMPLINGS))
@pytest.mark.parametrize("size_hw", [(20, 31), (80, 47), (40, 30), (7, 90), (39, 29)])
def test_pixels_are_those_of_the_package(sampling: Sampling, size_hw: tuple[int, int], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 40, 30), generator=generator).to(dtype)
    found = SAMPLINGS[sampling].resample(images, size_hw)
    for own, image in zip(found, images, strict=True):
        wanted = resize_image(image, size_hw, sampling).float()
        if dtype == torch.uint8 and sampling != "plain":
            assert torch.equal(own, wanted)
        assert (own - wanted).abs().max() <= 1e-3

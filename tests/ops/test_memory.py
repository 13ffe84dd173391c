import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from maskrcnn.ops.roi_align import CHANNELS_AT_ONCE, build_table, roi_align

GIB = 1 << 30

# A process of its own: what other tests have held would count. Half of the boxes cover a ninth of the picture each.
DETECTIONS = """
import json, re
from pathlib import Path
import numpy as np
from maskrcnn.structures import Patches

def resident(key):
    return int(re.search(key + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) * 1024

rng = np.random.default_rng(0)
count, size_hw = 300, (3000, 4000)
size = np.exp(rng.uniform(np.log(50), np.log(1000), (count, 2)))
size[::2] = [1333, 1000]
corner = rng.uniform(size=(count, 2)) * (np.array([4000, 3000]) - size)
boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
masks = Patches(rng.random((count, 28, 28), dtype=np.float32), boxes, size_hw)
before = resident("VmHWM")
runs = masks.rle()
print(json.dumps({"added": resident("VmHWM") - before, "runs": len(runs), "areas": masks.areas().tolist()}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory in use from /proc")
def test_detections_on_12_megapixels_become_rle_in_little_memory() -> None:
    """Dense, 300 masks of 3000 x 4000 are 3.4 GiB even at a byte a pixel."""
    done = subprocess.run([sys.executable, "-c", DETECTIONS], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["runs"] == 300
    assert min(found["areas"]) > 0
    assert found["added"] < 0.1 * GIB  # the promise is 1 GiB; it takes some 30 MiB


def pool(levels: list[Tensor]) -> Tensor:
    boxes = torch.tensor([[3.3, -5.0, 30.1, 22.7], [0.0, 0, 60, 40], [8, 8, 8, 8]])
    picture, level = torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1])
    return roi_align(build_table(levels, [4, 8]), boxes, picture, level, 2, 2)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_many_channels_are_pooled_as_each_part_alone_in_any_layout(layout: torch.memory_format) -> None:
    """RoIAlign takes channels in parts; here the last part is a narrow one."""
    generator = torch.Generator().manual_seed(0)
    C = 2 * CHANNELS_AT_ONCE + 6
    levels = [torch.randn(2, C, h, w, generator=generator) for h, w in ((12, 16), (6, 8))]
    wanted = torch.randn(3, C, 2, 2, generator=generator)
    whole = [level.contiguous(memory_format=layout).requires_grad_() for level in levels]
    pooled = pool(whole)
    gradients = torch.autograd.grad(pooled, whole, wanted)
    assert torch.equal(pooled, pool([level.detach() for level in whole]))
    for first, stop in pairwise((0, 50, 100, C)):
        part = [level[:, first:stop].clone().requires_grad_() for level in levels]
        alone = pool(part)
        assert torch.equal(alone, pooled[:, first:stop])
        for gradient, own in zip(gradients, torch.autograd.grad(alone, part, wanted[:, first:stop]), strict=True):
            assert torch.allclose(gradient[:, first:stop], own, atol=1e-6)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_no_regions_have_a_gradient_of_zero(layout: torch.memory_format) -> None:
    levels = [torch.ones(2, 3, h, w).contiguous(memory_format=layout).requires_grad_() for h, w in ((6, 8), (3, 4))]
    none = torch.zeros(0, dtype=torch.int64)
    pooled = roi_align(build_table(levels, [4, 8]), torch.zeros(0, 4), none, none, 7, 2)
    for gradient in torch.autograd.grad(pooled.sum(), levels):
        assert not gradient.any()


def test_gradients_keep_the_layout_of_the_features() -> None:
    for layout in (torch.contiguous_format, torch.channels_last):
        levels = [
            torch.zeros(2, 3, h, w).contiguous(memory_format=layout).requires_grad_() for h, w in ((6, 8), (3, 4))
        ]
        for gradient in torch.autograd.grad(pool(levels).sum(), levels):
            assert gradient.is_contiguous(memory_format=layout)

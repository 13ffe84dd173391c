import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.config import InputConfig, Resize, Sampling
from maskrcnn.ops.resize import padded_size, place, resize_image, target_size, to_tensor

side = st.integers(1, 3000)


def short_edge(size_hw: tuple[int, int], min_size: int, max_size: int) -> tuple[int, int]:
    return target_size(size_hw, InputConfig(min_size=min(min_size, max_size), max_size=max_size))


def test_short_edge_by_hand() -> None:
    assert short_edge((480, 640), 240, 1000) == (240, 320)
    assert short_edge((640, 480), 240, 1000) == (320, 240)
    assert short_edge((100, 1000), 200, 500) == (50, 500)  # the long edge decides
    assert short_edge((3, 2), 3, 100) == (5, 3)  # 4.5 rounds up
    assert short_edge((1, 4000), 100, 1000) == (1, 1000)  # a quarter of a pixel is a pixel


def test_long_edge_by_hand() -> None:
    assert target_size((480, 640), InputConfig(resize="square", min_size=1, max_size=320)) == (240, 320)
    assert target_size((1, 1000), InputConfig(resize="square", min_size=1, max_size=100)) == (1, 100)


def test_each_way_takes_its_own_size() -> None:
    ways: tuple[Resize, ...] = ("short_edge", "square", "none")
    sizes = {way: target_size((480, 640), InputConfig(resize=way, min_size=240, max_size=256)) for way in ways}
    assert sizes == {"short_edge": (192, 256), "square": (192, 256), "none": (480, 640)}
    assert short_edge((480, 640), 120, 256) == (120, 160)


def test_padding_by_hand() -> None:
    assert padded_size((33, 64), InputConfig(min_size=96, max_size=96)) == (64, 64)
    assert padded_size((1, 1), InputConfig(resize="none")) == (32, 32)
    assert padded_size((10, 20), InputConfig(resize="square", min_size=97, max_size=97)) == (128, 128)


@given(side, side, st.integers(1, 800), st.integers(1, 1400))
def test_short_edge_keeps_to_both_limits(h: int, w: int, least: int, most: int) -> None:
    sides = short_edge((h, w), least, most)
    assert min(sides) <= max(least, 1)
    assert max(sides) <= most
    assert min(sides) == least or max(sides) == most
    assert min(sides) >= 1


def ramp(h: int, w: int, axis: int) -> torch.Tensor:
    """Hold x + 0.5 (axis 2) or y + 0.5 (axis 1): each pixel the place of its own centre."""
    at = torch.arange(w if axis == 2 else h, dtype=torch.float32) + 0.5
    return (at if axis == 2 else at[:, None]).expand(1, h, w).clone()


@pytest.mark.parametrize("axis", [1, 2])
def test_enlarging_a_ramp_gives_the_places_of_the_new_centres(axis: int) -> None:
    """A pixel of half the size has its centre at (i + 0.5) / 2; at the border there is nothing to mix with."""
    doubled = resize_image(ramp(4, 4, axis), (8, 8))
    line = doubled[0, 0] if axis == 2 else doubled[0, :, 0]
    assert line.tolist() == [0.5, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.5]


@pytest.mark.parametrize("axis", [1, 2])
def test_shrinking_a_ramp_keeps_the_places(axis: int) -> None:
    """Half of eight: pixel i lies at 2i + 1; the triangle of the border pixels is cut off on one side."""
    halved = resize_image(ramp(8, 8, axis), (4, 4))
    line = halved[0, 0] if axis == 2 else halved[0, :, 0]
    assert line[1:3].tolist() == [3.0, 5.0]
    # pixels at distance 0.5, 0.5 and 1.5 from 1.0 weigh 3/4, 3/4, 1/4 of two
    assert line[0].item() == pytest.approx((3 * 0.5 + 3 * 1.5 + 1 * 2.5) / 7)


def test_shrinking_averages_instead_of_picking() -> None:
    """A board of single pixels becomes grey, not black or white."""
    board = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    small = resize_image((255 * board).to(torch.uint8)[None], (8, 8))
    assert small.min() >= 120
    assert small.max() <= 135


def test_eight_bits_are_rounded_not_cut_off() -> None:
    """Doubling 0, 3 gives 0, 0.75, 2.25, 3."""
    image = torch.tensor([0, 3], dtype=torch.uint8).expand(3, 2, 2).contiguous()
    assert resize_image(image, (2, 4))[0, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("size_hw", [(1, 1), (5, 1), (1, 5), (9, 1), (2, 3), (17, 31)])
def test_eight_bits_are_the_floats_rounded(size_hw: tuple[int, int]) -> None:
    """Every target, those one pixel wide too, where torch's own 8 bits are wrong."""
    image = torch.randint(0, 256, (3, 13, 11), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    resized = resize_image(image, size_hw)
    assert resized.dtype == torch.uint8
    assert resized.shape == (3, *size_hw)
    error = (resized.float() - resize_image(image.float(), size_hw)).abs().max()
    assert error <= 1.02  # rows and columns are rounded one after the other, and torch's weights have 16 bits


def test_one_pixel_is_the_mean() -> None:
    """A picture of two by two has its four pixels at the same distance from the only centre."""
    image = torch.tensor([[10, 20], [30, 60]], dtype=torch.uint8).expand(3, 2, 2).contiguous()
    assert resize_image(image, (1, 1)).flatten().tolist() == [30, 30, 30]


def test_the_same_size_is_the_same_picture() -> None:
    image = torch.rand(4, 5, 6)
    assert resize_image(image, (5, 6)) is image


@pytest.mark.parametrize("bands", [1, 3, 5])
def test_bands_do_not_mix(bands: int) -> None:
    image = torch.rand(bands, 6, 7)
    whole = resize_image(image, (9, 4))
    for band in range(bands):
        assert torch.allclose(whole[band], resize_image(image[band : band + 1], (9, 4))[0])


def test_a_mirrored_view_is_read_as_it_looks() -> None:
    """Negative strides, as flipping gives them."""
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    for view in (image[:, ::-1], image[::-1], image[:, :, ::-1], image.transpose(1, 0, 2)):
        tensor = to_tensor(view)
        assert tensor.is_contiguous()
        assert np.array_equal(tensor.numpy().transpose(1, 2, 0), view)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float64, np.bool_])
def test_other_kinds_of_pixels_become_floats_of_the_same_value(dtype: type) -> None:
    image = np.array([[[0], [1]], [[1], [0]]]).astype(dtype) * dtype(200)
    tensor = to_tensor(image)
    assert tensor.dtype == torch.float32
    assert tensor[0].tolist() == image[:, :, 0].astype(float).tolist()


def test_a_tensor_does_not_share_memory_with_its_picture() -> None:
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    tensor = to_tensor(image)
    image[:] = 9
    assert not tensor.any()


@pytest.mark.parametrize(
    ("config", "size_hw", "resized_hw", "padded_hw"),
    [
        (InputConfig(resize="centred_square", min_size=192, max_size=256), (96, 120), (192, 240), (256, 256)),
        (InputConfig(resize="centred_square", min_size=192, max_size=256), (96, 192), (128, 256), (256, 256)),
        (InputConfig(resize="centred_square", min_size=192, max_size=256), (400, 200), (256, 128), (256, 256)),
        (InputConfig(resize="centred_square", min_size=64, max_size=256), (100, 80), (100, 80), (256, 256)),
        (InputConfig(resize="centred_square", min_size=1, max_size=256, min_scale=2), (50, 40), (100, 80), (256, 256)),
        (InputConfig(resize="centred", min_size=128, max_size=128, divisor=64), (64, 100), (128, 200), (128, 256)),
        (InputConfig(resize="centred", min_size=64, max_size=64, divisor=64), (300, 64), (300, 64), (320, 64)),
        (InputConfig(resize="centred", min_size=1, min_scale=1.5, divisor=64), (60, 40), (90, 60), (128, 64)),
    ],
)
def test_centred_ways_enlarge_and_shrink_only_into_their_square(
    config: InputConfig, size_hw: tuple[int, int], resized_hw: tuple[int, int], padded_hw: tuple[int, int]
) -> None:
    assert target_size(size_hw, config) == resized_hw
    assert padded_size(resized_hw, config) == padded_hw


@pytest.mark.parametrize(("sampling", "halves"), [("antialias", [3, 4]), ("plain", [2, 3]), ("zero_edge", [2, 4])])
def test_each_sampling_makes_whole_sides_of_its_own(sampling: Sampling, halves: list[int]) -> None:
    """Half of 5 and of 7: a half is rounded up, cut off, or rounded to the even side."""
    config = InputConfig(resize="square", sampling=sampling, min_size=1, max_size=5)
    assert [target_size((side, 10), config)[0] for side in (5, 7)] == halves
    assert target_size((6, 10), config) == (3, 5)


def test_plain_sampling_picks_and_keeps_fractions() -> None:
    """A third of six: the new centres are 1 and 4 in old pixels; nothing else is looked at."""
    line = torch.tensor([0, 10, 0, 0, 7, 0], dtype=torch.uint8).expand(1, 6, 6).contiguous()
    assert resize_image(line, (6, 2), "plain")[0, 0].tolist() == [10.0, 7.0]
    doubled = resize_image(torch.tensor([[[0, 3]]], dtype=torch.uint8), (1, 4), "plain")
    assert doubled.dtype == torch.float32
    assert doubled.tolist() == [[[0.0, 0.75, 2.25, 3.0]]]


def slow_zero_edge(plane: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Weigh every old pixel for every new one by its distance; what is outside the picture counts as zero."""
    (h, w), (H, W) = plane.shape, size_hw
    out = np.zeros(size_hw)
    for y in range(H):
        for x in range(W):
            v, u = (y + 0.5) * h / H - 0.5, (x + 0.5) * w / W - 0.5
            rows, columns = (np.clip(1 - np.abs(at - np.arange(n)), 0, 1) for at, n in ((v, h), (u, w)))
            out[y, x] = rows @ plane @ columns
    return out


@pytest.mark.parametrize("size_hw", [(9, 13), (3, 4), (1, 1), (6, 2)])
def test_zero_edge_equals_the_definition(size_hw: tuple[int, int]) -> None:
    image = torch.randint(20, 256, (3, 6, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = np.stack([slow_zero_edge(plane.numpy().astype(np.float64), size_hw) for plane in image])
    expected = np.clip(expected, image.min().item(), image.max().item())
    sure = np.abs(expected - expected.round()) > 1e-6
    found = resize_image(image, size_hw, "zero_edge")
    assert found.dtype == torch.uint8
    assert np.array_equal(found.numpy()[sure], np.floor(expected)[sure])


def test_the_edge_goes_towards_black_but_never_below_the_darkest_pixel() -> None:
    """Doubled, the outermost pixels lie a quarter of a pixel beyond the last centre: 3/4 of 40 by rows and columns."""
    flat = torch.full((1, 2, 2), 40.0)
    flat[0, 0, 0] = 10
    doubled = resize_image(flat, (4, 4), "zero_edge")[0]
    assert doubled[3].tolist() == pytest.approx([0.75 * (0.75 * 40), 0.75 * 40, 0.75 * 40, 0.75 * 0.75 * 40])
    assert doubled[0, 0] == 10  # and not 5.6


@pytest.mark.parametrize(
    ("resize", "corner"), [("short_edge", (0, 0)), ("square", (0, 0)), ("none", (0, 0)), ("centred", (1, 2))]
)
def test_a_picture_lies_in_the_corner_or_in_the_middle(resize: str, corner: tuple[int, int]) -> None:
    room = torch.zeros(1, 5, 7)
    y, x = place(torch.ones(1, 2, 3), room, resize)
    assert (y, x) == corner
    assert room[0, y : y + 2, x : x + 3].sum() == room.sum() == 6

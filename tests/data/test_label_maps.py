from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from maskrcnn.data.dataset import Runs
from maskrcnn.data.formats import label_maps
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import read_labels
from maskrcnn.errors import AnnotationError, DataError, ImageError
from maskrcnn.ops.rle import Bitmap


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int64]),
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.integers(0, 4),
    )
)
@settings(max_examples=150, deadline=None)
def test_parting_equals_one_comparison_an_object(labels) -> None:
    slow = {value: Runs.of(Bitmap(0, 0, labels == value), labels.shape) for value in set(labels.flat) - {0}}
    assert label_maps.split(labels) == slow
    for value, runs in label_maps.split(labels).items():
        x, y, pixels = runs.bitmap(labels.shape)
        drawn = np.zeros(labels.shape, dtype=bool)
        drawn[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        assert (drawn == (labels == value)).all()


@pytest.mark.parametrize("fill", [False, True])
def test_a_whole_mask_and_none(fill: bool) -> None:
    mask = np.full((3, 4), fill)
    assert label_maps.of_mask(mask) == Runs.of(Bitmap(0, 0, mask), (3, 4))


def test_many_scattered_objects_take_no_full_size_masks() -> None:
    labels = np.arange(300 * 300).reshape(300, 300) % 2000 + 1  # every object is spread over the whole picture
    tracemalloc.start()
    assert len(label_maps.split(labels)) == 2000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # 2000 masks of this size are 180 MB


PALETTE = [0, 0, 0, 255, 0, 0, 0, 255, 0] + [7] * (253 * 3)


def palette_image(labels: np.ndarray) -> Image.Image:
    image = Image.new("P", labels.shape[::-1])
    image.putpalette(PALETTE)
    image.putdata(labels.ravel().tolist())
    return image


LABELS = np.array([[0, 1, 1], [2, 0, 1]])


def test_every_way_to_store_labels_comes_as_the_same_ids(tmp_path: Path) -> None:
    palette_image(LABELS).save(tmp_path / "palette.png")
    Image.fromarray(LABELS.astype(np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(LABELS.astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.repeat(LABELS[..., None], 3, axis=2).astype(np.uint8)).save(tmp_path / "rgb.png")
    Image.fromarray(LABELS.astype(np.uint8)).save(tmp_path / "grey.tif")
    for dtype in (np.uint16, np.int32, np.float32):
        tifffile.imwrite(tmp_path / f"{np.dtype(dtype).name}.tif", LABELS.astype(dtype))
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 8
    for path in paths:
        assert label_maps.read_ids(path).tolist() == LABELS.tolist(), path.name


def test_16_bits_are_not_squashed(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 257, 65535]], dtype=np.uint16)
    Image.fromarray(labels).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", labels)
    for name in ("a.png", "a.tif"):
        assert label_maps.read_ids(tmp_path / name).tolist() == labels.tolist()


def test_colours_are_ids_and_transparency_is_background(tmp_path: Path) -> None:
    colours = np.array([[[0, 0, 0, 255], [1, 2, 3, 255], [9, 9, 9, 0], [255, 0, 0, 255]]], dtype=np.uint8)
    Image.fromarray(colours, "RGBA").save(tmp_path / "a.png")
    assert label_maps.read_ids(tmp_path / "a.png").tolist() == [[0, 0x010203, 0, 0xFF0000]]


MASK = np.array([[0, 1, 1], [0, 0, 1]], dtype=bool)


def masks_as_images() -> dict[str, Image.Image]:
    grey = MASK.astype(np.uint8)
    rgba = np.dstack([grey * 255, grey * 255, grey * 255, np.full_like(grey, 255)])
    cut_out = np.dstack([np.zeros((2, 3, 3), dtype=np.uint8), grey * 255])
    return {
        "one bit": Image.fromarray(MASK),
        "0 and 1": Image.fromarray(grey),
        "0 and 255": Image.fromarray(grey * 255),
        "16 bits": Image.fromarray(grey.astype(np.uint16) * 65535),
        "palette": palette_image(grey),
        "rgba": Image.fromarray(rgba),
        "alpha": Image.fromarray(cut_out),
        "soft": Image.fromarray(np.where(MASK, 200, 90).astype(np.uint8)),
    }


@pytest.mark.parametrize("kind", masks_as_images())
def test_every_way_to_store_a_mask(tmp_path: Path, kind: str) -> None:
    masks_as_images()[kind].save(tmp_path / "a.png")
    assert (label_maps.read_mask(tmp_path / "a.png") == MASK).all()


def test_an_empty_and_a_full_mask(tmp_path: Path) -> None:
    Image.new("L", (3, 2)).save(tmp_path / "empty.png")
    Image.new("L", (3, 2), 255).save(tmp_path / "full.png")
    assert not label_maps.read_mask(tmp_path / "empty.png").any()
    assert label_maps.read_mask(tmp_path / "full.png").all()


def test_labels_are_turned_upright_as_pictures_are(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(LABELS.astype(np.uint8)).save(tmp_path / "a.png", exif=exif)
    assert read_labels(tmp_path / "a.png").tolist() == np.rot90(LABELS, -1).tolist()


def test_a_photograph_is_no_label_image(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    with pytest.raises(AnnotationError, match="one value an object, got more than 20,000 values; is it a photograph"):
        label_maps.read_ids(tmp_path / "a.png")


def test_fractions_and_stacks_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 5), 0.5, dtype=np.float32))
    with pytest.raises(AnnotationError, match="whole number an object, got fractions"):
        label_maps.read_ids(tmp_path / "a.tif")
    for axes in ({}, {"metadata": {"axes": "ZYX"}}):
        tifffile.imwrite(tmp_path / "b.tif", np.zeros((7, 40, 50), dtype=np.uint16), **axes)
        with pytest.raises(ImageError, match="labels of one plane, got a stack of 7"):
            label_maps.read_ids(tmp_path / "b.tif")


def test_faults_of_threads_come_in_order_and_the_rest_goes_on() -> None:
    def parse(i: int) -> int:
        if i % 3 == 0:
            raise AnnotationError(str(i))
        return i

    seen: list[DataError] = []
    assert label_maps.each_file(Reading(fault=seen.append), range(10), parse) == [1, 2, 4, 5, 7, 8]
    assert [str(error) for error in seen] == ["0", "3", "6", "9"]
    with pytest.raises(AnnotationError, match=r"^0$"):
        label_maps.each_file(Reading(), range(10), parse)

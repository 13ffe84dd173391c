"""Ways to show objects: what belongs to them stays to the pixel, the ground becomes what the way says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from maskrcnn.draw.palette import palette
from maskrcnn.draw.styles import STYLES, blur, contours, covered, cutout, splash
from maskrcnn.errors import ImageError, InputError
from maskrcnn.ops.rle import Bitmap
from maskrcnn.structures import Bitmaps, Instances

SIZE_HW = (60, 80)
CLASSES = ("cat", "dog")
NOISE = np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3)).astype(np.uint8)
DISC = (np.hypot(*(np.indices((31, 31)) - 15)) < 15) & (np.indices((31, 31))[1] != 15)  # a disc with a slit
GROUNDED = [splash, blur, cutout]
Draw = Callable[[np.ndarray, Instances], Image.Image]


def _disc() -> Instances:
    masks = Bitmaps([Bitmap(20, 10, DISC)], SIZE_HW)
    return Instances(SIZE_HW, masks.boxes(), np.array([1]), CLASSES, masks)


def _where() -> np.ndarray:
    return _disc().masks.dense()[0]  # type: ignore[union-attr]


@pytest.mark.parametrize("draw", GROUNDED)
def test_the_pixels_of_an_object_stay_as_they_are_and_no_others_do(draw: Draw) -> None:
    drawn = np.array(draw(NOISE, _disc()))[..., :3]
    assert (drawn == NOISE).all(axis=2)[_where()].all()
    assert (drawn != NOISE).any(axis=2)[~_where()].mean() > 0.95


def test_a_splash_is_grey_around_the_objects() -> None:
    drawn = np.array(splash(NOISE, _disc()))
    ground = drawn[~_where()]
    assert (ground == ground[:, :1]).all()
    expected = NOISE[~_where()] @ np.array([0.299, 0.587, 0.114])  # ITU-R 601, as Pillow documents it
    assert np.abs(ground[:, 0] - expected).max() <= 1


def test_a_cutout_keeps_nothing_of_the_ground() -> None:
    drawn = cutout(NOISE, _disc())
    assert drawn.mode == "RGBA"
    pixels = np.array(drawn)
    assert (pixels[..., 3] == np.where(_where(), 255, 0)).all()
    assert not pixels[~_where()].any()


def test_no_colour_of_an_object_runs_into_the_blur() -> None:
    picture = np.zeros((*SIZE_HW, 3), dtype=np.uint8)
    picture[...] = (0, 0, 200)
    picture[_where()] = (255, 0, 0)
    drawn = np.array(blur(picture, _disc()))
    assert drawn[~_where()][:, 0].max() == 0
    assert np.abs(drawn[~_where()][:, 2].astype(int) - 200).max() <= 6  # rounding to 8 bits on both sides of a division


def test_a_blur_has_no_edges_left() -> None:
    stripes = np.zeros((200, 300, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    drawn = np.array(blur(stripes, Instances.empty((200, 300), CLASSES)))
    assert np.ptp(drawn[20:-20, 20:-20].astype(int)) < 10


def test_contours_are_the_border_of_the_mask_and_nothing_else() -> None:
    drawn = np.array(contours(NOISE, _disc(), captions=[""]))
    padded = np.pad(_where(), 1)
    inner = padded[1:-1, 1:-1] & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    border = _where() & ~inner
    assert (drawn[border] == palette(CLASSES)[1]).all()
    assert (drawn[~border] == NOISE[~border]).all()


def test_contours_have_labels_and_can_be_enlarged() -> None:
    bare, labelled = (np.array(contours(NOISE, _disc(), captions=words, zoom=3)) for words in ([""], None))
    assert bare.shape == (180, 240, 3)
    assert (bare != labelled).any()
    with pytest.raises(InputError, match="captions: expected 1, one an instance, got 2"):
        contours(NOISE, _disc(), captions=["a", "b"])


def test_objects_without_masks_are_their_boxes() -> None:
    boxes = np.array([[10.2, 20.0, 30.0, 40.0]], dtype=np.float32)
    there = covered(Instances(SIZE_HW, boxes, np.array([0]), CLASSES, None))
    expected = np.zeros(SIZE_HW, dtype=np.bool_)
    expected[20:40, 10:30] = True
    assert (there == expected).all()


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_every_style_draws_nothing_many_bands_and_deep_pictures(style: object) -> None:
    draw, _, says = style  # type: ignore[misc]
    assert says
    assert draw(NOISE, Instances.empty(SIZE_HW, CLASSES)).size == (80, 60)
    assert draw(NOISE.astype(np.uint16).repeat(2, axis=2), _disc()).size == (80, 60)
    assert draw(NOISE[..., 0], _disc()).size == (80, 60)


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_every_style_refuses_a_picture_of_another_size(style: object) -> None:
    with pytest.raises(ImageError, match="expected the instances' height and width"):
        style[0](NOISE[:50], _disc())  # type: ignore[index]


@pytest.mark.parametrize("name", STYLES)
def test_every_style_fits_into_its_kind_of_file(name: str, tmp_path: object) -> None:
    place = tmp_path / f"drawn{STYLES[name].suffix}"  # type: ignore[operator]
    drawn = STYLES[name].draw(NOISE, _disc())
    drawn.save(place)
    with Image.open(place) as again:
        assert again.mode == drawn.mode

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.cli import main
from maskrcnn.data import open_dataset
from maskrcnn.data.compose import Look, compose
from maskrcnn.data.compose.scene import Composed, Layer
from maskrcnn.data.dataset import Annotation, Dataset, Record, Rings
from maskrcnn.errors import ImageError, InputError, OutputError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def square(x: int, y: int, side: int) -> Rings:
    return Rings((np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]], dtype=np.float64),))


@pytest.fixture
def objects(tmp_path: Path) -> Dataset:
    """Two red squares of 30 pixels on black."""
    pixels = np.zeros((64, 96, 3), dtype=np.uint8)
    pixels[10:40, 10:40], pixels[20:50, 60:90] = RED, RED
    Image.fromarray(pixels).save(tmp_path / "red.png")
    annotations = (Annotation("annotation 1", 1, square(10, 10, 30)), Annotation("annotation 2", 1, square(60, 20, 30)))
    record = Record("red.png", tmp_path / "red.png", 1, (64, 96), annotations)
    return Dataset(tmp_path / "set.json", "coco", ("blue", "red"), (1, 2), [record])


@pytest.fixture
def white(tmp_path: Path) -> Path:
    Image.new("RGB", (120, 90), WHITE).save(tmp_path / "white.png")
    return tmp_path / "white.png"


STILL = Look(objects=(3, 3), scale=(30 / 90, 30 / 90), turn=0, light=0, hidden=0.6)


def test_masks_are_exactly_the_pixels_that_the_objects_show(objects: Dataset, white: Path, tmp_path: Path) -> None:
    compose(objects, tmp_path / "new", 8, backgrounds=[white], look=STILL)
    new = open_dataset(tmp_path / "new")
    assert new.class_names == ("blue", "red")
    shown = 0
    for sample in new:
        assert sample.image.shape == (90, 120, 3)
        masks = sample.instances.masks
        assert masks is not None
        dense = masks.dense()
        assert (dense.sum(axis=0) <= 1).all()
        assert (dense.any(axis=0) == (sample.image == RED).all(axis=2)).all()
        assert (~dense.any(axis=0) == (sample.image == WHITE).all(axis=2)).all()
        assert (masks.areas() >= 0.4 * 900).all()
        assert set(sample.instances.labels.tolist()) <= {1}
        shown += len(sample.instances)
    assert shown >= 16


def test_a_set_begins_with_a_smaller_one_and_goes_on_after_a_break(
    objects: Dataset, white: Path, tmp_path: Path
) -> None:
    look = Look((1, 4))
    compose(objects, tmp_path / "small", 2, backgrounds=[white], seed=7, look=look)

    def stop(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compose(objects, tmp_path / "large", 5, backgrounds=[white], seed=7, look=look, progress=stop)
    compose(objects, tmp_path / "large", 5, backgrounds=[white], seed=7, look=look)
    compose(objects, tmp_path / "whole", 5, backgrounds=[white], seed=7, look=look)
    names = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.*"))
    assert [(tmp_path / "large" / name).read_bytes() for name in names] == [
        (tmp_path / "whole" / name).read_bytes() for name in names
    ]
    first = "images/000001.png"
    assert (tmp_path / "small" / first).read_bytes() == (tmp_path / "large" / first).read_bytes()


def test_another_order_in_the_same_folder_is_refused(objects: Dataset, white: Path, tmp_path: Path) -> None:
    compose(objects, tmp_path / "new", 1, backgrounds=[white])
    with pytest.raises(OutputError, match="begun with seed 0 instead of 1"):
        compose(objects, tmp_path / "new", 1, backgrounds=[white], seed=1)


def test_pictures_remember_their_background(objects: Dataset, white: Path, tmp_path: Path) -> None:
    compose(objects, tmp_path / "new", 1, backgrounds=[white], size_hw=(40, 50), look=STILL)
    document = json.loads((tmp_path / "new/annotations.json").read_text())
    assert document["images"][0]["columns"] == {"background": "white.png"}
    assert (document["images"][0]["height"], document["images"][0]["width"]) == (40, 50)


def test_the_alpha_channel_of_a_file_is_the_soft_edge(tmp_path: Path, white: Path) -> None:
    rgba = np.zeros((40, 40, 4), dtype=np.uint8)
    rgba[..., 0] = 255
    rgba[10:30, 10:30, 3] = 255
    rgba[10:30, 9, 3] = 100  # below a half: beside the mask, and still seen
    Image.fromarray(rgba).save(tmp_path / "soft.png")
    record = Record("soft.png", tmp_path / "soft.png", 1, (40, 40), (Annotation("annotation 1", 0, square(9, 10, 21)),))
    dataset = Dataset(tmp_path / "set.json", "coco", ("red",), (1,), [record])
    look = Look((1, 1), (21 / 90, 21 / 90), turn=0, light=0)
    compose(dataset, tmp_path / "new", 4, backgrounds=[white], look=look)
    for sample in open_dataset(tmp_path / "new"):
        masks = sample.instances.masks
        assert masks is not None
        faint = (sample.image[..., 1] > 0) & (sample.image[..., 1] < 255)
        assert np.unique(sample.image[faint][:, 1]).tolist() in ([155], [])
        assert not (masks.dense()[0] & faint).any()


def test_nothing_is_hidden_more_than_allowed_by_hand() -> None:
    composed = Composed(np.zeros((20, 20, 3), dtype=np.uint8), "black.png")
    solid = np.full((10, 10, 4), 255, dtype=np.uint8)
    assert composed.add(Layer(0, 0, solid), 0, hidden=0.5)
    assert not composed.add(Layer(0, 4, solid), 0, hidden=0.5)  # would hide 60 of the first one's 100 pixels
    assert composed.add(Layer(0, 5, solid), 1, hidden=0.5)
    assert not composed.add(Layer(14, 14, solid), 0, hidden=0.5)  # the border would hide 64 of 100
    assert composed.labels == (0, 1)
    assert [mask.pixels.sum() for mask in composed.masks()] == [50, 100]


def test_bad_orders_say_what_is_wrong(objects: Dataset, white: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"scale: expected from 0\.01 up to 4, got 0\.9 to 0\.2"):
        Look(scale=(0.9, 0.2))
    with pytest.raises(InputError, match="expected count and size from 1"):
        compose(objects, tmp_path / "new", 0, backgrounds=[white])
    bare = objects.change(records=[Record("red.png", tmp_path / "red.png", 1, (64, 96), ())])
    with pytest.raises(InputError, match="expected objects with masks to cut out, got none"):
        compose(bare, tmp_path / "new", 1, backgrounds=[white])
    Image.fromarray(np.zeros((20, 20), dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ImageError, match="expected an 8-bit RGB background, got uint16 with 1 bands"):
        compose(objects, tmp_path / "deep", 1, backgrounds=[tmp_path / "deep.png"])


def test_the_command(objects: Dataset, white: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compose(objects, tmp_path / "set", 2, backgrounds=[white], look=STILL)
    words = f"data compose {tmp_path / 'set'} {tmp_path / 'new'} --count 3 --backgrounds {white} --objects 1-2"
    assert main(words.split()) == 0
    assert f"3 pictures in {tmp_path / 'new'}" in capsys.readouterr().err
    assert len(open_dataset(tmp_path / "new")) == 3
    assert main([*words.split(), "--scale", "big"]) == 2
    assert "--scale: expected two numbers such as 0.2-0.8, got 'big'" in capsys.readouterr().err

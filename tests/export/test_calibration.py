"""Which pictures values are measured on, and what a graph is fed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.config import ModelConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.engines.graphs.metadata import About
from maskrcnn.errors import ImageError
from maskrcnn.export.calibration import Reader, find_pictures, spread


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(7):
        pixels = np.random.default_rng(i).integers(0, 256, (40 + i, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize(("count", "most"), [(1, 300), (300, 300), (301, 300), (1000, 7), (0, 5)])
def test_a_spread_is_even_and_has_no_twins(count: int, most: int) -> None:
    chosen = spread(count, most)
    assert len(chosen) == len(set(chosen)) == min(count, most)
    assert all(0 <= i < count for i in chosen)
    gaps = np.diff(chosen)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_pictures_are_taken_from_a_folder(photos: Path) -> None:
    assert [path.name for path in find_pictures(photos, 3)] == ["0.png", "2.png", "4.png"]
    assert len(find_pictures(photos)) == 7
    assert [path.name for path in find_pictures(str(photos / "*5.png"))] == ["5.png"]


def test_pictures_are_taken_from_annotated_data(tmp_path: Path) -> None:
    synthesise("spacecraft", tmp_path / "data", 4, seed=0, size_hw=(64, 64), workers=0)
    dataset = open_dataset(tmp_path / "data")
    paths = find_pictures(tmp_path / "data", 2)
    assert paths == [dataset.path(0), dataset.path(2)]
    assert find_pictures(dataset, 2) == paths


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="expected pictures"):
        find_pictures(tmp_path)


def test_every_walk_gives_the_same(photos: Path, tiny: ModelConfig) -> None:
    reader = Reader(find_pictures(photos), About(tiny))
    assert len(reader) == 7
    first, second = list(reader), list(reader)
    assert len(first) == 7
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys() == {"images", "size_hw"}
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_network_is_fed_as_in_prediction(photos: Path, tiny: ModelConfig) -> None:
    feed = next(iter(Reader([photos / "0.png"], About(tiny))))
    # 40x60 at a short edge of 64: 64x96, which needs no padding
    assert feed["images"].shape == (1, 3, 64, 96)
    assert feed["images"].dtype == np.float32
    assert feed["size_hw"].tolist() == [[64, 96]]
    taller = next(iter(Reader([photos / "6.png"], About(tiny))))
    h, w = taller["size_hw"][0]
    assert (h, w) == (64, 83)
    assert not taller["images"][..., w:].any()
    assert taller["images"][..., :h, :w].any()


@pytest.mark.parametrize("takes", ["uint8", "float32"])
def test_a_graph_of_whole_pictures_is_fed_them(photos: Path, tiny: ModelConfig, takes: str) -> None:
    feed = next(iter(Reader([photos / "3.png"], About(tiny, takes))))
    assert feed.keys() == {"images"}
    pixels = np.asarray(Image.open(photos / "3.png")).transpose(2, 0, 1)[None]
    assert feed["images"].dtype == np.dtype(takes)
    assert np.array_equal(feed["images"], pixels)


def test_a_broken_picture_is_named(photos: Path, tiny: ModelConfig) -> None:
    (photos / "7.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"7\.png"):
        list(Reader(find_pictures(photos), About(tiny)))

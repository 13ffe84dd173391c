"""Numbers as colours."""

from __future__ import annotations

import numpy as np

from maskrcnn.draw.heat import heat, shrink, tiles


def lightness(image: object) -> np.ndarray:
    return np.asarray(image).astype(float) @ [0.2126, 0.7152, 0.0722]


def test_brighter_is_more() -> None:
    ramp = lightness(heat(np.linspace(0, 1, 101)[None], 0, 1))[0]
    assert (np.diff(ramp) > 0).all()
    assert ramp[0] < 2
    assert ramp[-1] > 240


def test_what_is_no_number_is_black_and_the_rest_is_cut_off() -> None:
    image = np.asarray(heat(np.array([[np.nan, -np.inf, -3, 0, 1, 9, np.inf]]), 0, 1))[0]
    assert (image[:4] == image[3]).all()
    assert (image[4:] == image[4]).all()


def test_blocks_become_their_means_and_small_maps_stay() -> None:
    maps = np.arange(2 * 6 * 8, dtype=np.float32).reshape(2, 6, 8)
    small = shrink(maps, 3)
    assert small.shape == (2, 2, 2)
    for c in range(2):
        for i in range(2):
            for j in range(2):
                assert small[c, i, j] == maps[c, 3 * i : 3 * i + 3, 3 * j : 3 * j + 3].mean()
    assert np.array_equal(shrink(maps, 8), maps)
    assert shrink(np.ones((1, 2, 50), dtype=np.float32), 5).shape == (1, 1, 5)


def test_tiles_stand_in_rows_each_with_its_own_scale() -> None:
    sheet = np.asarray(tiles([np.full((100, 120), 7.0), np.eye(100, 120), np.eye(100, 120) * 50], 2))
    assert sheet.shape[:2] == (2 * 100 + 4, 2 * 120 + 4)
    assert np.array_equal(sheet[:100, 124:], sheet[104:, :120])
    assert (sheet[:100, :120] == sheet[0, 0]).all()


def test_small_maps_are_enlarged_by_whole_cells() -> None:
    sheet = np.asarray(tiles([np.array([[0.0, 1.0]])], 3))
    assert sheet.shape[:2] == (40, 80)
    assert (sheet[:, :40] == sheet[0, 0]).all()
    assert (sheet[:, 40:] == sheet[0, 79]).all()

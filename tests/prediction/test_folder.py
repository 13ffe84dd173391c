from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eager_model import eager
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from maskrcnn.config import ModelConfig
from maskrcnn.data.images import read_image
from maskrcnn.draw.overlay import overlay
from maskrcnn.errors import ImageError, InputError, OutputError
from maskrcnn.prediction import Predictor, stream
from maskrcnn.prediction.folder import overlay_names, predict_folder

ORIENTATION = 274


@pytest.fixture
def predictor(tiny: ModelConfig) -> Predictor:
    return Predictor(eager(tiny))


def draw(path: Path, size_hw: tuple[int, int] = (64, 96), orientation: int | None = None) -> Path:
    """Save a picture of noise."""
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    exif = Image.Exif()
    if orientation:
        exif[ORIENTATION] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_folder_of_overlays_results_and_what_their_numbers_mean(predictor: Predictor, tmp_path: Path) -> None:
    pictures = [draw(tmp_path / "in/a.png"), draw(tmp_path / "in/b.jpg", (70, 50))]
    out = tmp_path / "deep/out"
    outcomes = list(predict_folder(predictor, pictures, out))
    assert [path for path, _ in outcomes] == pictures
    assert sorted(path.name for path in out.iterdir()) == ["overlays", "pictures.json", "predictions.json"]
    for name, size in (("a.jpg", (96, 64)), ("b.jpg", (50, 70))):
        with Image.open(out / "overlays" / name) as overlay:
            assert overlay.size == size

    meaning = read(out / "pictures.json")
    assert meaning["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "horse"}]
    counts = [len(found) for _, found in outcomes]  # type: ignore[arg-type]
    assert meaning["images"] == [
        {"id": 1, "file_name": str(pictures[0]), "height": 64, "width": 96, "objects": counts[0]}
        | {"overlay": "overlays/a.jpg"},
        {"id": 2, "file_name": str(pictures[1]), "height": 70, "width": 50, "objects": counts[1]}
        | {"overlay": "overlays/b.jpg"},
    ]
    results = read(out / "predictions.json")
    assert [sum(result["image_id"] == i for result in results) for i in (1, 2)] == counts
    assert {result["category_id"] for result in results} <= {1, 2, 3}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
def test_results_are_in_the_pixels_of_the_upright_picture(predictor: Predictor, tmp_path: Path) -> None:
    turned = draw(tmp_path / "a.png", (64, 96), orientation=6)  # shown as 96x64
    ((_, found),) = predict_folder(predictor, [turned], tmp_path / "out")
    results = read(tmp_path / "out/predictions.json")
    assert len(results) > 5
    for result in results:
        x, y, w, h = result["bbox"]
        assert x >= 0
        assert y >= 0
        assert x + w <= 64.01
        assert y + h <= 96.01
        assert result["segmentation"]["size"] == [96, 64]
    pixels = np.stack([coco_mask.decode(result["segmentation"]) for result in results]).astype(bool)
    np.testing.assert_array_equal(pixels, found.masks.dense())  # type: ignore[union-attr]
    with Image.open(tmp_path / "out/overlays/a.jpg") as overlay:
        assert overlay.size == (64, 96)


def test_a_broken_picture_is_named_and_the_rest_goes_on(predictor: Predictor, tmp_path: Path) -> None:
    first, last, broken = draw(tmp_path / "a.png"), draw(tmp_path / "c.png"), tmp_path / "b.png"
    broken.write_bytes(first.read_bytes()[:100])
    outcomes = list(predict_folder(predictor, [first, broken, last], tmp_path / "out", batch=3))
    assert [isinstance(found, ImageError) for _, found in outcomes] == [False, True, False]
    records = read(tmp_path / "out/pictures.json")["images"]
    assert [record["id"] for record in records] == [1, 2, 3]
    assert "b.png: expected a whole picture" in records[1]["error"]
    assert {result["image_id"] for result in read(tmp_path / "out/predictions.json")} == {1, 3}
    assert sorted(path.name for path in (tmp_path / "out/overlays").iterdir()) == ["a.jpg", "c.jpg"]


def test_two_pictures_of_one_name_have_an_overlay_each(predictor: Predictor, tmp_path: Path) -> None:
    pictures = [draw(tmp_path / "x/1.png"), draw(tmp_path / "y/1.png", (64, 64))]
    list(predict_folder(predictor, pictures, tmp_path / "out"))
    sizes = []
    for name in ("1.jpg", "1_2.jpg"):
        with Image.open(tmp_path / "out/overlays" / name) as overlay:
            sizes.append(overlay.size)
    assert sizes == [(96, 64), (64, 64)]


def test_names_that_a_number_would_make_equal() -> None:
    assert overlay_names([Path("1.png"), Path("b/1.png"), Path("1_2.png")]) == ["1.jpg", "1_2.jpg", "1_2_2.jpg"]
    assert overlay_names([Path("1.png"), Path("1_2.png"), Path("b/1.png")]) == ["1.jpg", "1_2.jpg", "1_3.jpg"]
    assert overlay_names([Path("A.png"), Path("a.png")]) == ["A.jpg", "a_2.jpg"]  # one file on some systems


@given(st.lists(st.sampled_from(["1", "1_2", "1_2_2", "A", "a", "a_2", "ß", "SS"])))
def test_every_picture_has_an_overlay_name_of_its_own(stems: list[str]) -> None:
    names = overlay_names([Path(f"{stem}.png") for stem in stems])
    assert len({name.casefold() for name in names}) == len(stems)


def test_no_picture_is_drawn_over(predictor: Predictor, tmp_path: Path) -> None:
    inside = draw(tmp_path / "out/overlays/a.jpg")
    before = inside.read_bytes()
    with pytest.raises(InputError, match=r"a\.jpg: expected pictures outside of the folder for overlays"):
        list(predict_folder(predictor, [inside], tmp_path / "out"))
    assert inside.read_bytes() == before


def test_a_place_that_cannot_be_written_is_said_before_the_first_picture(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="out: expected a folder, got a file"):
        next(predict_folder(predictor, [draw(tmp_path / "a.png")], tmp_path / "out"))


def test_no_picture_leaves_empty_lists(predictor: Predictor, tmp_path: Path) -> None:
    assert list(predict_folder(predictor, [], tmp_path / "out")) == []
    assert read(tmp_path / "out/predictions.json") == []
    assert read(tmp_path / "out/pictures.json")["images"] == []


@pytest.mark.parametrize("workers", [0, 1])
def test_the_overlay_is_drawn_over_the_upright_picture(predictor: Predictor, tmp_path: Path, workers: int) -> None:
    turned = draw(tmp_path / "a.png", (64, 96), orientation=6)
    ((_, found),) = predict_folder(predictor, [turned], tmp_path / "out", shown=0.0, workers=workers)
    assert not isinstance(found, ImageError)
    overlay(read_image(turned), found).save(tmp_path / "wanted.jpg", quality=92)  # type: ignore[arg-type]
    assert (tmp_path / "out/overlays/a.jpg").read_bytes() == (tmp_path / "wanted.jpg").read_bytes()


def test_a_picture_is_decoded_once(predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(stream, "read_image", lambda path: (opened.append(path), read_image(path))[1])
    pictures = [draw(tmp_path / "a.png"), draw(tmp_path / "b.png")]
    monkeypatch.setattr("maskrcnn.data.images.read_image", None)  # nobody else reads
    list(predict_folder(predictor, pictures, tmp_path / "out", batch=2))
    assert opened == pictures


def test_a_picture_with_other_bands_is_named(predictor: Predictor, tmp_path: Path) -> None:
    deep = tmp_path / "deep.png"
    Image.fromarray(np.zeros((64, 64), dtype=np.uint16)).save(deep)
    ((_, found),) = predict_folder(predictor, [deep], tmp_path / "out")
    assert str(found) == f"{deep}: expected 3 bands, as the model was trained on, got 1 band"

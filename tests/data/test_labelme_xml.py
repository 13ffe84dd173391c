from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from odd_texts import open_or_refuse, with_odd_bytes, with_odd_words
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.errors import AnnotationError

SHARED = Path(__file__).parents[2] / "../shared/data"
H, W = 60, 80


def points(*xy: tuple[int, int]) -> str:
    return "<polygon>" + "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in xy) + "</polygon>"


def thing(inside: str, name: str = "cat", deleted: int = 0) -> str:
    return f"<object><name>{name}</name><deleted>{deleted}</deleted>{inside}</object>"


SQUARE = points((10, 20), (30, 20), (30, 50), (10, 50))
SEGM = "<segm><box><xmin>1</xmin></box><mask>a_mask_1.png</mask></segm>"


def document(*objects: str) -> str:
    head = "<annotation><filename>a.png</filename><folder>one</folder>"
    size = f"<imagesize><nrows>{H}</nrows><ncols>{W}</ncols></imagesize>"
    return f"{head}{''.join(objects)}{size}</annotation>"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Dataset]:
    for folder in ("Annotations", "Images", "Masks"):
        (tmp_path / folder / "one").mkdir(parents=True)
    Image.new("RGB", (W, H)).save(tmp_path / "Images/one/a.png")

    def _make(*objects: str) -> Dataset:
        (tmp_path / "Annotations/one/a.xml").write_text(document(*objects))
        return open_dataset(tmp_path)

    return _make


def test_outlines_and_masks(make, tmp_path: Path) -> None:
    pixels = np.zeros((H, W, 4), dtype=np.uint8)
    pixels[5:9, 3:10] = (0, 0, 153, 147)
    Image.fromarray(pixels).save(tmp_path / "Masks/one/a_mask_1.png")
    dataset = make(thing(SQUARE), thing(SEGM, "dog"))
    assert (dataset.format, dataset.class_names) == ("labelme-xml", ("cat", "dog"))
    assert dataset.instances(0).boxes.tolist() == [[10, 20, 30, 50], [3, 5, 10, 9]]
    assert dataset.instances(0).masks.areas().tolist() == [600, 28]
    assert dataset.records[0].columns == {"folder": "one"}
    pixels[..., 3] = 255  # without transparency it is what is not black
    Image.fromarray(pixels).save(tmp_path / "Masks/one/a_mask_1.png")
    assert make(thing(SQUARE), thing(SEGM)).instances(0).masks.areas().tolist() == [600, 28]


def test_the_set_its_annotations_and_the_file_can_be_named(make, tmp_path: Path) -> None:
    make(thing(SQUARE))
    for path in ("", "Annotations/one", "Annotations/one/a.xml"):
        assert len(open_dataset(tmp_path / path)[0].instances) == 1


def test_deleted_ones_are_none_and_points_are_left_out(make) -> None:
    dataset = make(thing(SQUARE, deleted=1), thing(points((1, 1))), thing(points((1, 1), (5, 5))))
    assert (len(dataset.instances(0)), [left.reason for left in dataset.left_out]) == (
        0,
        ["a point has no area", "a line of 2 points has no area"],
    )


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (thing(points()), "object 1: polygon has 0 points, expected at least 3"),
        (thing(""), "object 1: expected <polygon> or <segm>, got neither"),
        (thing(SQUARE, ""), "object 1: name: expected a class, got nothing"),
        (thing(SQUARE.replace("<x>30", "<x>b", 1)), "object 1: pt 1: x: expected a number, got 'b'"),
        (thing(SEGM), "object 1: mask: expected a mask in "),
    ],
)
def test_errors_name_the_file_and_the_object(make, odd: str, words: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        make(thing(SQUARE), odd)
    assert f"a.xml: {words}" in str(caught.value)


def test_a_mask_of_another_size_is_refused(make, tmp_path: Path) -> None:
    Image.new("L", (W, H - 1)).save(tmp_path / "Masks/one/a_mask_1.png")
    with pytest.raises(AnnotationError, match=r"mask: expected 60x80 \(height x width\) as the picture, got 59x80"):
        make(thing(SEGM))


def test_no_odd_file_ends_in_a_bare_exception(make, tmp_path: Path) -> None:
    make(thing(SQUARE))
    Image.new("L", (W, H)).save(tmp_path / "Masks/one/a_mask_1.png")
    path = tmp_path / "Annotations/one/a.xml"
    good = document(thing(points((1, 2), (3, 4), (5, 9))), thing(SEGM))
    for changed in [*with_odd_words(good), *with_odd_bytes(good)]:
        path.write_bytes(changed)
        open_or_refuse(path, "labelme-xml")


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
def test_the_real_set() -> None:
    dataset = open_dataset(SHARED / "format_examples/labelme_dataset")
    text = (SHARED / "format_examples/labelme_dataset/Annotations/subset1/img1.xml").read_text()
    assert [len(dataset), len(dataset.instances(0)), len(dataset.left_out)] == [1, text.count("<object>"), 0]
    assert dataset.instances(0).names == ["window", "license plate", "o1", "q1", "b1", "m1", "hg"]
    assert dataset[0].image.shape == (77, 102, 3)

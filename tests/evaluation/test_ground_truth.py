"""COCO annotations as ground truth: the file's own numbers, and where they are not believed."""

from __future__ import annotations

from typing import Any

import pytest

from maskrcnn.errors import AnnotationError
from maskrcnn.evaluation.ground_truth import from_coco
from maskrcnn.ops.rle import decode

SQUARE = [2.0, 3.0, 12.0, 3.0, 12.0, 13.0, 2.0, 13.0]  # box 2 3 10 10, 100 pixels


def _file(**annotation: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "height": 20, "width": 30, "file_name": "1.png"}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"id": 77, "image_id": 1, "category_id": 3, **annotation}],
    }


def test_box_and_area_are_the_file_s_own() -> None:
    truth = from_coco(_file(segmentation=[SQUARE], bbox=[2.5, 3, 9.5, 10], area=98.7))
    assert (truth.objects[0].bbox, truth.objects[0].area) == ([2.5, 3, 9.5, 10], 98.7)
    assert truth.notes == ()


def test_a_box_off_its_outline_is_not_believed() -> None:
    truth = from_coco(_file(segmentation=[SQUARE], bbox=[2, 3, 12, 13], area=156))
    assert (truth.objects[0].bbox, truth.objects[0].area) == ([2, 3, 10, 10], 100)
    assert truth.notes == ("1 of 1 annotations: bbox is off the outline by more than 2 pixels; taken from the mask",)


@pytest.mark.parametrize("given", [{}, {"area": 100}, {"bbox": [2, 3, 10, 10]}, {"bbox": [2, 3, 10, 10], "area": 0}])
def test_what_is_not_stated_comes_from_the_mask(given: dict[str, Any]) -> None:
    truth = from_coco(_file(segmentation=[SQUARE], **given))
    assert (truth.objects[0].bbox, truth.objects[0].area) == ([2, 3, 10, 10], 100)
    assert truth.notes == ()


def test_both_forms_of_run_lengths_are_the_same_object() -> None:
    runs = [23, 2, 18, 2, 555]  # rows 3 and 4 of columns 1 and 2 in a picture 20 high
    loose = from_coco(_file(segmentation={"size": [20, 30], "counts": runs}, iscrowd=1)).objects[0]
    assert loose.rle is not None
    tight = from_coco(_file(segmentation=dict(loose.rle), iscrowd=1)).objects[0]
    assert loose == tight
    assert (loose.bbox, loose.area, loose.crowd) == ([1, 3, 2, 2], 4, True)


def test_a_box_alone_has_the_box_s_area() -> None:
    one = from_coco(_file(bbox=[2, 3, 10, 10], segmentation=[])).objects[0]
    assert (one.bbox, one.area, one.rle) == ([2, 3, 10, 10], 100, None)


def test_an_outline_off_every_pixel_centre_is_an_object_with_an_empty_mask() -> None:
    # as in pycocotools: it can be found by its box, and not by its mask
    one = from_coco(_file(segmentation=[[2.6, 3.6, 2.7, 3.6, 2.7, 3.7]])).objects[0]
    assert one.bbox == pytest.approx([2.6, 3.6, 0.1, 0.1])
    assert one.rle is not None
    assert decode(one.rle).pixels.size == 0


def test_a_malformed_file_is_named() -> None:
    with pytest.raises(AnnotationError, match=r"^ground truth: annotation 77: "):
        from_coco(_file(image_id=2))

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.errors import AnnotationError, DataError, ImageError

H, W = 10, 20
BOXES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
MASKS = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
IMAGE_LABELS = "ImageID,Source,LabelName,Confidence"


def box(picture: str, label: str, x1: float, x2: float, y1: float, y2: float, group: int = 0) -> str:
    return f"{picture},xclick,{label},1,{x1},{x2},{y1},{y2},0,0,{group},0,0"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("annotations", "images/train", "masks/train"):
        (tmp_path / name).mkdir(parents=True)
    for stem in "ab":
        Image.new("RGB", (W, H)).save(tmp_path / f"images/train/{stem}.jpg")
    table(tmp_path, "oidv6-class-descriptions", "LabelName,DisplayName", "/m/1,Cat", "/m/2,Dog", "/m/3,Hat")
    return tmp_path


def table(root: Path, name: str, *rows: str) -> Path:
    path = root / f"annotations/{name}.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_boxes_groups_and_class_names(root: Path) -> None:
    rows = [box("b", "/m/2", 0.1, 0.5, 0.2, 0.6), box("b", "/m/1", 0, 1, 0, 1, group=1), box("a", "/m/1", 0, 0.5, 0, 1)]
    path = table(root, "oidv6-train-annotations-bbox", BOXES, *rows)
    for place in (root, root / "annotations", path):
        dataset = open_dataset(place)
        assert (dataset.format, dataset.class_names) == ("open-images", ("Cat", "Dog", "Hat"))
    assert [record.name for record in dataset.records] == ["b.jpg", "a.jpg"]
    instances = dataset[0].instances
    assert (instances.names, instances.crowd.tolist(), instances.masks) == (["Dog", "Cat"], [False, True], None)
    assert np.allclose(instances.boxes, [[2, 2, 10, 6], [0, 0, 20, 10]])
    assert dataset.records[0].labelled is None


def test_masks_join_their_boxes_in_the_pictures_resolution(root: Path) -> None:
    table(root, "train-annotations-bbox", BOXES, box("a", "/m/1", 0, 0.5, 0, 1), box("a", "/m/2", 0, 0.5, 0, 1))
    rows = [
        "a_2.png,a,/m/2,77,0.0,0.50001,0,1,0.9,",
        "a_3.png,a,/m/3,78,0.5,1,0,1,0.9,",
        "a_1.png,a,/m/1,79,0,0.5,0,1,,",
    ]
    table(root, "train-annotations-object-segmentation", MASKS, *rows)
    for i, window in ((1, np.s_[:, :5]), (2, np.s_[:2, :3]), (3, np.s_[4:, 8:])):
        mask = np.zeros((H // 2, W // 2), dtype=np.uint8)
        mask[window] = 255
        Image.fromarray(mask).convert("1").save(root / f"masks/train/a_{i}.png")
    instances = open_dataset(root)[0].instances
    assert instances.names == ["Cat", "Dog", "Hat"]
    assert instances.boxes.tolist() == [[0, 0, 10, 10], [0, 0, 6, 4], [16, 8, 20, 10]]
    Image.new("1", (H, W)).save(root / "masks/train/a_2.png")
    with pytest.raises(AnnotationError, match=r"a_2\.png: expected the size of .*got 20x10; height and width are") as e:
        open_dataset(root)
    assert e.value.code == "P103"
    (root / "masks/train/a_2.png").unlink()
    with pytest.raises(ImageError, match=r"segmentation\.csv: line 2: MaskPath: expected a file a_2\.png, found none"):
        open_dataset(root)


def test_only_verified_classes_were_looked_for(root: Path) -> None:
    table(root, "train-annotations-bbox", BOXES, box("a", "/m/1", 0, 0.5, 0, 1))
    table(root, "train-annotations-human-imagelabels", IMAGE_LABELS, "a,verification,/m/1,1", "a,verification,/m/3,0")
    assert open_dataset(root).records[0].labelled == {0, 2}


FAULTS = {
    "a,x,/m/9,1,0,1,0,1,0,0,0,0,0": "LabelName: expected one of the class descriptions, got /m/9",
    "a,x,/m/1,1,zero,1,0,1,0,0,0,0,0": "XMin: expected a number, got 'zero'",
    "a,x,/m/1,1,0.5,0.1,0,1,0,0,0,0,0": "box: expected a right and a lower side from the others up",
    "a,x,/m/1": "XMin: expected a value, got nothing",
    ",x,/m/1,1,0,1,0,1,0,0,0,0,0": "ImageID: expected a value, got nothing",
}


@pytest.mark.parametrize("row", FAULTS)
def test_a_row_that_is_wrong_is_named_and_the_rest_is_read(root: Path, row: str) -> None:
    table(root, "train-annotations-bbox", BOXES, box("a", "/m/1", 0, 0.5, 0, 1), row)
    with pytest.raises(AnnotationError, match=rf"bbox\.csv: line 3: {FAULTS[row]}"):
        open_dataset(root)
    seen: list[DataError] = []
    assert len(open_dataset(root, fault=seen.append).instances(0)) == 1
    assert len(seen) == 1


def test_a_missing_picture_and_a_broken_table(root: Path) -> None:
    table(root, "train-annotations-bbox", BOXES, box("zz", "/m/1", 0, 0.5, 0, 1))
    with pytest.raises(ImageError, match=r"1 of 1 pictures are missing: zz\.jpg"):
        open_dataset(root, pictures="optional")
    (root / "annotations/train-annotations-bbox.csv").write_bytes(b"ImageID,XMin\n\xff\xfe\n")
    with pytest.raises(AnnotationError, match="expected text in UTF-8") as caught:
        open_dataset(root)
    assert caught.value.code == "F001"

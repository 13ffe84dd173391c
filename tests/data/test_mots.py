from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.errors import AnnotationError, ImageError

H, W = 6, 9


def save(folder: Path, stem: str, *values: int, pictures: str = "images") -> None:
    for name in (f"{pictures}/{stem}.jpg", f"instances/{stem}.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (W, H)).save(folder / f"{pictures}/{stem}.jpg")
    ids = np.zeros((H, W), dtype=np.uint16)
    ids[2:4, : len(values)] = values
    Image.fromarray(ids).save(folder / f"instances/{stem}.png")


def test_values_are_class_and_number(tmp_path: Path) -> None:
    save(tmp_path, "1", 1001, 1001, 2002, 0, 10000)
    dataset = open_dataset(tmp_path)
    assert (dataset.format, dataset.class_names) == ("mots", ("car", "pedestrian"))
    instances = dataset[0].instances
    assert instances.names == ["car", "pedestrian", "car", "pedestrian"]  # 10000 is ignored for both
    assert instances.crowd.tolist() == [False, False, True, True]
    assert instances.boxes.tolist() == [[0, 2, 2, 4], [2, 2, 3, 4], [4, 2, 5, 4], [4, 2, 5, 4]]


def test_sequences_and_classes_of_ones_own(tmp_path: Path) -> None:
    for sequence in ("0002", "0001"):
        save(tmp_path, f"{sequence}/000010", 3001, pictures="image_02")
        save(tmp_path, f"{sequence}/000009", pictures="image_02")
    (tmp_path / "instances/labels.txt").write_text("a\nb\nc\n")
    dataset = open_dataset(tmp_path)
    assert [record.name for record in dataset.records] == [
        f"{sequence}/{stem}.jpg" for sequence in ("0001", "0002") for stem in ("000009", "000010")
    ]
    assert [sample.instances.names for sample in dataset] == [[], ["c"], [], ["c"]]


def test_faults(tmp_path: Path) -> None:
    save(tmp_path, "1", 4001)
    with pytest.raises(AnnotationError, match=r"1\.png: expected class . 1000 \+ number .* 1 to 2, got 4001") as caught:
        open_dataset(tmp_path)
    assert caught.value.code == "C301"
    save(tmp_path, "1", 1001)
    (tmp_path / "images/1.jpg").rename(tmp_path / "images/2.jpg")
    with pytest.raises(ImageError, match=r"1\.png: expected a picture called 1\.\*"):
        open_dataset(tmp_path)

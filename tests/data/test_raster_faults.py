"""Sets of every raster format with bytes changed anywhere: all end in an error that says so, or are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.errors import MaskRCNNError

H, W = 6, 9
PHOTO = np.random.default_rng(1).integers(0, 256, (H, W, 3), dtype=np.uint8)
MUTATIONS = 25


def image(path: Path, array: np.ndarray = PHOTO) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, array) if path.suffix == ".tif" else Image.fromarray(array).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def ids(*values: int, dtype: type = np.uint16) -> np.ndarray:
    labels = np.zeros((H, W), dtype=dtype)
    labels[1:3, : len(values)] = values
    return labels


ONE = ids(255, 255, dtype=np.uint8)


def voc(root: Path) -> Path:
    image(root / "JPEGImages/a.png")
    image(root / "SegmentationObject/a.png", ids(1, 2, 255, dtype=np.uint8))
    image(root / "SegmentationClass/a.png", np.dstack([ONE, ONE, ONE]))
    text(root / "labelmap.txt", "background:0,0,0::\ncat:255,255,255::\n")
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox>"
    text(
        root / "Annotations/a.xml",
        "<annotation><folder>VOC2007</folder><filename>a.png</filename><size><width>9</width><height>6</height></size>"
        f"<object><name>cat</name><polygon><x1>1</x1><y1>2</y1><x2>3</x2><y2>4</y2><x3>1</x3><y3>5</y3></polygon>{box}"
        "</object></annotation>",
    )
    text(root / "ImageSets/Main/train.txt", '"a" 1\n')
    return root / "ImageSets/Main/train.txt"


def cityscapes_ids(root: Path) -> Path:
    image(root / "leftImg8bit/train/a/a_0_leftImg8bit.png")
    image(root / "gtFine/train/a/a_0_gtFine_instanceIds.png", ids(24001, 24, 7))
    return root / "gtFine/train"


def cityscapes_polygons(root: Path) -> Path:
    image(root / "leftImg8bit/train/a/a_0_leftImg8bit.png")
    ring = [[1, 1], [5, 1], [3, 4]]
    objects = [{"label": label, "polygon": ring} for label in ("road", "cargroup", "car")]
    document = {"imgHeight": H, "imgWidth": W, "objects": objects}
    text(root / "gtFine/train/a/a_0_gtFine_polygons.json", json.dumps(document))
    return root / "gtFine/train"


def kitti(root: Path) -> Path:
    image(root / "image_2/0.png")
    text(root / "label_2/0.txt", "Car 0.00 0 -1.57 1 1 5 5 1 1 1 1 1 1 1\nDontCare -1 -1 -10 1 1 5 5 1 1 1 1 1 1 1\n")
    return root


def kittiseg(root: Path) -> Path:
    image(root / "a.png")
    image(root / "b.png", np.where(ONE[..., None] > 0, (255, 0, 255), (255, 0, 0)).astype(np.uint8))
    text(root / "train.txt", "a.png b.png\n")
    return root / "train.txt"


def label_tiff(root: Path) -> Path:
    image(root / "images/a.tif", PHOTO[..., 0].astype(np.uint16))
    image(root / "masks/a.tif", ids(1, 700))
    return root


def mask_folders(root: Path) -> Path:
    image(root / "q/images/q.png")
    image(root / "q/masks/1.png", ONE)
    return root


def mask_files(root: Path) -> Path:
    image(root / "q/q.png")
    image(root / "q/q-cat-1.png", ONE)
    return root


def mots(root: Path) -> Path:
    image(root / "images/1.png")
    image(root / "instances/1.png", ids(1001, 2001, 10000))
    text(root / "instances/labels.txt", "a\nb\n")
    return root


def ade20k_2017(root: Path) -> Path:
    image(root / "x.jpg")
    image(root / "x_seg.png", np.dstack([ONE, ONE, ids(1, 2).astype(np.uint8)]))
    text(root / "x_atr.txt", '001 # 0 # 0 # person, one # person # ""\n002 # 0 # 1 # sky # sky # ""\n')
    return root


def ade20k_2020(root: Path) -> Path:
    image(root / "x.jpg")
    image(root / "x_seg.png")
    image(root / "x/instance_000.png", ONE)
    objects = [{"id": 0, "name": "car, auto", "instance_mask": "x/instance_000.png"}]
    text(root / "x.json", json.dumps({"annotation": {"object": objects}}))
    return root


def vistas(root: Path) -> Path:
    image(root / "images/x.jpg")
    image(root / "v2.0/instances/x.png", ids(1, 256, 257))
    labels = [{"name": "bird", "instances": True}, {"name": "wall", "instances": False}]
    text(root / "config_v2.0.json", json.dumps({"labels": labels}))
    return root / "v2.0"


def open_images(root: Path) -> Path:
    image(root / "images/train/a.png")
    image(root / "masks/train/a_1.png", ONE)
    text(root / "annotations/class-descriptions.csv", "/m/1,Cat\n")
    text(
        root / "annotations/train-annotations-bbox.csv",
        "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\na,/m/1,0.1,0.2,0.1,0.3,0\n",
    )
    text(
        root / "annotations/train-annotations-object-segmentation.csv",
        "MaskPath,ImageID,LabelName,BoxXMin,BoxXMax,BoxYMin,BoxYMax\na_1.png,a,/m/1,0.1,0.2,0.1,0.3\n",
    )
    text(root / "annotations/train-annotations-human-imagelabels.csv", "ImageID,LabelName,Confidence\na,/m/1,0\n")
    return root / "annotations/train-annotations-bbox.csv"


SETS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "voc": ("voc", voc),
    "cityscapes, images": ("cityscapes", cityscapes_ids),
    "cityscapes, polygons": ("cityscapes", cityscapes_polygons),
    "kitti": ("kitti", kitti),
    "kittiseg": ("kittiseg", kittiseg),
    "label tiff": ("id-images", label_tiff),
    "mask folders": ("mask-folders", mask_folders),
    "mask files": ("mask-files", mask_files),
    "mots": ("mots", mots),
    "ade20k of 2017": ("ade20k", ade20k_2017),
    "ade20k of 2020": ("ade20k", ade20k_2020),
    "vistas": ("vistas", vistas),
    "open images": ("open-images", open_images),
}


def mutated(good: bytes, rng: np.random.Generator) -> bytes:
    """Change, cut, double or replace some bytes."""
    at, length = int(rng.integers(0, len(good))), int(rng.integers(1, 9))
    noise = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
    digits = rng.choice(np.frombuffer(b'0123456789.-<>{}[]",:#/ ea\n', dtype=np.uint8), length).tobytes()
    ways = [
        good[:at] + noise + good[at + length :],
        good[:at] + digits + good[at + length :],
        good[:at] + digits + good[at:],
        good[:at],
        good[:at] + good[at + length :],
        good + good,
        noise,
        b"",
    ]
    return ways[int(rng.integers(0, len(ways)))]


@pytest.mark.parametrize("kind", SETS)
def test_changed_bytes_end_in_no_bare_exception(tmp_path: Path, kind: str) -> None:
    name, build = SETS[kind]
    place = build(tmp_path)
    dataset = open_dataset(place)
    assert dataset.format == name
    assert sum(len(sample.instances) for sample in dataset) >= 1
    rng = np.random.default_rng(0)
    refused = 0
    for path in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        good = path.read_bytes()
        for _ in range(MUTATIONS):
            path.write_bytes(mutated(good, rng))
            for fault in ({}, {"fault": lambda error: None}):
                try:
                    list(open_dataset(place, format=name, **fault))
                except MaskRCNNError:
                    refused += 1
        path.write_bytes(good)
    assert refused > MUTATIONS / 2
    assert open_dataset(place).fingerprint() == dataset.fingerprint()

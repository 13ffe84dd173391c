"""A small valid set of every format, whose files are damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from PIL import Image

H, W = 24, 32


def picture(path: Path) -> None:
    """Write a picture of 24x32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (W, H), (90, 120, 30)).save(path)


def write_json(path: Path, document: object) -> Path:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def coco(folder: Path) -> Path:
    """Polygons, both kinds of run lengths, a crowd, a box alone."""
    picture(folder / "a.png")
    picture(folder / "b.png")
    images = [{"id": i, "file_name": f"{n}.png", "height": H, "width": W} for i, n in ((5, "a"), (6, "b"))]
    common = {"image_id": 5, "category_id": 7}
    annotations = [
        {"id": 1, **common, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9], [12, 2, 20, 2, 16, 9]], "bbox": [1, 1, 19, 8]},
        {"id": 2, **common, "segmentation": {"size": [H, W], "counts": [30, 5, H * W - 35]}, "iscrowd": 1, "area": 5},
        {"id": 3, **common, "segmentation": {"size": [H, W], "counts": "n05\\\\f0"}},
        {"id": 4, "image_id": 6, "category_id": 90, "bbox": [2.5, 3, 10, 11]},
    ]
    annotations[2]["segmentation"] = {"size": [H, W], "counts": _compressed()}
    categories = [{"id": 90, "name": "dog", "supercategory": "animal"}, {"id": 7, "name": "cat"}]
    return write_json(folder / "set.json", {"images": images, "annotations": annotations, "categories": categories})


def _compressed() -> str:
    import numpy as np

    from maskrcnn.ops.rle import compress

    return compress(np.array([40, 7, 17, 7, H * W - 71]))


def via(folder: Path) -> Path:
    """Every shape, and both ways of writing a class."""
    picture(folder / "a.png")
    shapes = [
        {"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]},
        {"name": "rect", "x": 3, "y": 4, "width": 8, "height": 5},
        {"name": "circle", "cx": 15, "cy": 12, "r": 4},
        {"name": "ellipse", "cx": 20, "cy": 12, "rx": 6, "ry": 3, "theta": 0.3},
        {"name": "polyline", "all_points_x": [1, 5, 5], "all_points_y": [10, 10, 15]},
        {"name": "point", "cx": 3, "cy": 3},
    ]
    regions = [{"shape_attributes": shape, "region_attributes": {"name": "cat"}} for shape in shapes]
    entry = {"filename": "a.png", "size": 99, "regions": regions, "file_attributes": {}}
    settings = {"core": {"default_filepath": ""}}
    return write_json(folder / "via.json", {"_via_settings": settings, "_via_img_metadata": {"a.png99": entry}})


CORPUS: dict[str, Callable[[Path], Path]] = {"coco": coco, "via": via}
"""A function a format, by the name that `--format` takes; it fills a folder and returns what to open."""

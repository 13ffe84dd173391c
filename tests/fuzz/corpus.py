"""A small valid set of every format, whose files are damaged."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.data.writing import convert
from maskrcnn.ops.rle import compress

sys.path.append(str(Path(__file__).parents[1] / "data"))
from tf_records import example, framed  # of the tests beside it

H, W = 24, 32
EDGES = ("xmin", "xmax", "ymin", "ymax")


def picture(path: Path) -> None:
    """Write a picture of 24x32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (W, H), (90, 120, 30)).save(path)


def write_json(path: Path, document: object) -> Path:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def write_text(path: Path, *lines: str) -> Path:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def save(path: Path, pixels: np.ndarray) -> None:
    """Write an array as a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def coco(folder: Path) -> Path:
    """Polygons, both kinds of run lengths, a crowd, a box alone."""
    picture(folder / "a.png")
    picture(folder / "b.png")
    images = [{"id": i, "file_name": f"{n}.png", "height": H, "width": W} for i, n in ((5, "a"), (6, "b"))]
    common = {"image_id": 5, "category_id": 7}
    annotations = [
        {"id": 1, **common, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9], [12, 2, 20, 2, 16, 9]], "bbox": [1, 1, 19, 8]},
        {"id": 2, **common, "segmentation": {"size": [H, W], "counts": [30, 5, H * W - 35]}, "iscrowd": 1, "area": 5},
        {"id": 3, **common, "segmentation": {"size": [H, W], "counts": _compressed()}},
        {"id": 4, "image_id": 6, "category_id": 90, "bbox": [2.5, 3, 10, 11]},
    ]
    categories = [{"id": 90, "name": "dog", "supercategory": "animal"}, {"id": 7, "name": "cat"}]
    return write_json(folder / "set.json", {"images": images, "annotations": annotations, "categories": categories})


def _compressed() -> str:
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


def via_csv(folder: Path) -> Path:
    """A line a region, JSON in quoted cells."""
    picture(folder / "a.png")
    shape = '"{""name"":""rect"",""x"":10,""y"":2,""width"":9,""height"":3}"'
    rows = [
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes",
        f'a.png,9,"{{}}",2,0,{shape},"{{""name"":""cat""}}"',
        'a.png,9,"{}",2,1,"{""name"":""circle"",""cx"":9,""cy"":9,""r"":5}","{""name"":""dog""}"',
    ]
    return write_text(folder / "via.csv", *rows)


def via3(folder: Path) -> Path:
    """A project of VIA 3."""
    picture(folder / "a.png")
    document = {
        "project": {"pname": "x", "data_format_version": "3.1.2", "vid_list": ["1"]},
        "attribute": {"1": {"aname": "kind", "anchor_id": "FILE1_Z0_XY1", "type": 4, "options": {"0": "cat"}}},
        "file": {"1": {"fid": "1", "fname": "a.png", "type": 2, "loc": 1, "src": ""}},
        "view": {"1": {"fid_list": ["1"]}},
        "metadata": {
            "1_a": {"vid": "1", "flg": 0, "z": [], "xy": [2, 10, 2, 9, 9], "av": {"1": "0"}},
            "1_b": {"vid": "1", "flg": 0, "z": [], "xy": [7, 1, 2, 9, 2, 9, 9], "av": {"1": "0"}},
            "1_c": {"vid": "1", "flg": 0, "z": [], "xy": [4, 15, 12, 4, 3], "av": {"1": "0"}},
        },
    }
    return write_json(folder / "project.json", document)


def lvis(folder: Path) -> Path:
    """Federated labels."""
    picture(folder / "000000000005.jpg")
    image = {
        "id": 5,
        "height": H,
        "width": W,
        "neg_category_ids": [2],
        "not_exhaustive_category_ids": [1],
        "coco_url": "http://images.cocodataset.org/val2017/000000000005.jpg",
    }
    ring = [[1, 1, 9, 1, 9, 9]]
    annotation = {"id": 1, "image_id": 5, "category_id": 1, "segmentation": ring, "bbox": [1, 1, 8, 8], "area": 32}
    categories = [{"id": i, "name": f"c{i}", "synset": f"c{i}.n.01", "frequency": "r"} for i in (1, 2)]
    return write_json(folder / "lvis.json", {"images": [image], "annotations": [annotation], "categories": categories})


def panoptic(folder: Path) -> Path:
    """Segments by colour."""
    picture(folder / "a.jpg")
    ids = np.zeros((H, W, 3), dtype=np.uint8)
    ids[2:9, 3:12, 0], ids[12:20, 5:20, 1] = 7, 3
    save(folder / "set/a.png", ids)
    segments = [{"id": 7, "category_id": 1, "iscrowd": 0, "bbox": [3, 2, 9, 7], "area": 63}]
    segments.append({"id": 3 * 256, "category_id": 2, "iscrowd": 0})
    categories = [{"id": 1, "name": "cat", "isthing": 1}, {"id": 2, "name": "sky", "isthing": 0}]
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": H, "width": W}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": categories,
    }
    return write_json(folder / "set.json", document)


def sa1b(folder: Path) -> Path:
    """A JSON file beside each picture."""
    picture(folder / "sa_1.jpg")
    image = {"image_id": 1, "width": W, "height": H, "file_name": "sa_1.jpg"}
    rle = {"size": [H, W], "counts": _compressed()}
    annotation = {"id": 9, "segmentation": rle, "bbox": [1, 1, 3, 3], "area": 14, "predicted_iou": 0.9}
    write_json(folder / "sa_1.json", {"image": image, "annotations": [annotation]})
    return folder


def vott(folder: Path) -> Path:
    """Assets with regions."""
    picture(folder / "a.png")
    points = [{"x": 1, "y": 2}, {"x": 9, "y": 2}, {"x": 9, "y": 9}]
    box = {"left": 10, "top": 2, "width": 9, "height": 9}
    regions = [
        {"id": kind, "type": kind, "tags": ["cat"], "boundingBox": box, "points": points}
        for kind in ("POLYGON", "RECTANGLE", "POLYLINE")
    ]
    asset = {"name": "a.png", "path": "file:/a.png", "size": {"width": W, "height": H}, "state": 2, "type": 1}
    document = {"name": "x", "tags": [{"name": "cat"}], "assets": {"1": {"asset": asset, "regions": regions}}}
    return write_json(folder / "x-export.json", document)


def createml(folder: Path) -> Path:
    """Boxes about their middle."""
    picture(folder / "a.png")
    place = {"x": 9, "y": 9, "width": 6, "height": 8}
    entry = {"image": "a.png", "annotations": [{"label": "cat", "coordinates": place}]}
    return write_json(folder / "_annotations.createml.json", [entry])


def labelme_xml(folder: Path) -> Path:
    """An outline and a mask."""
    picture(folder / "Images/one/a.png")
    pixels = np.zeros((H, W, 4), dtype=np.uint8)
    pixels[5:9, 3:10] = (0, 0, 153, 147)
    save(folder / "Masks/one/a_mask_1.png", pixels)
    points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((1, 2), (9, 2), (9, 9)))
    head = "<annotation><filename>a.png</filename><folder>one</folder>"
    first = f"<object><name>cat</name><deleted>0</deleted><polygon>{points}</polygon></object>"
    second = "<object><name>dog</name><segm><box><xmin>1</xmin></box><mask>a_mask_1.png</mask></segm></object>"
    size = f"<imagesize><nrows>{H}</nrows><ncols>{W}</ncols></imagesize></annotation>"
    write_text(folder / "Annotations/one/a.xml", head + first + second + size)
    return folder


def mask_folders(folder: Path) -> Path:
    """The Data Science Bowl's layout."""
    picture(folder / "x/images/x.png")
    for i in range(2):
        save(folder / f"x/masks/{i}.png", _block(i).astype(np.uint8) * 255)
    return folder


def id_images(folder: Path) -> Path:
    """16-bit labels."""
    picture(folder / "images/a.png")
    save(folder / "masks/a.png", _block(0).astype(np.uint16) * 300 + _block(1).astype(np.uint16) * 7)
    return folder


def cityscapes(folder: Path) -> Path:
    """Outlines in their order."""
    stem = "train/aachen/aachen_000000_000019_"
    picture(folder / f"leftImg8bit/{stem}leftImg8bit.png")
    rings = [("car", [[1, 1], [9, 1], [9, 9]]), ("persongroup", [[4, 4], [20, 4], [20, 20], [4, 20]])]
    objects = [{"label": label, "polygon": ring} for label, ring in rings]
    document = {"imgHeight": H, "imgWidth": W, "objects": objects}
    write_json(folder / f"gtFine/{stem}gtFine_polygons.json", document)
    return folder


def kitti(folder: Path) -> Path:
    """Boxes and a region to be ignored."""
    picture(folder / "image_2/000000.png")
    lines = ("Car 0.00 0 -1.57 2.5 3 9 11.25 1.5 1.6 3.9 1.0 1.5 20.0 -1.6",)
    ignored = "DontCare -1 -1 -10 20 1 30 9 -1 -1 -1 -1000 -1000 -1000 -10"
    write_text(folder / "label_2/000000.txt", *lines, ignored)
    return folder


def kittiseg(folder: Path) -> Path:
    """A list of pictures with coloured ground truth."""
    picture(folder / "image_2/um_000000.png")
    colours = np.zeros((H, W, 3), dtype=np.uint8)
    colours[..., 0], colours[12:, 4:20, 2] = 255, 255
    save(folder / "gt_image_2/um_road_000000.png", colours)
    return write_text(folder / "train.txt", "image_2/um_000000.png gt_image_2/um_road_000000.png")


def mots(folder: Path) -> Path:
    """Class and number in a value."""
    picture(folder / "images/1.jpg")
    save(folder / "instances/1.png", _block(0).astype(np.uint16) * 1001 + _block(1).astype(np.uint16) * 2002)
    return folder


def ade20k(folder: Path) -> Path:
    """Objects of 2020 with a mask each."""
    home = folder / "validation/street"
    picture(home / "y.jpg")
    save(home / "y_seg.png", np.dstack([_block(0)] * 3).astype(np.uint8))
    save(home / "y/instance_000_y.png", _block(0).astype(np.uint8) * 255)
    entry = {"id": 0, "name": "car, auto", "instance_mask": "y/instance_000_y.png", "raw_name": "car"}
    write_json(home / "y.json", {"annotation": {"filename": "y.jpg", "object": [entry]}})
    return folder


def vistas(folder: Path) -> Path:
    """Instance images and a configuration."""
    labels = [{"name": "animal--bird", "instances": True}, {"name": "wall", "instances": False}]
    write_json(folder / "config_v2.0.json", {"labels": labels})
    picture(folder / "training/images/x.jpg")
    ids = np.full((H, W), 256, dtype=np.uint16)
    ids[_block(0)], ids[_block(1)] = 0, 1
    save(folder / "training/v2.0/instances/x.png", ids)
    save(folder / "training/v2.0/labels/x.png", (ids >> 8).astype(np.uint8))
    return folder / "training"


def open_images(folder: Path) -> Path:
    """Boxes and a mask."""
    picture(folder / "images/train/a.jpg")
    home = folder / "annotations"
    write_text(home / "oidv6-class-descriptions.csv", "LabelName,DisplayName", "/m/1,Cat")
    columns = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf"
    write_text(home / "train-annotations-bbox.csv", columns, "a,xclick,/m/1,1,0.1,0.5,0.2,0.6,0,0,0")
    columns = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
    write_text(home / "train-annotations-object-segmentation.csv", columns, "m.png,a,/m/1,7,0.1,0.5,0.2,0.6,0.9,")
    save(folder / "masks/train/m.png", _block(0).astype(np.uint8) * 255)
    return folder


def pose_bowl(folder: Path) -> Path:
    """As it is drawn here."""
    synthesise("spacecraft", folder, 2, size_hw=(64, 64), layout="pose-bowl")
    (folder / "synth.json").unlink()
    return folder


def geotiff(folder: Path) -> Path:
    """A raster and outlines on its map."""
    import rasterio

    folder.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "count": 1, "height": H, "width": W, "dtype": "uint16", "crs": "EPSG:32633"}
    with rasterio.open(folder / "a.tif", "w", **profile, transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)) as file:
        file.write(np.arange(H * W, dtype=np.uint16).reshape(1, H, W))
    ring = [[5e5 + x, 5e6 - y] for x, y in ((2, 2), (9, 2), (9, 9), (2, 2))]
    feature = {
        "type": "Feature",
        "properties": {"class": "roof"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    crs = {"type": "name", "properties": {"name": "EPSG:32633"}}
    write_json(folder / "a.geojson", {"type": "FeatureCollection", "crs": crs, "features": [feature]})
    return folder


def cis680(folder: Path) -> Path:
    """Pictures in HDF5, labels in arrays of objects."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("img", np.zeros((2, 3, H, W), np.uint8)), ("mask", np.stack([_block(0), _block(1)]) * 1)):
        with h5py.File(folder / f"my_{name}_comp_zlib.h5", "w") as file:
            file.create_dataset("data", data=data.astype(np.uint8), compression="gzip")
    boxes = [np.array([[2, 2, 10, 10]], np.float32), np.array([[12, 10, 22, 20]], np.float32)]
    for name, rows in (("labels", [np.array([1]), np.array([3])]), ("bboxes", boxes)):
        array = np.empty(2, dtype=object)
        array[:] = rows
        np.save(folder / f"my_{name}_comp_zlib.npy", array, allow_pickle=True)
    return folder


def tfrecord(folder: Path) -> Path:
    """One picture with a mask and a box."""
    encoded = io.BytesIO()
    Image.new("RGB", (W, H), (90, 120, 30)).save(encoded, "PNG")
    mask = io.BytesIO()
    Image.fromarray(_block(0).astype(np.uint8)).save(mask, "PNG")
    features = {
        "image/encoded": [encoded.getvalue()],
        "image/filename": [b"a.png"],
        "image/height": [H],
        "image/width": [W],
        **{f"image/object/bbox/{edge}": [share] for edge, share in zip(EDGES, (0.1, 0.3, 0.1, 0.4), strict=True)},
        "image/object/class/label": [1],
        "image/object/class/text": [b"cat"],
        "image/object/mask": [mask.getvalue()],
    }
    write_text(folder / "label_map.pbtxt", "item { id: 1", " name: 'cat' }")
    (folder / "set.tfrecord").write_bytes(framed(example(features)))
    return folder / "set.tfrecord"


def _block(i: int) -> np.ndarray:
    mask = np.zeros((H, W), dtype=bool)
    mask[2 + 8 * i : 10 + 10 * i, 2 + 10 * i : 10 + 12 * i] = True
    return mask


def written(name: str) -> Callable[[Path], Path]:
    """Convert the COCO set into another format."""

    def _write(folder: Path) -> Path:
        dataset = open_dataset(coco(folder.parent / "first"))
        convert(dataset, folder, name)
        return folder

    return _write


def zipped(folder: Path) -> Path:
    """An archive of a COCO set."""
    coco(folder.parent / "first")
    folder.mkdir(parents=True)
    return Path(shutil.make_archive(str(folder / "set"), "zip", folder.parent / "first"))


CORPUS: dict[str, Callable[[Path], Path]] = {
    "coco": coco,
    "lvis": lvis,
    "coco-panoptic": panoptic,
    "segment-anything": sa1b,
    "via": via,
    "via csv": via_csv,
    "via 3": via3,
    "labelme": written("labelme"),
    "labelme-xml": labelme_xml,
    "cvat": written("cvat"),
    "yolo": written("yolo"),
    "vott": vott,
    "createml": createml,
    "voc": written("voc"),
    "cityscapes": cityscapes,
    "kitti": kitti,
    "kittiseg": kittiseg,
    "mots": mots,
    "ade20k": ade20k,
    "vistas": vistas,
    "open-images": open_images,
    "id-images": id_images,
    "mask-files": written("png"),
    "mask-folders": mask_folders,
    "pose-bowl": pose_bowl,
    "cis680": cis680,
    "geotiff": geotiff,
    "tfrecord": tfrecord,
    "coco zip": zipped,
}
"""A function a parser: the name that `--format` takes, and a word where one format has several.

Each fills a folder and returns what to open.
"""

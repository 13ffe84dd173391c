"""What is written, looked at without a reader: files, names, pictures, losses, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from pycocotools.coco import COCO

from maskrcnn.data.dataset import Annotation, Dataset, Record, Rings, Runs
from maskrcnn.data.images import header_size, read_image
from maskrcnn.data.writing import WRITERS, convert
from maskrcnn.data.writing.pictures import FLAT, STEM, WHOLE, Names, inside
from maskrcnn.errors import ImageError, InputError, OutputError
from maskrcnn.ops.rle import Bitmap

SIZE = (6, 8)


def runs(*rows: str) -> Runs:
    """Take the # of a picture drawn in text."""
    pixels = np.array([[letter == "#" for letter in row.ljust(SIZE[1], ".")] for row in rows])
    return Runs.of(Bitmap(0, 0, pixels), SIZE)


RING = runs("####", "#..#", "####")
CORNER = runs("##", "##")
SQUARE = Rings((np.array([[1.0, 1], [3, 1], [3, 3], [1, 3]]),))


def make(folder: Path, *annotations: Annotation, name: str = "a.png", **changes: object) -> Dataset:
    """Make a set of one picture with two classes."""
    path = folder / "pictures" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE[::-1], (200, 100, 0)).save(path)
    record = Record(name, path, 1, SIZE, annotations)
    return Dataset(folder, "test", ["cat", "dog"], [1, 2], [record]).change(**changes)


def several(folder: Path, *names: str) -> Dataset:
    """Make a set of pictures of these names, each in a folder of its own and of a size of its own."""
    records = []
    for i, name in enumerate(names):
        path = folder / "sources" / str(i) / "x.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (8 + i, 6)).save(path)
        records.append(Record(name, path, i + 1, (6, 8 + i), ()))
    return Dataset(folder, "test", ["cat"], [1], records)


def files(folder: Path) -> set[str]:
    """List the visible files of a folder."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if not path.name.startswith(".")}


# ---- what lies where


EXPECTED = {
    "coco": {"annotations.json", "images/a.png"},
    "png": {"annotations/a_cat_0.png", "annotations/a_dog_1.png", "images/a.png"},
    "via": {"via_region_data.json", "a.png"},
    "yolo": {"data.yaml", "images/a.png", "labels/a.txt"},
    "labelme": {"a.png", "a.json"},
    "cvat": {"annotations.xml", "images/a.png"},
    "voc": {
        *("JPEGImages/a.png", "Annotations/a.xml", "SegmentationObject/a.png", "SegmentationClass/a.png"),
        *("ImageSets/Main/train.txt", "ImageSets/Segmentation/train.txt", "labelmap.txt"),
    },
    "labels": {"images/a.png", "masks/a.tif"},
}


def test_every_format_has_its_files_listed_here() -> None:
    assert set(EXPECTED) == set(WRITERS)


@pytest.mark.parametrize("name", WRITERS)
def test_files_and_counts(tmp_path: Path, name: str) -> None:
    dataset = make(tmp_path, Annotation("one", 0, RING), Annotation("two", 1, SQUARE))
    told: list[tuple[int, int]] = []
    written = convert(dataset, tmp_path / "out", name, progress=lambda *done: told.append(done))
    assert files(tmp_path / "out") == EXPECTED[name]
    assert (written.pictures, written.objects_in, written.objects) == (1, 2, 2)
    assert told == [(0, 1), (1, 1)]


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_the_coco_file_is_what_pycocotools_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crowd = Annotation("annotation 70", 1, RING, (0.0, 0.0, 4.0, 3.0), 10.0, crowd=True)
    dataset = make(
        tmp_path, Annotation("annotation 7", 0, SQUARE), crowd, category_ids=[3, 9], supercategories=["pet", "animal"]
    )
    convert(dataset, tmp_path / "out", "coco")
    coco = COCO(tmp_path / "out/annotations.json")
    assert [each["id"] for each in coco.loadAnns(coco.getAnnIds())] == [7, 70]
    assert coco.loadCats([3, 9]) == [
        {"id": 3, "name": "cat", "supercategory": "pet"},
        {"id": 9, "name": "dog", "supercategory": "animal"},
    ]
    square, ring = (coco.annToMask(coco.anns[i]) for i in (7, 70))
    assert square.nonzero()[0].tolist() == [1, 1, 2, 2]
    assert ring[:3, :4].tolist() == [[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    assert (coco.anns[7]["bbox"], coco.anns[7]["area"], coco.anns[70]["iscrowd"]) == ([1, 1, 2, 2], 4, 1)


def test_coco_keeps_columns_and_what_was_looked_for(tmp_path: Path) -> None:
    dataset = make(tmp_path, category_ids=[3, 9])
    record = replace(dataset.records[0], labelled=frozenset({1}), columns={"background_id": "17"})
    convert(dataset.change(records=[record]), tmp_path / "out", "coco")
    (image,) = json.loads((tmp_path / "out/annotations.json").read_text())["images"]
    assert (image["labelled"], image["columns"]) == ([9], {"background_id": "17"})


def test_the_via_file_has_keys_of_name_and_size(tmp_path: Path) -> None:
    convert(make(tmp_path, Annotation("one", 1, SQUARE)), tmp_path / "out", "via")
    size = (tmp_path / "out/a.png").stat().st_size
    square = {"name": "polygon", "all_points_x": [1, 3, 3, 1], "all_points_y": [1, 1, 3, 3]}
    region = {"shape_attributes": square, "region_attributes": {"class": "dog"}}
    entry = {"filename": "a.png", "size": size, "regions": [region], "file_attributes": {}}
    assert json.loads((tmp_path / "out/via_region_data.json").read_text()) == {f"a.png{size}": entry}


def test_yolo_lines(tmp_path: Path) -> None:
    dataset = make(tmp_path, Annotation("one", 1, SQUARE), Annotation("two", 0, None, (0.0, 0.0, 4.0, 3.0)))
    convert(dataset, tmp_path / "out", "yolo")
    lines = (tmp_path / "out/labels/a.txt").read_text().splitlines()
    sixth, third = "0.166666667", "0.5"
    assert lines == [
        f"1 0.125 {sixth} 0.375 {sixth} 0.375 {third} 0.125 {third}",
        "0 0.25 0.25 0.5 0.5",
    ]
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text()) == {
        "train": "images",
        "val": "images",
        "names": {0: "cat", 1: "dog"},
    }


def test_yolo_has_digits_enough_for_large_pictures(tmp_path: Path) -> None:
    size = (30001, 40001)
    pixels = np.eye(5, dtype=np.bool_)
    objects = [Annotation(f"{x}", 0, Runs.of(Bitmap(x, x - 10000, pixels), size)) for x in range(39000, 39040)]
    record = Record("a.png", tmp_path / "a.png", 1, size, tuple(objects))
    written = convert(Dataset(tmp_path, "test", ["cat"], [1], [record]), tmp_path / "out", "yolo", pictures="none")
    assert written.exact == 40
    for line in (tmp_path / "out/labels/a.txt").read_text().splitlines():
        corners = np.array([float(word) for word in line.split()[1:]]).reshape(-1, 2) * size[::-1]
        np.testing.assert_allclose(corners, corners.round(), atol=1e-4)


def test_labelme_says_holes_as_a_mask_and_parts_as_a_group(tmp_path: Path) -> None:
    parts = runs("##....##")
    dataset = make(tmp_path, *(Annotation("object", 0, shape) for shape in (RING, parts, SQUARE)))
    convert(dataset, tmp_path / "out", "labelme")
    document = json.loads((tmp_path / "out/a.json").read_text())
    assert (document["imagePath"], document["imageHeight"], document["imageWidth"]) == ("a.png", 6, 8)
    said = [(shape["shape_type"], shape["group_id"]) for shape in document["shapes"]]
    assert said == [("mask", None), ("polygon", 2), ("polygon", 2), ("polygon", None)]
    assert document["shapes"][0]["points"] == [[0, 0], [3, 2]]


def test_cvat_says_holes_as_runs_along_the_rows(tmp_path: Path) -> None:
    convert(make(tmp_path, Annotation("object", 0, RING)), tmp_path / "out", "cvat")
    root = ElementTree.parse(tmp_path / "out/annotations.xml").getroot()
    assert [label.text for label in root.findall("meta/task/labels/label/name")] == ["cat", "dog"]
    (mask,) = root.findall("image/mask")
    assert (mask.get("rle"), mask.get("width"), mask.get("height")) == ("0, 5, 2, 5", "4", "3")


def test_voc_numbers_objects_as_its_xml_lists_them(tmp_path: Path) -> None:
    whole_picture = Runs.of(Bitmap(0, 0, np.ones(SIZE, dtype=np.bool_)), SIZE)
    crowd = Annotation("crowd", 0, whole_picture, crowd=True)
    boxed = Annotation("boxed", 1, None, (1.0, 2.0, 3.5, 4.0))
    dataset = make(tmp_path, boxed, crowd, Annotation("hidden", 1, CORNER), Annotation("seen", 1, CORNER))
    written = convert(dataset, tmp_path / "out", "voc")
    root = ElementTree.parse(tmp_path / "out/Annotations/a.xml").getroot()
    said = [(each.findtext("name"), each.findtext("difficult")) for each in root.findall("object")]
    assert said == [("cat", "1"), ("dog", "0"), ("dog", "0")]
    objects = np.array(Image.open(tmp_path / "out/SegmentationObject/a.png"))
    classes = np.array(Image.open(tmp_path / "out/SegmentationClass/a.png"))
    assert (objects[0, 0], classes[0, 0], objects[5, 7], classes[5, 7]) == (2, 2, 1, 1)
    assert [each.text for each in root.findall("object")[2].find("bndbox")] == ["1", "2", "3.5", "4"]
    assert [(loss.what.split(",")[0], loss.count, loss.first) for loss in written.losses] == [
        ("objects wholly covered by others", 1, "hidden of a.png")
    ]
    assert written.worst is not None
    assert written.worst.iou == 44 / 48  # the crowd without the four pixels of the corner


# ---- what is lost


CASES = {
    "crowds": Annotation("it", 0, SQUARE, crowd=True),
    "boxes": Annotation("it", 0, None, (1.0, 1.0, 4.0, 4.0)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_crowds_and_boxes_are_written_or_listed(tmp_path: Path, name: str) -> None:
    exactness = WRITERS[name].exactness
    kept = {"crowds": "crowds" in exactness.holds, "boxes": exactness.boxes != "left out"}
    for case, annotation in CASES.items():
        dataset = make(tmp_path, annotation, Annotation("other", 1, SQUARE))
        written = convert(dataset, tmp_path / case, name)
        losses = [loss for loss in written.losses if loss.first == "it of a.png"]
        covered = name == "voc" and case == "crowds"  # two objects of the same pixels
        assert written.objects == 2 - (not kept[case]) - covered
        if case == "boxes" and exactness.boxes != "kept":
            assert len(losses) == 1
        if case == "crowds":
            assert len(losses) == (not kept[case]) + covered


@pytest.mark.parametrize("name", WRITERS)
def test_what_a_set_knows_beside_its_objects_is_held_or_listed(tmp_path: Path, name: str) -> None:
    dataset = make(tmp_path, Annotation("one", 0, SQUARE), category_ids=[3, 9], supercategories=["pet", ""])
    record = replace(dataset.records[0], labelled=frozenset({0}), columns={"place": "here"})
    written = convert(dataset.change(records=[record]), tmp_path / "out", name)
    words = {
        "ids": "category ids",
        "supercategories": "supercategories",
        "classes": "classes without an object",
        "columns": "pictures with columns",
        "labelled": "partly labelled pictures",
    }
    for thing, beginning in words.items():
        listed = any(loss.what.startswith(beginning) for loss in written.losses)
        assert listed == (thing not in WRITERS[name].exactness.holds), thing


@pytest.mark.parametrize("name", [name for name, writer in WRITERS.items() if writer.exactness.masks == "outlines"])
def test_a_simplified_outline_says_how_much_it_changed(tmp_path: Path, name: str) -> None:
    disk = Runs.of(Bitmap(0, 0, np.hypot(*(np.mgrid[:6, :8] - 2.5)) < 2.9), SIZE)
    speck = runs("", "......#.")
    dataset = make(tmp_path, Annotation("disk", 0, disk), Annotation("speck", 0, speck))
    exact, loose = (
        convert(dataset, tmp_path / f"out{tolerance}", name, tolerance=tolerance) for tolerance in (0.0, 0.8)
    )
    assert (exact.exact, exact.worst.iou) == (2, 1.0)
    assert loose.exact < 2
    assert 0.5 <= loose.worst.iou < 1.0
    assert loose.worst.name == "disk of a.png"


def test_objects_beyond_the_numbers_of_voc_are_listed(tmp_path: Path) -> None:
    size = (16, 17)
    path = tmp_path / "a.png"
    Image.new("RGB", size[::-1]).save(path)
    pixel = np.ones((1, 1), dtype=np.bool_)
    objects = [Annotation(f"{i}", 0, Runs.of(Bitmap(i % 17, i // 17, pixel), size)) for i in range(256)]
    dataset = Dataset(tmp_path, "test", ["cat"], [1], [Record("a.png", path, 1, size, tuple(objects))])
    written = convert(dataset, tmp_path / "out", "voc")
    assert (written.objects_in, written.objects, written.losses[0].count) == (256, 254, 2)


@pytest.mark.parametrize(("name", "class_name", "file"), [("png", "a/b", "a-b"), ("voc", "a:b", "a-b")])
def test_classes_that_can_not_be_written_are_renamed(tmp_path: Path, name: str, class_name: str, file: str) -> None:
    dataset = make(tmp_path, Annotation("one", 0, SQUARE), class_names=[class_name, file])
    written = convert(dataset, tmp_path / "out", name)
    assert any("renamed" in loss.what and loss.first == f"{class_name!r} to {file!r}" for loss in written.losses)
    assert any("renamed" in loss.what and loss.count == 2 for loss in written.losses)


# ---- names of pictures


def given(naming: object, *names: str) -> list[str]:
    keeper = Names(naming)
    return [str(keeper.give(inside(name))) for name in names]


def test_names_differ_also_where_case_does_not_count() -> None:
    assert given(WHOLE, "a.png", "A.png", "b/a.png", "a.png", "a.jpg") == [
        *("a.png", "A-2.png", "b/a.png", "a-3.png", "a.jpg"),
    ]
    assert given(STEM, "a.png", "a.jpg", "b/a.jpg") == ["a.png", "a-2.jpg", "b/a.jpg"]
    assert given(FLAT, "b/a.png", "b-a.jpg") == ["b-a.png", "b-a-2.jpg"]


def test_names_stay_inside() -> None:
    assert given(WHOLE, "../../a.png", "/etc/b.png", "C:\\pictures\\c.png", "..") == [
        *("a.png", "etc/b.png", "pictures/c.png", "picture"),
    ]


@pytest.mark.parametrize("name", WRITERS)
def test_pictures_of_one_name_are_all_there(tmp_path: Path, name: str) -> None:
    dataset = several(tmp_path, "x.png", "x.png", "deep/x.png", "images/x.png")
    convert(dataset, tmp_path / "out", name)
    pictures = [path for path in (tmp_path / "out").rglob("*.png") if "Segmentation" not in str(path)]
    assert sorted(header_size(path)[1] for path in pictures) == [8, 9, 10, 11]


def test_no_mask_of_a_picture_can_be_taken_for_one_of_another(tmp_path: Path) -> None:
    dataset = several(tmp_path, "a.png", "a_b.png")
    records = [replace(record, annotations=(Annotation("one", 0, SQUARE),)) for record in dataset.records]
    convert(dataset.change(records=records, class_names=["b_c"]), tmp_path / "out", "png")
    assert files(tmp_path / "out") == {
        *("images/a.png", "images/a_b-2.png", "annotations/a_b_c_0.png", "annotations/a_b-2_b_c_0.png"),
    }


# ---- pictures


def test_pictures_are_copied_byte_for_byte_and_linked(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    source = dataset.path(0)
    for way in ("copy", "link"):
        convert(dataset, tmp_path / way, "coco", pictures=way)
    assert (tmp_path / "copy/images/a.png").read_bytes() == source.read_bytes()
    assert not (tmp_path / "copy/images/a.png").samefile(source)
    assert (tmp_path / "link/images/a.png").samefile(source)


def test_pictures_can_be_left_where_they_are(tmp_path: Path) -> None:
    dataset = make(tmp_path, name="deep/a.png")
    convert(dataset, tmp_path / "out", "coco", pictures="none")
    assert files(tmp_path / "out") == {"annotations.json"}
    (image,) = json.loads((tmp_path / "out/annotations.json").read_text())["images"]
    assert image["file_name"] == "deep/a.png"


def band(path: Path, dtype: str, bands: int) -> NDArray[np.generic]:
    """Stand for a reader of something that is no plain picture."""
    return np.arange(48 * bands).reshape(*SIZE, bands).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "bands", "suffix"),
    [("uint8", 3, ".png"), ("uint16", 1, ".png"), ("uint8", 4, ".tif"), ("uint16", 3, ".tif"), ("float32", 2, ".tif")],
)
def test_what_is_no_plain_file_is_written_with_its_values(tmp_path: Path, dtype: str, bands: int, suffix: str) -> None:
    read = partial(band, dtype=dtype, bands=bands)
    dataset = make(tmp_path)
    for way in ("copy", "link"):
        record = replace(dataset.records[0], name="set.h5/12", read=read)
        convert(dataset.change(records=[record]), tmp_path / way, "labels", pictures=way)
        again = read_image(tmp_path / f"{way}/images/set.h5-12{suffix}")
        assert again.dtype == dtype
        np.testing.assert_array_equal(again, band(Path(), dtype, bands))


@pytest.fixture
def turned(tmp_path: Path) -> Dataset:
    """A picture of 6x8 that is stored lying on its side."""
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "pictures/t.jpg"
    path.parent.mkdir()
    Image.fromarray(np.arange(144, dtype=np.uint8).reshape(8, 6, 3)).save(path, exif=exif)
    return Dataset(tmp_path, "test", ["cat"], [1], [Record("t.jpg", path, 1, SIZE, ())])


@pytest.mark.parametrize("name", ["via", "yolo", "labelme", "cvat"])
def test_turned_pictures_are_copied_for_readers_that_turn_them(tmp_path: Path, turned: Dataset, name: str) -> None:
    convert(turned, tmp_path / "out", name)
    (copy,) = (tmp_path / "out").rglob("t.jpg")
    assert copy.read_bytes() == turned.path(0).read_bytes()


@pytest.mark.parametrize("name", ["coco", "png", "voc", "labels"])
def test_turned_pictures_are_written_upright_for_readers_that_may_not_turn_them(
    tmp_path: Path, turned: Dataset, name: str
) -> None:
    convert(turned, tmp_path / "out", name)
    (copy,) = (path for path in (tmp_path / "out").rglob("t.png") if "Segmentation" not in str(path))
    with Image.open(copy) as image:
        np.testing.assert_array_equal(np.array(image), read_image(turned.path(0)))


def test_a_missing_picture_is_an_error_and_leaves_no_file_in_part(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    dataset.path(0).unlink()
    for way in ("copy", "link"):
        with pytest.raises(ImageError, match=r"a\.png: expected a picture, got no such file"):
            convert(dataset, tmp_path / way, "via", pictures=way)
        assert files(tmp_path / way) == set()
    assert convert(dataset, tmp_path / "none", "via", pictures="none").pictures == 1


# ---- folders


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.mark.parametrize("name", WRITERS)
def test_a_call_that_was_cut_off_goes_on(tmp_path: Path, name: str) -> None:
    dataset = several(tmp_path, "x.png", "y.png", "z.png")
    annotations = (Annotation("one", 0, RING),)
    records = [replace(record, annotations=annotations, size_hw=(6, 8)) for record in dataset.records]
    records = [replace(record, path=records[0].path) for record in records]
    dataset = dataset.change(records=records)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(dataset, tmp_path / "out", name, progress=stop)
    (tmp_path / "out/.x.png.0123abcd.png").write_bytes(b"half")  # what a kill leaves
    copied = next(path for path in (tmp_path / "out").rglob("x.png") if "Segmentation" not in str(path))
    before = copied.stat().st_mtime_ns
    for _ in range(2):
        written = convert(dataset, tmp_path / "out", name)
        assert (written.pictures, written.objects) == (3, 3)
    assert copied.stat().st_mtime_ns == before
    convert(dataset, tmp_path / "whole", name)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not list((tmp_path / "out").rglob(".x.png.*"))


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    with pytest.raises(OutputError, match=r"expected an empty folder .* got a folder with a\.png"):
        convert(dataset, tmp_path / "pictures", "coco")
    assert files(tmp_path / "pictures") == {"a.png"}
    convert(dataset, tmp_path / "out", "via")
    with pytest.raises(OutputError, match="begun with format via instead of coco"):
        convert(dataset, tmp_path / "out", "coco")
    other = make(tmp_path, Annotation("one", 0, SQUARE))
    with pytest.raises(OutputError, match="begun from another set"):
        convert(other, tmp_path / "out", "via")
    (tmp_path / "out/.made.json").write_text("[")
    with pytest.raises(OutputError, match="expected what began this folder"):
        convert(dataset, tmp_path / "out", "via")
    with pytest.raises(OutputError, match="expected a folder, got a file"):
        convert(dataset, tmp_path / "pictures/a.png", "coco")


def test_a_folder_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a part of its path is a file"):
        convert(make(tmp_path), tmp_path / "file/out", "coco")


def test_a_link_that_the_system_refuses_has_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(OutputError, match=r"Operation not permitted; take --pictures copy"):
        convert(make(tmp_path), tmp_path / "out", "coco", pictures="link")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "cocoa"}, "format: expected one of coco"),
        ({"pictures": "move"}, "pictures: expected one of copy, link, none, got 'move'"),
        ({"tolerance": -1.0}, "tolerance: expected pixels from 0 up"),
        ({"tolerance": float("nan")}, "tolerance: expected pixels from 0 up"),
        ({"tolerance": 1.0}, r"a format with outlines \(via, yolo, labelme, cvat\), got coco"),
        ({"out": "set.json"}, "expected a folder to write into"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    call = {"out": tmp_path / "out", "format": "coco", **arguments}
    with pytest.raises(InputError, match=message):
        convert(make(tmp_path), **call)
    assert not (tmp_path / "out").exists()


def test_more_classes_than_voc_has_numbers_for(tmp_path: Path) -> None:
    dataset = make(tmp_path, class_names=[f"c{i}" for i in range(255)], category_ids=range(1, 256))
    with pytest.raises(InputError, match="expected at most 254 classes, got 255"):
        convert(dataset, tmp_path / "out", "voc")


# ---- the page


def test_the_table_of_the_page_is_that_of_the_writers() -> None:
    page = (Path(__file__).parents[2] / "docs/converting.md").read_text(encoding="utf-8")
    rows = page.partition("| format | masks |")[2].partition("\n\n")[0].splitlines()[2:]
    said = [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows]
    known = [
        (
            f"`{name}`",
            writer.exactness.masks,
            writer.exactness.boxes,
            ", ".join(sorted(writer.exactness.holds)) or "nothing",
        )
        for name, writer in WRITERS.items()
    ]
    assert said == known

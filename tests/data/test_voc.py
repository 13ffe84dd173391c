from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats import voc
from maskrcnn.data.formats.place import Place
from maskrcnn.errors import AnnotationError, DataError, ImageError

H, W = 20, 30
VOC_PALETTE = [
    sum(((i >> (3 * j + band)) & 1) << (7 - j) for j in range(8)) for i in range(256) for band in range(3)
]  # the development kit's `VOClabelcolormap`, bit by bit


def thing(name: str, box: tuple[float, ...] | None = (3, 4, 9, 12), **more: object) -> str:
    sides = dict(zip(("xmin", "ymin", "xmax", "ymax"), box or (), strict=False))
    inner = "".join(f"<{side}>{value}</{side}>" for side, value in sides.items())
    rest = "".join(f"<{tag}>{value}</{tag}>" for tag, value in more.items())
    return f"<object><name>{name}</name>{rest}{f'<bndbox>{inner}</bndbox>' if box else ''}</object>"


def xml(*things: str, picture: str = "a.jpg", folder: str = "", size: tuple[int, int] | None = (H, W)) -> str:
    stated = f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>" if size else ""
    return (
        f"<annotation><folder>{folder}</folder><filename>{picture}</filename>{stated}"
        f"<segmented>1</segmented>{''.join(things)}</annotation>"
    )


def palette(labels: np.ndarray, path: Path) -> None:
    image = Image.new("P", labels.shape[::-1])
    image.putpalette(VOC_PALETTE)
    image.putdata(labels.ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def colours(labels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(VOC_PALETTE, dtype=np.uint8).reshape(256, 3)[labels]).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("Annotations", "JPEGImages"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (W, H)).save(tmp_path / "JPEGImages/a.jpg")
    return tmp_path


def write(root: Path, text: str, name: str = "a") -> None:
    (root / "Annotations" / f"{name}.xml").write_text(text)


def boxes(dataset: Dataset) -> list[list[float]]:
    return [list(annotation.box) for annotation in dataset.records[0].annotations]


def test_boxes_of_vocs_own_files_count_from_1_with_the_last_pixel_inside(root: Path) -> None:
    write(root, xml(thing("cat"), folder="VOC2007"))
    dataset = open_dataset(root)
    assert (dataset.format, boxes(dataset)) == ("voc", [[2, 3, 9, 12]])  # pixels 3..9 and 4..12, counted from 1
    assert dataset.class_names == voc.VOC_CLASSES
    assert dataset.instances(0).names == ["cat"]
    assert dataset.instances(0).masks is None


def test_boxes_of_others_are_taken_as_they_are(root: Path) -> None:
    write(root, xml(thing("cat"), thing("bat", (0.5, 0, 4.5, 7))))
    dataset = open_dataset(root)
    assert boxes(dataset) == [[3, 4, 9, 12], [0.5, 0, 4.5, 7]]
    assert dataset.class_names == ("bat", "cat")


def test_xml_beside_the_pictures_and_polygons_of_roboflow(tmp_path: Path) -> None:
    Image.new("RGB", (W, H)).save(tmp_path / "a.png")
    corners = {"x1": 2, "y1": 3, "x2": 10, "y2": 3, "x10": 2, "y10": 9, "x3": 10, "y3": 9}
    outline = "".join(f"<{side}>{value}</{side}>" for side, value in corners.items())
    (tmp_path / "a.xml").write_text(xml(thing("cat", polygon=outline), picture="a.png"))
    instances = open_dataset(tmp_path)[0].instances
    assert instances.boxes.tolist() == [[2, 3, 10, 9]]  # corners in the order of their numbers: a rectangle
    assert instances.masks.areas().tolist() == [48]


def test_difficult_objects_are_ignored(root: Path) -> None:
    write(root, xml(thing("cat", difficult=1, truncated=1), thing("cat", difficult=0, truncated=1)))
    assert open_dataset(root).instances(0).crowd.tolist() == [True, False]


@pytest.mark.parametrize("save", [palette, colours])
def test_masks_are_joined_with_their_objects_and_void_is_nothing(root: Path, save) -> None:
    objects, classes = np.zeros((H, W), dtype=int), np.zeros((H, W), dtype=int)
    for value, class_id, window in [
        (1, 8, np.s_[3:9, 2:8]),  # a cat where the first object is
        (2, 15, np.s_[10:18, 20:28]),  # a person where the third object is
        (3, 12, np.s_[1:5, 20:24]),  # a dog that the XML file does not have
    ]:
        objects[window], classes[window] = value, class_id
    objects[3, 2:8] = classes[3, 2:8] = 255
    save(objects, root / "SegmentationObject/a.png")
    save(classes, root / "SegmentationClass/a.png")
    write(
        root,
        xml(
            thing("cat", (3, 4, 8, 9)),
            thing("bottle", (12, 1, 14, 4), difficult=1),
            thing("person", (21, 11, 28, 18)),
            folder="VOC2012",
        ),
    )
    dataset = open_dataset(root)
    instances = dataset[0].instances
    assert instances.names == ["cat", "bottle", "person", "dog"]
    assert instances.crowd.tolist() == [False, True, False, False]
    assert instances.masks.areas().tolist() == [30, 12, 64, 16]
    assert instances.boxes.tolist() == [[2, 4, 8, 9], [11, 0, 14, 4], [20, 10, 28, 18], [20, 1, 24, 5]]
    assert [annotation.name for annotation in dataset.records[0].annotations] == [
        "object 1",
        "object 2",
        "object 3",
        "mask 3",
    ]


def test_masks_alone_have_the_commonest_class_under_them(root: Path) -> None:
    objects, classes = np.zeros((H, W), dtype=int), np.zeros((H, W), dtype=int)
    objects[2:6, 2:6], classes[2:6, 2:6], classes[2, 2:6] = 1, 20, 3
    palette(objects, root / "SegmentationObject/a.png")
    assert open_dataset(root).class_names == ("object",)
    palette(classes, root / "SegmentationClass/a.png")
    assert open_dataset(root)[0].instances.names == ["tvmonitor"]


@pytest.mark.parametrize("save", [palette, colours])
def test_a_labelmap_names_the_classes_by_colour(root: Path, save) -> None:
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nwidget:0,128,0:arm,leg:\nbolt:128,0,0::\n"
    )
    labels = np.zeros((H, W), dtype=int)
    labels[2:6, 2:6] = 2  # VOC's third colour: 0,128,0
    save(np.minimum(labels, 1), root / "SegmentationObject/a.png")
    save(labels, root / "SegmentationClass/a.png")
    dataset = open_dataset(root)
    assert (dataset.class_names, dataset.instances(0).names) == (("widget", "bolt"), ["widget"])


def test_a_class_without_a_name_asks_for_a_labelmap(root: Path) -> None:
    labels = np.zeros((H, W), dtype=int)
    labels[2:6, 2:6] = 37
    palette(np.minimum(labels, 1), root / "SegmentationObject/a.png")
    palette(labels, root / "SegmentationClass/a.png")
    with pytest.raises(AnnotationError, match=r"a class that has a name, got 37; name it in a labelmap\.txt") as e:
        open_dataset(root)
    assert e.value.code == "C301"
    (root / "labelmap.txt").write_text("background:0,0,0::\nwidget:1,2,3::\n")
    with pytest.raises(AnnotationError, match=r"got a colour that labelmap\.txt does not have"):
        open_dataset(root)


def test_lists_choose_pictures(root: Path) -> None:
    for name in ("b", "c d", "e 1"):
        Image.new("RGB", (W, H)).save(root / f"JPEGImages/{name}.jpg")
        write(root, xml(thing("cat"), picture=f"{name}.jpg"), name)
    write(root, xml(thing("dog")))
    lists = root / "ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text('# a comment\nb\n\n"c d"\ne 1\n')
    (lists / "cat_train.txt").write_text("a -1\nb  1\nc d  0\ne 1 1\n")
    (lists / "test.txt").write_text("f\n")
    for name in ("train.txt", "cat_train.txt"):
        assert [record.name for record in open_dataset(lists / name).records] == ["b.jpg", "c d.jpg", "e 1.jpg"]
    assert len(open_dataset(root)) == 4
    with pytest.raises(AnnotationError, match=r"test\.txt: f: expected .*Annotations/f\.xml or a mask, found neither"):
        open_dataset(lists / "test.txt")


def test_pictures_may_be_missing_where_the_size_is_stated(root: Path) -> None:
    (root / "JPEGImages/a.jpg").unlink()
    write(root, xml(thing("cat")))
    with pytest.raises(ImageError, match=r"1 of 1 pictures are missing: a\.jpg") as caught:
        open_dataset(root)
    assert caught.value.code == "P101"
    assert open_dataset(root, pictures="optional").size_hw(0) == (H, W)
    seen: list[DataError] = []
    with pytest.raises(AnnotationError, match="expected at least one picture, got none"):
        open_dataset(root, fault=seen.append)
    assert [error.code for error in seen] == ["P101"]
    write(root, xml(thing("cat"), size=None))
    with pytest.raises(ImageError, match=r"a\.jpg: expected a picture, got no such file"):
        open_dataset(root, pictures="optional")


def test_a_mask_of_another_size_is_refused(root: Path) -> None:
    write(root, xml(thing("cat")))
    palette(np.ones((H, W - 1), dtype=int), root / "SegmentationObject/a.png")
    with pytest.raises(AnnotationError, match=r"20x30 .height x width., got 20x29") as caught:
        open_dataset(root)
    assert caught.value.code == "P103"


FAULTS = {
    "no class": (thing(""), "object 1: name: expected a class, got nothing"),
    "no box": (thing("cat", None), "object 1: expected a bndbox or a polygon, got neither"),
    "a side is missing": (thing("cat", (1, 2, 3)), "object 1: ymax: expected a number, got nothing"),
    "no number": (thing("cat", ("a", 2, 3, 4)), "object 1: xmin: expected a number, got 'a'"),
    "sides exchanged": (thing("cat", (9, 2, 3, 4)), "xmax and ymax from xmin and ymin up, got .9.0, 2.0, 3.0, 4.0."),
    "two corners": (thing("cat", polygon="<x1>1</x1><y1>1</y1><x2>3</x2><y2>1</y2>"), "polygon has 2 points"),
    "half a corner": (thing("cat", polygon="<x1>1</x1><y2>1</y2>"), "an x and a y for every corner"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_the_file_and_the_object_and_the_rest_is_read(root: Path, fault: str) -> None:
    text, message = FAULTS[fault]
    write(root, xml(text, thing("dog")))
    with pytest.raises(AnnotationError, match=rf"Annotations/a\.xml: .*{message}"):
        open_dataset(root)
    seen: list[DataError] = []
    assert open_dataset(root, fault=seen.append).instances(0).names == ["dog"]
    assert len(seen) == 1


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><annotation><size>&c;</size></annotation>',
        '<!DOCTYPE annotation SYSTEM "file:///etc/hostname"><annotation><size/></annotation>',
    ],
)
def test_a_document_type_is_refused(root: Path, text: str) -> None:
    write(root, xml(thing("cat")))
    write(root, text, "b")
    with pytest.raises(AnnotationError, match=r"b\.xml: .*DOCTYPE"):
        open_dataset(root)


def test_xml_of_others_is_not_taken_for_voc(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(
        "<annotation><filename>a.jpg</filename><object><name>cat</name><polygon><pt><x>1</x><y>1</y></pt></polygon>"
        "<segm><box><xmin>1</xmin></box></segm></object><imagesize><nrows>3</nrows></imagesize></annotation>"
    )
    (tmp_path / "b.xml").write_text("<annotations><image><size>3</size></image></annotations>")
    assert voc.find(Place(tmp_path)) == []

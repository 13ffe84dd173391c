from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from odd_texts import open_or_refuse, with_odd_bytes, with_odd_words
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats import cvat
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError, ImageError

SHARED = Path(__file__).parents[2] / "../shared/data/format_examples/cvat_dataset"
H, W = 60, 80
POLYGON = '<polygon label="cat" points="10,20;30,20;30,50;10,50" z_order="0" occluded="1"/>'
BOX = '<box label="dog" xtl="10" ytl="20" xbr="30" ybr="50"/>'
LABELS = "<labels><label><name>dog</name></label><label><name>cat</name></label></labels>"


def document(inside: str, labels: str = LABELS) -> str:
    meta = f"<meta><task><size>1</size>{labels}</task></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{inside}</annotations>'


def image(inside: str, name: str = "a.png", more: str = "") -> str:
    return f'<image id="0" name="{name}" width="{W}" height="{H}" {more}>{inside}</image>'


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Dataset]:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (W, H)).save(tmp_path / "images/a.png")

    def _make(inside: str, labels: str = LABELS) -> Dataset:
        (tmp_path / "annotations.xml").write_text(document(image(inside), labels))
        return open_dataset(tmp_path)

    return _make


# Shapes


def test_polygons_boxes_and_declared_labels(make) -> None:
    dataset = make(POLYGON + BOX)
    assert (dataset.format, dataset.class_names, dataset.instances(0).names) == ("cvat", ("dog", "cat"), ["cat", "dog"])
    assert dataset.instances(0).boxes.tolist() == [[10, 20, 30, 50]] * 2
    assert dataset.instances(0).masks.areas().tolist() == [600] * 2


def test_nothing_but_boxes_has_no_masks(make) -> None:
    instances = make(BOX).instances(0)
    assert (instances.boxes.tolist(), instances.masks) == ([[10, 20, 30, 50]], None)


def test_without_declared_labels_they_are_those_that_occur(make) -> None:
    assert make(POLYGON + BOX, labels="").class_names == ("cat", "dog")


def test_a_turned_box_is_turned_clockwise_about_its_middle(make) -> None:
    instances = make('<box label="cat" xtl="10" ytl="20" xbr="30" ybr="30" rotation="90"/>').instances(0)
    assert instances.boxes.tolist() == [[15, 15, 25, 35]]
    eighth = make('<box label="cat" xtl="20" ytl="20" xbr="60" ybr="30" rotation="45"/>').instances(0).masks.dense()[0]
    assert eighth[35, 50]
    assert not eighth[15, 50]


def test_an_ellipse(make) -> None:
    instances = make('<ellipse label="cat" cx="40" cy="30" rx="20" ry="10" rotation="90.0"/>').instances(0)
    assert instances.boxes.tolist() == [[30, 10, 50, 50]]
    assert instances.masks.areas()[0] == pytest.approx(np.pi * 200, rel=0.02)


def test_the_runs_of_a_mask_go_along_rows(make) -> None:
    instances = make('<mask label="cat" rle="1, 2, 2, 1" left="5" top="7" width="3" height="2"/>').instances(0)
    dense = np.zeros((H, W), dtype=bool)
    dense[7, 6:8], dense[8, 7] = True, True
    assert (instances.masks.dense()[0] == dense).all()


def test_groups(make) -> None:
    far = '<polygon label="cat" points="50,5;60,5;60,15;50,15" group_id="3"/>'
    dataset = make(POLYGON.replace("/>", ' group_id="3"/>') + far + POLYGON.replace("/>", ' group_id="0"/>'))
    assert dataset.instances(0).masks.areas().tolist() == [700, 600]
    boxes = '<box label="cat" xtl="1" ytl="2" xbr="3" ybr="4" group_id="3"/>' * 2
    assert make(boxes.replace('xbr="3"', 'xbr="9"', 1)).instances(0).boxes.tolist() == [[1, 2, 9, 4]]


def test_what_has_no_area_is_left_out_with_a_reason(make) -> None:
    shapeless = '<polyline label="cat" points="1,2;3,4;5,6"/><points label="cat" points="1,2"/><tag label="cat"/>'
    dataset = make(POLYGON + shapeless + '<cuboid label="cat"/><skeleton label="cat"><points/></skeleton>')
    assert len(dataset.instances(0)) == 1
    assert [(left.name, left.reason) for left in dataset.left_out] == [
        ("polyline 1", "a line has no area"),
        ("points 2", "points have no area"),
        ("tag 3", "a tag is about the whole picture"),
        ("cuboid 4", "a cuboid has no outline"),
        ("skeleton 5", "a skeleton has no area"),
    ]


MASK = '<mask label="cat" rle="1,2,3" left="5" top="7" width="3" height="2"/>'


@pytest.mark.parametrize(
    ("odd", "words", "code"),
    [
        (POLYGON.replace('"cat"', '"cow"'), "polygon 1: expected one of the classes 'dog', 'cat', got 'cow'", "C301"),
        (POLYGON.replace('"cat"', '""'), "polygon 1: label: expected a class, got nothing", "C302"),
        (POLYGON.replace("30,20;30,50;", ""), "polygon 1: polygon has 2 points, expected at least 3", "G201"),
        (POLYGON.replace("30,20;", "30;"), "polygon 1: points: expected x,y;x,y;..., got '30'", "F003"),
        (POLYGON.replace("30,20;", "30,b;"), "polygon 1: points[3]: expected a number, got 'b'", "F003"),
        (BOX.replace('xbr="30"', 'xbr="3"'), "box 1: box: expected a box from its upper left", "F003"),
        (BOX.replace('xbr="30"', ""), "box 1: xbr: expected a number, got nothing", "F003"),
        (MASK.replace("1,2,3", "1,2,4"), "mask 1: rle: expected lengths that sum to 6 for 2x3, got 7", "G205"),
        (MASK.replace("1,2,3", "-1,2,5"), "mask 1: rle: expected lengths that sum to 6", "G205"),
        (MASK.replace("1,2,3", "1;2"), "mask 1: rle: expected run lengths, got '1;2'", "F003"),
        (MASK.replace('left="5"', 'left="78"'), "mask 1: mask: expected a window inside 60x80", "F003"),
        ("<blob/>", "blob 1: shape: expected one of polygon, box, ellipse, mask, polyline", "F003"),
    ],
)
def test_errors_name_the_picture_and_the_shape(make, odd: str, words: str, code: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        make(POLYGON + odd)
    assert (f"annotations.xml: a.png: {words}" in str(caught.value), caught.value.code) == (True, code)


# Pictures


def test_subsets_have_folders_and_a_column(tmp_path: Path) -> None:
    for i, subset in enumerate(("Train", "写真")):
        (tmp_path / "images" / subset).mkdir(parents=True)
        Image.new("RGB", (W, H), (i, i, i)).save(tmp_path / "images" / subset / "a.png")
    inside = image(POLYGON, more='subset="Train"') + image("", more='subset="写真"')
    (tmp_path / "annotations.xml").write_text(document(inside), encoding="utf-8")
    dataset = open_dataset(tmp_path / "annotations.xml")
    assert [(record.name, dict(record.columns)) for record in dataset.records] == [
        ("Train/a.png", {"subset": "Train"}),
        ("写真/a.png", {"subset": "写真"}),
    ]
    assert [sample.image.max() for sample in dataset] == [0, 1]


def test_one_picture_twice_is_an_error(make, tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(document(image(POLYGON) * 2))
    with pytest.raises(AnnotationError, match=r"a\.png: expected one <image> for it, got a second one"):
        open_dataset(tmp_path)
    found = []
    assert len(open_dataset(tmp_path, fault=found.append)) == 1
    assert [error.code for error in found] == ["F004"]


def test_names_with_folders_and_frames_without_a_suffix(tmp_path: Path) -> None:
    (tmp_path / "images/day").mkdir(parents=True)
    for name in ("day/a.png", "frame_000003.PNG"):
        Image.new("RGB", (W, H)).save(tmp_path / "images" / name)
    (tmp_path / "set.xml").write_text(document(image("", "day/a.png") + image("", "frame_000003")))
    assert [path.name for path in map(open_dataset(tmp_path).path, range(2))] == ["a.png", "frame_000003.PNG"]


def test_missing_pictures(make, tmp_path: Path) -> None:
    make(POLYGON)
    (tmp_path / "images/a.png").unlink()
    with pytest.raises(ImageError, match=r"annotations\.xml: 1 of 1 pictures are missing: a\.png; looked in"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path, pictures="optional").size_hw(0) == (H, W)


# Video


def track(inside: str, label: str = "cat", i: int = 0) -> str:
    return f'<track id="{i}" label="{label}">{inside}</track>'


def on(frame: int, shape: str, outside: int = 0) -> str:
    return shape.replace("/>", f' frame="{frame}" outside="{outside}" keyframe="1"/>').replace('label="cat"', "")


def test_tracks_on_the_frames_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for frame in (0, 3, 7):
        Image.new("RGB", (W, H)).save(tmp_path / f"images/frame_{frame:06d}.png")
    inside = track(on(0, POLYGON) + on(3, POLYGON) + on(4, POLYGON) + on(7, POLYGON, 1)) + track(on(3, BOX), "dog", 1)
    (tmp_path / "annotations.xml").write_text(document(inside))
    dataset = open_dataset(tmp_path)
    assert [dataset.instances(i).names for i in range(3)] == [["cat"], ["cat", "dog"], []]
    assert [str(left).split(": ", 1)[1] for left in dataset.left_out] == [
        "track 0 of frame_000004.png: left out: there is no picture of this frame"
    ]
    assert dataset.records[0].name == "frame_000000.png"


def test_a_video_without_frames_says_which_are_missing(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(document(track(on(12, POLYGON))))
    with pytest.raises(ImageError, match=r"1 of 1 pictures are missing: frame_000012\.png"):
        open_dataset(tmp_path)


# Hostile files


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations><image/></annotations>', "expected no document type declaration"),
        ("<annotations>" + "<image>" * 200, "expected at most 64 elements inside each other, got more"),
        ("<annotations><image></annotations>", "line 1, column 23: expected XML, got: mismatched tag"),
        ('<?xml version="1.0" encoding="shift_jis"?><annotations><image /></annotations>', "expected XML"),
        ('<?xml version="1.0" encoding="no-such"?><annotations><image /></annotations>', "expected XML"),
        (document(""), "expected at least one picture, got none"),
    ],
)
def test_hostile_and_broken_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "set.xml").write_text(text)
    with pytest.raises(AnnotationError, match=words):
        cvat.read(tmp_path / "set.xml", Reading())


@pytest.mark.parametrize("inside", [image(POLYGON + MASK + BOX, more='subset="x"'), track(on(0, POLYGON) + on(1, BOX))])
def test_no_odd_file_ends_in_a_bare_exception(tmp_path: Path, inside: str) -> None:
    for name in ("a.png", "frame_000000.png"):
        Image.new("RGB", (W, H)).save(tmp_path / name)
    path = tmp_path / "set.xml"
    for changed in [*with_odd_words(document(inside)), *with_odd_bytes(document(inside))]:
        path.write_bytes(changed)
        open_or_refuse(path, "cvat")


# Real data


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data/format_examples is not here")
def test_real_sets() -> None:
    project = open_dataset(SHARED / "for_images/export_project")
    root = ElementTree.parse(SHARED / "for_images/export_project/annotations.xml").getroot()
    objects = sum(len(project.instances(i)) for i in range(len(project)))
    assert (len(project), objects) == (len(root.findall("image")), len(root.findall("image/*[@label]")) - 6)
    assert [left.name.split()[0] for left in project.left_out] == ["polyline", "points"] * 3
    assert [sample.image.shape[:2] for sample in project] == [(8, 8), (10, 10)] * 3
    with pytest.raises(AnnotationError, match=r"img1\.jpg: polygon 0: label: expected a class, got nothing"):
        open_dataset(SHARED / "for_images/export_task")
    video = open_dataset(SHARED / "for_video")
    assert [video.instances(i).names for i in range(3)] == [["II"], [], []]
    assert video.instances(0).boxes.tolist() == [[3, 4, 10, 5]]
    assert [left.picture for left in video.left_out] == ["frame_000010.png", "frame_000013.png"]

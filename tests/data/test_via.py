from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset, Rings
from maskrcnn.data.formats import via
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError, FormatError, ImageError

SHARED = Path(__file__).parents[2] / "../shared/data"
H, W = 60, 80

Json = dict[str, object]


def region(shape: Json, attributes: Json | None = None) -> Json:
    return {"shape_attributes": shape, "region_attributes": attributes or {}}


def polygon(*xy: tuple[float, float]) -> Json:
    return {"name": "polygon", "all_points_x": [x for x, _ in xy], "all_points_y": [y for _, y in xy]}


SQUARE = polygon((10, 20), (30, 20), (30, 50), (10, 50))


@pytest.fixture
def make(tmp_path: Path):
    Image.new("RGB", (W, H)).save(tmp_path / "a.png")

    def _make(*regions: Json, class_key: str | None = None) -> Dataset:
        entry = {"filename": "a.png", "size": 1, "regions": list(regions), "file_attributes": {}}
        (tmp_path / "via_region_data.json").write_text(json.dumps({"a.png1": entry}))
        return via.read(tmp_path / "via_region_data.json", Reading(), class_key)

    return _make


def test_1x_2x_and_project_files_say_the_same(tmp_path: Path) -> None:
    Image.new("RGB", (W, H)).save(tmp_path / "a.png")
    Image.new("RGB", (W, H)).save(tmp_path / "b.png")
    regions = [
        region(SQUARE, {"name": "x"}),
        region({"name": "circle", "cx": 9, "cy": 9, "r": 5}, {"name": "y"}),
    ]
    as_dict = {str(i): item for i, item in enumerate(regions)}
    old = {
        "a.png1": {"filename": "a.png", "size": 1, "fileref": "", "base64_img_data": "", "regions": as_dict},
        "b.png1": {"filename": "b.png", "size": 1, "regions": {}},
    }
    new = {
        "a.png1": {"filename": "a.png", "regions": regions},
        "b.png1": {"filename": "b.png", "regions": []},
    }
    project = {"_via_settings": {}, "_via_img_metadata": new, "_via_attributes": {}}
    prints = set()
    for name, document in (("old", old), ("new", new), ("project", project)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
        dataset = open_dataset(tmp_path / f"{name}.json")
        assert (dataset.format, dataset.class_names, dataset.category_ids) == ("via", ("x", "y"), (1, 2))
        assert [dataset.image_id(i) for i in range(2)] == [1, 2]
        assert [sample.instances.names for sample in dataset] == [["x", "y"], []]
        prints.add(dataset.fingerprint())
    assert len(prints) == 1


def test_polygon_with_and_without_a_repeated_first_point(make) -> None:
    repeated = polygon((10, 20), (30, 20), (30, 50), (10, 50), (10, 20))
    dense = make(region(SQUARE), region(repeated)).instances(0).masks.dense()
    expected = np.zeros((H, W), dtype=bool)
    expected[20:50, 10:30] = True
    assert (dense == expected).all()


def test_rect_and_numbers_as_strings_and_floats(make) -> None:
    rect = {"name": "rect", "x": "10", "y": 20, "width": 20.0, "height": "30"}
    strings = {
        "name": "polygon",
        "all_points_x": ["10", "30", 30, 10],
        "all_points_y": ["20.0", 20, 50, "50"],
    }
    boxes = make(region(rect), region(strings)).instances(0).boxes
    assert boxes.tolist() == [[10, 20, 30, 50]] * 2


def test_polyline_is_closed(make) -> None:
    found = make(region({**SQUARE, "name": "polyline"}), region(SQUARE)).instances(0).masks.dense()
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize(
    ("shape", "rx", "ry", "theta"),
    [
        ({"name": "circle", "cx": 40, "cy": 30.5, "r": 20}, 20, 20, 0.0),
        ({"name": "ellipse", "cx": 40, "cy": 30.5, "rx": 25, "ry": 10}, 25, 10, 0.0),
        ({"name": "ellipse", "cx": 40, "cy": 30.5, "rx": 25, "ry": 10, "theta": 0.5}, 25, 10, 0.5),
    ],
)
def test_circle_and_ellipse(make, shape: Json, rx: float, ry: float, theta: float) -> None:
    mask = make(region(shape)).instances(0).masks.dense()[0]
    y, x = np.mgrid[:H, :W] + 0.5
    dx, dy = x - 40, y - 30.5
    along = dx * math.cos(theta) + dy * math.sin(theta)  # y points down, so theta turns clockwise on the screen
    across = dy * math.cos(theta) - dx * math.sin(theta)
    inside = (along / rx) ** 2 + (across / ry) ** 2
    assert mask[inside < 0.9].all()
    assert not mask[inside > 1.1].any()
    assert mask.sum() == pytest.approx(math.pi * rx * ry, rel=0.01)


@pytest.mark.parametrize("radius", [0.3, 5.0, 800.0])
def test_the_polygon_of_a_circle_leaves_it_by_at_most_a_hundredth_pixel(make, radius: float) -> None:
    dataset = make(region({"name": "circle", "cx": 40, "cy": 30, "r": radius}))
    shape = dataset.records[0].annotations[0].shape
    assert isinstance(shape, Rings)
    middles = (shape.rings[0] + np.roll(shape.rings[0], 1, axis=0)) / 2
    assert np.hypot(*(middles - [40, 30]).T).min() >= radius - 0.0101


def test_points_and_lines_are_left_out_with_a_reason(make) -> None:
    line = {"name": "polyline", "all_points_x": [1, 2], "all_points_y": [3, 4]}
    point = {"name": "point", "cx": 3, "cy": 4}
    dataset = make(region(SQUARE, {"name": "x"}), region(point, {"name": "tip"}), region(line))
    assert (len(dataset.instances(0)), dataset.class_names) == (1, ("x",))
    assert [str(left).split(": ", 1)[1] for left in dataset.left_out] == [
        "region 1 of a.png: left out: a point has no area",
        "region 2 of a.png: left out: a line of 2 points has no area",
    ]


def test_shapes_beyond_the_border_are_cut_and_those_outside_listed(make) -> None:
    beyond = polygon((-5, -5), (10, -5), (10, 10), (-5, 10))
    outside = polygon((W, 0), (W + 9, 0), (W + 9, 9))
    dataset = make(region(beyond), region(outside), region({"name": "rect", "x": 5, "y": 5, "width": 0, "height": 0}))
    assert dataset.instances(0).boxes.tolist() == [[0, 0, 10, 10], [5, 5, 6, 6]]
    assert [left.name for left in dataset.left_out] == ["region 1"]


def test_an_empty_or_missing_regions_field_is_a_picture_without_objects(tmp_path: Path) -> None:
    entries: dict[str, Json] = {}
    for i, value in enumerate([{}, {"regions": None}, {"regions": []}, {"regions": {}}]):
        Image.new("RGB", (W, H)).save(tmp_path / f"{i}.png")
        entries[str(i)] = {"filename": f"{i}.png", **value}
    (tmp_path / "set.json").write_text(json.dumps(entries))
    dataset = open_dataset(tmp_path)
    assert [len(sample.instances) for sample in dataset] == [0, 0, 0, 0]
    assert dataset.class_names == ("object",)


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ([{}, {}], ["object", "object"]),
        ([{"name": ""}, {"name": " \n"}], ["object", "object"]),
        ([{"name": " cat\n"}, {"name": "big\n dog"}], ["cat", "big dog"]),
        ([{"name": {"cat": True, "dog": False}}, {"name": {"dog": True}}], ["cat", "dog"]),
        ([{"kind": 3}, {"kind": "4"}], ["3", "4"]),
        ([{"colour": "red", "Class": "cat"}, {"colour": "blue", "Class": "dog"}], ["cat", "dog"]),
        ([{"supercategory": "pet", "name": "cat"}] * 2, ["cat", "cat"]),
        ([{"inseto": "kudzu", "insect": "kudzu"}] * 2, ["kudzu", "kudzu"]),
    ],
)
def test_the_class_is_found(make, attributes: list[Json], names: list[str]) -> None:
    dataset = make(*[region(SQUARE, attribute) for attribute in attributes])
    assert dataset.instances(0).names == names


def test_the_class_key_can_be_given(make) -> None:
    regions = [region(SQUARE, {"colour": colour, "kind": "k"}) for colour in ("red", "blue")]
    assert make(*regions, class_key="colour").class_names == ("blue", "red")
    with pytest.raises(
        AnnotationError, match="one region attribute that holds the class, got 'colour', 'kind'; rename"
    ):
        make(*regions)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({}, "attribute 'name': expected one class, got nothing"),
        ({"name": "  "}, "attribute 'name': expected one class, got nothing"),
        ({"name": {"cat": True, "dog": True}}, "attribute 'name': expected one class, got cat and dog"),
        ({"name": ["cat"]}, r"attribute 'name': expected a class, got \['cat'\]"),
    ],
)
def test_a_region_without_a_class_among_others_is_an_error(make, second: Json, words: str) -> None:
    with pytest.raises(AnnotationError, match=rf"via_region_data\.json: region 1 of a\.png: {words}"):
        make(region(SQUARE, {"name": "cat"}), region(SQUARE, second))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (polygon((1, 2), (3, 4)), "polygon has 2 points, expected at least 3"),
        (polygon((1, 2), (3, 4), (1, 2)), "polygon has 2 points, expected at least 3"),
        ({**SQUARE, "all_points_x": [1, 2, 3]}, "expected as many x as y, got 3 x and 4 y"),
        ({"name": "polygon"}, "all_points_x: expected a list, got nothing"),
        ({**SQUARE, "all_points_y": [1, "two", 3, 4]}, r"all_points_y\[1\]: expected a number, got 'two'"),
        ({"name": "rect", "x": 1, "y": 1, "width": 3}, "height: expected a number, got nothing"),
        (
            {"name": "rect", "x": 1, "y": 1, "width": -3, "height": 3},
            "width: expected a number from 0 up, got -3",
        ),
        (
            {"name": "circle", "cx": 1, "cy": 1, "r": 1e9},
            "r: expected a number within 1000000, got 1000000000.0",
        ),
        ({"name": "blob"}, "name of the shape: expected one of polygon, .*, point, got 'blob'"),
        ({}, "name of the shape: expected one of polygon, .*, point, got nothing"),
    ],
)
def test_errors_name_the_file_and_the_region(make, shape: Json, words: str) -> None:
    with pytest.raises(AnnotationError, match=rf"via_region_data\.json: region 1 of a\.png: {words}"):
        make(region(SQUARE), region(shape))


def test_two_entries_for_one_picture_are_an_error(tmp_path: Path) -> None:
    entries = {"a.png1": {"filename": "a.png"}, "a.png2": {"filename": "a.png"}}
    (tmp_path / "set.json").write_text(json.dumps(entries))
    with pytest.raises(AnnotationError, match=r"set\.json: a\.png2: expected one entry for a\.png, got a second"):
        open_dataset(tmp_path)


def test_an_empty_project_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text(json.dumps({"_via_img_metadata": {}}))
    with pytest.raises(AnnotationError, match=r"set\.json: expected at least one picture, got none"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"annotation": {"filename": "a.jpg", "folder": "x", "imsize": [1, 2, 3], "object": []}}, "got an object with"),
        ({"region": {"name": {"type": "text"}}, "file": {}}, "got definitions of attributes or settings of VIA"),
        ({"_via_attributes": {"region": {}}}, "got definitions of attributes or settings of VIA"),
        ({"_via_settings": {"core": {}}}, "got definitions of attributes or settings of VIA"),
    ],
)
def test_what_holds_no_annotations_of_via_is_refused_by_name(tmp_path: Path, document: Json, words: str) -> None:
    (tmp_path / "set.json").write_text(json.dumps(document))
    with pytest.raises(FormatError, match=words):
        open_dataset(tmp_path / "set.json")


def test_a_picture_with_an_exif_turn_has_its_upright_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (H, W)).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "set.json").write_text(json.dumps({"a": {"filename": "a.jpg", "regions": [region(SQUARE)]}}))
    sample = open_dataset(tmp_path)[0]
    assert sample.image.shape[:2] == sample.instances.size_hw == (H, W)


def test_missing_pictures_are_an_error_for_via_says_no_sizes(make, tmp_path: Path) -> None:
    make(region(SQUARE))
    (tmp_path / "a.png").unlink()
    for pictures in ("required", "optional"):
        with pytest.raises(ImageError, match=r"via_region_data\.json: 1 of 1 pictures are missing: a\.png; looked in"):
            open_dataset(tmp_path, pictures=pictures)


def test_a_missing_picture_is_reported_once(make, tmp_path: Path) -> None:
    entries = {name: {"filename": name} for name in ("a.png", "b.png")}
    make()
    (tmp_path / "via_region_data.json").write_text(json.dumps(entries))
    found = []
    assert len(open_dataset(tmp_path, fault=found.append)) == 1
    assert [error.code for error in found] == ["P101"]


def test_pictures_are_found_in_the_project_folder_setting(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (W, H)).save(tmp_path / "photos/a.png")
    settings = {"core": {"default_filepath": "./photos/"}}
    document = {"_via_settings": settings, "_via_img_metadata": {"a.png1": {"filename": "a.png"}}}
    (tmp_path / "project.json").write_text(json.dumps(document))
    assert open_dataset(tmp_path).path(0) == tmp_path / "photos/a.png"


# Real data


@pytest.mark.parametrize(
    ("path", "pictures", "objects", "class_names"),
    [
        ("balloon/train", 61, 255, ("object",)),
        ("balloon/val", 13, 50, ("object",)),
        ("via_kudzu/train", 24, 520, ("kudzu",)),
        ("via_kudzu/val", 16, 349, ("object",)),
        ("via_car_damage/train", 62, 152, ("damage",)),
        ("via_car_damage/val", 8, 12, ("damage",)),
        ("via_car_damage/train/car-damage-train.json", 62, 152, ("damage",)),
        (
            "via_car_damage/val/val_multiclass.json",
            8,
            24,
            ("door", "front_bumper", "headlamp", "hood", "rear_bumper"),
        ),
        ("via2_project/jsons/sample.json", 1, 4, ("PET bottles", "Papers", "Plastic")),
    ],
)
def test_real_sets(path: str, pictures: int, objects: int, class_names: tuple[str, ...]) -> None:
    if not (SHARED / path).exists():
        pytest.skip(f"../shared/data/{path} is not here")
    dataset = open_dataset(SHARED / path)
    assert (len(dataset), dataset.class_names, dataset.left_out) == (pictures, class_names, ())
    assert sum(len(dataset.instances(i)) for i in range(len(dataset))) == objects
    assert all(dataset.instances(i).masks.areas().min(initial=1) > 0 for i in range(len(dataset)))


@pytest.mark.skipif(not (SHARED / "via2_project").exists(), reason="../shared/data/via2_project is not here")
def test_the_same_picture_in_via_and_in_coco_has_the_same_masks() -> None:
    folder = SHARED / "via2_project/jsons"
    ours, theirs = (open_dataset(folder / name)[0] for name in ("sample.json", "sample_coco.json"))
    assert ours.instances.names == theirs.instances.names
    np.testing.assert_array_equal(ours.instances.masks.dense(), theirs.instances.masks.dense())
    assert ours.image.shape == (384, 512, 3)

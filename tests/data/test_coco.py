from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats import coco
from maskrcnn.errors import AnnotationError, ImageError
from maskrcnn.ops.rle import compress
from maskrcnn.structures import Bitmap, Bitmaps, Instances

SHARED = Path(__file__).parents[2] / "../shared/data"
TINY = SHARED / "coco_tiny_80/annotations"
FAKE = SHARED / "coco_eval_fake100/dataset/cocoapi/instances_val2014_100.json"
SIZE = (6, 8)

Json = dict[str, object]


def document(*annotations: Json, **changes: object) -> Json:
    return {
        "images": [{"id": 5, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}],
        "annotations": [{"image_id": 5, "category_id": 7, **annotation} for annotation in annotations],
        "categories": [{"id": 90, "name": "dog"}, {"id": 7, "name": "cat"}],
        **changes,
    }


@pytest.fixture
def make(tmp_path: Path):
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "a.png")

    def _make(*annotations: Json, **changes: object) -> Dataset:
        (tmp_path / "set.json").write_text(json.dumps(document(*annotations, **changes)))
        return open_dataset(tmp_path / "set.json")

    return _make


def drawn(dataset: Dataset) -> list[list[str]]:
    """Return the dense masks of the first picture as rows of . and #."""
    masks = dataset.instances(0).masks
    assert masks is not None
    return [["".join(".#"[int(pixel)] for pixel in row) for row in mask] for mask in masks.dense()]


SQUARE = ["........", ".##.....", ".##.....", "........", "........", "........"]
TWO_PARTS = ["........", ".##..##.", ".##..##.", "........", "........", "........"]


def test_polygons_of_one_and_of_several_parts(make) -> None:
    left, right = [1, 1, 3, 1, 3, 3, 1, 3], [5, 1, 7, 1, 7, 3, 5, 3]
    dataset = make({"id": 1, "segmentation": [left]}, {"id": 2, "segmentation": [left, right]})
    assert drawn(dataset) == [SQUARE, TWO_PARTS]
    assert dataset.instances(0).boxes.tolist() == [[1, 1, 3, 3], [1, 1, 7, 3]]


def test_run_lengths_as_a_list_and_as_a_string_keep_holes(make) -> None:
    # columns of 6: one empty; rows 1 to 3; rows 1 and 3; rows 1 to 3; four empty
    counts = [7, 3, 3, 1, 1, 1, 3, 3, 26]
    ring = ["........", ".###....", ".#.#....", ".###....", "........", "........"]
    rle = {"size": [6, 8], "counts": counts}
    text = {"size": [6, 8], "counts": compress(np.array(counts))}
    assert drawn(make({"id": 1, "segmentation": rle}, {"id": 2, "segmentation": text})) == [ring, ring]


def test_boxes_are_the_masks_borders_whatever_the_file_says(make) -> None:
    dataset = make({"id": 1, "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]], "bbox": [0, 0, 8, 6], "area": 48})
    assert dataset.instances(0).boxes.tolist() == [[1, 1, 3, 3]]
    assert dataset.records[0].annotations[0].box == (0, 0, 8, 6)
    assert dataset.records[0].annotations[0].area == 48


def test_labels_follow_the_category_ids_and_unused_classes_stay(make) -> None:
    polygon = [[1, 1, 3, 1, 3, 3, 1, 3]]
    dataset = make(
        {"id": 1, "segmentation": polygon, "category_id": 90},
        {"id": 2, "segmentation": polygon, "iscrowd": 1},
    )
    assert (dataset.class_names, dataset.category_ids) == (("cat", "dog"), (7, 90))
    instances = dataset.instances(0)
    assert (instances.names, instances.crowd.tolist()) == (["dog", "cat"], [False, True])
    assert dataset.image_id(0) == 5
    assert make().class_names == ("cat", "dog")


def test_a_picture_without_annotations_is_a_picture(make) -> None:
    sample = make()[0]
    assert (len(sample.instances), sample.image.shape) == (0, (6, 8, 3))
    assert sample.instances.masks is not None


def test_a_picture_on_which_any_object_has_only_a_box_has_no_masks(make) -> None:
    polygon = [[1, 1, 3, 1, 3, 3, 1, 3]]
    for nothing in ({}, {"segmentation": None}, {"segmentation": []}):
        dataset = make({"id": 1, "bbox": [2, 1, 2.5, 9], **nothing}, {"id": 2, "segmentation": polygon})
        instances = dataset.instances(0)
        assert instances.masks is None
        assert instances.boxes.tolist() == [[2, 1, 4.5, 6], [1, 1, 3, 3]]


def test_objects_without_pixels_keep_one_or_are_listed(make) -> None:
    nothing = {"size": [6, 8], "counts": [48]}
    dataset = make(
        {"id": 1, "segmentation": [[2.1, 3.1, 2.2, 3.1, 2.2, 3.2]]},
        {"id": 2, "segmentation": nothing, "bbox": [4, 4, 3, 2]},
        {"id": 3, "segmentation": nothing},
        {"id": 4, "segmentation": [[8, 0, 9, 0, 9, 4]]},
        {"id": 5, "bbox": [3, 3, 0, 2]},
        {"id": 6, "segmentation": [[-4, 0, 0, 0, 0, 4]]},
    )
    expected = [["........"] * 3 + ["..#....."] + ["........"] * 2, ["........"] * 5 + [".....#.."]]
    assert drawn(dataset) == expected
    assert dataset.instances(0).boxes.tolist() == [[2, 3, 3, 4], [5, 5, 6, 6]]
    assert [(left.name, left.picture) for left in dataset.left_out] == [
        (f"annotation {i}", "a.png") for i in (3, 4, 5, 6)
    ]
    reasons = [left.reason for left in dataset.left_out]
    outside = "it lies wholly outside of the picture of 6x8 (height x width)"
    assert reasons == ["its mask covers no pixel and it has no box", outside, "its box has no area", outside]
    assert str(dataset.left_out[0]).endswith("set.json: annotation 3 of a.png: left out: " + reasons[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"segmentation": [[1, 1, 2, 2]]}, "annotation 3: polygon has 2 points, expected at least 3"),
        ({"segmentation": [[]]}, "annotation 3: polygon has 0 points"),
        ({"segmentation": [[1, 1, 2, 2, 3]]}, r"segmentation\[0\]: expected x and y in turn, got 5 numbers"),
        ({"segmentation": [1, 1, 2, 2, 3, 3]}, r"segmentation\[0\]: expected a list, got 1"),
        (
            {"segmentation": [[1, 1, None, 2, 3, 3]]},
            r"segmentation\[0\]\[2\]: expected a number, got nothing",
        ),
        ({"segmentation": [[1, 1, float("nan"), 2, 3, 3]]}, "expected a number within 1000000, got nan"),
        ({"segmentation": [[1, 1, 1e9, 2, 3, 3]]}, "expected a number within 1000000, got 1000000000.0"),
        ({"segmentation": "mask.png"}, "segmentation: expected polygons or run lengths, got 'mask.png'"),
        (
            {"segmentation": {"size": [8, 6], "counts": [48]}},
            r"expected \[6, 8\] as the picture's, got \[8, 6\]",
        ),
        (
            {"segmentation": {"size": [6, 8], "counts": [47]}},
            "sum to 48 for a picture of 6x8, got a sum of 47",
        ),
        ({"segmentation": {"size": [6, 8], "counts": [-2, 50]}}, "counts: expected a whole number from 0 up"),
        ({"segmentation": {"size": [6, 8], "counts": "P"}}, "annotation 3: segmentation: run-length string"),
        ({"segmentation": {"size": [6, 8]}}, "counts: expected a list, got nothing"),
        ({"segmentation": None}, "annotation 3: expected a segmentation or a bbox, got neither"),
        ({"bbox": [1, 2, -3, 4]}, "bbox: expected x, y, width and height"),
        ({"bbox": [1, 2, 3]}, "bbox: expected x, y, width and height"),
        ({"category_id": 1}, "category_id: expected the id of one of the categories, got 1"),
        ({"category_id": "7"}, "category_id: expected a whole number from 0 up, got '7'"),
        ({"image_id": 6}, "image_id: expected the id of one of the images, got 6"),
        ({"iscrowd": 2}, "iscrowd: expected 0 or 1, got 2"),
        ({"area": "large"}, "area: expected a number, got 'large'"),
    ],
)
def test_errors_name_the_file_and_the_annotation(make, change: Json, words: str) -> None:
    good = {"id": 3, "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]}
    with pytest.raises(AnnotationError, match=words) as caught:
        make({**good, "id": 2}, {**good, **change})
    assert "set.json: annotation 3: " in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"categories": []}, "categories: expected at least one, got none"),
        (
            {"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]},
            r"categories\[1\]: .* a second time",
        ),
        (
            {"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]},
            r"categories\[1\]: .* a second time",
        ),
        ({"categories": [{"id": 1, "name": " "}]}, r"categories\[0\]: name: expected a text, got ' '"),
        ({"images": []}, "expected at least one picture, got none"),
        ({"images": [{"id": "5", "file_name": "a.png"}]}, r"images\[0\]: id: expected a whole number"),
        ({"images": [{"id": 5}]}, r"images\[0\]: file_name: expected a text, got nothing"),
        (
            {"images": [{"id": 5, "file_name": "a.png"}] * 2},
            r"images\[1\]: expected every id once, got 5 a second",
        ),
        (
            {"images": [{"id": 5, "file_name": "a.png", "height": 0, "width": 2}]},
            "height: .* from 1 up, got 0",
        ),
    ],
)
def test_errors_in_the_lists(make, change: Json, words: str) -> None:
    with pytest.raises(AnnotationError, match=rf"set\.json: .*{words}"):
        make(**change)


def test_pictures_are_found_where_people_put_them(tmp_path: Path) -> None:
    layouts = {
        "beside": ("set.json", "a.png"),
        "images": ("set.json", "images/a.png"),
        "official": ("annotations/instances_val2017.json", "val2017/a.png"),
        "split": ("annotations/train.json", "images/train/a.png"),
        "root": ("annotations/x.json", "a.png"),
    }
    for name, (file, picture) in layouts.items():
        for place in (file, picture):
            (tmp_path / name / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE[::-1]).save(tmp_path / name / picture)
        (tmp_path / name / file).write_text(json.dumps(document()))
        for entrance in (tmp_path / name, tmp_path / name / file):
            assert open_dataset(entrance)[0].path.resolve() == (tmp_path / name / picture).resolve()


def test_the_split_named_as_the_file_comes_first(tmp_path: Path) -> None:
    for folder in ("annotations", "train", "val"):
        (tmp_path / folder).mkdir()
    for folder in (".", "train", "val"):
        Image.new("RGB", SIZE[::-1]).save(tmp_path / folder / "a.png")
    for split in ("train", "val"):
        (tmp_path / f"annotations/instances_{split}.json").write_text(json.dumps(document()))
        dataset = open_dataset(tmp_path / f"annotations/instances_{split}.json")
        assert dataset.path(0).parent.name == split


def test_names_with_folders_and_from_other_systems(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "sub/a.png")
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "b.png")
    names = ["sub/a.png", "sub\\a.png", str(tmp_path / "b.png"), "C:\\data\\b.png", "/elsewhere/b.png"]
    images = [{"id": i, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for i, name in enumerate(names)]
    (tmp_path / "set.json").write_text(json.dumps(document(images=images)))
    dataset = open_dataset(tmp_path / "set.json")
    assert [dataset.path(i).name for i in range(5)] == ["a.png", "a.png", "b.png", "b.png", "b.png"]


def test_missing_pictures(tmp_path: Path) -> None:
    images = [{"id": i, "file_name": f"{i}.png", "height": 6, "width": 8} for i in range(5)]
    (tmp_path / "set.json").write_text(json.dumps(document(images=images)))
    with pytest.raises(ImageError, match=r"set\.json: 5 of 5 pictures are missing: 0\.png, 1\.png, 2\.png, \.\.\.; "):
        open_dataset(tmp_path)
    dataset = open_dataset(tmp_path, pictures="optional")
    assert [len(dataset.instances(i)) for i in range(5)] == [0] * 5
    with pytest.raises(ImageError, match=r"3\.png: expected a picture, got no such file"):
        dataset[3]


def test_sizes_come_from_the_header_where_the_file_says_none(make) -> None:
    assert make(images=[{"id": 5, "file_name": "a.png"}]).size_hw(0) == SIZE


# Writing


def instances(*bitmaps: Bitmap, boxes_only: bool = False) -> Instances:
    masks = Bitmaps(bitmaps, SIZE)
    labels = np.arange(len(bitmaps)) % 2
    crowd = np.arange(len(bitmaps)) == 1
    return Instances(SIZE, masks.boxes(), labels, ("cat", "dog"), None if boxes_only else masks, crowd=crowd)


DOT = Bitmap(2, 3, np.ones((1, 1), dtype=bool))
HOLLOW = Bitmap(4, 1, np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool))


def test_encode_instances_by_hand() -> None:
    first, second = coco.encode_instances(instances(DOT, HOLLOW), 5, 10, (7, 90))
    assert first == {
        "id": 10,
        "image_id": 5,
        "category_id": 7,
        "bbox": [2.0, 3.0, 1.0, 1.0],
        "segmentation": {"size": [6, 8], "counts": compress(np.array([15, 1, 32]))},
        "area": 1,
        "iscrowd": 0,
    }
    assert (second["id"], second["category_id"], second["area"], second["iscrowd"]) == (11, 90, 8, 1)
    assert coco.encode_instances(instances(), 5, 10, (7, 90)) == []
    (boxed,) = coco.encode_instances(instances(HOLLOW, boxes_only=True), 5, 1, (7, 90))
    assert "segmentation" not in boxed
    assert boxed["area"] == 9


def test_encode_results_have_scores() -> None:
    (result,) = coco.encode_results(instances(DOT), 5, (7, 90))
    assert result.keys() == {"image_id", "category_id", "bbox", "segmentation", "score"}
    assert result["score"] == 1.0


def _write(folder: Path, found: Instances) -> Path:
    image = {"id": 5, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}
    categories = [{"id": 90, "name": "dog"}, {"id": 7, "name": "cat"}]
    annotations = coco.encode_instances(found, 5, 1, (7, 90))
    path = folder / "set.json"
    path.write_text(json.dumps({"images": [image], "annotations": annotations, "categories": categories}))
    return path


@st.composite
def bitmaps(draw: st.DrawFn) -> Bitmap:
    h, w = draw(st.integers(1, SIZE[0])), draw(st.integers(1, SIZE[1]))
    pixels = np.array(draw(st.lists(st.booleans(), min_size=h * w, max_size=h * w))).reshape(h, w)
    pixels[0, 0] = True
    return Bitmap(draw(st.integers(0, SIZE[1] - w)), draw(st.integers(0, SIZE[0] - h)), pixels)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(found=st.lists(bitmaps(), max_size=4))
def test_written_masks_are_read_back_pixel_for_pixel(tmp_path: Path, found: list[Bitmap]) -> None:
    written = instances(*found)
    read = open_dataset(_write(tmp_path, written), pictures="optional").instances(0)
    np.testing.assert_array_equal(read.masks.dense(), written.masks.dense())
    assert read.labels.tolist() == written.labels.tolist()
    assert read.crowd.tolist() == written.crowd.tolist()


# Real data


def _same_as_pycocotools(path: Path) -> int:
    pycocotools = pytest.importorskip("pycocotools.mask")
    content = json.loads(path.read_text())
    dataset = open_dataset(path, pictures="optional")
    by_image: dict[int, list[Json]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    for i in range(len(dataset)):
        h, w = dataset.size_hw(i)
        found = dataset.instances(i)
        assert len(found) == len(by_image[dataset.image_id(i)])
        ids = [dataset.category_ids[label] for label in found.labels]
        for mask, annotation, category_id in zip(found.masks.dense(), by_image[dataset.image_id(i)], ids, strict=True):
            rle = pycocotools.frPyObjects(annotation["segmentation"], h, w)
            expected = pycocotools.decode(pycocotools.merge(rle) if isinstance(rle, list) else rle)
            np.testing.assert_array_equal(mask, expected.astype(bool))
            assert category_id == annotation["category_id"]
    assert dataset.left_out == ()
    return len(content["annotations"])


@pytest.mark.skipif(not TINY.exists(), reason="../shared/data/coco_tiny_80 is not here")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(("split", "count"), [("train2017", 705), ("val2017", 815)])
def test_every_annotation_of_coco_tiny_80_has_the_pixels_of_pycocotools(split: str, count: int) -> None:
    assert _same_as_pycocotools(TINY / f"instances_{split}.json") == count


@pytest.mark.skipif(not TINY.exists(), reason="../shared/data/coco_tiny_80 is not here")
def test_coco_tiny_80_has_its_80_classes_and_all_pictures_open() -> None:
    dataset = open_dataset(TINY / "instances_train2017.json")
    assert (len(dataset), len(dataset.class_names), dataset.category_ids[-1]) == (80, 80, 90)
    assert sum(sample.instances.crowd.sum() for sample in dataset) == 6
    with pytest.raises(AnnotationError, match=r"got annotations/instances_train2017\.json, annotations/instances_val"):
        open_dataset(TINY.parent)


@pytest.mark.skipif(not FAKE.exists(), reason="../shared/data/coco_eval_fake100 is not here")
def test_a_set_without_pictures_opens_for_evaluation() -> None:
    with pytest.raises(ImageError, match="100 of 100 pictures are missing"):
        open_dataset(FAKE)
    dataset = open_dataset(FAKE, pictures="optional")
    assert (len(dataset), sum(len(dataset.instances(i)) for i in range(100))) == (100, 839)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_random_polygons_have_the_pixels_of_pycocotools(make) -> None:
    pycocotools = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(3)
    for steps in (1, 2, 100):  # whole, half and hundredth pixels
        rings = [[(np.round(rng.uniform(-3, 11, 2 * rng.integers(3, 9)) * steps) / steps).tolist()] for _ in range(100)]
        dataset = make(*[{"segmentation": ring} for ring in rings])
        shapes = [annotation.shape for annotation in dataset.records[0].annotations]
        names = {annotation.name for annotation in dataset.records[0].annotations}
        kept = [ring for i, ring in enumerate(rings) if f"annotations[{i}]" in names]
        assert len(kept) + len(dataset.left_out) == 100
        for shape, ring in zip(shapes, kept, strict=True):
            x, y, pixels = shape.bitmap(SIZE)
            mask = np.zeros(SIZE, dtype=bool)
            mask[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
            expected = pycocotools.decode(pycocotools.merge(pycocotools.frPyObjects(ring, *SIZE)))
            np.testing.assert_array_equal(mask, expected.astype(bool))

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from odd_values import with_odd_values
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats import coco, coco_panoptic, lvis, segment_anything
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError, DataError, FormatError, ImageError, MaskRCNNError
from maskrcnn.ops.polygons import rasterise

SHARED = Path(__file__).parents[2] / "../shared/data"
EXAMPLES = SHARED / "format_examples"
SIZE = (6, 8)
SQUARE = [1, 1, 3, 1, 3, 3, 1, 3]

Json = dict[str, object]


def dump(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def picture(path: Path, size_hw: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size_hw[::-1]).save(path)


def refused(document: object) -> tuple[str, str]:
    """Return the code and the sentence of a document that can't be opened."""
    with pytest.raises(DataError) as caught:
        open_dataset(document)
    return caught.value.code, str(caught.value)


def test_a_set_of_ours_says_what_was_looked_for_and_its_columns(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    image = {"file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}
    document = {
        "categories": [{"id": i, "name": name} for i, name in ((1, "a"), (7, "b"))],
        "annotations": [],
        "images": [
            {"id": 1, **image, "labelled": [7], "columns": {"background": "17"}},
            {"id": 2, **image},
            {"id": 3, **image, "labelled": True, "columns": 640},  # what others may mean by these words
        ],
    }
    dump(tmp_path / "set.json", document)
    records = open_dataset(tmp_path).records
    assert [record.labelled for record in records] == [{1}, None, None]
    assert [record.columns for record in records] == [{"background": "17"}, {}, {}]
    document["images"][0]["labelled"] = ["b"]
    dump(tmp_path / "set.json", document)
    with pytest.raises(AnnotationError, match=r"images\[0\]: labelled: expected a whole number from 0 up, got 'b'"):
        open_dataset(tmp_path)


# LVIS


def lvis_document(**image: object) -> Json:
    where = {"height": SIZE[0], "width": SIZE[1], "neg_category_ids": [2], "not_exhaustive_category_ids": []}
    return {
        "categories": [
            {"id": i, "name": name, "frequency": "r", "synset": name} for i, name in ((1, "a"), (2, "b"), (5, "c"))
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 5, "segmentation": [SQUARE], "bbox": [1, 1, 2, 2], "area": 4},
            {"id": 2, "image_id": 7, "category_id": 5, "segmentation": [[9, 9, 12, 9, 12, 12]], "area": 4},
        ],
        "images": [
            {"id": 7, "coco_url": "http://images.cocodataset.org/val2017/000000000007.jpg", **where, **image},
            {"id": 8, "coco_url": "http://images.cocodataset.org/val2017/000000000008.jpg", **where}
            | {"neg_category_ids": []},
        ],
    }


def test_lvis_says_what_was_looked_for(tmp_path: Path) -> None:
    dump(tmp_path / "annotations/lvis_v1_val.json", lvis_document())
    for i in (7, 8):
        picture(tmp_path / f"val2017/00000000000{i}.jpg")
    dataset = open_dataset(tmp_path)
    assert (dataset.format, dataset.class_names, dataset.category_ids) == ("lvis", ("a", "b", "c"), (1, 2, 5))
    assert [record.labelled for record in dataset.records] == [{1, 2}, set()]
    dump(tmp_path / "annotations/lvis_v1_val.json", lvis_document(not_exhaustive_category_ids=[5]))
    assert open_dataset(tmp_path).records[0].labelled == {1}
    dump(tmp_path / "annotations/lvis_v1_val.json", lvis_document())
    assert [record.name for record in dataset.records] == ["val2017/000000000007.jpg", "val2017/000000000008.jpg"]
    assert len(dataset[0].instances) == 1
    assert [left.name for left in dataset.left_out] == ["annotation 2"]
    assert dataset.select([1, 0]).records[1].labelled == {1, 2}
    (record,) = open_dataset(tmp_path).select([0]).records
    assert record.labelled == {1, 2}


def test_pictures_of_lvis_lie_in_the_folders_of_coco(tmp_path: Path) -> None:
    old = {"file_name": "COCO_val2014_000000000007.jpg"}
    for k, (image, place) in enumerate(
        [
            ({}, "images/000000000007.jpg"),
            ({}, "images/val2017/000000000007.jpg"),
            (old, "val2017/000000000007.jpg"),
            (old, "images/COCO_val2014_000000000007.jpg"),
            (old, "images/000000000007.jpg"),
        ]
    ):
        document = lvis_document(**image)
        document["images"] = document["images"][:1]
        dump(tmp_path / str(k) / "annotations/x.json", document)
        picture(tmp_path / str(k) / place)
        assert open_dataset(tmp_path / str(k)).path(0) == tmp_path / str(k) / place


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ({"coco_url": "http://[1/a.jpg"}, r"images\[0\]: coco_url: expected an address, got 'http://\[1/a.jpg'"),
        ({"neg_category_ids": 5}, r"images\[0\]: neg_category_ids: expected a list, got 5"),
        ({"neg_category_ids": ["a"]}, r"images\[0\]: neg_category_ids: expected a whole number from 0 up, got 'a'"),
        ({"coco_url": None}, r"images\[0\]: file_name: expected a text, got nothing"),
        ({"coco_url": "http://host"}, r"images\[0\]: coco_url: expected a text, got ''"),
        ({"coco_url": 5}, r"images\[0\]: coco_url: expected a text, got 5"),
    ],
)
def test_lvis_errors(tmp_path: Path, image: Json, words: str) -> None:
    dump(tmp_path / "x.json", lvis_document(**image))
    with pytest.raises(AnnotationError, match=rf"x\.json: {words}"):
        open_dataset(tmp_path, pictures="optional")


# Panoptic


def panoptic_document(**changes: object) -> Json:
    segments = [
        {"id": 1, "category_id": 3, "bbox": [1, 1, 2, 2], "area": 4, "iscrowd": 0},
        {"id": 300, "category_id": 3, "bbox": [4, 0, 1, 6], "area": 6, "iscrowd": 1},
        {"id": 70000, "category_id": 9, "bbox": [0, 0, 8, 1], "area": 8, "iscrowd": 0},
        {"id": 5, "category_id": 3, "bbox": [0, 0, 1, 1], "area": 0, "iscrowd": 0},
    ]
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments, **changes}],
        "categories": [
            {"id": 3, "name": "cat", "supercategory": "animal", "isthing": 1},
            {"id": 9, "name": "sky", "supercategory": "sky", "isthing": 0},
        ],
    }


def panoptic_set(folder: Path, document: Json, ids: np.ndarray | None = None) -> Path:
    if ids is None:
        ids = np.zeros(SIZE, dtype=np.int64)
        ids[1:3, 1:3], ids[:, 4], ids[5, 5:] = 1, 300, 70000
    picture(folder / "val/a.jpg")
    (folder / "annotations/panoptic_val").mkdir(parents=True, exist_ok=True)
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)
    Image.fromarray(colours).save(folder / "annotations/panoptic_val/a.png")
    dump(folder / "annotations/panoptic_val.json", document)
    return folder


def test_things_of_a_panoptic_set_are_objects(tmp_path: Path) -> None:
    dataset = open_dataset(panoptic_set(tmp_path, panoptic_document()))
    assert (dataset.format, dataset.class_names, dataset.category_ids) == ("coco-panoptic", ("cat",), (3,))
    assert dataset.supercategories == ("animal",)
    instances = dataset[0].instances
    assert instances.boxes.tolist() == [[1, 1, 3, 3], [4, 0, 5, 6]]
    assert instances.masks.areas().tolist() == [4, 6]
    assert instances.crowd.tolist() == [False, True]
    assert [annotation.name for annotation in dataset.records[0].annotations] == ["segment 1", "segment 300"]
    (left,) = dataset.left_out
    assert (left.name, left.code, left.reason) == ("segment 5", "G204", "its mask covers no pixel and it has no box")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"image_id": 2}, "F005", "annotations[0]: image_id: expected the id of one of the images, got 2"),
        ({"file_name": "b.png"}, "P101", "1 of 1 pictures are missing: b.png; looked in "),
        ({"segments_info": []}, "F003", "a.png: colour: expected the id of one of the segments, got 1"),
        ({"segments_info": 5}, "F003", "annotations[0]: segments_info: expected a list, got 5"),
    ],
)
def test_panoptic_errors(tmp_path: Path, change: Json, code: str, words: str) -> None:
    got, sentence = refused(panoptic_set(tmp_path, panoptic_document(**change)) / "annotations/panoptic_val.json")
    assert got == code
    assert f"panoptic_val.json: {words}" in sentence


def test_panoptic_maps_have_to_fit(tmp_path: Path) -> None:
    code, sentence = refused(panoptic_set(tmp_path, panoptic_document(), np.zeros((5, 5), dtype=int)))
    assert code == "P103"
    assert sentence.endswith("a.png: expected a PNG of 6x8 (height x width) as its picture, got 5x5")
    document = panoptic_document()
    document["annotations"] *= 2
    assert refused(panoptic_set(tmp_path, document))[0] == "F004"
    document = panoptic_document()
    document["annotations"][0]["segments_info"][1]["category_id"] = 4
    code, sentence = refused(panoptic_set(tmp_path, document))
    assert code == "C301"
    assert "a.png: segment 300: category_id: expected the id of one of the categories, got 4" in sentence
    (tmp_path / "annotations/panoptic_val/a.png").write_bytes(b"no picture")
    assert refused(tmp_path)[0] == "P102"


def test_a_panoptic_set_of_stuff_is_refused(tmp_path: Path) -> None:
    document = panoptic_document()
    document["categories"][0]["isthing"] = 0
    _, sentence = refused(panoptic_set(tmp_path, document))
    assert sentence.endswith("categories: expected at least one with isthing 1, got none; stuff has no instances")


# SA-1B


def sa_document(i: int = 1, *annotations: Json) -> Json:
    runs = {"size": [*SIZE], "counts": [7, 2, 39]}
    return {
        "image": {"image_id": i, "width": SIZE[1], "height": SIZE[0], "file_name": f"sa_{i}.jpg"},
        "annotations": [
            {"id": 5, "segmentation": runs, "bbox": [1, 1, 0, 1], "area": 2, "predicted_iou": 0.9},
            *annotations,
        ],
    }


def test_a_folder_of_segment_anything_is_one_set(tmp_path: Path) -> None:
    for i in (2, 10):
        dump(tmp_path / f"sa_{i}.json", sa_document(i))
        picture(tmp_path / f"sa_{i}.jpg")
    dataset = open_dataset(tmp_path)
    assert (dataset.format, dataset.class_names, len(dataset)) == ("segment-anything", ("object",), 2)
    assert [sample.instances.boxes.tolist() for sample in dataset] == [[[1, 1, 2, 3]]] * 2
    assert [record.image_id for record in dataset.records] == [2, 10]
    assert len(open_dataset(tmp_path / "sa_10.json")) == 1
    dump(tmp_path / "sa_3.json", sa_document(2))
    code, sentence = refused(tmp_path)
    assert (code, sentence.rpartition("/")[2]) == (
        "F004",
        "sa_3.json: image_id: expected every id once, got 2 a second time",
    )
    faults: list[DataError] = []
    assert len(open_dataset(tmp_path, fault=faults.append)) == 2
    assert [fault.code for fault in faults] == ["F004"]


def test_faults_in_segment_anything(tmp_path: Path) -> None:
    broken = {"id": 6, "segmentation": {"size": [*SIZE], "counts": [3]}}
    dump(tmp_path / "sa_1.json", sa_document(1, broken))
    picture(tmp_path / "sa_1.jpg")
    code, sentence = refused(tmp_path)
    assert code == "G205"
    assert "sa_1.json: annotation 6: segmentation: expected runs from 0 up that sum to 48" in sentence


# All of them


def test_no_odd_value_anywhere_escapes_as_a_bare_error(tmp_path: Path) -> None:
    panoptic_set(tmp_path, panoptic_document())
    documents = [
        (lvis, tmp_path / "x.json", lvis_document(file_name="a.jpg")),
        (coco_panoptic, tmp_path / "annotations/panoptic_val.json", panoptic_document()),
        (segment_anything, tmp_path / "sa.json", sa_document()),
    ]
    for reader, source, document in documents:
        messages = []
        source.write_text("{}")
        assert len(reader.read(source, Reading("optional", parsed={source: copy.deepcopy(document)})).instances(0)) >= 1
        for changed in with_odd_values(document):
            for fault in (None, []):
                how = {} if fault is None else {"fault": fault.append}
                try:
                    dataset = reader.read(source, Reading("optional", parsed={source: changed}, **how))
                    dataset.instances(0)
                    dataset.fingerprint()
                except MaskRCNNError as error:
                    messages.append(str(error))
                messages += map(str, fault or ())
        assert len(messages) > 200
        assert all(message.startswith(f"{tmp_path}/") for message in messages)


def test_kinds_are_told_apart(tmp_path: Path) -> None:
    from maskrcnn.data.formats.place import Place

    plain = lvis_document()
    for image in plain["images"]:
        del image["neg_category_ids"]
    captions = {**plain, "annotations": [{"id": 1, "image_id": 7, "caption": "a cat"}]}
    documents = {
        coco: plain,
        lvis: lvis_document(),
        coco_panoptic: panoptic_document(),
        segment_anything: sa_document(),
        None: captions,
    }
    for owner, document in documents.items():
        dump(tmp_path / "x.json", document)
        found = [reader for reader in (coco, lvis, coco_panoptic, segment_anything) if reader.find(Place(tmp_path))]
        assert found == ([] if owner is None else [owner])


def test_many_json_files_are_not_all_parsed(tmp_path: Path, monkeypatch) -> None:
    from maskrcnn.data.formats.place import Place

    for i in range(40):
        dump(tmp_path / f"{i}.json", {"version": "5", "shapes": [], "imagePath": f"{i}.jpg"})
    dump(tmp_path / "set.json", lvis_document())
    place = Place(tmp_path)
    assert [path.name for path in lvis.find(place)] == ["set.json"]
    assert coco.find(place) == []
    assert len(place.parsed) == 1


# Real sets


def counted(document: Json) -> tuple[int, int, int, Counter[str]]:
    """Count pictures, classes, objects, and the objects of each class, in the plainest way."""
    names = {category["id"]: category["name"] for category in document["categories"]}
    objects = Counter(names[annotation["category_id"]] for annotation in document["annotations"])
    return len(document["images"]), len(names), sum(objects.values()), objects


def classes_in(dataset: Dataset) -> Counter[str]:
    return Counter(name for i in range(len(dataset)) for name in dataset.instances(i).names)


COCO_FILES = [
    *(
        f"coco/annotations/{kind}_{split}.json"
        for kind in ("instances", "person_keypoints", "stuff")
        for split in ("train", "val")
    ),
    *(f"{kind}/{split}" for kind in ("coco_roboflow",) for split in ("train", "val")),
    *(f"mmdet_coco/annotations/instances_{split}.json" for split in ("train", "val")),
    *(f"coco_instances/annotations/instances_{split}.json" for split in ("train", "val")),
    *(f"coco_stuff/annotations/stuff_{split}.json" for split in ("train", "val")),
    *(f"coco_person_keypoints/annotations/person_keypoints_{split}.json" for split in ("train", "val")),
    "../roboflow_dataset/coco/train",
    "../roboflow_dataset/coco/val",
]


@pytest.mark.skipif(not EXAMPLES.exists(), reason="../shared/data/format_examples is not here")
@pytest.mark.parametrize("name", COCO_FILES)
def test_examples_of_coco_are_read_whole(name: str) -> None:
    path = EXAMPLES / "coco_dataset" / name
    file = path / "_annotations.coco.json" if path.is_dir() else path
    pictures, classes, objects, of_class = counted(json.loads(file.read_bytes()))
    dataset = open_dataset(path)
    assert (len(dataset), len(dataset.class_names)) == (pictures, classes)
    assert sum(len(dataset.instances(i)) for i in range(len(dataset))) == objects
    assert classes_in(dataset) == of_class
    assert dataset.left_out == ()
    assert all(path.is_file() for path in map(dataset.path, range(len(dataset))))


@pytest.mark.skipif(not EXAMPLES.exists(), reason="../shared/data/format_examples is not here")
@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("coco", FormatError, "got annotations/instances_train.json, annotations/instances_val.json; name"),
        ("coco_instances", FormatError, "got annotations/instances_train.json, annotations/instances_val.json; name"),
        ("coco_captions", FormatError, "expected annotations of a known kind"),
        ("coco/annotations/captions_val.json", FormatError, "expected annotations of a known kind"),
        ("coco/annotations/image_info_val.json", AnnotationError, "categories: expected at least one, got none"),
        (
            "coco/annotations/labels_val.json",
            AnnotationError,
            "annotation 1: expected a segmentation or a bbox, got ne",
        ),
        ("coco/annotations/panoptic_val.json", AnnotationError, "expected at least one with isthing 1, got none"),
        ("coco_panoptic/annotations/panoptic_val.json", AnnotationError, "expected at least one with isthing 1"),
        ("coco_roboflow", FormatError, "try .*/train or .*/val"),
        (
            "../segment_anything_dataset",
            AnnotationError,
            r"b\.json: annotation 1: .* expected \[10, 5\] as the picture's",
        ),
    ],
)
def test_examples_that_are_refused(name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        open_dataset(EXAMPLES / "coco_dataset" / name)


@pytest.mark.skipif(not EXAMPLES.exists(), reason="../shared/data/format_examples is not here")
def test_the_panoptic_example_is_read_once_something_is_a_thing(tmp_path: Path) -> None:
    source = EXAMPLES / "coco_dataset/coco_panoptic/annotations/panoptic_val.json"
    document = json.loads(source.read_bytes())
    document["categories"][0]["isthing"] = 1
    dataset = coco_panoptic.read(source, Reading(parsed={source: document}))
    instances = dataset[0].instances
    assert (instances.names, instances.masks.areas().tolist()) == (["a"], [20])


@pytest.mark.skipif(not EXAMPLES.exists(), reason="../shared/data/format_examples is not here")
def test_the_whole_example_of_segment_anything_is_read() -> None:
    dataset = open_dataset(EXAMPLES / "segment_anything_dataset/a.json")
    assert dataset[0].instances.boxes.tolist() == [[3, 1, 4, 5]]


LVIS = SHARED / "lvis/data/lvis_val_100.json"


@pytest.mark.skipif(not LVIS.exists(), reason="../shared/data/lvis is not here")
def test_lvis_val_100() -> None:
    document = json.loads(LVIS.read_bytes())
    pictures, classes, objects, of_class = counted(document)
    assert (pictures, classes, objects) == (100, 1230, 977)
    dataset = open_dataset(LVIS, pictures="optional")
    assert (dataset.format, len(dataset), len(dataset.class_names)) == ("lvis", 100, 1230)
    assert classes_in(dataset) == of_class
    present = {image["id"]: set(image["neg_category_ids"]) for image in document["images"]}
    for annotation in document["annotations"]:
        present[annotation["image_id"]].add(annotation["category_id"])
    for image in document["images"]:
        present[image["id"]] -= set(image["not_exhaustive_category_ids"])
    for record in dataset.records:
        assert {dataset.category_ids[label] for label in record.labelled} == present[record.image_id]
    with pytest.raises(ImageError, match="100 of 100 pictures are missing: COCO_val2014_000000266409"):
        open_dataset(LVIS)


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
@pytest.mark.parametrize(
    ("name", "objects"),
    [("dataset/example_crowdpose_val.json", 10), ("dataset/gt_dataset.json", 9), ("keypoints_dataset", 14)],
)
def test_other_files_beside_the_fake_results(name: str, objects: int) -> None:
    dataset = open_dataset(SHARED / "coco_eval_fake100" / name, pictures="optional")
    assert sum(len(dataset.instances(i)) for i in range(len(dataset))) + len(dataset.left_out) == objects


# Pixels


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_ten_thousand_random_polygons_have_the_pixels_of_pycocotools() -> None:
    pycocotools = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(11)
    different = 0
    for i in range(10_000):
        h, w = rng.integers(1, 60, 2).tolist()
        steps = (1, 2, 100, 1000)[i % 4]  # whole, half, hundredth pixels, and finer
        corners = [rng.uniform(-8, 68, (rng.integers(3, 12), 2)) for _ in range(rng.integers(1, 3))]
        rings = [np.round(each * steps) / steps for each in corners]
        x, y, pixels = rasterise(rings, (h, w))
        mask = np.zeros((h, w), dtype=bool)
        mask[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        wanted = pycocotools.decode(
            pycocotools.merge(pycocotools.frPyObjects([r.ravel().tolist() for r in rings], h, w))
        )
        different += not np.array_equal(mask, wanted.astype(bool))
    assert different == 0


def test_panoptic_files_give_way_to_the_instances_beside_them(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    image = {"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}
    things = [{"id": 1, "name": "a", "isthing": 1}]
    dump(tmp_path / "annotations/instances_val.json", {"images": [image], "annotations": [], "categories": things})
    segments = {"image_id": 1, "file_name": "a.png", "segments_info": []}
    document = {"images": [image], "annotations": [segments], "categories": things}
    dump(tmp_path / "annotations/panoptic_val.json", document)
    assert open_dataset(tmp_path).format == "coco"

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from odd_values import with_odd_values
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Annotation, Dataset, Record, Rings, Runs, sift
from maskrcnn.data.formats import coco, via
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError, FormatError, ImageError, InputError, MaskRCNNError
from maskrcnn.ops.rle import Bitmap
from maskrcnn.structures import Sample

SIZE = (6, 8)
SQUARE = Rings((np.array([[1.0, 1], [3, 1], [3, 3], [1, 3]]),))


def coco_document(count: int = 1, **image: object) -> dict[str, object]:
    polygon = [[1, 1, 3, 1, 3, 3, 1, 3]]
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "height": 6, "width": 8, **image} for i in range(count)],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "segmentation": polygon} for i in range(count)],
        "categories": [{"id": 1, "name": "cat"}],
    }


def via_document() -> dict[str, object]:
    return {"0.png9": {"filename": "0.png", "size": 9, "regions": []}}


def picture(folder: Path, i: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE[::-1]).save(folder / f"{i}.png")


def dump(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


@pytest.fixture
def four(tmp_path: Path) -> Dataset:
    for i in range(4):
        picture(tmp_path, i)
    dump(tmp_path / "set.json", coco_document(4))
    return open_dataset(tmp_path)


def test_a_dataset_is_a_sequence_of_samples(four: Dataset) -> None:
    assert len(four) == 4
    assert [sample.image_id for sample in four] == [0, 1, 2, 3]
    last = four[-1]
    assert isinstance(last, Sample)
    assert (last.image.shape, last.path.name, last.instances.names) == ((6, 8, 3), "3.png", ["cat"])
    with pytest.raises(IndexError):
        four[4]


def test_a_slice_is_a_dataset(four: Dataset) -> None:
    assert [four[1:3].image_id(i) for i in range(2)] == [1, 2]
    assert [four.select([3, 0]).path(i).name for i in range(2)] == ["3.png", "0.png"]
    with pytest.raises(AnnotationError, match="expected at least one picture, got none"):
        four[4:]


def test_only_asking_for_a_picture_decodes_it(four: Dataset, tmp_path: Path) -> None:
    (tmp_path / "2.png").write_bytes(b"broken")
    assert four.size_hw(2) == SIZE
    assert len(four.instances(2)) == 1
    with pytest.raises(ImageError, match=r"2\.png: expected a picture"):
        four[2]


def test_a_picture_of_another_size_is_an_error_with_the_exif_hint(tmp_path: Path) -> None:
    picture(tmp_path)
    dump(tmp_path / "set.json", coco_document(height=8, width=6))
    with pytest.raises(
        AnnotationError, match=r"set\.json: 0\.png: expected a picture of 8x6 .*, got 6x8 in .*0\.png; .*EXIF"
    ):
        open_dataset(tmp_path)[0]
    dump(tmp_path / "set.json", coco_document(height=12, width=16))
    with pytest.raises(AnnotationError, match=r"expected a picture of 12x16 \(height x width\), got 6x8 in [^;]*$"):
        open_dataset(tmp_path)[0]


def test_a_turned_picture_fits_its_upright_annotations(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (6, 8)).save(tmp_path / "0.png", exif=exif)
    dump(tmp_path / "set.json", coco_document())
    assert open_dataset(tmp_path)[0].image.shape == (6, 8, 3)


def test_the_fingerprint_follows_content_and_not_the_folder(tmp_path: Path) -> None:
    prints = []
    for name in ("a", "b/c"):
        picture(tmp_path / name)
        dump(tmp_path / name / "set.json", coco_document())
        prints.append(open_dataset(tmp_path / name).fingerprint())
    assert prints[0] == prints[1]
    assert len(prints[0]) == 64


def test_the_fingerprint_sees_every_change() -> None:
    def one(name="a", image_id=1, size_hw=SIZE, classes=("x", "y"), **change) -> str:
        annotation = Annotation(**{"name": "annotation 1", "label": 0, "shape": SQUARE, **change})
        record = Record(name, Path(name), image_id, size_hw, (annotation,))
        return Dataset(Path("set"), "coco", classes, (1, 2), [record]).fingerprint()

    moved = Rings((SQUARE.rings[0] + 0.01,))
    prints = [
        one(),
        one(name="b"),
        one(image_id=2),
        one(size_hw=(6, 9)),
        one(classes=("x", "z")),
        one(label=1),
        one(crowd=True),
        one(shape=moved),
        one(shape=Rings((*SQUARE.rings, *SQUARE.rings))),
        one(shape=Runs("`1", 0)),
        one(shape=None, box=(0, 0, 1, 1)),
        one(shape=None, box=(0, 0, 1, 2)),
    ]
    assert len(set(prints)) == len(prints)
    assert one() == prints[0]


@pytest.mark.parametrize(
    ("ring", "pixel"),
    [
        ([[2.1, 3.1], [2.2, 3.1], [2.2, 3.2]], (2, 3)),
        ([[5, 0], [5, 0], [5, 0]], (5, 0)),
        ([[7.9, 5.9], [7.95, 5.9], [7.95, 5.95]], (7, 5)),
        ([[-1, -1], [0.1, -1], [0.1, 0.1], [-1, 0.1]], (0, 0)),
        ([[0, 0], [0, 0], [0, 0]], (0, 0)),
        ([[7.9, 2], [9, 2], [9, 2.1]], (7, 2)),
    ],
)
def test_an_object_that_covers_no_pixel_centre_gets_the_nearest_pixel(ring: list, pixel: tuple[int, int]) -> None:
    annotation = Annotation("annotation 1", 0, Rings((np.array(ring, dtype=np.float64),)))
    records, left_out = sift([Record("a", Path("a"), 1, SIZE, (annotation,))], Path("set"))
    assert left_out == []
    instances = Dataset(Path("set"), "coco", ("x",), (1,), records).instances(0)
    x, y = pixel
    assert instances.boxes.tolist() == [[x, y, x + 1, y + 1]]
    assert instances.masks.areas().tolist() == [1]
    assert instances.masks.dense()[0, y, x]


@pytest.mark.parametrize("corner", [(8, 0), (0, 6), (-2, 0), (0, -2), (-1, 2), (3, -1)])
def test_an_object_outside_is_left_out(corner: tuple[float, float]) -> None:
    ring = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]) + corner
    inside = Annotation("annotation 2", 0, SQUARE)
    outside = Annotation("annotation 1", 0, Rings((ring,)))
    (record,), (left,) = sift([Record("a", Path("a"), 1, SIZE, (outside, inside))], Path("set"))
    assert record.annotations == (inside,)
    assert (left.name, left.picture) == ("annotation 1", "a")
    assert "outside of the picture of 6x8" in left.reason
    dataset = Dataset(Path("set"), "coco", ("x",), (1,), [record], [left])
    assert dataset.select([0]).left_out == (left,)


@pytest.mark.parametrize(("corner", "pixels"), [((1, 1), 6), ((-2, 0), 2), ((6, 5), 2), ((8, 0), 0), ((-3, -2), 0)])
def test_runs_are_the_part_of_a_window_that_lies_in_the_picture(corner: tuple[int, int], pixels: int) -> None:
    runs = Runs.of(Bitmap(*corner, np.ones((2, 3), dtype=np.bool_)), SIZE)
    assert runs.pixels == pixels == runs.bitmap(SIZE).pixels.sum()
    (record,), left_out = sift([Record("a", Path("a"), 1, SIZE, (Annotation("1", 0, runs),))], Path("set"))
    assert (len(record.annotations), [left.code for left in left_out]) == ((1, []) if pixels else (0, ["G204"]))
    instances = Dataset(Path("set"), "coco", ("x",), (1,), [record]).instances(0)
    assert instances.masks.areas().tolist() == [pixels] * bool(pixels)


def test_crowd_only(tmp_path: Path) -> None:
    crowd = Annotation("annotation 1", 0, SQUARE, crowd=True)
    dataset = Dataset(Path("set"), "coco", ("x",), (1,), [Record("a", Path("a"), 1, SIZE, (crowd,))])
    assert dataset.instances(0).crowd.tolist() == [True]


# Opening


def test_formats_are_recognised_from_the_folder(tmp_path: Path) -> None:
    for name, file, document in (
        ("via", "via_region_data.json", via_document()),
        ("via_other", "export.json", via_document()),
        ("project", "p.json", {"_via_img_metadata": via_document(), "_via_settings": {}}),
        ("coco", "annotations.json", coco_document()),
        ("roboflow", "_annotations.coco.json", coco_document()),
        ("below", "annotations/instances_x.json", coco_document()),
    ):
        picture(tmp_path / name)
        dump(tmp_path / name / file, document)
        dataset = open_dataset(str(tmp_path / name))
        assert dataset.format == ("coco" if document.keys() >= {"images"} else "via")
        assert dataset.source == tmp_path / name / file


def test_other_json_beside_it_does_no_harm(tmp_path: Path) -> None:
    picture(tmp_path)
    dump(tmp_path / "set.json", coco_document())
    dump(tmp_path / "settings.json", {"a": 1})
    dump(tmp_path / "results.json", [{"image_id": 1, "score": 0.5}])
    dump(tmp_path / ".hidden.json", coco_document())
    assert open_dataset(tmp_path).source.name == "set.json"
    dump(tmp_path / "instances_val.json", coco_document())
    assert open_dataset(tmp_path).source.name == "instances_val.json"
    dump(tmp_path / "via_region_data.json", via_document())
    assert open_dataset(tmp_path).format == "via"
    assert open_dataset(tmp_path, format="coco").format == "coco"


def test_several_annotation_files_are_listed(tmp_path: Path) -> None:
    dump(tmp_path / "a.json", coco_document())
    dump(tmp_path / "annotations/b.json", coco_document())
    with pytest.raises(FormatError, match=r"expected one annotation file, got a\.json, annotations/b\.json; name"):
        open_dataset(tmp_path)


def test_format_errors_say_what_was_looked_for_and_found(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"nowhere: expected an annotation file or a folder with one, got no such"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(FormatError, match=r"expected annotations of a known kind; found nothing$"):
        open_dataset(tmp_path)
    for i in range(3):
        picture(tmp_path, i)
    picture(tmp_path / "sub")
    dump(tmp_path / "train/via_region_data.json", via_document())
    with pytest.raises(FormatError, match=r"found 3 \.png, sub/, train/; try .*train$"):
        open_dataset(tmp_path)
    with pytest.raises(FormatError, match=r"0\.png: expected annotations .*, got a file with suffix \.png"):
        open_dataset(tmp_path / "0.png")
    with pytest.raises(InputError, match=r"format: expected one of via, coco.*, got 'nothing'"):
        open_dataset(tmp_path, format="nothing")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "got an empty object"),
        ("[]", "got a JSON list"),
        ('{"a": 1, "b": 2}', "got an object with 'a', 'b'"),
        ('[{"image_id": 1, "score": 0.5}]', "got COCO results, which are detections and not annotations"),
        (
            '{"images": [], "categories": [], "annotations": [{"segments_info": []}]}',
            "got an object with 'images'",
        ),
    ],
)
def test_json_of_another_kind(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(FormatError, match=rf"x\.json: expected annotations of a known kind, {words}"):
        open_dataset(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "line 1, column 1: expected JSON"),
        (b'{"a": 1,\n "b" 2}', "line 2, column 6: expected JSON"),
        (b'{"\xff\xfe": 1}', "expected JSON in UTF-8, got other bytes"),
        (b"[" * 100_000, "expected JSON, got"),
        (b"1" * 5000, "expected JSON, got"),
    ],
)
def test_broken_json(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(AnnotationError, match=rf"x\.json: {words}"):
        open_dataset(tmp_path / "x.json")


RICH_COCO = {
    "images": [{"id": 5, "file_name": "0.png", "height": 6, "width": 8}],
    "annotations": [
        {
            "id": 1,
            "image_id": 5,
            "category_id": 7,
            "segmentation": [[1, 1, 3, 1, 3, 3]],
            "bbox": [1, 1, 2, 2],
            "area": 2.0,
            "iscrowd": 0,
        },
        {"id": 2, "image_id": 5, "category_id": 7, "segmentation": {"size": [6, 8], "counts": [7, 2, 39]}},
        {"id": 3, "image_id": 5, "category_id": 7, "segmentation": {"size": [6, 8], "counts": "72W1"}},
    ],
    "categories": [{"id": 90, "name": "dog"}, {"id": 7, "name": "cat"}],
}
SHAPES = [
    {"name": "polygon", "all_points_x": [1, 2, 3], "all_points_y": [1, 1, 2]},
    {"name": "rect", "x": 1, "y": 1, "width": 3, "height": 3},
    {"name": "ellipse", "cx": 4, "cy": 4, "rx": 3, "ry": 3, "theta": 1},
    {"name": "point", "cx": 4, "cy": 4},
]
ATTRIBUTES = {"name": "cat", "box": {"a": True}}
RICH_VIA = {
    "_via_settings": {"core": {"default_filepath": ""}},
    "_via_img_metadata": {
        "a": {
            "filename": "0.png",
            "regions": [{"shape_attributes": shape, "region_attributes": ATTRIBUTES} for shape in SHAPES],
        }
    },
}


@pytest.mark.parametrize(("reader", "document"), [(coco, RICH_COCO), (via, RICH_VIA)])
def test_no_odd_value_anywhere_escapes_as_a_bare_error(tmp_path: Path, reader, document) -> None:
    picture(tmp_path)
    source = tmp_path / "x.json"
    assert len(reader.read(source, Reading(parsed={source: document})).instances(0)) == 3
    messages = []
    for changed in with_odd_values(document):
        try:
            dataset = reader.read(source, Reading(parsed={source: changed}))
            dataset.instances(0)
            dataset.fingerprint()
        except MaskRCNNError as error:
            messages.append(str(error))
    assert len(messages) > 300
    assert all(message.startswith(f"{tmp_path}/") for message in messages)


def test_json_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    picture(tmp_path)
    (tmp_path / "x.json").write_text(json.dumps(via_document()), encoding="utf-8-sig")
    assert len(open_dataset(tmp_path)) == 1


def test_opening_needs_no_torch() -> None:
    code = "import sys; from maskrcnn.data import open_dataset, Dataset; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from maskrcnn.data.synth import KINDS, LAYOUTS, draw, synthesise
from maskrcnn.data.synth.canvas import SAMPLES, Canvas, Layer
from maskrcnn.data.synth.layouts import Call
from maskrcnn.data.synth.noise import cloud, sample
from maskrcnn.data.synth.scene import MIN_PIXELS
from maskrcnn.data.synth.solids import Solid, ball, bowl, box, cone, cylinder, hexagonal_prism
from maskrcnn.data.synth.writing import WORTH_A_PROCESS
from maskrcnn.errors import InputError, OutputError
from maskrcnn.ops.rle import decode

SIZE = (64, 80)


def call(kind: str, layout: str = "coco", seed: int = 0, size_hw: tuple[int, int] = SIZE) -> Call:
    return Call(kind, layout, 10, seed, *size_hw)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def document(folder: Path) -> Any:
    return json.loads((folder / "annotations.json").read_text())


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def block(x: int, y: int, covered: np.ndarray, brightness: float = 1.0) -> Layer:
    """A layer whose samples are given."""
    covered = covered.astype(bool)
    return Layer(x, y, np.repeat(covered[:, :, None] * np.float32(brightness), 3, axis=2), covered)


# Canvas: coverage counted by hand


def test_a_pixel_belongs_to_an_object_from_half_of_its_samples_on() -> None:
    four, five = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0]), np.array([1, 1, 1, 1, 1, 0, 0, 0, 0])
    samples = np.concatenate([four.reshape(3, 3), five.reshape(3, 3)], axis=1)
    canvas = Canvas((4, 5))
    assert canvas.add(block(2, 1, samples), 0.0, 1)
    x, y, pixels = canvas.mask(0)
    assert (x, y, pixels.tolist()) == (3, 1, [[True]])
    picture = canvas.over(np.zeros((4, 5, 3), np.float32))
    np.testing.assert_allclose(picture[1, :, 0], [0, 0, 4 / 9, 5 / 9, 0], rtol=1e-6)


def test_a_later_object_cuts_an_earlier_one_and_can_make_a_hole() -> None:
    canvas = Canvas((7, 7))
    assert canvas.add(block(1, 1, np.ones((15, 15))), 0.0, 1)
    assert canvas.add(block(2, 2, np.ones((9, 9)), 0.5), 0.0, 1)
    ring = canvas.mask(0)
    expected = np.ones((5, 5), bool)
    expected[1:4, 1:4] = False
    np.testing.assert_array_equal(ring.pixels, expected)
    assert canvas.mask(1).pixels.all()
    assert canvas.mask(1).pixels.shape == (3, 3)
    picture = canvas.over(np.full((7, 7, 3), 0.25, np.float32))[:, :, 0]
    np.testing.assert_allclose(picture[3], [0.25, 1, 0.5, 0.5, 0.5, 1, 0.25], rtol=1e-6)


def test_an_object_that_would_hide_another_is_refused_and_leaves_no_trace() -> None:
    canvas = Canvas((7, 7))
    assert canvas.add(block(1, 1, np.ones((15, 15))), 0.5, 4)
    before = canvas.over(np.zeros((7, 7, 3), np.float32))
    assert not canvas.add(block(1, 1, np.ones((12, 15))), 0.5, 4)  # 20 of 25 pixels
    assert len(canvas) == 1
    np.testing.assert_array_equal(canvas.over(np.zeros((7, 7, 3), np.float32)), before)
    assert canvas.add(block(1, 1, np.ones((6, 15))), 0.5, 4)  # 10 of 25


@pytest.mark.parametrize(("x", "shown"), [(-1, True), (-2, False), (-3, False), (9, False)])
def test_what_lies_outside_the_picture_counts_as_hidden(x: int, shown: bool) -> None:
    canvas = Canvas((4, 4))
    assert canvas.add(block(x, 0, np.ones((9, 9))), 0.5, 1) is shown  # 3 pixels wide: 2/3, 1/3, 0, 0 of it are inside


# Solids: rays against a slow walk along them


def inside(name: str, p: np.ndarray) -> np.ndarray:
    x, y, z = p
    radius = np.hypot(x, y)
    if name == "box":
        return (abs(x) <= 0.5) & (abs(y) <= 0.75) & (abs(z) <= 1.0)
    if name == "prism":
        sides = [abs(x * np.cos(a) + y * np.sin(a)) <= 0.8 for a in np.radians([0, 60, 120])]
        return np.all(sides, axis=0) & (abs(z) <= 0.6)
    if name == "cylinder":
        return (radius <= 0.7) & (abs(z) <= 0.9)
    if name == "cone":
        return (radius <= 0.6 + 0.25 * z) & (abs(z) <= 0.8)  # from 0.4 at the bottom to 0.8 at the top
    return radius**2 + z**2 <= 1.0


SOLIDS: dict[str, Solid] = {
    "box": box(1.0, 1.5, 2.0),
    "prism": hexagonal_prism(0.8, 1.2),
    "cylinder": cylinder(0.7, 1.8),
    "cone": cone(0.4, 0.8, 1.6),
    "ball": ball(1.0),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_rays_meet_a_solid_where_a_walk_along_them_enters_it(name: str) -> None:
    rng = np.random.default_rng(1)
    start = rng.normal(size=(3, 200))
    start *= 3 / np.linalg.norm(start, axis=0)
    direction = rng.normal(scale=0.6, size=(3, 200)) - start
    direction /= np.linalg.norm(direction, axis=0)
    steps = np.linspace(0, 6, 6001)
    walked = inside(name, start[:, :, None] + direction[:, :, None] * steps)
    entered = np.where(walked.any(axis=1), steps[walked.argmax(axis=1)], np.inf)

    a, b = (tuple(v.astype(np.float32)) for v in (start, direction))
    hits = SOLIDS[name].cast(a, b)
    clear = walked.sum(axis=1) != 0  # a ray that the walk misses may graze an edge between two steps
    assert clear.sum() > 60
    np.testing.assert_allclose(hits.t[clear], entered[clear], atol=2e-3)
    assert (~np.isfinite(hits.t[~clear])).mean() > 0.97

    points = (start + direction * np.where(clear, hits.t, 0))[:, clear].astype(np.float32)
    normals = SOLIDS[name].normals(points, np.broadcast_to(hits.face, clear.shape)[clear])
    np.testing.assert_allclose(np.linalg.norm(normals, axis=0), 1, atol=1e-4)
    assert not inside(name, points + 0.02 * normals).any()
    assert inside(name, points - 0.02 * normals).mean() > 0.97  # but for corners sharper than that


def test_a_bowl_is_met_on_its_shell_only() -> None:
    dish = bowl(1.0, 0.5)  # x² + y² = 2 z
    x = np.float32([0.0, 0.6, 1.1])
    zero, one = np.zeros(3, np.float32), np.ones(3, np.float32)
    hits = dish.cast((x, zero, 5 * one), (zero, zero, -one))
    np.testing.assert_allclose(hits.t, [5.0, 5 - 0.18, np.inf], rtol=1e-5)


@pytest.mark.parametrize("name", SOLIDS)
def test_the_box_around_a_solid_holds_it(name: str) -> None:
    corners = SOLIDS[name].corners()
    cloud_of_points = np.random.default_rng(0).uniform(-1.5, 1.5, (3, 20000))
    held = cloud_of_points[:, inside(name, cloud_of_points)]
    assert (held.min(axis=1) >= corners.min(axis=1)).all()
    assert (held.max(axis=1) <= corners.max(axis=1)).all()


# Noise


def test_noise_has_mean_0_and_deviation_1_and_repeats() -> None:
    tile = cloud(np.random.default_rng(0), 32, 1.5)
    assert abs(tile.mean()) < 1e-5
    assert tile.std() == pytest.approx(1, abs=1e-5)
    x, y = np.random.default_rng(1).uniform(0, 32, (2, 50)).astype(np.float32)
    np.testing.assert_allclose(sample(tile, x, y), sample(tile, x + 64, y - 32), atol=1e-4)


# Scenes


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_is_where_at_least_half_of_the_backdrop_is_hidden(kind: str) -> None:
    for index in range(4):
        scene = draw(call(kind, "pose-bowl"), index)
        black = np.zeros((*SIZE, 3), np.float32)
        hidden = 1 - (scene.canvas.over(black + 1) - scene.canvas.over(black))[:, :, 0]
        mask = np.zeros(SIZE, bool)
        x, y, pixels = scene.masks()[0]
        mask[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        np.testing.assert_array_equal(mask, hidden > 0.5)
        assert set(np.round(hidden * SAMPLES**2, 3).ravel()) <= set(range(SAMPLES**2 + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_masks_share_no_pixel_and_none_is_hardly_there(kind: str) -> None:
    several = 0
    for index in range(8):
        scene = draw(call(kind), index)
        claimed = np.zeros(SIZE, int)
        for x, y, pixels in scene.masks():
            claimed[y : y + pixels.shape[0], x : x + pixels.shape[1]] += pixels
            assert pixels.sum() >= MIN_PIXELS
        assert claimed.max(initial=0) <= 1
        several += len(scene.labels) > 1
    assert several >= 2


def test_spacecraft_have_all_types_and_one_to_four_a_picture() -> None:
    labels = [draw(call("spacecraft"), index).labels for index in range(30)]
    assert {len(each) for each in labels} == {1, 2, 3, 4}
    assert {label for each in labels for label in each} == set(range(4))


def test_some_pictures_of_shapes_are_empty() -> None:
    counts = [len(draw(call("shapes"), index).labels) for index in range(60)]
    assert set(counts) == {0, 1, 2, 3, 4}
    assert 1 <= counts.count(0) <= 15


def test_objects_stand_out_from_what_is_behind_them() -> None:
    differences = []
    for index in range(10):
        scene = draw(call("spacecraft", "pose-bowl"), index)
        picture, bare = scene.picture().astype(int), scene.develop(scene.backdrop).astype(int)
        x, y, pixels = scene.masks()[0]
        window = np.s_[y : y + pixels.shape[0], x : x + pixels.shape[1]]
        differences.append(np.abs(picture - bare)[window][pixels].mean())
    assert np.median(differences) > 40
    assert min(differences) > 8


# Sets on disk


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_picture_does_not_depend_on_how_many_there_are(kind: str, layout: str, tmp_path: Path) -> None:
    synthesise(kind, tmp_path / "few", 2, size_hw=SIZE, layout=layout)
    synthesise(kind, tmp_path / "more", 3, size_hw=SIZE, layout=layout)
    few, more = (
        {name: data for name, data in contents(tmp_path / each).items() if name.endswith(".png")}
        for each in ("few", "more")
    )
    assert len(few) < len(more)
    assert few.items() <= more.items()
    last = draw(call(kind, layout), 2).picture()  # alone, without the ones before it
    (name,) = {n for n in more.keys() - few.keys() if n.startswith("images")}
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "more" / name)), last)


def test_another_seed_draws_other_pictures() -> None:
    first, second = (draw(call("spacecraft", seed=seed), 0).picture() for seed in (0, 1))
    assert np.abs(first.astype(int) - second).mean() > 5


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # in pycocotools
@pytest.mark.parametrize("kind", KINDS)
def test_the_coco_layout_says_what_was_drawn(kind: str, tmp_path: Path) -> None:
    synthesise(kind, tmp_path, 6, size_hw=SIZE)
    said = document(tmp_path)
    assert [c["name"] for c in said["categories"]] == list(KINDS[kind].class_names)
    assert [c["id"] for c in said["categories"]] == list(range(1, len(said["categories"]) + 1))
    assert [a["id"] for a in said["annotations"]] == list(range(1, len(said["annotations"]) + 1))
    for index, image in enumerate(said["images"]):
        scene = draw(call(kind), index)
        assert image == {"id": index + 1, "file_name": f"{index + 1:06d}.png", "height": 64, "width": 80}
        picture = np.asarray(Image.open(tmp_path / "images" / image["file_name"]))
        np.testing.assert_array_equal(picture, scene.picture())
        objects = [a for a in said["annotations"] if a["image_id"] == image["id"]]
        assert [a["category_id"] - 1 for a in objects] == list(scene.labels)
        for each, mask in zip(objects, scene.masks(), strict=True):
            dense = coco_mask.decode(each["segmentation"]).astype(bool)
            ys, xs = np.nonzero(dense)
            width, height = xs.max() - xs.min() + 1, ys.max() - ys.min() + 1
            assert each["bbox"] == [xs.min(), ys.min(), width, height]
            assert each["area"] == dense.sum()
            assert each["iscrowd"] == 0
            np.testing.assert_array_equal(decode(each["segmentation"]).pixels, mask.pixels)


def test_the_pose_bowl_layout_says_what_was_drawn(tmp_path: Path) -> None:
    synthesise("spacecraft", tmp_path, 5, size_hw=SIZE, layout="pose-bowl")
    labels, types = rows(tmp_path / "train_labels.csv"), rows(tmp_path / "train_metadata.csv")
    free = rows(tmp_path / "no_background" / "no_background.csv")
    assert list(labels[0]) == ["image_id", "xmin", "ymin", "xmax", "ymax"]
    assert list(types[0]) == ["image_id", "spacecraft_id", "background_id"]
    assert [row["image_id"] for row in labels] == [row["image_id"] for row in types]
    assert len(labels) == len({row["image_id"] for row in labels}) == 5
    for index, (label, kind, cut) in enumerate(zip(labels, types, free, strict=True)):
        name = label["image_id"]
        assert len(name) == 32
        int(name, 16)
        scene = draw(call("spacecraft", "pose-bowl"), index)
        assert int(kind["spacecraft_id"]) == scene.labels[0] + 1
        assert 0 <= int(kind["background_id"]) < 48
        picture = Image.open(tmp_path / "images" / f"{name}.png")
        assert (picture.mode, picture.size) == ("RGB", (80, 64))
        np.testing.assert_array_equal(np.asarray(picture), scene.picture())
        alone = np.asarray(Image.open(tmp_path / "no_background" / "images" / f"{name}.png"))
        assert set(np.unique(alone[:, :, 3])) == {0, 255}
        assert not alone[alone[:, :, 3] == 0].any()
        ys, xs = np.nonzero(alone[:, :, 3])
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert [int(label[side]) for side in ("xmin", "ymin", "xmax", "ymax")] == box
        assert cut == {"image_id": name, "spacecraft_id": kind["spacecraft_id"], **label}
        assert (alone[:, :, 3] > 0).sum() == scene.masks()[0].pixels.sum()


def test_pictures_with_the_same_background_id_have_the_same_background() -> None:
    one = call("spacecraft", "pose-bowl")
    layout = LAYOUTS["pose-bowl"](one, KINDS["spacecraft"].class_names)
    first_with: dict[int, int] = {}
    for index in range(49):  # 48 backgrounds: two of 49 pictures share one
        background = layout.background(index)
        if background in first_with:
            break
        first_with[background] = index
    pair = [draw(one, each).backdrop for each in (first_with[background], index)]
    np.testing.assert_array_equal(*pair)
    assert np.abs(pair[0] - draw(one, first_with[background] + 1).backdrop).mean() > 1e-4


class StopError(Exception):
    """Stands for a kill."""


def stop_at(number: int) -> Any:
    def progress(done: int) -> None:
        if done == number:
            raise StopError

    return progress


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_broken_off_call_goes_on_and_ends_in_the_same_bytes(layout: str, tmp_path: Path) -> None:
    synthesise("shapes", tmp_path / "whole", 5, size_hw=SIZE, layout=layout)
    out = tmp_path / "broken"
    with pytest.raises(StopError):
        synthesise("shapes", out, 5, size_hw=SIZE, layout=layout, progress=stop_at(3))
    assert not (out / "annotations.json").exists()
    assert not (out / "train_labels.csv").exists()
    with (out / "records.jsonl.partial").open("a") as log:
        log.write('{"image_id": "ab')  # killed while it wrote a line
    (out / "images" / ".000004.png.0123abcd.png").write_bytes(b"half a picture")
    told: list[int] = []
    synthesise("shapes", out, 5, size_hw=SIZE, layout=layout, progress=told.append)
    assert told == [3, 4, 5]
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_several_processes_write_the_same_bytes_in_order(layout: str, tmp_path: Path) -> None:
    count = 2 * WORTH_A_PROCESS + 1
    synthesise("shapes", tmp_path / "alone", count, size_hw=SIZE, layout=layout)
    told: list[int] = []
    synthesise("shapes", tmp_path / "shared", count, size_hw=SIZE, layout=layout, progress=told.append, workers=2)
    assert told == list(range(count + 1))
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")


def test_several_processes_stop_with_the_one_that_asked(tmp_path: Path) -> None:
    count = 2 * WORTH_A_PROCESS
    with pytest.raises(StopError):
        synthesise("shapes", tmp_path, count, size_hw=SIZE, progress=stop_at(3), workers=2)
    told: list[int] = []
    synthesise("shapes", tmp_path, count, size_hw=SIZE, progress=told.append)
    assert told == list(range(3, count + 1))


def test_a_picture_that_was_lost_is_drawn_again(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        synthesise("shapes", tmp_path, 4, size_hw=SIZE, progress=stop_at(3))
    (tmp_path / "images" / "000002.png").unlink()
    told: list[int] = []
    synthesise("shapes", tmp_path, 4, size_hw=SIZE, progress=told.append)
    assert told == [1, 2, 3, 4]
    assert (tmp_path / "images" / "000002.png").is_file()


def test_a_finished_call_does_nothing_when_made_again(tmp_path: Path) -> None:
    synthesise("shapes", tmp_path, 2, size_hw=SIZE)
    picture = tmp_path / "images" / "000001.png"
    before = picture.stat().st_mtime_ns
    synthesise("shapes", tmp_path, 2, size_hw=SIZE)
    assert picture.stat().st_mtime_ns == before


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"expected an empty folder .* got a folder with holiday\.jpg"):
        synthesise("shapes", tmp_path, 2, size_hw=SIZE)
    assert contents(tmp_path) == {"holiday.jpg": b"precious"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": 1}, "begun with seed 0 instead of 1"),
        ({"count": 3}, "begun with count 2 instead of 3"),
        ({"size_hw": (72, 80)}, "begun with height 64 instead of 72"),
        ({"kind": "spacecraft"}, "begun with kind shapes instead of spacecraft"),
        ({"layout": "pose-bowl"}, "begun with layout coco instead of pose-bowl"),
    ],
)
def test_a_set_of_another_call_is_refused_and_left_alone(change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"kind": "shapes", "count": 2, "size_hw": SIZE}
    synthesise(out=tmp_path, **asked)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=sentence):
        synthesise(out=tmp_path, **{**asked, **change})
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_strange_synth_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "synth.json").write_text(text)
    with pytest.raises(OutputError, match=r"synth\.json: expected what began this folder"):
        synthesise("shapes", tmp_path, 1, size_hw=SIZE)
    assert (tmp_path / "synth.json").read_text() == text


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="expected a folder, got a file"):
        synthesise("shapes", tmp_path / "out", 1)
    with pytest.raises(OutputError, match="could not be written"):
        synthesise("shapes", tmp_path / "out" / "below", 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "ships"}, "kind: expected one of spacecraft, shapes, got 'ships'"),
        ({"layout": "voc"}, "layout: expected one of coco, pose-bowl, got 'voc'"),
        ({"count": 0}, "count: expected at least 1, got 0"),
        ({"seed": -1}, "seed: expected at least 0, got -1"),
        ({"size_hw": (100, 63)}, "size: expected at least 64, got 63"),
    ],
)
def test_arguments_that_cannot_be_are_named(change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=sentence):
        synthesise(**{"kind": "shapes", "out": tmp_path / "out", "count": 1, **change})
    assert not (tmp_path / "out").exists()


def test_drawing_needs_no_torch() -> None:
    code = "import sys, maskrcnn.data.synth; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

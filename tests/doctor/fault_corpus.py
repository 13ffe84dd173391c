"""Clean sets, and faults that are seeded into them: each names the code under which it is to be found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskrcnn.ops.rle import Bitmap, encode

H, W = 120, 160
PICTURES = 8
PER_PICTURE = 3

Json = dict[str, Any]


def picture(seed: int, size_hw: tuple[int, int] = (H, W)) -> Image.Image:
    """Draw a picture that looks like no other: large random clouds with some grain."""
    rng = np.random.default_rng(seed)
    clouds = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(clouds.resize(size_hw[::-1], Image.Resampling.BICUBIC), dtype=np.int16)
    grain = rng.integers(-6, 7, (*size_hw, 3), dtype=np.int16)
    return Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))


def corners(i: int, k: int) -> list[list[float]]:
    """Return the outline of object k of picture i, an octagon of about 40x50 pixels, apart from the others."""
    x, y, a, b = 4 + 52 * k, 30 + 3 * (i % 4), 12, 38 + (i + k) % 5
    return [
        [x + a, y],
        [x + b - a, y],
        [x + b, y + a],
        [x + b, y + 36],
        [x + b - a, y + 48],
        [x + a, y + 48],
        [x, y + 36],
        [x, y + a],
    ]


def shoelace(outline: list[list[float]]) -> float:
    x, y = np.array(outline).T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def measures(outline: list[list[float]]) -> Json:
    """Return segmentation, bbox and area of an outline."""
    x, y = np.array(outline, dtype=float).T
    box = [x.min(), y.min(), x.max() - x.min(), y.max() - y.min()]
    return {
        "segmentation": [[float(each) for corner in outline for each in corner]],
        "bbox": [float(each) for each in box],
        "area": shoelace(outline),
    }


@dataclass
class Set:
    """A set that is about to be written: a fault changes it, before or after the pictures are there.

    Attributes:
        folder: Where it lies.
        document: What the annotation file will say.
        text: What it says instead, where it is not the document.
        name: Of the annotation file.
    """

    folder: Path
    document: Json
    name: str = "annotations.json"
    text: bytes | None = None

    def path(self, name: str) -> Path:
        return self.folder / name

    def save(self) -> Path:
        content = json.dumps(self.document).encode() if self.text is None else self.text
        self.path(self.name).write_bytes(content)
        return self.folder

    def annotation(self, i: int = 0) -> Json:
        """Return the annotation of number i, counted from the first picture's first object."""
        return self.document["annotations"][i]

    def add(self, outline: list[list[float]] | None = None, **values: Any) -> Json:
        """Add an object to the first picture, a copy of the first one where nothing else is said."""
        known = self.document["annotations"]
        base = {**known[0], "id": 1 + max(each["id"] for each in known)}
        known.append({**base, **({} if outline is None else measures(outline)), **values})
        return known[-1]

    def add_picture(self, name: str, like: int = 0, objects: int = PER_PICTURE) -> None:
        """Add an entry for a picture with the first objects of another one."""
        number = 1 + max(each["id"] for each in self.document["images"])
        entry = self.document["images"][like]
        self.document["images"].append({**entry, "id": number, "file_name": name})
        of_it = [each for each in self.document["annotations"] if each["image_id"] == entry["id"]]
        for each in of_it[:objects]:
            self.add(**{**each, "id": len(self.document["annotations"]) + 1, "image_id": number})

    def region(self, i: int = 0) -> Json:
        """Return region i of the first entry of a VIA set."""
        return next(iter(self.document.values()))["regions"][i]

    def outline_of_region(self, outline: list[list[float]], i: int = 0) -> None:
        x, y = zip(*outline, strict=True)
        self.region(i)["shape_attributes"] = {"name": "polygon", "all_points_x": list(x), "all_points_y": list(y)}


def names() -> list[str]:
    return [f"{i:02d}.{'jpg' if i % 2 else 'png'}" for i in range(PICTURES)]


def draw_all(folder: Path, seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names()):
        picture(seed * 100 + i).save(folder / name, **({"quality": 92} if name.endswith("jpg") else {}))


def coco_set(folder: Path, seed: int = 0) -> Set:
    """Return a clean COCO set of two classes."""
    draw_all(folder, seed)
    annotations = [
        {
            "id": i * PER_PICTURE + k + 1,
            "image_id": i + 1,
            "category_id": 1 + (i + k) % 2,
            "iscrowd": 0,
            **measures(corners(i, k)),
        }
        for i in range(PICTURES)
        for k in range(PER_PICTURE)
    ]
    images = [{"id": i + 1, "file_name": name, "height": H, "width": W} for i, name in enumerate(names())]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    return Set(folder, {"images": images, "annotations": annotations, "categories": categories})


def via_set(folder: Path, seed: int = 0) -> Set:
    """Return a clean VIA set of two classes."""
    draw_all(folder, seed)
    entries = {}
    for i, name in enumerate(names()):
        regions = []
        for k in range(PER_PICTURE):
            x, y = zip(*corners(i, k), strict=True)
            shape = {"name": "polygon", "all_points_x": list(x), "all_points_y": list(y)}
            regions.append({"shape_attributes": shape, "region_attributes": {"class": ("cat", "dog")[(i + k) % 2]}})
        entries[f"{name}1"] = {"filename": name, "size": 1, "regions": regions, "file_attributes": {}}
    return Set(folder, entries, "via_region_data.json")


CLEAN = {"coco": coco_set, "via": via_set}


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Attributes:
        name: What tests call it.
        code: Under which it is found.
        seed: Puts it into a clean set.
        kind: Which of `CLEAN`.
        times: How often it is found.
        where: The picture and the annotation that the finding names, as far as they are certain.
        beside: Codes above `note` that follow from it, truly.
    """

    name: str
    code: str
    seed: Callable[[Set], None]
    kind: str = "coco"
    times: int = 1
    where: tuple[str | None, str | None] = (None, None)
    beside: frozenset[str] = field(default_factory=frozenset)


FAULTS: list[Fault] = []


def fault(
    code: str, kind: str = "coco", times: int = 1, where: tuple[str | None, str | None] = (None, None), beside: str = ""
):
    """Put a function that seeds a fault into the corpus."""

    def keep(seed: Callable[[Set], None]) -> Callable[[Set], None]:
        FAULTS.append(Fault(seed.__name__, code, seed, kind, times, where, frozenset(beside.split())))
        return seed

    return keep


FIRST = ("00.png", "annotation 1")
ADDED = ("00.png", "annotation 25")

# ---- the annotation file


@fault("F001")
def cut_off_json(given: Set) -> None:
    given.text = json.dumps(given.document).encode()[:-200]


@fault("F001")
def json_with_a_comment(given: Set) -> None:
    given.text = b"// mine\n" + json.dumps(given.document).encode()


@fault("F001")
def json_in_latin_1(given: Set) -> None:
    given.document["info"] = "Büro"
    given.text = json.dumps(given.document, ensure_ascii=False).encode("latin-1")


@fault("F001")
def empty_annotation_file(given: Set) -> None:
    given.text = b""


@fault("F002")
def no_annotation_file(given: Set) -> None:
    given.name, given.text = "readme.txt", b"pictures"


@fault("F002")
def two_annotation_files(given: Set) -> None:
    given.path("again.json").write_text(json.dumps(given.document))


@fault("F003", "via", where=("00.png", "region 0"))
def coordinate_that_is_no_number(given: Set) -> None:
    given.region()["shape_attributes"]["all_points_x"][0] = "left"


@fault("F003", "via", where=("00.png", "region 1"))
def unknown_kind_of_shape(given: Set) -> None:
    given.region(1)["shape_attributes"]["name"] = "spiral"


@fault("F003", "via", where=("00.png", "region 0"))
def as_many_x_as_y_are_missing(given: Set) -> None:
    given.region()["shape_attributes"]["all_points_x"].pop()


@fault("F004", "via")
def two_entries_for_a_picture(given: Set) -> None:
    first = next(iter(given.document.values()))
    given.document["again"] = {**first, "regions": first["regions"][:1]}


@fault("F006", "via")
def two_attributes_that_could_be_the_class(given: Set) -> None:
    for entry in given.document.values():
        for i, region in enumerate(entry["regions"]):
            region["region_attributes"] = {"kind": "cat", "colour": ("red", "blue")[i % 2]}


@fault("F008", where=("00.png", ""))
def picture_listed_twice(given: Set) -> None:
    given.add_picture("00.png", objects=1)


# ---- pictures


@fault("P101", where=("03.jpg", ""))
def missing_picture(given: Set) -> None:
    given.path("03.jpg").unlink()


@fault("P101", "via", where=("03.jpg", ""))
def missing_picture_of_a_format_without_sizes(given: Set) -> None:
    given.path("03.jpg").unlink()


@fault("P102", where=("03.jpg", ""))
def empty_picture(given: Set) -> None:
    given.path("03.jpg").write_bytes(b"")


@fault("P102", where=("03.jpg", ""))
def text_that_is_called_a_picture(given: Set) -> None:
    given.path("03.jpg").write_text("<html>404</html>")


@fault("P102", "via", where=("03.jpg", ""))
def text_that_is_called_a_picture_of_a_format_without_sizes(given: Set) -> None:
    given.path("03.jpg").write_text("<html>404</html>")


def _cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@fault("P104", where=("03.jpg", ""))
def cut_off_jpeg(given: Set) -> None:
    _cut(given.path("03.jpg"), 0.6)


@fault("P104", where=("02.png", ""))
def cut_off_png(given: Set) -> None:
    _cut(given.path("02.png"), 0.6)


@fault("P104", where=("02.png", ""))
def damaged_png(given: Set) -> None:
    content = bytearray(given.path("02.png").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    given.path("02.png").write_bytes(bytes(content))


@fault("P103", where=("02.png", ""))
def picture_of_another_size(given: Set) -> None:
    picture(2).resize((W // 2, H // 2)).save(given.path("02.png"))


@fault("P103", where=("02.png", ""))
def height_and_width_exchanged(given: Set) -> None:
    picture(2, (W, H)).save(given.path("02.png"))


@fault("P105", where=("copy.png", ""))
def same_file_under_two_names(given: Set) -> None:
    shutil.copy(given.path("00.png"), given.path("copy.png"))
    given.add_picture("copy.png")


@fault("P106", where=("copy.png", ""))
def same_file_with_other_objects(given: Set) -> None:
    shutil.copy(given.path("00.png"), given.path("copy.png"))
    given.add_picture("copy.png", objects=1)


@fault("P107", where=("02.png", ""))
def huge_picture(given: Set) -> None:
    Image.new("1", (8000, 6300)).save(given.path("02.png"))
    given.document["images"][2].update(height=6300, width=8000)
    given.document["annotations"] = [each for each in given.document["annotations"] if each["image_id"] != 3]


TURN = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}


def _store_turned(image: Image.Image, path: Path, orientation: int) -> None:
    """Save a picture so that its EXIF orientation brings it upright again."""
    exif = Image.Exif()
    exif[274] = orientation
    image.transpose(TURN[orientation]).save(path, exif=exif, quality=92)


@fault("P108", where=("03.jpg", ""))
def size_of_the_unturned_picture_is_stated(given: Set) -> None:
    _store_turned(picture(3, (W, H)), given.path("03.jpg"), 6)


@fault("P108", "via", where=("01.jpg", ""), beside="G203")
def outlines_fit_the_unturned_picture_only(given: Set) -> None:
    _store_turned(picture(1, (W, H)), given.path("01.jpg"), 8)


@fault("P109", "via", where=("01.jpg", ""))
def outlines_fit_the_turned_picture(given: Set) -> None:
    _store_turned(picture(1), given.path("01.jpg"), 6)


@fault("P109", where=("01.jpg", ""))
def size_of_the_turned_picture_is_stated(given: Set) -> None:
    _store_turned(picture(1), given.path("01.jpg"), 6)


@fault("P110", "via", where=("01.jpg", ""))
def upside_down_by_exif(given: Set) -> None:
    _store_turned(picture(1), given.path("01.jpg"), 3)


@fault("P111", where=("02.png", ""))
def one_picture_of_sixteen_bits(given: Set) -> None:
    grey = np.asarray(picture(2).convert("L"), dtype=np.uint16) * 256
    Image.fromarray(grey).save(given.path("02.png"))


@fault("P112", where=("02.png", ""))
def black_picture(given: Set) -> None:
    Image.new("RGB", (W, H)).save(given.path("02.png"))


@fault("P113")
def picture_that_is_not_listed(given: Set) -> None:
    picture(77).save(given.path("77.png"))


# ---- geometry


@fault("G201", "via", where=("00.png", "region 0"))
def polygon_of_two_points(given: Set) -> None:
    given.outline_of_region([[1, 1], [20, 20]])


@fault("G202", "via", where=("00.png", "region 0"))
def point(given: Set) -> None:
    given.region()["shape_attributes"] = {"name": "point", "cx": 5, "cy": 5}


@fault("G202", where=FIRST, beside="G218")
def box_without_width(given: Set) -> None:
    given.annotation().update(segmentation=[], bbox=[5, 5, 0, 20])


@fault("G203", where=FIRST)
def object_outside_of_the_picture(given: Set) -> None:
    given.annotation().update(measures([[x + W, y] for x, y in corners(0, 0)]))


@fault("G204", where=FIRST)
def run_lengths_without_a_pixel(given: Set) -> None:
    given.annotation().update(segmentation={"size": [H, W], "counts": [H * W]}, area=0)
    del given.annotation()["bbox"]


@fault("G204", where=FIRST, beside="G214")
def run_lengths_without_a_pixel_with_a_box(given: Set) -> None:
    given.annotation().update(segmentation={"size": [H, W], "counts": [H * W]})


@fault("G206", where=FIRST)
def corners_on_a_line(given: Set) -> None:
    given.annotation().update(measures([[5, 5], [40, 40], [20, 20]]))


@fault("G206", "via", where=("00.png", "region 0"))
def rectangle_without_height(given: Set) -> None:
    given.region()["shape_attributes"] = {"name": "rect", "x": 5, "y": 5, "width": 30, "height": 0}


@fault("G207", where=FIRST)
def outline_over_the_border(given: Set) -> None:
    given.annotation().update(measures([[x - 14, y] for x, y in corners(0, 0)]))


@fault("G208", where=FIRST)
def outline_mostly_outside(given: Set) -> None:
    given.annotation().update(measures([[x - 34, y] for x, y in corners(0, 0)]))


@fault("G209", where=ADDED)
def tiny_object(given: Set) -> None:
    given.add([[80, 4], [81.2, 4], [81.2, 6], [80, 6]])


@fault("G210", where=ADDED)
def same_outline_twice(given: Set) -> None:
    given.add()


@fault("G210", where=ADDED)
def nearly_the_same_outline_twice(given: Set) -> None:
    given.add([[x, y + (y > 60)] for x, y in corners(0, 0)])


@fault("G210", "via", where=("00.png", "region 3"))
def same_region_twice(given: Set) -> None:
    next(iter(given.document.values()))["regions"].append(given.region())


@fault("G210", where=ADDED)
def same_box_twice(given: Set) -> None:
    for each in given.document["annotations"]:
        del each["segmentation"]
    given.add()


@fault("G211", where=ADDED)
def two_of_a_class_on_one_place(given: Set) -> None:
    given.add([[x, y + 5] for x, y in corners(0, 0)])


@fault("G212", where=ADDED)
def two_classes_for_one_outline(given: Set) -> None:
    given.add(category_id=2)


@fault("G213", where=FIRST)
def corners_instead_of_width_and_height(given: Set) -> None:
    x, y, w, h = given.annotation()["bbox"]
    given.annotation()["bbox"] = [x, y, x + w, y + h]


@fault("G213", times=24)
def boxes_of_the_picture_before_it_was_shrunk(given: Set) -> None:
    for each in given.document["annotations"]:
        each["bbox"] = [2 * side for side in each["bbox"]]


@fault("G214", where=FIRST)
def area_of_the_picture_before_it_was_shrunk(given: Set) -> None:
    given.annotation()["area"] *= 4


@fault("G214", where=FIRST)
def area_of_zero(given: Set) -> None:
    given.annotation()["area"] = 0


@fault("G215", where=FIRST)
def bow_tie(given: Set) -> None:
    given.annotation().update(measures([[4, 30], [44, 78], [44, 30], [4, 78]]), area=960)


@fault("G215", where=FIRST)
def outline_that_winds_twice(given: Set) -> None:
    outline = [[4, 30], [44, 30], [44, 78], [10, 78], [10, 40], [38, 40], [38, 70], [4, 70]]
    given.annotation().update(measures(outline))
    del given.annotation()["area"]


@fault("G215", "via", where=("00.png", "region 0"))
def corners_in_the_wrong_order(given: Set) -> None:
    outline = corners(0, 0)
    given.outline_of_region([outline[i] for i in (0, 4, 2, 6, 1, 5, 3, 7)])


def _runs(pixels: np.ndarray, x: int = 4, y: int = 30) -> Json:
    h, w = pixels.shape
    runs = encode(Bitmap(x, y, pixels), (H, W))
    return {"segmentation": runs, "bbox": [x, y, w, h], "area": int(pixels.sum())}


@fault("G216", where=FIRST)
def mask_of_specks(given: Set) -> None:
    pixels = np.zeros((48, 40), dtype=bool)
    pixels[::4, ::4] = True
    pixels[-1, -1] = True
    given.annotation().update(_runs(pixels))


@fault("G216", where=FIRST)
def mask_full_of_holes(given: Set) -> None:
    pixels = np.ones((48, 40), dtype=bool)
    pixels[2::4, 2::4] = False
    given.annotation().update(_runs(pixels))


@fault("G216", where=FIRST)
def outline_of_many_crumbs(given: Set) -> None:
    crumbs = [[x, y, x + 2, y, x + 2, y + 2, x, y + 2] for x in range(4, 44, 4) for y in range(30, 50, 4)]
    given.annotation().update(segmentation=crumbs, bbox=[4, 30, 38, 18], area=200)


@fault("G217", where=ADDED, beside="G209")
def stray_click(given: Set) -> None:
    for each in given.document["annotations"]:
        each["category_id"] = 1
    given.document["categories"] = given.document["categories"][:1]
    given.add([[80, 4], [81, 4], [81, 5], [80, 5]], id=25)


@fault("G218", where=FIRST)
def box_among_masks(given: Set) -> None:
    del given.annotation()["segmentation"]


@fault("G219", where=FIRST)
def object_that_covers_the_picture(given: Set) -> None:
    given.document["annotations"] = [each for each in given.document["annotations"] if each["id"] not in (2, 3)]
    given.annotation().update(measures([[0, 0], [W, 0], [W, H], [0, H]]))


# ---- classes


@fault("C302", "via", where=("00.png", "region 0"))
def region_without_a_class(given: Set) -> None:
    given.region()["region_attributes"] = {}


@fault("C303", "via", where=("00.png", "region 0"))
def checkbox_with_two_classes(given: Set) -> None:
    given.region()["region_attributes"]["class"] = {"cat": True, "dog": True}


@fault("C305")
def class_without_objects(given: Set) -> None:
    given.document["categories"].append({"id": 9, "name": "zebra"})


def _second_name(given: Set, first: str, second: str) -> None:
    given.document["categories"][0]["name"], given.document["categories"][1]["name"] = first, second


@fault("C306")
def names_that_differ_by_capitals(given: Set) -> None:
    _second_name(given, "cat", "Cat")


@fault("C306")
def names_that_differ_by_white_space(given: Set) -> None:
    _second_name(given, "traffic light", "traffic  light")


@fault("C306", "via")
def names_that_differ_by_a_hyphen(given: Set) -> None:
    for entry in given.document.values():
        for region in entry["regions"]:
            name = region["region_attributes"]["class"]
            region["region_attributes"]["class"] = {"cat": "lady-bug", "dog": "ladybug"}[name]


@fault("C307")
def plural_of_another_class(given: Set) -> None:
    _second_name(given, "car", "cars")


@fault("C307")
def irregular_plural_of_another_class(given: Set) -> None:
    _second_name(given, "puppies", "puppy")


@fault("C308")
def background_as_a_class(given: Set) -> None:
    _second_name(given, "_background_", "dog")


@fault("C309")
def one_class_hundred_times_rarer(given: Set) -> None:
    for each in given.document["annotations"]:
        each["category_id"] = 1
    given.annotation(5)["category_id"] = 2
    for column in range(26):
        for row in range(4):
            x, y = 2 + 6 * column, 2 + 6 * row
            given.add([[x, y], [x + 4, y], [x + 4, y + 4], [x, y + 4]])


# ---- the set as a whole


@fault("S401")
def no_object_at_all(given: Set) -> None:
    given.document["annotations"] = []


@fault("S402")
def pictures_without_objects(given: Set) -> None:
    given.document["annotations"] = [each for each in given.document["annotations"] if each["image_id"] > 2]


@fault("S403")
def crowd(given: Set) -> None:
    given.annotation()["iscrowd"] = 1


@fault("S404", where=("00.png", ""))
def resized_copy(given: Set) -> None:
    picture(0).resize((W // 2, H // 2), Image.Resampling.LANCZOS).save(given.path("small.jpg"), quality=80)
    given.document["images"].append({"id": 50, "file_name": "small.jpg", "height": H // 2, "width": W // 2})


@fault("S404", where=("00.png", ""))
def darker_copy(given: Set) -> None:
    picture(0).point(lambda value: int(value * 0.8)).save(given.path("dark.jpg"), quality=70)
    given.add_picture("dark.jpg")


@fault("S408", where=("again.jpg", ""))
def copy_on_which_objects_were_forgotten(given: Set) -> None:
    picture(0).save(given.path("again.jpg"), quality=80)
    given.add_picture("again.jpg", objects=0)


@fault("S409")
def boxes_without_masks(given: Set) -> None:
    for each in given.document["annotations"]:
        del each["segmentation"]


# ---- records of COCO, which its reader takes one by one

READER_FAULTS: list[Fault] = []
_known = len(FAULTS)


@fault("F004")
def two_pictures_of_one_id(given: Set) -> None:
    shutil.copy(given.path("00.png"), given.path("b.png"))
    given.document["images"].append({**given.document["images"][0], "file_name": "b.png"})


@fault("F005", where=(None, "annotation 1"))
def object_of_no_picture(given: Set) -> None:
    given.annotation()["image_id"] = 99


@fault("G205", where=(None, "annotation 1"))
def run_lengths_of_another_size(given: Set) -> None:
    given.annotation()["segmentation"] = {"size": [H, W], "counts": [H * W - 1]}


@fault("C301", where=(None, "annotation 1"))
def object_of_no_class(given: Set) -> None:
    given.annotation()["category_id"] = 77


@fault("C304", beside="C301")
def classes_counted_from_zero(given: Set) -> None:
    given.document["categories"].append({"id": 3, "name": "horse"})
    given.annotation()["category_id"] = 3
    for each in given.document["annotations"]:
        each["category_id"] -= 1


@fault("C304", beside="C301")
def classes_counted_from_one_where_ids_begin_at_zero(given: Set) -> None:
    for category in given.document["categories"]:
        category["id"] -= 1


@fault("C304", times=1, beside="C301")
def list_of_names_that_is_one_short(given: Set) -> None:
    given.annotation()["category_id"] = 3


READER_FAULTS += FAULTS[_known:]
del FAULTS[_known:]

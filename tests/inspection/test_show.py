"""The page of a set: complete, safe, self-contained, whatever the set is like."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Annotation, Dataset, LeftOut, Record, Rings
from maskrcnn.data.synth import synthesise
from maskrcnn.draw.bars import TIMES
from maskrcnn.errors import FormatError, InputError, OutputError
from maskrcnn.inspection import show_data
from maskrcnn.inspection.pictures import CROP_SIDE, SIDE, choose_pictures, cut_out, largest_names, shoot, window
from maskrcnn.inspection.pixels import measure
from maskrcnn.inspection.plots import counts_plot, lengths_plot, ratios_plot
from maskrcnn.inspection.show import look
from maskrcnn.inspection.survey import survey

HOSTILE = "<script>alert(1)</script>"
SHARED = Path(__file__).parents[3] / "shared/data"


class Page(HTMLParser):
    """What a browser makes of a page: elements that all close, ids, links, text."""

    void = frozenset({"meta", "img", "br", "wbr"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.seen: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.pieces: list[str] = []
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.void:
            self.open.append(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if values.get("id") else []  # type: ignore[list-item]
        self.links += [values["href"]] if values.get("href") else []  # type: ignore[list-item]

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.pieces += [] if tag == "bdi" else [" "]

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).replace(TIMES, "x").split())


def flat(path: Path, value: int = 100, size_hw: tuple[int, int] = (40, 60), dtype: str = "uint8") -> np.ndarray:
    """Read a picture that lies nowhere."""
    return np.full((*size_hw, 3 if dtype == "uint8" else 1), value, dtype=dtype)


def square(x: float, y: float, side: float) -> Rings:
    return Rings((np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)]),))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Dataset]:
    """Make a set of flat pictures with squares: a list of (label, x, y, side) a picture."""

    def make(objects: list[list[tuple[int, float, float, float]]], names: tuple[str, ...], **values: Any) -> Dataset:
        records = [
            Record(
                f"{i}.png", tmp_path / f"{i}.png", i, (40, 60),
                tuple(Annotation(f"annotation {j}", k, square(x, y, side)) for j, (k, x, y, side) in enumerate(own)),
                read=partial(flat, value=10 * i % 256),
            )
            for i, own in enumerate(objects)
        ]  # fmt: skip
        given = {"source": tmp_path / "annotations.json", "format": "coco", "records": records, "class_names": names}
        return Dataset(**{"category_ids": range(1, len(names) + 1), **given, **values})

    return make


def test_every_number_is_on_the_page(make: Callable[..., Dataset], tmp_path: Path) -> None:
    # cats of 4, 8 and 16 px on two pictures, one dog of 20 px, no cow; one picture of four is empty
    dataset = make([[(0, 1, 1, 4), (0, 9, 9, 8)], [(0, 3, 3, 16)], [], [(1, 5, 5, 20)]], ("cat", "dog", "cow"))
    page = Page(show_data(dataset, tmp_path / "out"))
    for said in (
        "4 pictures, 4 objects of 3 classes",
        "4 pictures 1 without objects",
        "3 classes 1 without objects",
        "1.0 objects a picture median 1, at most 2",
        "12 px median object 4 to 20 px",
        "1 class without an object: cow",
        "cat 3 75.0 % 2 4 8 16 0",
        "dog 1 25.0 % 1 20 20 20 0",
        "cow 0 0 % 0 - - - 0",
        "40 x 60 4 100 %",
        "4 x 4 px at x 1, y 1 of 0.png, annotation 0",
        "20 x 20 px at x 5, y 5 of 3.png, annotation 0",
        "1 15.00 11.18 0 30",  # band 1: mean and std of 0, 10, 20, 30
        "uint8, from 4 pictures",
        "4 outline",
        "1: 2.png",
        dataset.fingerprint(),
        str(dataset.source),
        "All pictures of the set.",
    ):
        assert said in page.text, said


def test_the_page_needs_nothing_else_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    synthesise("shapes", tmp_path / "set", 5, seed=3, size_hw=(64, 96))
    page = Page(show_data(tmp_path / "set", tmp_path / "out"))
    assert re.findall(r"https?://|url\(|@import|<link|<script.", page.source) == ["<script>"]  # the readout of charts
    assert set(re.findall(r'src="(.{11})', page.source)) == {"data:image/"}
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert page.links
    assert page.seen.count("img") >= 5


def test_hostile_names_are_only_text(make: Callable[..., Dataset], tmp_path: Path) -> None:
    half = "\ud800"
    dataset = make([[(0, 1, 1, 4), (1, 9, 9, 8)]], (HOSTILE, f'"{half}\x00'), supercategories=(HOSTILE, ""))
    (record,) = dataset.records
    strange = Record(
        f"{HOSTILE}\u202e{half}.png", record.path, 0, record.size_hw, record.annotations,
        columns={HOSTILE: HOSTILE}, read=record.read,
    )  # fmt: skip
    left = LeftOut(dataset.source, HOSTILE, HOSTILE, HOSTILE, "G202")
    page = Page(show_data(dataset.change(records=[strange], left_out=[left]), tmp_path / "out"))
    assert page.seen.count("script") == 1  # the page's own
    assert page.text.count(HOSTILE) > 8
    assert (tmp_path / "out/sheets/001.jpg").exists()


def test_a_missing_picture_and_a_broken_one_are_shown_as_such(tmp_path: Path) -> None:
    synthesise("shapes", tmp_path / "set", 4, seed=3, size_hw=(64, 96))
    (tmp_path / "set/images/000001.png").unlink()
    (tmp_path / "set/images/000002.png").write_bytes(b"no picture")
    dataset = open_dataset(tmp_path / "set", pictures="optional")
    page = Page(show_data(dataset, tmp_path / "out"))
    assert "2 pictures of those that were opened can't be used" in page.text
    assert page.text.count("Not readable, drawn on grey") >= 2
    assert "000001.png: expected a picture, got no such file" in page.text
    assert "from 2 pictures" in page.text
    shot = shoot(dataset, 1)
    assert "starting with b'no pictu'" in shot.fault
    assert np.array(shot.image)[0, 0].tolist() == [128, 128, 128]


def test_a_set_of_which_no_picture_is_there(tmp_path: Path) -> None:
    synthesise("shapes", tmp_path / "set", 2, seed=3, size_hw=(64, 96))
    for path in (tmp_path / "set/images").iterdir():
        path.unlink()
    page = Page(show_data(open_dataset(tmp_path / "set", pictures="optional"), tmp_path / "out"))
    assert "No picture could be read." in page.text


def test_a_picture_of_another_size_than_its_annotations_say(make: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make([[(0, 1, 1, 4)]], ("cat",))
    (record,) = dataset.records
    turned = Record("t.png", record.path, 0, (60, 40), record.annotations, read=record.read)
    page = Page(show_data(dataset.change(records=[turned]), tmp_path / "out"))
    assert "height and width are exchanged" in page.text


def test_a_set_without_any_object(make: Callable[..., Dataset], tmp_path: Path) -> None:
    page = Page(show_data(make([[], []], ("cat",)), tmp_path / "out"))
    assert "There is no object to learn from." in page.text
    assert {"extremes", "anchors"}.isdisjoint(page.ids)
    assert "0.0 objects a picture" in page.text


def test_a_set_without_classes(make: Callable[..., Dataset], tmp_path: Path) -> None:
    page = Page(show_data(make([[]], ()), tmp_path / "out"))
    assert "0 objects of 0 classes" in page.text


def test_crowds_are_counted_apart(make: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make([[(0, 1, 1, 4)], []], ("cat",))
    crowd = Annotation("annotation 9", 0, square(2, 2, 30), crowd=True)
    records = [dataset.records[0], Record("c.png", tmp_path, 1, (40, 60), (crowd,), read=flat)]
    page = Page(show_data(dataset.change(records=records), tmp_path / "out"))
    assert "and 1 crowd or ignored" in page.text
    assert "cat 1 100 % 1 4 4 4 1" in page.text
    assert "cat (crowd) 1" in page.text
    only = Page(show_data(dataset.change(records=records[1:]), tmp_path / "crowd"))
    assert "anchors" not in only.ids


def test_boxes_alone_are_enough(make: Callable[..., Dataset], tmp_path: Path) -> None:
    boxes = tuple(Annotation(f"b{i}", 0, None, (5.0 * i, 3.0, 5.0 * i + 4, 7.0)) for i in range(1, 5))
    dataset = make([[]], ("cat",)).change(records=[Record("b.png", tmp_path, 0, (40, 60), boxes, read=flat)])
    page = Page(show_data(dataset, tmp_path / "out"))
    assert "4 box only" in page.text
    assert "4 x 4 px at x 5, y 3 of b.png, b1" in page.text


def test_columns_partial_labels_and_what_was_left_out(make: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make([[(0, 1, 1, 4)], []], ("cat", "dog"), supercategories=("animal", "animal"))
    records = [
        Record("a.png", tmp_path, 0, (40, 60), dataset.records[0].annotations, frozenset({0}), {"sky": "blue"}, flat),
        Record("b.png", tmp_path, 1, (40, 60), (), None, {"sky": "grey"}, flat),
    ]
    left = [LeftOut(dataset.source, "b.png", f"annotation {i}", "its box has no area", "G202") for i in range(30)]
    page = Page(show_data(dataset.change(records=records, left_out=left), tmp_path / "out"))
    for said in (
        "looked for in pictures",
        "cat 1 100 % 1 4 4 4 0 2 animal",
        "dog 0 0 % 0 - - - 0 1 animal",
        "blue 1 50.0 %",
        "30 annotations left out",
        "G202 b.png annotation 19 its box has no area",
        "The first 20 are named. G202: 30",
        "animal (2 classes)",
    ):
        assert said in page.text, said
    assert "annotation 20" not in page.text


def test_values_of_a_column_that_are_all_different_are_summed_up(make: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make([[]], ("cat",))
    records = [Record(f"{i}", tmp_path, i, (40, 60), (), columns={"x": str(i)}, read=flat) for i in range(25)]
    page = Page(show_data(dataset.change(records=records), tmp_path / "out"))
    assert "15 other values 15 60.0 %" in page.text
    assert "25 values." in page.text


def test_sixteen_bits_are_stretched_and_measured(make: Callable[..., Dataset], tmp_path: Path) -> None:
    def ramp(path: Path) -> np.ndarray:
        return (np.arange(2400, dtype=np.uint16).reshape(40, 60, 1) + 1000) * 10

    dataset = make([[(0, 1, 1, 4)]], ("cat",))
    deep = Record("d.png", tmp_path, 0, (40, 60), (), read=ramp)
    page = Page(show_data(dataset.change(records=[deep]), tmp_path / "out"))
    std = 10 * np.std(np.arange(2400))
    assert f"1 {21995:.2f} {std:.2f} 10,000 33,990" in page.text
    assert "uint16, from 1 picture" in page.text
    shown = np.array(shoot(dataset.change(records=[deep]), 0).image)
    assert (shown.min(), shown.max()) == (0, 255)


def test_the_same_call_gives_the_same_page(tmp_path: Path) -> None:
    synthesise("shapes", tmp_path / "set", 9, seed=3, size_hw=(64, 64))
    first = show_data(tmp_path / "set", tmp_path / "a", count=4, seed=5).read_bytes()
    assert show_data(tmp_path / "set", tmp_path / "b", count=4, seed=5).read_bytes() == first
    assert show_data(tmp_path / "set", tmp_path / "c", count=4, seed=6).read_bytes() != first


def test_sheets_hold_every_picture_and_older_ones_go(make: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make([[] for _ in range(45)], ("cat",))
    page = Page(show_data(dataset, tmp_path / "out", count=45))
    sheets = tmp_path / "out/sheets"
    assert sorted(path.name for path in sheets.iterdir()) == [f"00{i}.jpg" for i in range(1, 5)]
    assert "The first 40 are here" in page.text
    assert page.seen.count("img") == 40
    (sheets / "mine.jpg").touch()
    show_data(dataset, tmp_path / "out", count=3)
    assert sorted(path.name for path in sheets.iterdir()) == ["001.jpg", "mine.jpg"]
    with Image.open(sheets / "001.jpg") as sheet:
        assert sheet.width > 3 * 480
    none = Page(show_data(dataset, tmp_path / "none", count=0))
    assert "img" not in none.seen
    assert not (tmp_path / "none/sheets").exists()


def test_progress_reaches_its_end_one_by_one(make: Callable[..., Dataset], tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    show_data(make([[(0, 1, 1, 4)], [], []], ("cat",)), tmp_path, count=2, progress=lambda *step: steps.append(step))
    # three records, two shown, three measured, and the rest
    assert steps == [(i, 9) for i in range(1, 10)]


def test_what_is_wrong_is_said(make: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make([[]], ("cat",))
    with pytest.raises(InputError, match="count: expected at least 0, got -1"):
        show_data(dataset, tmp_path, count=-1)
    with pytest.raises(InputError, match="seed: expected at least 0, got -2"):
        show_data(dataset, tmp_path, seed=-2)
    with pytest.raises(FormatError, match="no such file or folder"):
        show_data(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="expected a folder, got a file"):
        show_data(dataset, tmp_path / "file")


# ---- pictures


def test_rare_classes_are_among_the_chosen(make: Callable[..., Dataset]) -> None:
    common = [[(0, 1.0, 1.0, 4.0)] for _ in range(60)]
    common[17].append((1, 9, 9, 5))
    common[42].append((2, 9, 9, 5))
    dataset = make(common, ("cat", "dog", "cow", "none"))
    found = survey(dataset, lambda: None)
    for seed in range(5):
        chosen = choose_pictures(found, 4, 6, seed)
        assert {17, 42} <= set(chosen)
        assert chosen == sorted(set(chosen))
        assert len(chosen) == 6
    assert choose_pictures(found, 4, 1, 0) != [17]  # half of one place is none
    assert choose_pictures(found, 4, 60, 0) == list(range(60))
    assert choose_pictures(found, 4, 0, 0) == []


@pytest.mark.parametrize(
    ("size_hw", "shown"), [((40, 60), (320, 480)), ((1280, 320), (640, 160)), ((4000, 1), (640, 1))]
)
def test_a_picture_is_brought_to_a_size_that_can_be_looked_at(
    make: Callable[..., Dataset], tmp_path: Path, size_hw: tuple[int, int], shown: tuple[int, int]
) -> None:
    record = Record("p.png", tmp_path, 0, size_hw, (), read=partial(flat, size_hw=size_hw))
    image = shoot(make([[]], ("cat",)).change(records=[record]), 0).image
    assert (image.height, image.width) == shown
    assert max(shown) <= SIDE


def test_names_stand_on_the_largest_objects_only(make: Callable[..., Dataset]) -> None:
    dataset = make(
        [[(0, 1.5 * i, 10.0, 1.0) for i in range(5)] + [(1, i, 20.0, 9.0) for i in range(40)]], ("cat", "dog")
    )
    sample = dataset[0]
    captions = largest_names(sample.instances)
    assert captions[:5] == [""] * 5
    assert sorted(captions)[-30:] == ["dog"] * 30
    assert len(captions) == 45


@pytest.mark.parametrize(
    "box", [(0, 0, 60, 40), (59, 39, 60, 40), (20, 10, 23, 14), (0, 3, 2, 39), (5.5, 5.5, 5.6, 5.7)]
)
def test_a_window_holds_its_object_and_stays_inside(box: tuple[float, ...]) -> None:
    x, y, (h, w) = window(np.array(box), (40, 60))
    assert 0 <= x <= box[0] < box[2] <= x + w <= 60
    assert 0 <= y <= box[1] < box[3] <= y + h <= 40


def test_crops_come_in_the_order_asked_for_and_read_a_picture_once(
    make: Callable[..., Dataset], tmp_path: Path
) -> None:
    read: list[str] = []

    def noted(path: Path) -> np.ndarray:
        read.append(path.name)
        return flat(path)

    dataset = make([[(0, 1, 1, 4), (1, 9, 9, 8)], [(0, 3, 3, 16)]], ("cat", "dog"))
    records = [Record(r.name, r.path, r.image_id, r.size_hw, r.annotations, read=noted) for r in dataset.records]
    dataset = dataset.change(records=records)
    crops = cut_out(dataset, survey(dataset, lambda: None), [1, 2, 0])
    assert [crop.class_name for crop in crops] == ["dog", "cat", "cat"]
    assert [crop.place.replace(TIMES, "x").split(" px")[0] for crop in crops] == ["8 x 8", "16 x 16", "4 x 4"]
    assert read == ["0.png", "1.png"]
    assert all(max(crop.image.size) <= CROP_SIDE for crop in crops)


# ---- pixels


def test_pixels_of_a_ramp(make: Callable[..., Dataset]) -> None:
    found = measure(make([[], [], []], ("cat",)), [0, 2], lambda: None)
    # flat pictures of 0 and 20
    assert [tuple(band) for band in found.bands] == [(10.0, 10.0, 0.0, 20.0)] * 3
    assert (found.dtype, found.measured, found.unlike, found.unread, found.gaps) == ("uint8", 2, 0, (), 0)


def test_pictures_of_another_kind_and_pixels_that_are_no_number(make: Callable[..., Dataset], tmp_path: Path) -> None:
    def holes(path: Path) -> np.ndarray:
        image = np.full((40, 60, 1), 3.0, dtype=np.float32)
        image[0, 0] = np.nan if path.name == "a" else np.inf
        image[1:, :] = 5.0 if path.name == "a" else np.nan
        return image

    readers = {"a": holes, "b": holes, "c": flat}
    records = [Record(n, tmp_path / n, 0, (40, 60), (), read=read) for n, read in readers.items()]
    found = measure(make([[]], ("cat",)).change(records=records), [0, 1, 2], lambda: None)
    assert (found.measured, found.unlike, found.gaps, found.dtype) == (2, 1, 2, "float32")
    first = (59 * 3 + 2340 * 5) / 2399
    assert found.bands[0].mean == pytest.approx((first + 3) / 2)
    assert (found.bands[0].low, found.bands[0].high) == (3, 5)


# ---- plots


def test_bars_say_what_they_hold() -> None:
    plot = counts_plot(np.array([0, 2, 2]))
    assert (list(plot.counts), list(plot.labels)) == ([1, 0, 2], ["0", "1", "2"])
    assert list(plot.marks) == [(0.5, "0"), (1.5, "1"), (2.5, "2")]
    wide = counts_plot(np.array([0, 99]))
    assert wide.labels[:2] == ["0 to 4", "5 to 9"]
    assert dict(wide.marks)[3.0] == "15"


def test_marks_lie_where_their_values_are() -> None:
    plot = lengths_plot(np.array([8.0, 30.0, 100.0]), "Sizes", anchors=[16, 500])
    # edges 8, 11.3, 16, 22.6, 32, 45.3, 64, 90.5, 128
    assert plot.counts == [1, 0, 0, 1, 0, 0, 0, 1]
    assert [(round(at, 6), text) for at, text in plot.marks] == [(0, "8"), (2, "16"), (4, "32"), (6, "64"), (8, "128")]
    assert [(round(at, 6), text) for at, text in plot.lines] == [(2, "16")]
    ratios = ratios_plot(np.array([0.5, 1.0, 1.0, 2.0]))
    assert ratios.counts == [1, 0, 2, 0, 1]
    assert [(round(at, 6), text) for at, text in ratios.marks] == [(0.5, "0.5"), (2.5, "1"), (4.5, "2")]


# ---- real sets


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("balloon/val", ["13 pictures, 50 objects of 1 class"]),
        ("via_kudzu/val", ["16 pictures, 349 objects of 1 class"]),
    ],
)
def test_real_sets(place: str, said: list[str], tmp_path: Path) -> None:
    if not SHARED.exists():
        pytest.skip("../shared/data is not here")
    text = Page(show_data(SHARED / place, tmp_path, count=3)).text
    for each in said:
        assert each in text


def test_every_annotation_of_coco_is_measured() -> None:
    if not SHARED.exists():
        pytest.skip("../shared/data is not here")
    source = SHARED / "coco_tiny_80/annotations/instances_val2017.json"
    dataset = open_dataset(source, pictures="optional")
    found = survey(dataset, lambda: None)
    stated = [a for a in json.loads(source.read_text(encoding="utf-8"))["annotations"] if not a["iscrowd"]]
    areas = sorted(a["bbox"][2] * a["bbox"][3] for a in stated)
    measured = np.sort(found.lengths[~found.crowd] ** 2)
    assert len(measured) + len(dataset.left_out) == len(areas)
    assert np.quantile(np.abs(measured - areas) / np.maximum(areas, 1), 0.99) < 0.05


def test_look_counts_its_steps(make: Callable[..., Dataset]) -> None:
    seen = look(make([[(0, 1, 1, 4)]], ("cat",)), 1, 0, lambda _done, _total: None)
    assert [setting.name.split()[0] for setting, _, _ in seen.fits] == ["fitted", "the"]
    assert all(len(boxes) == len(fit.iou) == 1 for _, boxes, fit in seen.fits)

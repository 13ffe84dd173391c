from __future__ import annotations

import json
from pathlib import Path

import pytest
from odd_texts import open_or_refuse, with_odd_bytes, with_odd_words
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.errors import AnnotationError, FormatError

SHARED = Path(__file__).parents[2] / "../shared/data"
HEADER = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
SHAPE = '"{""name"":""rect"",""x"":10,""y"":20,""width"":20,""height"":30}"'
GOOD = f"""{HEADER}
a.png,9,"{{}}",2,0,{SHAPE},"{{""name"":""cat""}}"
a.png,9,"{{}}",2,1,"{{""name"":""circle"",""cx"":9,""cy"":9,""r"":5}}","{{""name"":""dog""}}"
b.png,9,"{{}}",0,0,"{{}}","{{}}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (80, 60)).save(tmp_path / name)
    return tmp_path


def write(folder: Path, text: str, name: str = "via_export_csv.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "#" + GOOD,
        "\ufeff" + GOOD.replace("\n", "\r\n"),
        GOOD.replace(",", ";").replace('"";""', '"",""').replace('0;""y', '0,""y').replace('0;""w', '0,""w')
        .replace('0;""h', '0,""h').replace('9;""cy', '9,""cy').replace('9;""r', '9,""r'),
        GOOD.replace("circle", "circle").replace('""dog""}', '""dog"",""type"":undefined}'),
    ],
    ids=["2.x", "1.x", "marked", "semicolons", "undefined"],
)  # fmt: skip
def test_both_versions_and_their_variants_say_the_same(folder: Path, text: str) -> None:
    dataset = open_dataset(write(folder, text))
    assert (dataset.format, dataset.class_names) == ("via", ("cat", "dog"))
    assert [dataset.instances(i).names for i in range(2)] == [["cat", "dog"], []]
    assert dataset.instances(0).boxes[0].tolist() == [10, 20, 30, 50]


def test_lines_of_a_picture_may_stand_apart_and_regions_may_share_an_id(folder: Path) -> None:
    lines = GOOD.splitlines()
    dataset = open_dataset(write(folder, "\n".join([lines[0], lines[1], lines[3], lines[2].replace("2,1,", "2,0,")])))
    assert [dataset.instances(i).names for i in range(2)] == [["cat", "dog"], []]


def test_an_outline_longer_than_a_common_cell(folder: Path) -> None:
    x, y = [float(i % 70) for i in range(20_000)], [float(i % 50) for i in range(20_000)]
    cell = json.dumps({"name": "polygon", "all_points_x": x, "all_points_y": y}).replace('"', '""')
    assert len(cell) > 131_072
    dataset = open_dataset(write(folder, f'{HEADER}\na.png,9,"{{}}",1,0,"{cell}","{{}}"\n'))
    assert len(dataset.instances(0)) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (",region_attributes", "", "header: expected the column region_attributes, got filename"),
        ("a.png,9,", "a.png,", "line 2: expected 7 cells, got 6"),
        ('""cat""}', '""cat""', 'line 2: region_attributes: expected JSON, got \'{"name":"cat"\''),
        ('"{""name"":""cat""}"', "3", "line 2: region_attributes: expected an object, got 3"),
        (SHAPE, '"{}"', "region 0 of a.png: name of the shape: expected one of polygon"),
        ("b.png,9", ",9", "line 4: filename: expected a text, got ''"),
        ("b.png,9", "a.png,8", "line 4: expected one entry for a.png, got a second one"),
        ('"{}"\n', '"{}', "line 4: expected CSV, got: unexpected end of data"),
    ],
)
def test_errors_name_the_line_or_the_region(folder: Path, old: str, new: str, words: str) -> None:
    path = write(folder, GOOD.replace(old, new, 1) if old != '"{}"\n' else GOOD[:-5] + '"{}\n')
    with pytest.raises(AnnotationError) as caught:
        open_dataset(path, format="via")
    assert f"via_export_csv.csv: {words}" in str(caught.value)


def test_a_csv_export_of_version_3_is_named(folder: Path) -> None:
    text = "# Exported using VGG Image Annotator\n# CSV_HEADER = metadata_id,file_list,flags\n"
    with pytest.raises(FormatError, match="expected a CSV export of VIA 1 or 2, got one of VIA 3; save the project"):
        open_dataset(write(folder, text))


def test_of_twins_the_json_file_is_taken(folder: Path) -> None:
    write(folder, GOOD)
    entries = {"a.png9": {"filename": "a.png", "regions": []}, "b.png9": {"filename": "b.png"}}
    (folder / "via_export_json.json").write_text(json.dumps(entries))
    assert open_dataset(folder).source.name == "via_export_json.json"
    del entries["b.png9"]
    (folder / "via_export_json.json").write_text(json.dumps(entries))
    with pytest.raises(FormatError, match=r"got via_export_json\.json, via_export_csv\.csv; name the one to open"):
        open_dataset(folder)


def test_the_usual_name_wins_whatever_lies_beside_it(folder: Path) -> None:
    usual = write(folder, GOOD, "via_region_data.csv")
    write(folder, GOOD.replace("cat", "cow"), "old.csv")
    assert open_dataset(folder).source == usual


def test_japanese_names(tmp_path: Path) -> None:
    folder = tmp_path / "写真"
    folder.mkdir()
    Image.new("RGB", (80, 60)).save(folder / "猫 1.png")
    text = GOOD.replace("a.png", "猫 1.png").replace("cat", "ねこ").replace('b.png,9,"{}",0,0,"{}","{}"\n', "")
    assert open_dataset(write(folder, text).parent).class_names == ("dog", "ねこ")


def test_no_odd_file_ends_in_a_bare_exception(folder: Path) -> None:
    path = folder / "set.csv"
    for changed in [*with_odd_words(GOOD), *with_odd_bytes(GOOD)]:
        path.write_bytes(changed)
        open_or_refuse(path, "via")


@pytest.mark.parametrize("split", ["train", "val"])
def test_real_csv_files_say_the_same_as_the_json_files_beside_them(split: str) -> None:
    folder = SHARED / "via_car_damage" / split
    if not folder.exists():
        pytest.skip("../shared/data/via_car_damage is not here")
    table, document = (open_dataset(folder / f"via_region_data.{suffix}") for suffix in ("csv", "json"))
    assert table.fingerprint() == document.fingerprint()
    assert open_dataset(folder).source.suffix == ".json"
    with pytest.raises(FormatError, match="got definitions of attributes or settings of VIA, which name no pictures"):
        open_dataset(folder / f"car-damage-{split}_attributes.json")

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.formats.pairing import listed
from maskrcnn.data.formats.place import Place, folders_up

VIA = {
    "a.png1": {
        "filename": "a.png",
        "size": 1,
        "regions": [{"shape_attributes": {"name": "rect", "x": 1, "y": 1, "width": 4, "height": 3}}],
    }
}
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": 6, "width": 8}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 3]}],
    "categories": [{"id": 1, "name": "cat"}],
}
CVAT = """<annotations><version>1.1</version><image id="0" name="a.png" width="8" height="6">
<box label="cat" xtl="1" ytl="1" xbr="5" ybr="4"/></image></annotations>"""
VOTT = {
    "tags": [{"name": "cat"}],
    "assets": {
        "1": {
            "asset": {"name": "a.png", "size": {"width": 8, "height": 6}},
            "regions": [
                {"type": "RECTANGLE", "tags": ["cat"], "boundingBox": {"left": 1, "top": 1, "width": 4, "height": 3}}
            ],
        }
    },
}
FILES = {
    "via": ("via_region_data.json", json.dumps(VIA)),
    "coco": ("instances.json", json.dumps(COCO)),
    "cvat": ("annotations.xml", CVAT),
    "vott": ("vott.json", json.dumps(VOTT)),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("spelled", ["{}", "./{}", "../labels/{}"])
def test_pictures_in_the_folder_above_are_found_from_a_relative_path(
    kind: str, spelled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, content = FILES[kind]
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "images/a.png")
    (tmp_path / "labels" / name).write_text(content)
    monkeypatch.chdir(tmp_path / "labels")
    dataset = open_dataset(spelled.format(name))
    assert dataset.format == kind
    assert dataset.path(0).samefile(tmp_path / "images/a.png")
    assert dataset[0].image.shape == (6, 8, 3)


def test_folders_above_are_the_real_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folders_up(Path("a/b/c.json"), 2) == [Path("a/b"), Path("a")]
    assert folders_up(Path("c.json"), 3) == [Path(), tmp_path.parent, tmp_path.parent.parent]
    assert folders_up(Path("../c.json"), 2) == [Path(".."), tmp_path.parent.parent]
    assert folders_up(Path("/c.json"), 2) == [Path("/"), Path("/")]


def test_a_walk_stops_at_sets_of_their_own_and_at_its_depth(tmp_path: Path) -> None:
    for folder in ("a/deep/deeper", "b/train", "b/more", ".hidden"):
        (tmp_path / folder).mkdir(parents=True)
    walked = [str(place.path.relative_to(tmp_path)) for place in Place(tmp_path).walk()]
    assert walked == [".", "a", "a/deep", "a/deep/deeper", "b"]
    assert [place.path.name for place in Place(tmp_path).walk(1, 1)] == [tmp_path.name, "a"]
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    assert sum(1 for _ in Place(tmp_path / "a").walk()) < 50
    shutil.rmtree(tmp_path / "b")
    assert Place(tmp_path).folders == [tmp_path / "a"]


def test_files_are_listed_by_suffix_in_any_case_2_before_10(tmp_path: Path) -> None:
    for name in ("a10.png", "a2.PNG", ".a1.png", "a3.txt"):
        (tmp_path / name).touch()
    (tmp_path / "a4.png").mkdir()
    assert [path.name for path in listed(tmp_path)] == ["a2.PNG", "a10.png"]
    assert listed(tmp_path / "nothing") == []
    assert listed(tmp_path / "a3.txt", {".txt"}) == []

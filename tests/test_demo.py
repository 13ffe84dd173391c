from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from maskrcnn import load
from maskrcnn.demo import Sizes, demo
from maskrcnn.errors import InputError
from maskrcnn.training import Devices


def test_the_whole_way(tmp_path: Path) -> None:
    out, said = tmp_path / "new/demo", []
    report = demo(out, sizes=Sizes(train=8, test=4, epochs=1), devices=Devices("cpu"), say=said.append)

    assert report == out / "report.html"
    assert [line[:3] for line in said if line[1] == "/"] == ["1/4", "2/4", "3/4", "4/4"]
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["images"], set(metrics["classes"])) == (4, {"cubesat", "dish_probe", "station", "telescope"})
    assert {"box/AP50", "mask/AP50"} <= metrics.keys()
    results = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    assert {result["image_id"] for result in results} <= {1, 2, 3, 4}
    assert len(results) == metrics["detections"]
    assert load(out / "run/model.safetensors").class_names == tuple(sorted(metrics["classes"]))

    page = report.read_text(encoding="utf-8")
    assert "measured on 4 pictures" in page
    assert "after learning from 8 pictures" in page
    shown = set(re.findall(r"<bdi>(00000[0-9]\.png)</bdi>", page))
    assert shown == {"000001.png", "000002.png", "000003.png", "000004.png"}
    figures = {path.name for path in (out / "figures").iterdir()}
    assert {"losses.svg", "learning-rate.svg"} <= figures
    assert (out / "predictions.png").exists()


@pytest.mark.parametrize("content", ["a file", "a folder with something"])
def test_a_place_in_use_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    out = tmp_path / "demo"
    if content == "a file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    with pytest.raises(InputError, match="demo: expected a new or empty folder for the demo, got one in use"):
        demo(out)
    assert (out if out.is_file() else out / "mine").read_text() == "mine"

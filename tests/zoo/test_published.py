"""The table says only what it can, and a name, a file and an address lead to a file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from maskrcnn.errors import WeightsError
from maskrcnn.zoo import download
from maskrcnn.zoo.download import Checksum, place_of
from maskrcnn.zoo.published import PUBLISHED, Published, near_names, resolve

BY_NAME = {model.name: model for model in PUBLISHED}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKRCNN_CACHE", str(tmp_path / "cache"))


# ---- the table


def test_names_and_addresses_are_unique() -> None:
    assert len({model.name for model in PUBLISHED}) == len({model.url for model in PUBLISHED}) == len(PUBLISHED)


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: model.name)
def test_a_row_is_sound(model: Published) -> None:
    assert model.name.startswith(f"{model.project}/")
    assert re.fullmatch(r"https://[^\s?#]+\.(pth|pkl|h5)", model.url)
    assert model.licence
    assert (model.box_ap is None) == (model.mask_ap is None)
    if model.box_ap is not None and model.mask_ap is not None:
        assert 30 < model.mask_ap < model.box_ap < 50
        assert model.data == "COCO"
    if model.checksum:
        checksum = Checksum.parse(model.checksum)
        # their file names end in it, but for the one of Keras, which is published beside the file
        assert model.project == "keras" or re.search(rf"[-_]{checksum.start}\.(pth|pkl)$", model.url)


@pytest.mark.parametrize(
    ("name", "url"),
    [  # as issue 3 and the projects write them
        (
            "torchvision/maskrcnn_resnet50_fpn",
            "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
        ),
        (
            "detectron2/mask_rcnn_R_50_FPN_3x",
            "https://dl.fbaipublicfiles.com/detectron2/COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x/137849600/"
            "model_final_f10217.pkl",
        ),
        ("matterport/coco", "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5"),
        ("matterport/balloon", "https://github.com/matterport/Mask_RCNN/releases/download/v2.1/mask_rcnn_balloon.h5"),
    ],
)
def test_addresses(name: str, url: str) -> None:
    assert BY_NAME[name].url == url


# ---- what a user may say


def test_a_file_that_is_there_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("matterport").mkdir()
    Path("matterport/coco").write_text("mine")
    assert resolve("matterport/coco") == Path("matterport/coco")
    assert resolve(tmp_path) == tmp_path


@pytest.mark.parametrize("text", ["runs/model.safetensors", "coco.h5", "my_model", "maskrcnn_resnet50_fpn.pth"])
def test_what_looks_like_a_file_stays_one(text: str) -> None:
    assert resolve(text) == Path(text)


def test_a_name_is_fetched_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    model = BY_NAME["torchvision/maskrcnn_resnet50_fpn"]
    place = place_of(model.url)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"not the file")
    for source in (model.name, model.url):
        with pytest.raises(WeightsError, match="expected a file whose sha256 begins with bf2d0c1e, got "):
            resolve(source)
    monkeypatch.setattr(download, "_other_hash", lambda *_: None)
    assert resolve(model.name) == resolve(model.url) == place


def test_a_name_without_a_published_hash_is_taken_from_the_cache() -> None:
    place = place_of(BY_NAME["matterport/coco"].url)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"put there by hand")
    assert resolve("matterport/coco") == place


def test_a_hash_in_the_address_wins(tmp_path: Path) -> None:
    (tmp_path / "m.pth").write_bytes(b"")
    with pytest.raises(WeightsError, match="expected a file whose md5 begins with 000000, got d41d8c"):  # of no byte
        resolve(f"{(tmp_path / 'm.pth').as_uri()}#md5=000000")


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("coco", "matterport/coco"),
        ("MatterPort/COCO", "matterport/coco"),
        ("maskrcnn_resnet50_fpn", "torchvision/maskrcnn_resnet50_fpn"),
        ("detectron2/mask_rcnn_R50_FPN_3x", "detectron2/mask_rcnn_R_50_FPN_3x"),
        ("resnet50", "torchvision/resnet50 or keras/resnet50"),
    ],
)
def test_a_name_that_is_nearly_known(text: str, near: str) -> None:
    with pytest.raises(WeightsError) as raised:
        resolve(text)
    start = f"{text}: expected a file, an address or the name of a published model, got none of them; did you mean "
    assert str(raised.value).startswith(f"{start}{near}")


def test_nothing_near_is_nothing() -> None:
    assert near_names("my_model") == []

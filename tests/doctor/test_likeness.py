from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fault_corpus import coco_set, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from maskrcnn.doctor import examine
from maskrcnn.doctor.likeness import RADIUS, alike, groups, near_pairs
from maskrcnn.doctor.looking import look_hash, small_grey


def slowly(hashes: list[int]) -> list[list[int]]:
    """Return what groups of near hashes are, by comparing each with each."""
    n = len(hashes)
    near = [(i, j) for i in range(n) for j in range(i + 1, n) if (hashes[i] ^ hashes[j]).bit_count() <= RADIUS]
    return groups(near)


@given(
    st.lists(st.tuples(st.sampled_from([0, 2**64 - 1, 0x0F0F00FF12345678]), st.lists(st.integers(0, 63), max_size=4)))
)
@settings(max_examples=60)
def test_near_hashes_are_those_that_comparing_each_with_each_finds(made: list[tuple[int, list[int]]]) -> None:
    hashes = []
    for base, flips in made:
        for bit in flips:
            base ^= 1 << bit
        hashes.append(base)
    pairs = near_pairs(np.array(hashes, dtype=np.uint64))
    assert all((hashes[i] ^ hashes[j]).bit_count() <= RADIUS and i < j for i, j in pairs.tolist())
    assert groups([(i, j) for i, j in pairs.tolist()]) == slowly(hashes)


def test_a_quarter_of_a_million_hashes_take_seconds() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 280_000, dtype=np.uint64)
    hashes[200_000:250_000] = hashes[:50_000] ^ np.uint64(0b10001 << 20)
    hashes[250_000:] = 77
    pairs = near_pairs(hashes)
    assert {(i, i + 200_000) for i in range(0, 50_000, 999)} <= set(map(tuple, pairs.tolist()))
    assert np.count_nonzero(hashes[pairs[:, 1]] == 77) == 29_999


def look(image: Image.Image) -> tuple[int, np.ndarray]:
    grey = small_grey(np.asarray(image))
    return look_hash(grey), grey.reshape(16, 2, 16, 2).mean(axis=(1, 3)).astype(np.uint8).ravel()


def recompressed(image: Image.Image, quality: int, folder: Path) -> Image.Image:
    image.save(folder / "q.jpg", quality=quality)
    return Image.open(folder / "q.jpg").convert("RGB")


@pytest.mark.parametrize("seed", range(8))
def test_changed_copies_look_the_same(seed: int, tmp_path: Path) -> None:
    original = picture(seed)
    copies = [
        recompressed(original, 30, tmp_path),
        original.resize((80, 60), Image.Resampling.BILINEAR),
        original.resize((400, 300), Image.Resampling.BICUBIC),
        ImageEnhance.Brightness(original).enhance(0.8),
        ImageEnhance.Contrast(original).enhance(0.8),
    ]
    hashes, thumbs = zip(*map(look, [original, *copies]), strict=True)
    for other in range(1, len(hashes)):
        pair = np.array([hashes[0], hashes[other]], dtype=np.uint64)
        assert near_pairs(pair).tolist() == [[0, 1]], other
        assert alike(np.array([[0, 1]]), np.stack([thumbs[0], thumbs[other]])).all(), other


def test_other_pictures_do_not() -> None:
    looks = [look(picture(seed)) for seed in range(120)]
    hashes = np.array([each for each, _ in looks], dtype=np.uint64)
    pairs = near_pairs(hashes)
    assert not alike(pairs, np.stack([thumb for _, thumb in looks])).any()


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two sets, the second of which has one picture of the first as it is, and another stored anew."""
    first, second = coco_set(tmp_path / "train"), coco_set(tmp_path / "val", seed=1)
    second.path("00.png").write_bytes(first.path("02.png").read_bytes())
    with Image.open(first.path("05.jpg")) as image:
        image.resize((80, 60)).resize((160, 120)).save(second.path("03.jpg"), quality=60)
    return first.save(), second.save()


def test_pictures_in_two_sets_are_found(two: tuple[Path, Path]) -> None:
    findings = examine(*two).report.findings
    assert [(each.code, each.picture, each.detail.partition(" of ")[0]) for each in findings] == [
        ("S405", "00.png", "the same bytes as 02.png"),
        ("S406", "03.jpg", "looks the same as 05.jpg"),
    ]
    assert {each.file for each in findings} == {str(two[1] / "annotations.json")}


def test_classes_that_only_the_other_set_has_are_an_error(tmp_path: Path) -> None:
    first, second = coco_set(tmp_path / "train"), coco_set(tmp_path / "val", seed=1)
    second.document["categories"][1]["name"] = "horse"
    findings = examine(first.save(), second.save()).report.findings
    assert [each.code for each in findings] == ["S407"]
    assert findings[0].detail == f"objects of horse (12), which {tmp_path}/train/annotations.json does not have"
    assert examine(second.save(), first.save()).report.findings[0].detail.startswith("objects of dog (12)")

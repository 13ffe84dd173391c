"""The numbers of weights, and what is marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskrcnn.config import ModelConfig
from maskrcnn.inspection import inspect_weights, show_weights
from maskrcnn.inspection.weights import BARS, outline, weights_page, words_of
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save


def marks(**tensors: torch.Tensor) -> dict[str, str]:
    return {each.name: each.mark for each in inspect_weights({k.replace("_", "."): v for k, v in tensors.items()})}


def test_numbers_are_those_of_numpy() -> None:
    values = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    (row,) = inspect_weights({"w": values})
    own = values.double().numpy()
    assert (row.low, row.high) == (own.min(), own.max())
    assert row.mean == pytest.approx(own.mean())
    assert row.std == pytest.approx(own.std())
    assert row.counts == tuple(np.histogram(own, BARS)[0].tolist())
    assert (row.shape, row.dead, row.mark) == ((6, 5, 3, 3), 0, "")


def test_what_is_wrong_is_marked() -> None:
    good = torch.linspace(-1, 1, 12).view(3, 4)
    found = marks(
        good=good,
        same=torch.full((3, 4), 0.5),
        large=good * 1001,
        border=good * 1000,
        broken=torch.where(good > 0.9, torch.nan, good),
        endless=torch.where(good > 0.9, torch.inf, good),
        fading=torch.cat([good, torch.zeros(2, 4), good * 1e-9]),
        bias=torch.zeros(4),
        scalar=torch.tensor(3),
    )
    assert found == {
        "good": "",
        "same": "dead",
        "large": "overflow",
        "border": "",
        "broken": "not a number",
        "endless": "not a number",
        "fading": "dead channels",
        "bias": "",
        "scalar": "",
    }


def test_norms_have_rules_of_their_own() -> None:
    zeros, ones = torch.zeros(4), torch.ones(4)
    names = {"a.norm.weight": zeros, "a.norm.bias": zeros, "b.norm.weight": ones, "a.norm.running_var": zeros}
    found = {each.name: each.mark for each in inspect_weights({**names, "b.norm.running_var": ones * 5000})}
    assert found == {
        "a.norm.weight": "dead", "a.norm.bias": "", "b.norm.weight": "", "a.norm.running_var": "dead",
        "b.norm.running_var": "",
    }  # fmt: skip


def test_dead_channels_are_counted() -> None:
    (row,) = inspect_weights({"w": torch.cat([torch.ones(3, 2), torch.zeros(2, 2)])})
    assert row.dead == 2
    assert words_of(row) == "2 of 5 channels dead"


def test_empty_tensors_are_left_out_and_whole_numbers_are_measured() -> None:
    rows = inspect_weights({"nothing": torch.zeros(0, 4), "steps": torch.tensor([1, 2, 3])})
    assert [(row.name, row.mean) for row in rows] == [("steps", 2.0)]


def test_the_path_closes_and_ends_at_the_right() -> None:
    assert outline((1,)) == "M0,24V0.0H96.0V24Z"
    assert outline((0, 9, 1, 0)).endswith("H96.0V24Z")


def test_a_page_of_a_model(tiny: ModelConfig, tmp_path: Path) -> None:
    model = build(tiny)
    with torch.no_grad():
        model.rpn.head.deltas.weight.zero_()
    save(model, tmp_path / "m.safetensors")
    page = show_weights(tmp_path / "m.safetensors", tmp_path / "deep/w.html").read_text(encoding="utf-8")
    names = list(model.state_dict())
    assert all(f">{name}<" in page for name in names)
    assert page.count('class="hist"') == len(names)
    assert "rpn.head.deltas.weight" in page.partition("<h2>All tensors</h2>")[0]
    assert "http" not in page.replace("http://www.w3.org", "")


def test_names_of_tensors_are_escaped() -> None:
    page = weights_page("<b>", inspect_weights({"<script>x": torch.ones(2)}))
    assert "<script>x" not in page
    assert "<bdi><b>" not in page

"""Numbers on the page of a picture against slow references."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskrcnn.config import ModelConfig
from maskrcnn.inspection.figures import close_view, rect
from maskrcnn.inspection.stages import (
    LIMITS,
    View,
    anchor_figures,
    best_overlaps,
    objectness_figures,
    proposal_figures,
    recall_table,
    refinement_figure,
    region_bars,
    region_figures,
    sigmoid,
    suppression_table,
    suppressors,
)
from maskrcnn.inspection.ways import cells_read, ways
from maskrcnn.model.mask_rcnn import build
from maskrcnn.prediction import Predictor

SHARES = {"average": 0.5, "unaligned": 0.0}


@pytest.fixture(scope="module", params=["average", "unaligned", "corners"])
def view(request: pytest.FixtureRequest, tiny: ModelConfig) -> View:
    torch.manual_seed(1)
    config = tiny.change(
        regions=tiny.regions.change(sampler=request.param),
        detect=tiny.detect.change(score_threshold=0.05, detections=9, nms_iou=0.15),
    )
    model = build(config).eval()
    with torch.no_grad():
        model.rpn.head.objectness.weight.mul_(30)
        model.box_head.logits.weight.mul_(30)
        model.box_head.deltas.weight.mul_(100)
        model.box_head.logits.bias.zero_()
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    trace = Predictor(model).trace(picture)
    assert len(trace.instances) == 9
    return View.of(trace, config, 7)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return float(shared / union) if union else 0.0


def test_what_goes_goes_for_the_first_better_box_of_its_class(view: View) -> None:
    part = view.trace["detections"]
    by = suppressors(view)
    kept = part["kept"].tolist()
    assert (by >= 0).any()
    for j, slot in enumerate(by.tolist()):
        own = [
            k
            for k, i in enumerate(kept)
            if i < j and part["labels"][i] == part["labels"][j]
            and iou(part["boxes"][i], part["boxes"][j]) > view.config.detect.nms_iou
        ]  # fmt: skip
        assert slot == (own[0] if own and j not in kept else -1)


def test_every_pair_is_counted_once(view: View) -> None:
    table = suppression_table(view, suppressors(view))
    assert sum(row[1] for row in table.rows) == len(view.trace["detections"]["boxes"])
    assert sum(row[4] for row in table.rows) == len(view.trace["detections"]["kept"])
    for _, total, gone, beyond, stays in table.rows:
        assert total == gone + beyond + stays


def test_recall_counts_objects_that_a_box_lies_on(view: View) -> None:
    objects = np.array([[10, 10, 40, 50], [60, 5, 90, 30], [0, 0, 1, 1]], dtype=np.float32)
    table = recall_table(view, objects)
    assert table.rows[0][0] == "all anchors"
    anchors = np.concatenate(list(view.trace["anchors"].values()))
    best = [max(iou(each, anchor) for anchor in anchors) for each in objects]
    assert table.rows[0][2:4] == [np.mean([value >= limit for value in best]) for limit in LIMITS]
    assert table.rows[0][4] == pytest.approx(np.mean(best), abs=1e-5)
    assert best_overlaps(objects, np.zeros((0, 4))).tolist() == [0, 0, 0]


def slow_points(box: np.ndarray, stride: int, bins: int, ratio: int, sampler: str) -> list[tuple[float, float]]:
    """List where a region samples its level, in cells of it, as the papers say."""
    x1, y1, x2, y2 = (float(edge) / stride - SHARES[sampler] for edge in box)
    w, h = x2 - x1, y2 - y1
    if sampler == "unaligned":
        w, h = max(w, 1.0), max(h, 1.0)
    steps = [(p + (k + 0.5) / ratio) / bins for p in range(bins) for k in range(ratio)]
    return [(x1 + u * w, y1 + v * h) for v in steps for u in steps]


def test_cells_are_those_round_the_samples(view: View) -> None:
    if view.config.regions.sampler == "corners":
        pytest.skip("held by the golden files of the project that samples so")
    level, stride = 1, 8
    rows, columns = view.tensor("pyramid", "P3").shape[1:]
    box = np.array([13.0, 9.5, 61.0, 40.0], dtype=np.float32)
    weight: dict[tuple[int, int], float] = {}
    for x, y in slow_points(box, stride, 7, 2, view.config.regions.sampler):
        x, y = min(max(x, 0.0), columns - 1.0), min(max(y, 0.0), rows - 1.0)
        j, i = int(x), int(y)
        for di, dj, share in ((0, 0, (1 - (y - i)) * (1 - (x - j))), (0, 1, (1 - (y - i)) * (x - j)),
                              (1, 0, (y - i) * (1 - (x - j))), (1, 1, (y - i) * (x - j))):  # fmt: skip
            if share > 1e-9:
                weight[i + di, j + dj] = weight.get((i + di, j + dj), 0.0) + share
    most = max(weight.values())
    dots = {(int(dot.y // stride), int(dot.x // stride)): dot.share for dot in cells_read(view, box, level, 7, 2)}
    assert dots.keys() == weight.keys()
    for cell, share in dots.items():
        assert share == pytest.approx(weight[cell] / most, abs=1e-4)


def test_heat_lies_where_the_anchors_of_its_cells_do(view: View) -> None:
    for figure, stride in zip(objectness_figures(view), (4, 8, 16, 32, 64), strict=True):
        (own,) = figure.maps
        rows, columns = view.tensor("rpn", f"logits {figure.title}").shape[:2]
        if min(rows, columns) > 1:
            half = stride / 2
            assert own.box == pytest.approx((-half, -half, columns * stride - half, rows * stride - half), abs=1e-3)
        best = sigmoid(view.tensor("rpn", f"logits {figure.title}")).max()
        assert f"highest {best:.3f}" in figure.note


def test_every_shown_detection_is_in_every_figure_that_it_passed(view: View) -> None:
    shown = set(range(view.shown))

    def seen(figures: list) -> set[int]:
        return {i for figure in figures for shape in figure.shapes for i in shape.of}

    assert seen(anchor_figures(view)) == shown
    for figure in proposal_figures(view):
        assert seen([figure]) == shown, figure.title
    assert seen(region_figures(view)) == shown
    assert seen([refinement_figure(view)]) == shown


def test_bars_are_the_probabilities_of_the_surest_regions_class_by_class(view: View) -> None:
    bars = region_bars(view)
    probabilities = view.tensor("box head", "probabilities")
    for one in bars:
        own = probabilities[int(one.name.split()[1]) - 1]
        assert one.bars[-1].share == own[-1]
        shares = [bar.share for bar in one.bars[:-1]]
        assert shares == sorted(own[:-1].tolist(), reverse=True)[: len(shares)]
    sure = probabilities[:, :-1].max(axis=1) > view.config.detect.score_threshold
    tops = probabilities[sure, :-1].argmax(axis=1)
    first = [one.bars[0].name for one in bars[: len(np.unique(tops))]]
    assert len(set(first)) == len(first)


def test_a_way_has_all_its_steps(view: View) -> None:
    found = ways(view, suppressors(view))
    assert len(found) == view.shown
    for way in found:
        assert [step.title for step in way.steps] == [
            "Anchor", "Proposal", "Region", "Box", "Suppression", "Mask", "Pasted",
        ]  # fmt: skip
        assert way.mask.size == (28, 28)
        x1, y1, x2, y2 = way.steps[0].view
        assert 0 <= x1 < x2 <= view.trace.padded_hw[1]
        assert 0 <= y1 < y2 <= view.trace.padded_hw[0]


def test_a_close_view_stays_in_the_picture_and_has_room() -> None:
    assert close_view(np.array([[0.0, 0, 10, 10]]), (100, 200)) == (0, 0, 24, 24)
    assert close_view(np.array([[0.0, 0, 200, 100]]), (100, 200)) == (0, 0, 200, 100)
    x1, y1, x2, y2 = close_view(np.array([[50.0, 40, 70, 60], [60, 50, 90, 80]]), (400, 400))
    assert (x2 - x1, y2 - y1) == pytest.approx((56, 56))
    assert (x1 + x2) / 2 == pytest.approx(70)


def test_corners_that_are_no_number_can_be_written() -> None:
    assert rect(np.array([np.nan, np.inf, 1.234, -2])) == (0, 0, 1.23, -2)

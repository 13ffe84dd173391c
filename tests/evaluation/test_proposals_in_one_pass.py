"""Proposals and detections of a picture come from one pass of its network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskrcnn.config import ModelConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.synth import KINDS, synthesise
from maskrcnn.engines.eager import EagerEngine
from maskrcnn.engines.graphs.metadata import About
from maskrcnn.engines.graphs.running import Graph, engine_of
from maskrcnn.errors import InputError
from maskrcnn.evaluation.run import evaluate, see_dataset
from maskrcnn.model.mask_rcnn import build
from maskrcnn.prediction import Predictor
from maskrcnn.prediction.preparing import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures of one size."""
    folder = tmp_path_factory.mktemp("one_pass") / "set"
    synthesise("shapes", folder, 5, seed=1, size_hw=(64, 96))
    return folder


@pytest.fixture
def predictor(tiny: ModelConfig) -> Predictor:
    torch.manual_seed(0)
    classes = {"classes": KINDS["shapes"].class_names, "detect": tiny.detect.change(score_threshold=0.0)}
    return Predictor(EagerEngine(build(tiny.change(**classes)), "fp32", torch.device("cpu")))


def calls_of(predictor: Predictor) -> list[int]:
    """A list that grows by the number of pictures at every call of a backbone, prepared or not."""
    calls: list[int] = []
    for network in (predictor.network, predictor.model):
        network.backbone.register_forward_pre_hook(lambda _, given: calls.append(len(given[0])))
    return calls


@pytest.mark.parametrize("batch", [1, 2])
def test_the_backbone_sees_a_picture_once(folder: Path, predictor: Predictor, batch: int) -> None:
    calls = calls_of(predictor)
    both = evaluate(predictor, folder, measures="coco,proposals", batch=batch)
    assert sum(calls) == 5
    assert len(calls) == -(-5 // batch)
    alone = evaluate(predictor, folder, measures="coco", batch=batch)
    assert sum(calls) == 10
    assert alone.values.items() <= both.values.items()
    assert both["box/proposals/AR1000"] is not None


def test_what_is_seen_is_what_is_predicted_and_what_a_trace_shows(folder: Path, predictor: Predictor) -> None:
    data = open_dataset(folder)
    for i, seen in enumerate(see_dataset(predictor, data, batch=2)):
        trace = predictor.trace(data.path(i))
        for found in (predictor.predict(data.path(i)), trace.instances):
            np.testing.assert_allclose(seen.objects.boxes, found.boxes, atol=1e-3)
            np.testing.assert_allclose(seen.objects.scores, found.scores, atol=1e-5)
        (h, w), scale = trace.size_hw, 64 / trace.size_hw[0]
        assert (h, w) == (64, 96)
        np.testing.assert_allclose(seen.proposed.boxes, trace["proposals"]["boxes"] * scale, atol=1e-3)
        np.testing.assert_allclose(seen.proposed.scores, 1 / (1 + np.exp(-trace["proposals"]["logits"])), atol=1e-5)
        assert (np.diff(seen.proposed.scores) <= 0).all()


def test_proposals_are_in_pixels_of_the_picture_that_came_in(predictor: Predictor) -> None:
    small = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    large = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)  # the network sees both at the same size
    prepared = [prepare(each, predictor.config.input) for each in (small, large)]
    assert prepared[0].pixels.shape == prepared[1].pixels.shape
    same = prepared[1]._replace(pixels=prepared[0].pixels)
    one, two = (each.proposed.boxes for each in predictor.see_prepared([prepared[0], same]))
    assert len(one) > 0
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)


def test_a_graph_has_no_proposals(folder: Path, predictor: Predictor, tmp_path: Path) -> None:
    def run(*_: Any) -> tuple[torch.Tensor, ...]:
        raise AssertionError("not to be run")

    graph = engine_of(Graph("onnx", About(predictor.config), torch.device("cpu"), run))
    sentence = "^model: expected one whose stages can be called, .* got an exported file, as onnx runs it$"
    with pytest.raises(InputError, match=sentence):
        evaluate(Predictor(graph), folder, tmp_path / "out", measures="coco,proposals")
    assert not (tmp_path / "out/predictions.json").exists()

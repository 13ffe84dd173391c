from typing import Any

import torch

from maskrcnn.config import DetectConfig
from maskrcnn.model.postprocess import CHOICES, rank, suppress, take
from maskrcnn.ops.nms import nms

A, B, C = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 9.0), (50.0, 50.0, 60.0, 60.0)


def run(
    probabilities: list[list[float]], boxes: torch.Tensor, valid: list[bool] | None = None, **changes: object
) -> tuple[list[Any], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    given = torch.tensor([probabilities])
    flags = torch.tensor([valid or [True] * given.shape[1]])
    config = DetectConfig(detections=5, score_threshold=0.1).change(**changes)
    candidates = rank(given, boxes, flags, config)
    found = take(candidates, suppress(candidates, config, nms))
    n = int((found[2] >= 0).sum())
    return [t[0, :n].tolist() for t in found], found


def test_nms_goes_by_class() -> None:
    boxes = torch.tensor([[[A], [B], [C]]])
    (_, scores, labels), full = run([[0.9, 0.2], [0.8, 0.7], [0.3, 0.05]], boxes)
    assert labels == [0, 1, 0]
    assert [round(score, 3) for score in scores] == [0.9, 0.7, 0.3]
    assert full[2].tolist() == [[0, 1, 0, -1, -1]]
    assert full[0][0, 3:].tolist() == [[0, 0, 0, 0]] * 2


def test_boxes_of_their_own_class() -> None:
    boxes = torch.tensor([[[A, C]]])
    (found, _, labels), _ = run([[0.4, 0.5]], boxes)
    assert labels == [1, 0]
    assert found == [list(C), list(A)]


def test_invalid_proposals_and_infinite_boxes_are_left_out() -> None:
    boxes = torch.tensor([[[A], [(0.0, 0.0, torch.inf, 5.0)], [C]]])
    (found, _, _), _ = run([[0.5], [0.9], [0.8]], boxes, valid=[True, True, False])
    assert found == [list(A)]


def test_at_most_so_many() -> None:
    boxes = torch.tensor([[[(20.0 * i, 0, 20.0 * i + 9, 9)] for i in range(8)]])
    (_, scores, _), _ = run([[0.1 + 0.1 * i] for i in range(8)], boxes, detections=2)
    assert [round(score, 2) for score in scores] == [0.8, 0.7]


def test_nothing_found() -> None:
    (found, _, _), full = run([[0.05]], torch.tensor([[[A]]]))
    assert found == []
    assert full[2].tolist() == [[-1]]


def test_every_class_or_only_the_best_competes() -> None:
    """The first region is best class 1, the second background."""
    probabilities = torch.tensor([[0.3, 0.5, 0.2], [0.3, 0.2, 0.5]])
    assert CHOICES["every"](probabilities).tolist() == probabilities[:, :2].tolist()
    assert CHOICES["best"](probabilities).tolist() == [[0, 0.5], [0, 0]]

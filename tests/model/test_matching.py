import torch
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.model import matching
from maskrcnn.model.matching import Match, adopt_orphans, match, sample
from maskrcnn.ops.boxes import iou

NONE = torch.zeros(1, 0, 4)


def rows(*boxes: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor([boxes], dtype=torch.float32)


def simple_match(
    boxes: torch.Tensor, objects: torch.Tensor, labels: torch.Tensor, ignored: torch.Tensor = NONE
) -> Match:
    return match(boxes, objects, labels, ignored, positive_iou=0.7, negative_iou=0.3, ignored_overlap=0.5)


def test_by_hand() -> None:
    """IoU 1, 0.5 and 0 with the first object: positive, neither, negative."""
    boxes = rows((0, 0, 10, 10), (0, 0, 10, 5), (50, 50, 60, 60))
    found = simple_match(boxes, rows((0, 0, 10, 10), (90, 90, 99, 99)), torch.tensor([[2, 1]]))
    assert found.positive.tolist() == [[True, False, False]]
    assert found.negative.tolist() == [[False, False, True]]
    assert found.target[0, :2].tolist() == [0, 0]
    assert found.iou[0].tolist() == [1.0, 0.5, 0.0]


def test_empty_slots_match_nothing() -> None:
    objects = rows((0, 0, 10, 10))
    found = simple_match(objects, objects, torch.tensor([[-1]]))
    assert not found.positive.any()
    assert found.negative.all()


def test_ignored_regions_are_neither() -> None:
    boxes, crowd = rows((0, 0, 10, 10), (0, 0, 40, 10)), rows((0, 0, 10, 10))
    found = simple_match(boxes, rows((90, 90, 95, 95)), torch.tensor([[0]]), crowd)
    assert found.negative.tolist() == [[False, True]]  # all of it and a quarter of it lie in the region


def test_every_object_gets_its_best_boxes_however_little_they_overlap() -> None:
    boxes = rows((0, 0, 10, 10), (5, 0, 15, 10), (20, 0, 30, 10))
    objects, labels = rows((0, 0, 4, 10), (60, 60, 70, 70)), torch.tensor([[0, 0]])
    found = adopt_orphans(simple_match(boxes, objects, labels), boxes, objects, labels)
    assert found.positive.tolist() == [[True, False, False]]
    assert found.negative.tolist() == [[False, True, True]]


@given(st.integers(0, 10_000))
def test_parts_of_the_objects_give_what_all_at_once_give(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(2, 17, 2, generator=generator) * 30
    objects = torch.cat([corner, corner + torch.rand(2, 17, 2, generator=generator) * 30], dim=2)
    labels = torch.randint(-1, 3, (2, 17), generator=generator)
    boxes = objects[:1].roll(3, 1) + 1
    overlap = iou(torch.where(labels[..., None] >= 0, objects, 0.0), boxes)
    kept = matching._PAIRS_AT_ONCE
    matching._PAIRS_AT_ONCE = 100
    try:
        found = adopt_orphans(simple_match(boxes, objects, labels, torch.zeros(2, 0, 4)), boxes, objects, labels)
    finally:
        matching._PAIRS_AT_ONCE = kept
    assert torch.equal(found.iou, overlap.amax(dim=1))
    best = overlap.amax(dim=2, keepdim=True)
    expected = (overlap.amax(dim=1) >= 0.7) | ((overlap == best) & (best > 0)).any(dim=1)
    assert torch.equal(found.positive, expected)


def made(positive: list[int], negative: list[int], n: int) -> Match:
    flags = torch.zeros(2, 1, n, dtype=torch.bool)
    flags[0, 0, positive] = True
    flags[1, 0, negative] = True
    return Match(torch.zeros(1, n, dtype=torch.int64), torch.zeros(1, n), flags[0], flags[1])


def test_sampling_fills_up_with_negatives() -> None:
    drawn = sample(made([3, 5], list(range(10, 40)), 40), torch.tensor([1]), 0, 16, 0.5)
    assert drawn.positive[0].tolist() == [True] * 2 + [False] * 14
    assert sorted(drawn.indices[0, :2].tolist()) == [3, 5]
    assert all(i >= 10 for i in drawn.indices[0, 2:].tolist())
    assert drawn.valid.all()


def test_sampling_never_takes_more_positives_than_their_share() -> None:
    drawn = sample(made(list(range(30)), list(range(30, 40)), 40), torch.tensor([1]), 0, 16, 0.25)
    assert int(drawn.positive.sum()) == 4
    assert int(drawn.valid.sum()) == 14  # 4 positives and all 10 negatives
    assert len(set(drawn.indices[drawn.valid].tolist())) == 14


def test_sampling_from_nothing() -> None:
    drawn = sample(made([], [], 5), torch.tensor([1]), 0, 16, 0.5)
    assert drawn.indices.shape == (1, 5)
    assert not drawn.valid.any()


def test_another_key_draws_others_and_the_same_key_the_same() -> None:
    candidates = made([], list(range(200)), 200)
    first, again, other = (sample(candidates, torch.tensor([key]), 0, 8, 0.5).indices.tolist() for key in (1, 1, 2))
    assert first == again
    assert first != other

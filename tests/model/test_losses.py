import math

import pytest
import torch

from maskrcnn.model.losses import box_loss, class_loss, mask_loss, objectness_loss

YES, NO = True, False
EVERYWHERE = torch.ones(1, 0, dtype=torch.bool)  # no column: every class was looked for in every picture


def test_objectness_by_hand() -> None:
    """A logit of 0 costs ln 2 either way; the invalid slot costs nothing."""
    loss = objectness_loss(torch.zeros(1, 3), torch.tensor([[YES, NO, NO]]), torch.tensor([[YES, YES, NO]]))
    assert loss.total.item() == pytest.approx(2 * math.log(2))
    assert loss.samples.item() == 2


def test_box_loss_counts_positives_over_all_samples() -> None:
    """Distances 0.5 and 2 from zero in one coordinate; beta 1: 0.125 and 1.5; the third is no positive."""
    deltas = torch.tensor([[0.5, 0, 0, 0], [0, 2, 0, 0], [9, 9, 9, 9]])
    positive, valid = torch.tensor([YES, YES, NO]), torch.tensor([YES, YES, YES])
    loss = box_loss(deltas, torch.zeros(3, 4), positive, valid, beta=1.0)
    assert loss.total.item() == pytest.approx(0.125 + 1.5)
    assert loss.mean.item() == pytest.approx(1.625 / 3)
    assert box_loss(deltas, torch.zeros(3, 4), positive, valid, beta=0.0).total.item() == pytest.approx(2.5)


def test_box_loss_does_not_mind_targets_of_empty_slots() -> None:
    deltas = torch.zeros(1, 4, requires_grad=True)
    none = torch.tensor([NO])
    loss = box_loss(deltas, torch.full((1, 4), torch.nan), none, none, beta=0.0)
    loss.mean.backward()
    assert loss.mean.item() == 0
    assert deltas.grad is not None
    assert deltas.grad.tolist() == [[0, 0, 0, 0]]


def test_class_loss_by_hand() -> None:
    """Equal logits of three classes: ln 3 each."""
    loss = class_loss(torch.zeros(2, 3), torch.tensor([2, 0]), torch.tensor([YES, NO]), EVERYWHERE.expand(2, 0))
    assert loss.mean.item() == pytest.approx(math.log(3))


def test_background_is_merged_with_the_classes_that_were_not_looked_for() -> None:
    """Probabilities 0.1, 0.2, 0.3 of three classes and 0.4 of background; the second class was not looked for."""
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log().requires_grad_()
    labelled, valid = torch.tensor([[YES, NO, YES]]), torch.tensor([YES])
    loss = class_loss(logits, torch.tensor([3]), valid, labelled)
    assert loss.mean.item() == pytest.approx(-math.log(0.2 + 0.4))
    loss.mean.backward()
    # the derivative is p minus each one's part in what is merged: those two share in it as they are likely
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([0.1, 0.2 - 0.2 / 0.6, 0.3, 0.4 - 0.4 / 0.6])
    assert class_loss(logits, torch.tensor([0]), valid, labelled).mean.item() == pytest.approx(-math.log(0.1))
    assert class_loss(logits, torch.tensor([1]), valid, labelled).mean.item() == pytest.approx(-math.log(0.2))


def test_a_region_that_is_sure_of_a_class_that_was_not_looked_for_costs_nothing() -> None:
    logits = torch.tensor([[0.0, 80.0, 0.0]], requires_grad=True)
    loss = class_loss(logits, torch.tensor([2]), torch.tensor([YES]), torch.tensor([[YES, NO]]))
    loss.mean.backward()
    assert loss.mean.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-30


def test_where_all_classes_were_looked_for_nothing_changes_to_the_last_bit() -> None:
    """Also beside samples of pictures where they were not."""
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(64, 6, generator=generator) * 8).requires_grad_()
    labels = torch.randint(0, 6, (64,), generator=generator)
    valid, labelled = torch.rand(64, generator=generator) < 0.8, torch.ones(64, 5, dtype=torch.bool)
    labelled[32:, 3] = False
    valid[32:] = False
    plain, marked = (class_loss(logits, labels, valid, each) for each in (EVERYWHERE.expand(64, 0), labelled))
    assert plain.total.item() == marked.total.item()
    gradients = [torch.autograd.grad(loss.total, logits)[0] for loss in (plain, marked)]
    assert torch.equal(*gradients)


def test_mask_loss_of_a_half_covered_cell_is_least_at_a_half() -> None:
    half = torch.full((1, 2, 2), 0.5)
    at = {
        p: mask_loss(torch.full((1, 2, 2), math.log(p / (1 - p))), half, torch.tensor([YES])).mean.item()
        for p in (0.3, 0.5, 0.7)
    }
    assert at[0.5] == pytest.approx(math.log(2))
    assert at[0.5] < at[0.3] == pytest.approx(at[0.7])


def test_nothing_to_learn_costs_nothing_and_has_a_gradient() -> None:
    logits = torch.zeros(0, 2, 2, requires_grad=True)
    loss = mask_loss(logits, torch.zeros(0, 2, 2), torch.zeros(0, dtype=torch.bool))
    loss.mean.backward()
    assert loss.mean.item() == 0

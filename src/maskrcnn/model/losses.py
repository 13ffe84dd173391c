"""The five losses, each as a sum and a count, so that any number of processes can take the mean together.

References: Faster R-CNN (1506.01497), equation 1. Fast R-CNN (1504.08083), equation 3. Mask R-CNN (1703.06870),
section 3: a mask loss of the true class only. Marginal loss (2007.03868), of the merged background.
Letters: S samples, K classes, M side of the mask.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Loss(NamedTuple):
    """One term: `total` (scalar) float is the sum over samples, `samples` (scalar) float how many there were."""

    total: Tensor
    samples: Tensor

    @property
    def mean(self) -> Tensor:
        """The mean over this process's own samples; 0 where there are none."""
        return self.total / self.samples.clamp(min=1)


Losses = dict[str, Loss]


def objectness_loss(logits: Tensor, positive: Tensor, valid: Tensor) -> Loss:
    """Binary cross-entropy of sampled anchors.

    Args:
        logits: (..., S) float.
        positive: (..., S) bool.
        valid: (..., S) bool. Other slots do not count.
    """
    each = F.binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")
    return Loss((each * valid).sum(), valid.sum().to(logits.dtype))


def box_loss(deltas: Tensor, targets: Tensor, positive: Tensor, valid: Tensor, beta: float) -> Loss:
    """Smooth L1 of the positives' deltas, over the number of all samples.

    Args:
        deltas: (..., S, 4) float.
        targets: (..., S, 4) float. Anything where not positive.
        positive: (..., S) bool.
        valid: (..., S) bool. Samples that count.
        beta: Where the parabola turns into a line; 0 is L1.
    """
    targets = torch.where(positive[..., None], targets, deltas.detach())
    each = F.smooth_l1_loss(deltas, targets, beta=beta, reduction="none").sum(dim=-1)
    return Loss((each * positive).sum(), valid.sum().to(deltas.dtype))


def class_loss(logits: Tensor, labels: Tensor, valid: Tensor, labelled: Tensor) -> Loss:
    """Cross-entropy over K classes and background, which does not punish classes that were not looked for.

    Where no object is annotated there is background or an object of a class k that was not looked for, so with p the
    softmax of all K + 1 logits a background sample costs -log(p_background + sum of those p_k): the marginal loss of
    Shi et al. (2007.03868), whose "merged background" this is. A sample of an object of class c costs -log(p_c) as
    ever. Where every class was looked for the two are the ordinary cross-entropy, to the last bit.

    Args:
        logits: (S, K + 1) float. Background last.
        labels: (S) int64 in [0, K].
        valid: (S) bool.
        labelled: (S, K) bool. True where the class was looked for; (S, 0) where all were everywhere.
    """
    each = F.cross_entropy(logits, labels, reduction="none")
    if labelled.shape[1]:
        known = F.pad(labelled, (0, 1))  # the background never is
        marginal = logits.logsumexp(dim=1) - logits.masked_fill(known, -torch.inf).logsumexp(dim=1)
        open_ended = (labels == labelled.shape[1]) & ~labelled.all(dim=1)
        each = torch.where(open_ended, marginal, each)
    return Loss((each * valid).sum(), valid.sum().to(logits.dtype))


def mask_loss(logits: Tensor, targets: Tensor, counted: Tensor) -> Loss:
    """Binary cross-entropy of each cell with the share of it that the mask covers.

    Args:
        logits: (S, M, M) float. Of the true class.
        targets: (S, M, M) float in [0, 1].
        counted: (S) bool. Positives whose object has a mask.
    """
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=(1, 2))
    return Loss((each * counted).sum(), counted.sum().to(logits.dtype))

"""Anchors that fit the data: from which size on do they lie best on the objects, on the grid where they stand?"""

from __future__ import annotations

import numpy as np

from maskrcnn.config import AnchorConfig, RPNConfig
from maskrcnn.model.anchor_fit import Seen, fit

# up to the size of published models, eight times the stride of its level
BASES = (4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 24.0, 28.0, 32.0)


def doubling(base: float, usual: AnchorConfig) -> AnchorConfig:
    """Return other anchors with one size a level, `base` on P2 and twice as much from level to level."""
    return usual.change(sizes=[[base * 2**level] for level in range(len(usual.sizes))])


def fit_anchors(seen: Seen, usual: AnchorConfig, rpn: RPNConfig) -> AnchorConfig:
    """Choose the smallest anchor of five doubling sizes by the mean IoU of the objects with their best anchors.

    The mean tells choices apart where no object, or every one, is above the IoU at which anchors match, and one
    object more or less moves it little. Shape alone would say too little: a small anchor on a coarse level has the
    shape of the objects and lies between them. Of equals the smallest is taken.

    Args:
        seen: The objects; none, or none with an area, keeps the usual anchors.
        usual: The rest of the settings.
        rpn: The grid.
    """
    seen = seen.select(np.all(seen.boxes[:, 2:] > seen.boxes[:, :2], axis=1))
    if len(seen.boxes) == 0:
        return usual
    return max((doubling(base, usual) for base in BASES), key=lambda choice: float(fit(seen, choice, rpn).iou.mean()))

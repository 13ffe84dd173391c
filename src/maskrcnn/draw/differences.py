"""What was annotated against what was found, in one picture: missed red, false orange, found green.

Each is also said in its label, for those who can't tell the colours apart.
Letters: G annotated objects, D detections, N of both that are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskrcnn.draw.overlay import enlarged, names, names_and_scores, paint
from maskrcnn.draw.palette import RGB
from maskrcnn.errors import InputError
from maskrcnn.ops.rle import Bitmap
from maskrcnn.structures import Bitmaps, Instances

COLOURS: MappingProxyType[str, RGB] = MappingProxyType(
    {"missed": (229, 38, 62), "false": (255, 160, 30), "found": (38, 190, 96), "ignored": (150, 150, 158)}
)
"""What each kind of difference is drawn in; crowds and what was found in them are ignored."""

_NOTHING = Bitmap(0, 0, np.zeros((0, 0), dtype=np.bool_))


def differences(
    image: NDArray[np.generic],
    truth: Instances,
    found: Instances,
    matches: Sequence[int] | NDArray[np.int64],
    *,
    zoom: int = 1,
) -> Image.Image:
    """Draw what was missed, what was found that is not there, and what was found.

    Args:
        image: (H, W, bands) or (H, W) of any dtype. The picture.
        truth: The G objects that are annotated.
        found: The D detections; their classes may have another order.
        matches: (D,) int64. Which object each detection found, -1 for none, as `evaluation.pairs.pair` gives it.
        zoom: How many times to enlarge the picture first.

    Raises:
        ImageError: The picture has another size than the instances say, or is no picture.
        InputError: The matches are not one a detection, or name an object that is not there.
    """
    match = _checked(matches, truth, found)
    canvas = enlarged(image, truth, zoom)
    seen = np.isin(np.arange(len(truth)), match)
    left = np.flatnonzero(~seen | truth.crowd)
    kinds = ["ignored" if crowd else "missed" for crowd in truth.crowd[left]]
    kinds += ["false" if i < 0 else "ignored" if truth.crowd[i] else "found" for i in match.tolist()]
    words = [*names(truth[left]), *names_and_scores(found)]
    captions = [
        f"{kind} {word}" if kind in {"missed", "false"} else word for kind, word in zip(kinds, words, strict=True)
    ]
    order = sorted(range(len(kinds)), key=lambda i: list(COLOURS).index(kinds[i]))  # mistakes choose their place first
    drawn = _joined(truth[left], found)[order]
    paint(canvas, drawn, [COLOURS[kinds[i]] for i in order], [captions[i] for i in order], zoom)
    return canvas


def _checked(matches: Sequence[int] | NDArray[np.int64], truth: Instances, found: Instances) -> NDArray[np.int64]:
    match = np.asarray(matches, dtype=np.int64).reshape(-1)
    if found.size_hw != truth.size_hw:
        raise InputError(f"found: expected the size of the annotations {truth.size_hw}, got {found.size_hw}")
    if len(match) != len(found):
        raise InputError(f"matches: expected {len(found)}, one a detection, got {len(match)}")
    if len(match) and not -1 <= match.min() <= match.max() < len(truth):
        raise InputError(f"matches: expected -1 to {len(truth) - 1}, got {match.min()} to {match.max()}")
    return match


def _joined(truth: Instances, found: Instances) -> Instances:
    """Put annotations and detections, of whatever classes and kinds of masks, into one."""
    return Instances(
        truth.size_hw,
        np.concatenate([truth.boxes, found.boxes]),
        np.concatenate([truth.labels, found.labels + len(truth.class_names)]),
        (*truth.class_names, *found.class_names),
        Bitmaps([*_bitmaps(truth), *_bitmaps(found)], truth.size_hw),
        np.concatenate([truth.scores, found.scores]),
        np.concatenate([truth.crowd, found.crowd]),
    )


def _bitmaps(instances: Instances) -> list[Bitmap]:
    return [_NOTHING] * len(instances) if instances.masks is None else list(instances.masks.crops())

"""Objects of another training picture pasted into this one, with exact masks of what remains visible.

References: Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation (2021).
Letters: H, W height and width of the picture; N objects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from maskrcnn.data.batches import check_bands
from maskrcnn.data.transforms import Transform
from maskrcnn.errors import InputError
from maskrcnn.ops.pixels import Deferred, Paste, change
from maskrcnn.ops.rle import Bitmap, clip, trim
from maskrcnn.structures import Bitmaps, Instances, Sample


class Pictures(Protocol):
    """The set that objects come from."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """Read one picture."""
        ...


@dataclass(frozen=True)
class CopyPaste:
    """Paste objects of a random picture of the set, both varied in the same way first.

    A picture on which an object has a box only stays as it is: what would be hidden of it is not known.

    Attributes:
        pictures: The set that objects come from.
        before: What both pictures go through first; it ends at the network's size.
        p: Share of pictures that get objects.
        min_share: An object of which less than this share remains visible is ignored (`crowd`).
    """

    pictures: Pictures
    before: Transform
    p: float = 0.5
    min_share: float = 0.1

    def __post_init__(self) -> None:
        if not (0 <= self.p <= 1 and 0 <= self.min_share <= 1):
            raise InputError(f"CopyPaste: expected p and min_share from 0 to 1, got {self.p:g} and {self.min_share:g}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Vary the picture, and paste a random part of another one's objects.

        Raises:
            ImageError: The other picture can't be read or has another number of bands.
        """
        sample = self.before(sample, rng)
        if rng.random() >= self.p:
            return sample
        other = self.pictures[int(rng.integers(len(self.pictures)))]
        check_bands(other, sample.image.shape[2])
        other = self.before(other, rng)
        usable = np.flatnonzero(~other.instances.crowd)
        if other.instances.masks is None or sample.instances.masks is None or usable.size == 0:
            return sample
        chosen = rng.choice(usable, int(rng.integers(1, usable.size + 1)), replace=False)
        return paste(sample, other, np.sort(chosen), self.min_share)


def paste(sample: Sample, other: Sample, chosen: NDArray[np.int64], min_share: float) -> Sample:
    """Paste objects where they lie in their own picture, over everything else.

    Args:
        sample: The picture that gets them, with masks.
        other: The picture that they come from, with masks, of as many bands.
        chosen: (n) int64. Which of its objects.
        min_share: An object of which less than this share remains visible is ignored; one of which nothing
            remains is no longer there.
    """
    size_hw = sample.instances.size_hw
    assert other.instances.masks is not None
    bitmaps = [trim(clip(other.instances.masks.crop(int(i)), size_hw)) for i in chosen]
    seen = np.array([bitmap.pixels.size > 0 for bitmap in bitmaps], dtype=np.bool_)
    if not seen.any():
        return sample
    covered = np.zeros(size_hw, dtype=np.bool_)
    for x, y, pixels in bitmaps:
        covered[y : y + pixels.shape[0], x : x + pixels.shape[1]] |= pixels
    image = change(sample.image, Paste(Deferred.of(other.image), torch.from_numpy(covered)), size_hw)
    left = uncover(sample.instances, covered, min_share)
    masks = Bitmaps([bitmap for bitmap in bitmaps if bitmap.pixels.size], size_hw)
    pasted = replace(other.instances[chosen[seen]], size_hw=size_hw, masks=masks, boxes=masks.boxes())
    return replace(sample, image=image, instances=_together(left, pasted))


def uncover(instances: Instances, covered: NDArray[np.bool_], min_share: float) -> Instances:
    """Take covered pixels away from masks; boxes become the borders of what remains.

    Args:
        instances: N objects with masks.
        covered: (H, W) bool. What lies before them.
        min_share: An object of which less than this share remains is marked `crowd`; one without a pixel is not
            in the result.
    """
    assert instances.masks is not None
    masks = Bitmaps([_without(bitmap, covered) for bitmap in instances.masks.crops()], instances.size_hw)
    share = masks.areas() / np.maximum(instances.masks.areas(), 1)
    crowd = instances.crowd | (share < min_share)
    return replace(instances, masks=masks, boxes=masks.boxes(), crowd=crowd)[np.flatnonzero(share > 0)]


def _without(bitmap: Bitmap, covered: NDArray[np.bool_]) -> Bitmap:
    h, w = bitmap.pixels.shape
    return trim(bitmap._replace(pixels=bitmap.pixels & ~covered[bitmap.y : bitmap.y + h, bitmap.x : bitmap.x + w]))


def _together(first: Instances, second: Instances) -> Instances:
    assert first.masks is not None
    assert second.masks is not None
    return replace(
        first,
        boxes=np.concatenate([first.boxes, second.boxes]),
        labels=np.concatenate([first.labels, second.labels]),
        masks=Bitmaps([*first.masks.crops(), *second.masks.crops()], first.size_hw),
        scores=np.concatenate([first.scores, second.scores]),
        crowd=np.concatenate([first.crowd, second.crowd]),
    )

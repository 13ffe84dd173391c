"""Samples to a batch: pictures padded to one of a few shapes, ground truth in a fixed number of slots.

Letters: B pictures, C bands, H, W height and width; G slots for objects, I slots for ignored regions, T cells
of a table; K classes; h, w of a mask's window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskrcnn.config import InputConfig, Resize
from maskrcnn.errors import ImageError
from maskrcnn.ops.pixels import Deferred, with_tensors
from maskrcnn.ops.resize import WAYS, corner, place, to_tensor
from maskrcnn.ops.rle import Bitmap
from maskrcnn.structures import Batch, Instances, MaskTable, Sample

LEAST_SLOTS = 8
Offset = tuple[int, int]


def padded_shapes(config: InputConfig) -> tuple[tuple[int, int], ...]:
    """List the few shapes (H, W) that a batch of resized pictures is padded to, smallest first.

    For `short_edge` the long side is that of a square, of a 4:3 photograph or the longest allowed, lying,
    standing or both ways; where the padding is a square there is one shape; where any size may come there is none.

    >>> padded_shapes(InputConfig(min_size=96, max_size=160))
    ((96, 96), (96, 128), (128, 96), (96, 160), (160, 96), (128, 128), (160, 160))
    """
    long = _up(config.max_size, config.divisor)
    if WAYS[config.resize].square:
        return ((long, long),)
    if config.resize != "short_edge":
        return ()
    short = _up(config.min_size, config.divisor)
    photograph = _up(min(math.ceil(config.min_size * 4 / 3), config.max_size), config.divisor)
    sides = {short, photograph, long}
    lying, both = {(short, side) for side in sides}, {(side, side) for side in sides}
    standing = {(W, H) for H, W in lying}
    return tuple(sorted(lying | standing | both, key=lambda shape: (math.prod(shape), shape)))


def padded_shape(sizes_hw: Sequence[tuple[int, int]], config: InputConfig) -> tuple[int, int]:
    """Return the smallest of `padded_shapes` that holds all sizes, else the sizes rounded up to the divisor.

    >>> padded_shape([(800, 1067), (533, 800)], InputConfig())
    (800, 1088)
    """
    h, w = (max(side) for side in zip(*sizes_hw, strict=True))
    holding = (shape for shape in padded_shapes(config) if shape[0] >= h and shape[1] >= w)
    return next(holding, (_up(h, config.divisor), _up(w, config.divisor)))


def _up(length: int, divisor: int) -> int:
    return -(-length // divisor) * divisor


def slot_count(most: int) -> int:
    """Return the slots a batch has when no picture holds more than `most` objects: 8, 16, 32, and so on.

    >>> [slot_count(n) for n in (0, 8, 9, 100)]
    [8, 8, 16, 128]
    """
    return 1 << (max(most, LEAST_SLOTS) - 1).bit_length()


@dataclass(frozen=True)
class DeferredBatch:
    """A batch whose pictures are still to be made, on the device that it is brought to.

    Attributes:
        batch: All but the pictures, (B, C, 0, 0).
        pictures: B pictures with what is to be done to them.
        shape_hw: Height and width to pad to.
        resize: The way of the model's settings, which says on what side.
    """

    batch: Batch
    pictures: tuple[Deferred, ...]
    shape_hw: tuple[int, int]
    resize: Resize

    def made(self) -> Batch:
        """Make the pictures."""
        return self.batch._replace(images=_pad([one.made() for one in self.pictures], self.shape_hw, self.resize))

    def pin_memory(self) -> DeferredBatch:
        """Lay everything where an accelerator can fetch it; the loader asks for it."""
        return self._with_tensors(Tensor.pin_memory)

    def to(self, device: torch.device) -> DeferredBatch:
        """Bring everything to a device; Lightning asks for it."""
        return self._with_tensors(lambda tensor: tensor.to(device, non_blocking=True))

    def _with_tensors(self, move: Callable[[Tensor], Tensor]) -> DeferredBatch:
        return replace(self, batch=with_tensors(self.batch, move), pictures=with_tensors(self.pictures, move))


def collate(
    samples: Sequence[Sample], keys: Sequence[int], shape_hw: tuple[int, int], resize: Resize = "short_edge"
) -> Batch:
    """Make a batch; crowds become ignored regions, every other instance takes a slot.

    Args:
        samples: B pictures with as many bands each, none larger than `shape_hw`.
        keys: B random numbers below 2**63, from which the sampling in the step follows.
        shape_hw: Height and width to pad to.
        resize: The way of the model's settings, which says on what side.

    Raises:
        ImageError: The pictures differ in their number of bands.
    """
    batch = _truth(samples, keys, shape_hw, resize)
    return batch._replace(images=_pad([to_tensor(sample.image) for sample in samples], shape_hw, resize))


def collate_deferred(
    samples: Sequence[Sample], keys: Sequence[int], shape_hw: tuple[int, int], resize: Resize = "short_edge"
) -> DeferredBatch:
    """Make a batch as `collate` does, of samples whose pixels are `Deferred`, and leave them so."""
    pictures = tuple(Deferred.of(sample.image) for sample in samples)
    return DeferredBatch(_truth(samples, keys, shape_hw, resize), pictures, shape_hw, resize)


def _truth(samples: Sequence[Sample], keys: Sequence[int], shape_hw: tuple[int, int], resize: Resize) -> Batch:
    """Make a batch without pictures."""
    for sample in samples:
        check_bands(sample, samples[0].image.shape[2])
    learnt = [sample.instances[~sample.instances.crowd] for sample in samples]
    crowds = [sample.instances[sample.instances.crowd] for sample in samples]
    G = slot_count(max(map(len, learnt)))
    most_crowds = max(map(len, crowds))
    sizes_hw = [sample.instances.size_hw for sample in samples]
    offsets = [corner(size_hw, shape_hw, resize) for size_hw in sizes_hw]
    return Batch(
        images=torch.zeros(len(samples), samples[0].image.shape[2], 0, 0),
        size_hw=torch.tensor(sizes_hw, dtype=torch.int64),
        boxes=_boxes(learnt, G, offsets),
        labels=_labels(learnt, G),
        ignored=_boxes(crowds, slot_count(most_crowds) if most_crowds else 0, offsets),
        masks=mask_table([_bitmaps(*each) for each in zip(learnt, offsets, strict=True)], G),
        keys=torch.tensor(keys, dtype=torch.int64),
        labelled=_labelled(samples),
    )


def check_bands(sample: Sample, bands: int) -> None:
    """Refuse a picture that does not have this many bands.

    Raises:
        ImageError: It has more or fewer.
    """
    found = sample.image.shape[2]
    if found != bands:
        raise ImageError(f"{sample.path}: expected a picture with {bands} bands, got {found}")


def _pad(pictures: Sequence[Tensor], shape_hw: tuple[int, int], resize: Resize) -> Tensor:
    """Pad pictures of one device, to float32 if one of them is not uint8."""
    dtype = torch.uint8 if all(picture.dtype == torch.uint8 for picture in pictures) else torch.float32
    images = pictures[0].new_zeros((len(pictures), len(pictures[0]), *shape_hw), dtype=dtype)
    for room, picture in zip(images, pictures, strict=True):
        place(picture, room, resize)
    return images


def _boxes(pictures: Sequence[Instances], slots: int, offsets: Sequence[Offset]) -> Tensor:
    boxes = np.zeros((len(pictures), slots, 4), dtype=np.float32)
    for room, instances, (y, x) in zip(boxes, pictures, offsets, strict=True):
        room[: len(instances)] = instances.boxes + np.array([x, y, x, y], dtype=np.float32)
    return torch.from_numpy(boxes)


def _labels(pictures: Sequence[Instances], slots: int) -> Tensor:
    labels = np.full((len(pictures), slots), -1, dtype=np.int64)
    for room, instances in zip(labels, pictures, strict=True):
        room[: len(instances)] = instances.labels
    return torch.from_numpy(labels)


def _labelled(samples: Sequence[Sample]) -> Tensor:
    """Say which classes were looked for in each picture, in no column where all were in all of them."""
    classes = len(samples[0].instances.class_names)
    partly = any(sample.labelled is not None for sample in samples)
    looked_for = np.ones((len(samples), classes if partly else 0), dtype=np.bool_)
    for row, sample in zip(looked_for, samples, strict=True):
        if sample.labelled is not None:
            row[:] = False
            row[sorted(sample.labelled)] = True
    return torch.from_numpy(looked_for)


def _bitmaps(instances: Instances, offset: Offset) -> list[Bitmap]:
    crops = () if instances.masks is None else instances.masks.crops()
    return [Bitmap(x + offset[1], y + offset[0], pixels) for x, y, pixels in crops]


def mask_table(pictures: Sequence[Sequence[Bitmap]], slots: int) -> MaskTable:
    """Sum up the masks of a batch; the first cell is an empty table of its own, which every empty slot names.

    Args:
        pictures: For each of the B pictures the masks of its objects in slot order, or nothing where they are
            not known. A mask without pixels counts as not known.
        slots: G, at least the masks of any picture.
    """
    B = len(pictures)
    start = np.zeros((B, slots), dtype=np.int64)
    window = np.zeros((B, slots, 4), dtype=np.int64)
    tables, cells = [np.zeros(1, dtype=np.int32)], 1
    for picture, bitmaps in enumerate(pictures):
        for slot, (x, y, pixels) in enumerate(bitmaps):
            if not pixels.any():
                continue
            start[picture, slot] = cells
            window[picture, slot] = (x, y, *pixels.shape)
            tables.append(_summed_area(pixels).ravel())
            cells += tables[-1].size
    return MaskTable(
        sums=torch.from_numpy(np.concatenate(tables)),
        start=torch.from_numpy(start),
        window=torch.from_numpy(window),
        known=torch.from_numpy(start > 0),
    )


def _summed_area(pixels: NDArray[np.bool_]) -> NDArray[np.int32]:
    h, w = pixels.shape
    table: NDArray[np.int32] = np.zeros((h + 1, w + 1), dtype=np.int32)
    np.cumsum(np.cumsum(pixels, axis=0, dtype=np.int32), axis=1, out=table[1:, 1:])
    return table

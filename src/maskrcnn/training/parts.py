"""Batches in parts, blocks that are computed twice: less memory, the same gradient.

References: Chen et al., "Training deep nets with sublinear memory cost" (1604.06174).
Letters: B pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import pairwise

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from maskrcnn.model.backbone import BasicBlock, Bottleneck
from maskrcnn.structures import Batch, MaskTable

_SIGNS = ("DefaultCPUAllocator: can't allocate", "DefaultCPUAllocator: not enough", "STATUS_ALLOC_FAILED")


def split(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch into as many parts of about the same size, or one a picture if there are fewer.

    Args:
        batch: B pictures.
        parts: At least 1.
    """
    B = len(batch.images)
    edges = [round(i * B / min(parts, B)) for i in range(min(parts, B) + 1)]
    return [_cut(batch, slice(first, last)) for first, last in pairwise(edges)]


def _cut(batch: Batch, own: slice) -> Batch:
    masks = MaskTable(batch.masks.sums, *(each[own] for each in batch.masks[1:]))
    return batch._replace(masks=masks, **{
        name: value[own] for name, value in batch._asdict().items() if name != "masks"
    })  # fmt: skip


def ran_out(error: BaseException) -> bool:
    """Say whether an error means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


@contextmanager
def still_statistics(model: nn.Module) -> Iterator[None]:
    """Leave the running statistics of batch normalisation alone: what is computed is computed a second time."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momentum = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, own in zip(norms, momentum, strict=True):
            norm.momentum = own


@contextmanager
def checkpointed(model: nn.Module) -> Iterator[None]:
    """Keep only what enters the blocks of the backbone, and compute the rest again when gradients need it.

    Forward and backward belong inside the block.
    """
    blocks = [module for module in model.modules() if isinstance(module, BasicBlock | Bottleneck)]
    for block in blocks:
        again = partial(_contexts, block)
        block.forward = partial(  # type: ignore[method-assign]
            checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False, context_fn=again
        )
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return what surrounds the first computation of a block and the second."""
    return nullcontext(), still_statistics(block)

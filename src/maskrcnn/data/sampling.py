"""Which pictures form which batch of an epoch, and the random numbers of a picture.

All of it is a pure function of the seed, the epoch and the index of the picture, so it does not matter how
many processes load, how many train, or whether a run was broken off and resumed.

Letters: J pictures of a joint batch, over all ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.config import InputConfig
from maskrcnn.data.batches import padded_shape
from maskrcnn.errors import InputError

# Told apart by spawn keys, as seed sequences read [seed, epoch] and [seed, epoch, 0] as the same.
_ORDER, _KEY = 1, 2


def picture_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the generator from which a picture's augmentation in an epoch is drawn."""
    return np.random.default_rng([seed, epoch, index])


def picture_key(seed: int, epoch: int, index: int) -> int:
    """Return a number of 63 bits from which the step's sampling in a picture follows."""
    sequence = np.random.SeedSequence([seed, epoch, index], spawn_key=(_KEY,))
    return int(sequence.generate_state(1, np.uint64)[0]) >> 1


class Job(NamedTuple):
    """One batch to be made: pictures `indices` as in `epoch`, padded to `shape_hw` or, if need be, more."""

    epoch: int
    indices: tuple[int, ...]
    shape_hw: tuple[int, int]


class TrainingSampler:
    """The batches of one rank in a deterministic random order.

    An epoch is cut into joint batches of `batch_size * world_size` pictures, lying or standing ones each
    among themselves so that padding stays small; what both leave over is put together. Rank r takes the r-th
    slice of each joint batch, and all ranks pad to the shape of the joint batch: together they see what one
    process with the joint batch would see. Every picture comes exactly once, but the last joint batch is
    filled up with pictures that come once more, so that all batches have the same size and all
    ranks the same number.

    Args:
        sizes_hw: Height and width of each picture when it is resized, before augmentation.
        config: The padding.
        batch_size: Pictures a batch and rank.
        seed: At least 0.
        rank: Which slice of each joint batch.
        world_size: Slices.

    Attributes:
        epoch: The epoch that is given, or is given next.
        batch: The batch of it that comes next; iteration begins there.

    Raises:
        InputError: There is no picture, or a number is out of range.
    """

    def __init__(
        self,
        sizes_hw: Sequence[tuple[int, int]],
        config: InputConfig,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not sizes_hw:
            raise InputError("training data: expected at least one picture, got none")
        if batch_size < 1 or seed < 0 or not 0 <= rank < world_size:
            raise InputError(
                f"training batches: expected a batch size of at least 1, a seed of at least 0 and a rank "
                f"below {world_size}, got {batch_size}, {seed} and {rank}"
            )
        self.sizes_hw = sizes_hw
        self.config = config
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.joint_size = batch_size * world_size
        self.epoch = 0
        self.batch = 0
        shapes = [padded_shape([size], config) for size in sizes_hw]
        self._standing = np.array([H > W for H, W in shapes])

    def __len__(self) -> int:
        """Return the batches of a whole epoch."""
        return -(-len(self.sizes_hw) // self.joint_size)

    def set_epoch(self, epoch: int) -> None:
        """Begin another epoch; the one that runs goes on where it is."""
        if epoch != self.epoch:
            self.epoch, self.batch = epoch, 0

    def joint_batches(self, epoch: int) -> NDArray[np.int64]:
        """Return (batches, J) int64, the pictures of each joint batch of an epoch."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, epoch], spawn_key=(_ORDER,)))
        order = rng.permutation(len(self.sizes_hw))
        standing = self._standing[order]
        whole, rest = [], []
        for group in (order[standing], order[~standing]):
            cut = len(group) - len(group) % self.joint_size
            whole.append(group[:cut])
            rest.append(group[cut:])
        last = self._fill(np.concatenate(rest), order)
        return rng.permutation(np.concatenate([*whole, last]).reshape(-1, self.joint_size))

    def _fill(self, rest: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bring the left-over pictures to whole joint batches, with others first and themselves last."""
        missing = -len(rest) % self.joint_size
        pool = np.concatenate([order[~np.isin(order, rest)], rest])
        return np.concatenate([rest, np.resize(pool, missing)])

    def __iter__(self) -> Iterator[Job]:
        """Give the batches of this rank that are left of the epoch."""
        epoch, first = self.epoch, self.rank * self.batch_size
        for joint in self.joint_batches(epoch)[self.batch :].tolist():
            shape_hw = padded_shape([self.sizes_hw[index] for index in joint], self.config)
            yield Job(epoch, tuple(joint[first : first + self.batch_size]), shape_hw)

"""From a data set to batches for training, with worker processes, resumable.

A worker makes whole batches. An error that this package raised on purpose travels as a value and is raised
again in the main process as it was.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from maskrcnn.config import InputConfig
from maskrcnn.data.batches import DeferredBatch, check_bands, collate, collate_deferred, padded_shape
from maskrcnn.data.sampling import Job, TrainingSampler, picture_key, picture_rng
from maskrcnn.data.transforms import Transform
from maskrcnn.errors import InputError, MaskRCNNError
from maskrcnn.machine import collection_paused
from maskrcnn.ops.pixels import Deferred
from maskrcnn.ops.resize import target_size
from maskrcnn.structures import Batch, Sample

AnyBatch = Batch | DeferredBatch


class Pictures(Protocol):
    """What a loader needs of a data set."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """Read one picture."""
        ...

    def size_hw(self, index: int, /) -> tuple[int, int]:
        """Return height and width of a picture without decoding it."""
        ...


class Jobs(Iterable[Job], Sized, Protocol):
    """Batches to be made, in order."""


@dataclass(frozen=True)
class _Builder(Dataset[AnyBatch | MaskRCNNError]):
    """Makes the batch of a job; the part that runs in the worker processes."""

    pictures: Pictures
    config: InputConfig
    transform: Transform
    seed: int

    def __getitem__(self, job: Job) -> AnyBatch | MaskRCNNError:
        try:
            samples = [self._sample(job.epoch, index) for index in job.indices]
            shape_hw = padded_shape([job.shape_hw, *(s.instances.size_hw for s in samples)], self.config)
            keys = [picture_key(self.seed, job.epoch, index) for index in job.indices]
            images: list[object] = [sample.image for sample in samples]
            make = collate_deferred if any(isinstance(image, Deferred) for image in images) else collate
            return make(samples, keys, shape_hw, self.config.resize)
        except MaskRCNNError as error:
            return error

    def _sample(self, epoch: int, index: int) -> Sample:
        sample = self.pictures[index]
        check_bands(sample, self.config.bands)
        return self.transform(sample, picture_rng(self.seed, epoch, index))


class _Workers:
    """The processes that make batches of jobs: started by the first iteration, kept for the next ones."""

    def __init__(self, builder: _Builder, jobs: Jobs, count: int) -> None:
        self._builder = builder
        self._jobs = jobs
        self._count = count
        self._loader = self._make_loader()

    def _make_loader(self) -> DataLoader[AnyBatch | MaskRCNNError]:
        return DataLoader(
            self._builder,
            sampler=self._jobs,
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=self._count,
            worker_init_fn=_resume_collection,
            persistent_workers=self._count > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # its own, as the default would draw from the training's generator
        )

    def batches(self) -> Iterator[AnyBatch]:
        with collection_paused():  # a forked worker would try to end other loaders of the main process
            results = iter(self._loader)
        for result in results:
            if isinstance(result, MaskRCNNError):
                try:
                    raise result
                finally:  # let go of all that the traceback would hold, so that the processes end now
                    self.close()
                    del result, results
            yield result

    def close(self) -> None:
        """End the processes now; left to the garbage collection, each may take five seconds."""
        self._loader = self._make_loader()


def _as_it_is(value: Any) -> Any:
    return value


def _resume_collection(_worker: int) -> None:
    gc.freeze()
    gc.enable()


def resized_sizes(pictures: Pictures, config: InputConfig) -> list[tuple[int, int]]:
    """Return the height and width that each picture has when it is resized, without padding."""
    return [target_size(pictures.size_hw(index), config) for index in range(len(pictures))]


class TrainingLoader:
    """Batches for training, epoch after epoch; each iteration gives what is left of the current epoch.

    The stream is a pure function of the seed, whatever the number of workers, and goes on exactly where a
    saved state was taken. An iteration that ran to its end has moved on to the next epoch;
    `sampler.set_epoch` chooses one.

    Args:
        pictures: The data set.
        config: Size, bands and padding that the network wants.
        transform: What is done to each sample, `Resize(config)` included; where it begins with `Defer` the batches are
            `DeferredBatch`.
        batch_size: Pictures a batch and rank.
        seed: At least 0.
        workers: Processes that load; 0 loads in this one.
        rank: This process among those that train together.
        world_size: Processes that train together.

    Raises:
        InputError: There is no picture, or a number is out of range.
    """

    def __init__(
        self,
        pictures: Pictures,
        config: InputConfig,
        transform: Transform,
        *,
        batch_size: int,
        seed: int,
        workers: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        sizes_hw = resized_sizes(pictures, config)
        self.sampler = TrainingSampler(sizes_hw, config, batch_size, seed, rank, world_size)
        self._workers = _Workers(_Builder(pictures, config, transform, seed), self.sampler, workers)

    def __len__(self) -> int:
        """Return the batches of a whole epoch."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[AnyBatch]:
        """Give the batches that are left of the epoch.

        Nothing happens before the first one is asked for, so the epoch may be set and a state be loaded until
        then.

        Raises:
            MaskRCNNError: A picture or its annotations can't be read; the error is that of reading it alone.
        """
        sampler = self.sampler
        for batch in self._workers.batches():
            sampler.batch += 1
            yield batch
        sampler.set_epoch(sampler.epoch + 1)

    def state_dict(self) -> dict[str, int]:
        """Return where the stream is: every batch given so far counts as used."""
        return {"epoch": self.sampler.epoch, "batch": self.sampler.batch, **self._stream()}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on where a state was taken; the number of ranks may differ, their joint batch may not.

        Raises:
            InputError: The state belongs to another stream.
        """
        for name, expected in self._stream().items():
            if state_dict.get(name) != expected:
                raise InputError(
                    f"saved place in the training data: {name}: expected {expected}, got "
                    f"{state_dict.get(name)}; resume with the same data and settings"
                )
        self.sampler.epoch, self.sampler.batch = state_dict["epoch"], state_dict["batch"]

    def close(self) -> None:
        """End the worker processes; another iteration would start new ones."""
        self._workers.close()

    def _stream(self) -> dict[str, int]:
        sampler = self.sampler
        return {
            "seed": sampler.seed,
            "pictures": len(sampler.sizes_hw),
            "joint_batch_size": sampler.joint_size,
        }

"""What this package does, as its users call it.

Letters: B pictures, N objects, V corners, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from numpy.typing import NDArray
from torch import Tensor
from worker import Arrays, Job, serve

import maskrcnn
from maskrcnn.config import Layers, ModelConfig, Stage, TrainConfig
from maskrcnn.data.batches import collate, padded_shape
from maskrcnn.data.transforms import Resize
from maskrcnn.model.postprocess import Detections
from maskrcnn.model.weights import build_filled
from maskrcnn.ops.polygons import rasterise
from maskrcnn.ops.resize import padded_size, place
from maskrcnn.prediction.predictor import Predictor
from maskrcnn.prediction.preparing import prepare
from maskrcnn.structures import Batch, Bitmaps, Instances, Sample
from maskrcnn.training.module import TrainingModule, build_optimiser
from maskrcnn.zoo.opening import open_weights

RATE = 1e-6  # of learning: made-up weights stay as they are


# ---- inference


@lru_cache(maxsize=1)
def _load(weights: str, **settings: Any) -> Predictor:
    return maskrcnn.load(weights, **settings)


def detect(
    pictures: NDArray[np.uint8],
    task: str,
    weights: str,
    device: str,
    size_hw: Sequence[int],
    exported: bool = False,
    **settings: Any,
) -> Job:
    """Find the objects of pictures (B, H, W, 3).

    Args:
        pictures: Decoded.
        task: `network` from padded pictures on the device to patches on it; `patches` and `call` from decoded pictures
            to `Instances`; `rle` to run lengths.
        weights: A file of torchvision, or one that was exported.
        device: Where to run.
        size_hw: What the network sees.
        exported: Whether it was, and has the settings for good.
        settings: More for `maskrcnn.load`.
    """
    sizes = {"min_size": min(size_hw), "max_size": max(size_hw)}
    changed = {} if exported else settings
    model = _load(weights, device=device, threads=torch.get_num_threads(), **sizes, **changed)
    if task == "network":
        return Job(partial(model.engine, *_padded(pictures, model)), _of_slots)

    def call() -> list[Instances]:
        return model.predict_prepared([model.prepare(picture) for picture in pictures])

    def rle() -> list[Any]:
        return [found.masks.rle() for found in call()]

    return Job(rle) if task == "rle" else Job(call, _of_instances)


def _padded(pictures: NDArray[np.uint8], model: Predictor) -> tuple[Tensor, Tensor]:
    config = model.config.input
    prepared = [prepare(picture, config).pixels for picture in pictures]
    resized_hw = (prepared[0].shape[1], prepared[0].shape[2])
    images = prepared[0].new_zeros(len(prepared), config.bands, *padded_size(resized_hw, config))
    for room, pixels in zip(images, prepared, strict=True):
        place(pixels, room, config.resize)
    return images.to(model.device), torch.tensor([resized_hw] * len(prepared), device=model.device)


def _of_slots(found: Detections) -> Arrays:
    filled = found.labels[0] >= 0
    first = {"boxes": found.boxes[0], "scores": found.scores[0], "labels": found.labels[0]}
    return {name: tensor[filled].cpu().numpy() for name, tensor in first.items()}


def _of_instances(found: list[Instances]) -> Arrays:
    first = found[0]
    bits = np.packbits(first.masks.dense().reshape(len(first), -1), axis=1)
    return {"boxes": first.boxes, "scores": first.scores, "labels": first.labels, "masks": bits}


def plain_network(
    pictures: NDArray[np.uint8], weights: str, size_hw: Sequence[int], detections: int, proposals: int
) -> Job:
    """Run the network as it is written, in which every multiplication can be counted."""
    opened = open_weights(weights)
    settings = opened.config
    config = settings.change(
        input=settings.input.change(min_size=min(size_hw), max_size=max(size_hw)),
        detect=settings.detect.change(detections=detections),
        rpn=settings.rpn.change(proposals=proposals),
    )
    model = Predictor(build_filled(config, opened.tensors, weights))
    return Job(partial(model.engine, *_padded(pictures, model)))


# ---- training


def _sample(picture: NDArray[np.uint8], rings: NDArray[np.float64], labels: NDArray[np.int64], names: Any) -> Sample:
    size_hw = (picture.shape[0], picture.shape[1])
    masks = Bitmaps([rasterise([ring], size_hw) for ring in rings], size_hw)
    return Sample(picture, Instances(size_hw, masks.boxes(), labels, names, masks), Path(), 0)


def _batch(config: ModelConfig, pictures: NDArray[np.uint8], rings: Any, labels: Any) -> Batch:
    resize, rng = Resize(config.input), np.random.default_rng(0)
    named = [(*each, config.classes) for each in zip(pictures, rings, labels, strict=True)]
    samples = [resize(_sample(*each), rng) for each in named]
    shape_hw = padded_shape([sample.instances.size_hw for sample in samples], config.input)
    return collate(samples, range(len(samples)), shape_hw, config.input.resize)


@contextmanager
def _waiting(mode: str, device: str) -> Iterator[None]:
    """Say what becomes of an operation that waits for the accelerator."""
    if device == "cpu":
        yield
        return
    torch.cuda.set_sync_debug_mode(mode)
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def step(
    pictures: NDArray[np.uint8],
    rings: NDArray[np.float64],
    labels: NDArray[np.int64],
    task: str,
    weights: str,
    layers: Layers,
    device: str,
    precision: str,
    size_hw: Sequence[int],
    **settings: Any,
) -> Job:
    """Take a training step on B pictures with N objects each.

    Args:
        pictures: (B, H, W, 3).
        rings: (B, N, V, 2). Outlines.
        labels: (B, N).
        task: `step` from a batch in the main memory to weights that have moved; `objects` from outlines; `unwaited`
            is `step`, and fails where forward or backward waits for the device; `plain` is the gradient of the network
            as it is written, in which every multiplication can be counted.
        weights: A file of torchvision.
        layers: What learns.
        device: Where to run.
        precision: `fp32` or `bf16`.
        size_hw: What the network sees.
        settings: More of `TrainConfig`.
    """
    opened = open_weights(weights)
    sizes = opened.config.input.change(min_size=min(size_hw), max_size=max(size_hw))
    model = build_filled(opened.config.change(input=sizes), opened.tensors, weights)
    model.to(device, memory_format=torch.channels_last)  # as a run begins
    config = TrainConfig(stages=(Stage(layers=layers),), optimiser="sgd", learning_rate=RATE, **settings)
    module = TrainingModule(model, config, 1, len(pictures))
    module.to(device)  # which it looks at
    module.enter_stage()
    module._trainer = SimpleNamespace(world_size=1, precision_plugin=None)  # Lightning's part of a step, on one device
    optimiser = build_optimiser(model, config)
    make = partial(_batch, model.config, pictures, rings, labels)
    ready = make() if task != "objects" else None

    def learn(mode: str = "error" if task == "unwaited" else "default") -> Tensor:
        batch = move_data_to_device(ready or make(), torch.device(device))
        with _waiting(mode, device):
            with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
                loss = module.training_step(batch, 0)
            loss.backward()
        optimiser.step()
        return module.means[1:]

    def plain() -> Tensor:
        parts = torch.stack([loss.mean for loss in model.losses(ready).values()])
        parts.sum().backward()
        return parts.detach()

    if task == "unwaited":
        learn("default")  # libraries make themselves ready
    return Job(plain if task == "plain" else learn, lambda parts: {"losses": parts.float().cpu().numpy()})


if __name__ == "__main__":
    serve({"detect": detect, "plain_network": plain_network, "step": step})

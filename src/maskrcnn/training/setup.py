"""What a run starts from: settings that fit the data and the machine, and the weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from maskrcnn.config import (
    BackboneConfig,
    BoxHeadConfig,
    InputConfig,
    MaskHeadConfig,
    ModelConfig,
    PyramidConfig,
    RPNConfig,
)
from maskrcnn.data.dataset import Dataset
from maskrcnn.errors import ConfigError, InputError
from maskrcnn.model.anchor_fit import Seen, see
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.settings import merge
from maskrcnn.training.anchors import fit_anchors
from maskrcnn.training.transfer import Transfer, transfer
from maskrcnn.zoo.opening import Opened

LOOK_AT = 200  # pictures from which sizes and pixel statistics are taken


class Preset(NamedTuple):
    """A model's parts for a kind of machine, and the longest short edge it is given."""

    backbone: BackboneConfig
    pyramid: PyramidConfig
    rpn: RPNConfig
    box_head: BoxHeadConfig
    mask_head: MaskHeadConfig
    short_edge: int


PRESETS = {
    "full": Preset(
        BackboneConfig(depth="resnet50", norm="group"),
        PyramidConfig(norm="group"),
        RPNConfig(),
        BoxHeadConfig(),
        MaskHeadConfig(norm="group"),
        800,
    ),
    "small": Preset(
        BackboneConfig(depth="resnet18", norm="group"),
        PyramidConfig(channels=64, norm="group"),
        RPNConfig(pre_nms_train=500, pre_nms=300, proposals_train=300, proposals=200),
        BoxHeadConfig(channels=256, samples=128),
        MaskHeadConfig(channels=64, norm="group"),
        512,
    ),
}


def choose_preset(accelerator: str) -> str:
    """Return `full` for an accelerator and `small` for a CPU."""
    return "small" if accelerator == "cpu" else "full"


def _looked_at(dataset: Dataset) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), LOOK_AT)).astype(np.int64))


def pixel_statistics(dataset: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std of each band; those of ImageNet for 8-bit RGB, which ready weights expect.

    Raises:
        ImageError: A picture can't be read.
    """
    first = dataset[0].image
    if first.shape[2] == 3 and first.dtype == np.uint8:
        return InputConfig().mean, InputConfig().std
    mean, std = band_statistics(dataset[int(i)].image for i in _looked_at(dataset))
    return tuple(mean.tolist()), tuple(np.maximum(std, 1e-6).tolist())


def band_statistics(images: Iterable[NDArray[np.generic]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure mean and std of each band over pictures that count alike, whatever their sizes.

    Args:
        images: Each (H, W, bands), of the same number of bands; at least one.

    Returns:
        Two of (bands) float64, in the pictures' own units.

    >>> band_statistics([np.zeros((1, 2, 1)), np.full((4, 4, 1), 2)])
    (array([1.]), array([1.]))
    """
    mean, square = np.mean([_moments(image) for image in images], axis=0)
    return mean, np.sqrt(np.maximum(square - mean**2, 1e-12))


def _moments(image: NDArray[np.generic]) -> tuple[list[float], list[float]]:
    """Return the mean of each band and of its square; band by band, which is far faster than along the last axis."""
    bands = [image[..., i].astype(np.float64).ravel() for i in range(image.shape[-1])]
    return [float(band.mean()) for band in bands], [float(band @ band) / band.size for band in bands]


def seen_objects(dataset: Dataset, config: InputConfig) -> Seen:
    """Return the objects of at most 200 pictures, without crowds, as the network sees them."""
    size_hw, boxes = [], [np.zeros((0, 4))]
    for i in _looked_at(dataset):
        instances = dataset.instances(int(i))
        size_hw.append(instances.size_hw)
        boxes.append(instances.boxes[~instances.crowd].astype(np.float64))
    picture = np.repeat(np.arange(len(size_hw)), [len(each) for each in boxes[1:]])
    return see(np.concatenate(boxes), picture, np.array(size_hw), config)


def fitting_size(dataset: Dataset, preset: str) -> InputConfig:
    """Choose the size that pictures are brought to, from their own sizes; the pixels are not looked at.

    Args:
        dataset: The training pictures.
        preset: A name in `PRESETS`.
    """
    sizes = np.array([dataset.size_hw(int(i)) for i in _looked_at(dataset)])
    short = int(min(np.median(sizes.min(axis=1)), PRESETS[preset].short_edge))
    aspect = float(np.quantile(sizes.max(axis=1) / sizes.min(axis=1), 0.9))
    long = int(np.ceil(short * min(max(aspect, 1.0), 2.0)))
    return InputConfig(min_size=short, max_size=long)


def fitting_config(dataset: Dataset, preset: str, changes: Mapping[str, Any] | None = None) -> ModelConfig:
    """Choose settings for training from scratch: size, anchors and pixel statistics from the data.

    Args:
        dataset: The training pictures.
        preset: `small` or `full`.
        changes: Nested settings that will be laid over the chosen ones. The anchors fit what the network sees then.

    Raises:
        ConfigError: A change does not fit.
        InputError: There is no such preset.
        ImageError: A picture can't be read.
    """
    if preset not in PRESETS:
        raise InputError(f"preset: expected one of {', '.join(PRESETS)}, got {preset}")
    parts = PRESETS[preset]
    mean, std = pixel_statistics(dataset)
    config = ModelConfig(
        classes=dataset.class_names,
        input=fitting_size(dataset, preset).change(mean=mean, std=std),
        backbone=parts.backbone,
        pyramid=parts.pyramid,
        rpn=parts.rpn,
        box_head=parts.box_head,
        mask_head=parts.mask_head,
    )
    changed = _changed(config, changes or {})
    return config.change(anchors=fit_anchors(seen_objects(dataset, changed.input), changed.anchors, changed.rpn))


def _changed(config: ModelConfig, changes: Mapping[str, Any]) -> ModelConfig:
    return ModelConfig.parse(merge(config.model_dump(mode="json"), changes), "model")


class Start(NamedTuple):
    """A model to train, and what became of every tensor of the weights it starts from (none: all fresh)."""

    model: MaskRCNN
    transfers: Sequence[Transfer]


def start_model(dataset: Dataset, weights: Opened | None, preset: str, changes: Mapping[str, Any], seed: int) -> Start:
    """Build the model that a run begins with.

    Args:
        dataset: The training pictures; their classes become the model's.
        weights: What to start from: a model, whose settings are kept, or a backbone; None starts fresh.
        preset: `small` or `full`, for what does not come from the weights.
        changes: Nested settings that override the chosen ones.
        seed: Fresh weights follow from it.

    Raises:
        ConfigError: A change does not fit, or names other classes than the data has.
        ImageError: A picture can't be read.
    """
    _check_classes(dataset, changes)
    if weights is None:
        config = fitting_config(dataset, preset, changes)
        return Start(_fresh(_changed(config, changes), seed), [])
    old = weights.weights
    config = old.config if weights.complete else _on_backbone(fitting_config(dataset, preset, changes), old.config)
    detect = config.detect.change(class_thresholds=())  # measured on other weights
    model = _fresh(_changed(config.change(classes=dataset.class_names, detect=detect), changes), seed)
    lines = transfer(model, old.tensors, old.config.classes)
    return Start(model, lines + [Transfer(entry.name, "unused", entry.reason) for entry in weights.ignored()])


def _on_backbone(fitted: ModelConfig, file: ModelConfig) -> ModelConfig:
    """Put fitted settings on a file's backbone; for photographs with the normalisation that it has learnt with."""
    photographs = fitted.input.mean == InputConfig().mean and file.input.bands == fitted.input.bands
    learnt = fitted.input.change(mean=file.input.mean, std=file.input.std) if photographs else fitted.input
    return fitted.change(backbone=file.backbone, input=learnt)


def _check_classes(dataset: Dataset, changes: Mapping[str, Any]) -> None:
    wanted = changes.get("classes", dataset.class_names)
    if list(wanted) != list(dataset.class_names):
        raise ConfigError(
            f"model: classes: expected those of {dataset.source} in their order "
            f"({', '.join(dataset.class_names[:10])}), got {wanted}; leave them out"
        )


def _fresh(config: ModelConfig, seed: int) -> MaskRCNN:
    """Build a model whose weights follow from the seed, and leave the caller's random numbers alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(config)

"""What torchvision does, as its users call it; runs in an environment that has torchvision and not this package.

Letters: B pictures, N boxes or objects, V corners, R regions, C channels, P bins a side, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision.models import resnet50
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.transform import resize_boxes
from torchvision.ops.misc import FrozenBatchNorm2d
from worker import Arrays, Job, serve

Floats = NDArray[np.float32]


# ---- operators


def nms(boxes: Floats, scores: Floats, iou: float) -> Job:
    """Suppress boxes (N, 4) by scores (N): `kept`, positions by falling score."""
    given = torch.from_numpy(boxes), torch.from_numpy(scores)
    return Job(lambda: torchvision.ops.nms(*given, iou), lambda kept: {"kept": kept.numpy()})


def roi_align(
    boxes: Floats, level: NDArray[np.int64], bins: int, samples: int, gradient: Floats | None = None, **levels: Floats
) -> Job:
    """Pool regions (R, 4), each on its level, as `MultiScaleRoIAlign` does, here with half-pixel-exact places.

    Args:
        boxes: (R, 4).
        level: (R) int64. Counted from the finest.
        bins: P.
        samples: Samples a side of a bin.
        gradient: (R, C, P, P). Where given, the backward pass is run too.
        levels: `p2`, `p3` and so on, (1, C, H, W) each.

    Returns:
        A job that gives `pooled` (R, C, P, P), or the gradient of each level.
    """
    features = [torch.from_numpy(levels[name]) for name in sorted(levels)]
    places, number = torch.from_numpy(boxes), torch.from_numpy(level)

    def pool() -> Tensor:
        out = torch.zeros(len(places), features[0].shape[1], bins, bins)
        for i, feature in enumerate(features):
            here = torch.where(number == i)[0]
            scale = 2.0 ** -(i + 2)
            out[here] = torchvision.ops.roi_align(feature, [places[here]], bins, scale, samples, aligned=True)
        return out

    if gradient is None:

        def forward() -> Tensor:
            with torch.inference_mode():
                return pool()

        return Job(forward, lambda pooled: {"pooled": pooled.numpy()})
    for feature in features:
        feature.requires_grad_()
    wanted = torch.from_numpy(gradient)

    def learn() -> Any:
        return torch.autograd.grad(pool(), features, wanted)

    return Job(learn, lambda found: {name: g.numpy() for name, g in zip(sorted(levels), found, strict=True)})


# ---- inference

LOSSES = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask")
TRAINABLE = {"3+": 3, "all": 5}  # stages of the backbone that learn, by the name that we have for them
RATE = 1e-6  # of learning: made-up weights stay as they are
Found = list[dict[str, Tensor]]


@lru_cache(maxsize=1)
def _load(weights: str, size_hw: tuple[int, int], layers: str = "3+", **limits: int) -> MaskRCNN:
    """Build `maskrcnn_resnet50_fpn` as it is built for its published weights, with norms that are frozen."""
    backbone = _resnet_fpn_extractor(resnet50(norm_layer=FrozenBatchNorm2d), TRAINABLE[layers])
    model = MaskRCNN(backbone, num_classes=91, min_size=min(size_hw), max_size=max(size_hw), **limits)
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model


def _tensors(pictures: NDArray[np.uint8], device: str) -> list[Tensor]:
    """Make what the model takes: (3, H, W) float in [0, 1]."""
    return [torch.from_numpy(each).to(device).permute(2, 0, 1).float() / 255 for each in pictures]


def detect(
    pictures: NDArray[np.uint8],
    task: str,
    weights: str,
    device: str,
    size_hw: Sequence[int],
    precision: str,
    detections: int,
    proposals: int,
) -> Job:
    """Find the objects of pictures (B, H, W, 3).

    Args:
        pictures: Decoded.
        task: `network` from normalised pictures on the device to patches on it; `patches` from decoded pictures to
            patches in the main memory; `call` to what the model returns, dense masks; `rle` to run lengths.
        weights: A state dict.
        device: Where to run.
        size_hw: What the network sees.
        precision: `fp32`, or `bf16` by autocast.
        detections: A picture at most.
        proposals: A picture at most.
    """
    limits = {"box_detections_per_img": detections, "rpn_post_nms_top_n_test": proposals}
    model = _load(weights, (size_hw[0], size_hw[1]), **limits).to(device).eval()
    prepared = model.transform(_tensors(pictures, device))[0]

    def network(images: Any = prepared) -> Found:
        features = model.backbone(images.tensors)
        found: Found = model.roi_heads(features, model.rpn(images, features)[0], images.image_sizes)[0]
        return found

    def patches() -> Found:
        images, _ = model.transform(_tensors(pictures, device))
        found = network(images)
        for each, resized_hw, picture in zip(found, images.image_sizes, pictures, strict=True):
            each["boxes"] = resize_boxes(each["boxes"], resized_hw, picture.shape[:2])
        return [{name: tensor.cpu() for name, tensor in each.items()} for each in found]

    def call() -> Found:
        found: Found = model(_tensors(pictures, device))
        return found

    def rle() -> Any:
        return [[coco_mask.encode(np.asfortranarray(mask)) for mask in _bits(each)] for each in call()]

    work = {"network": network, "patches": patches, "call": call, "rle": rle}[task]

    def run() -> Any:
        with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            return work()

    return Job(run, _of_call if task == "call" else _of_first)


def _bits(found: dict[str, Tensor]) -> NDArray[np.uint8]:
    return (found["masks"][:, 0] > 0.5).byte().cpu().numpy()


def _of_first(found: Found) -> Arrays:
    first = found[0]
    labels = first["labels"] - 1  # background is their class 0
    return {name: t.float().cpu().numpy() for name, t in (first | {"labels": labels}).items() if name != "masks"}


def _of_call(found: Found) -> Arrays:
    bits = _bits(found[0])
    return {**_of_first(found), "masks": np.packbits(bits.reshape(len(bits), -1), axis=1)}


# ---- training


def _target(rings: NDArray[np.float64], labels: NDArray[np.int64], size_hw: tuple[int, int]) -> dict[str, Tensor]:
    """Make what a picture's objects are to the model, as torchvision's own training script does."""
    shapes = [coco_mask.decode(coco_mask.frPyObjects([ring.ravel().tolist()], *size_hw)[0]) for ring in rings]
    masks = torch.from_numpy(np.stack(shapes))
    boxes = torchvision.ops.masks_to_boxes(masks) + torch.tensor([0, 0, 1, 1])
    return {"boxes": boxes, "labels": torch.from_numpy(labels) + 1, "masks": masks}


def step(
    pictures: NDArray[np.uint8],
    rings: NDArray[np.float64],
    labels: NDArray[np.int64],
    task: str,
    weights: str,
    layers: str,
    device: str,
    precision: str,
    size_hw: Sequence[int],
) -> Job:
    """Take a training step on B pictures with N objects each.

    Args:
        pictures: (B, H, W, 3).
        rings: (B, N, V, 2). Outlines.
        labels: (B, N).
        task: `step` from tensors in the main memory to weights that have moved; `objects` from outlines.
        weights: A state dict.
        layers: What learns, `3+` or `all`.
        device: Where to run.
        precision: `fp32` or `bf16`.
        size_hw: What the network sees.
    """
    model = _load(weights, (size_hw[0], size_hw[1]), layers).to(device).train()
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], RATE, 0.9, weight_decay=1e-4)

    def make() -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        given = zip(rings, labels, pictures, strict=True)
        return _tensors(pictures, "cpu"), [_target(*each, picture.shape[:2]) for *each, picture in given]

    ready = make() if task != "objects" else None

    def learn() -> Tensor:
        images, targets = ready or make()
        images = [image.to(device) for image in images]
        targets = [{name: tensor.to(device) for name, tensor in target.items()} for target in targets]
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            losses = model(images, targets)
        parts = torch.stack([losses[name] for name in LOSSES])
        parts.sum().backward()
        optimiser.step()
        return parts.detach()

    return Job(learn, lambda parts: {"losses": parts.float().cpu().numpy()})


if __name__ == "__main__":
    serve({"nms": nms, "roi_align": roi_align, "detect": detect, "step": step})

"""What Ultralytics does, as its users call it; runs in an environment that has Ultralytics and not this package.

Nothing is fetched or sent: the network is built from its own description, with made-up weights, and its settings lie in
a folder that goes with this process. Letters: B pictures, A anchors, N objects, H, W height and width.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor
from worker import Job, serve

SETTINGS = tempfile.TemporaryDirectory()
os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": SETTINGS.name}

from ultralytics import YOLO, settings  # noqa: E402  # reads the settings when it is imported

settings.update({"sync": False})

MODEL = "yolo11m-seg.yaml"
CLASSES = 80
CANDIDATES = 1000  # boxes of a picture that enter suppression: the made-up scores are cut there


def _build(images: Tensor) -> YOLO:
    """Build the network; its norms are set by the pictures, without which it says the same of every place."""
    torch.manual_seed(0)
    yolo = YOLO(MODEL)
    for module in yolo.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        yolo.model.train()(images)
    yolo.model.eval()
    yolo.fuse()
    return yolo


def _cut(found: Tensor) -> float:
    """Return the score that the best candidates of (B, 4 + classes + coefficients, A) have."""
    scores = found[:, 4 : 4 + CLASSES].amax(dim=1)
    return float(scores.sort(dim=1, descending=True).values[:, min(CANDIDATES, scores.shape[1]) - 1].min())


def detect(
    pictures: NDArray[np.uint8],
    task: str,
    weights: str,  # noqa: ARG001  # of another network
    device: str,
    size_hw: Sequence[int],
    precision: str,
    detections: int,
    proposals: int,  # noqa: ARG001  # it has none
) -> Job:
    """Find the objects of pictures (B, H, W, 3).

    Args:
        pictures: Decoded.
        task: `network` from normalised pictures on the device to raw boxes and coefficients there; `call` from decoded
            pictures to what `predict` returns, with masks as large as the network's input; `rle` to run lengths of
            masks as large as the picture, its `retina_masks`. `patches` it does not have.
        weights: Not used.
        device: Where to run.
        size_hw: What the network sees, rounded up to multiples of 32.
        precision: `fp32`, or `bf16` by autocast.
        detections: A picture at most.
        proposals: Not used.

    Raises:
        ValueError: It has no such task.
    """
    if task == "patches":
        raise ValueError("has no patches")
    sides = [-(-side // 32) * 32 for side in size_hw]
    blank = torch.zeros(1, 3, *sides)
    blank[:, :, : pictures.shape[1], : pictures.shape[2]] = torch.from_numpy(pictures[0]).permute(2, 0, 1) / 255
    yolo = _build(blank)
    images = blank.repeat(len(pictures), 1, 1, 1).to(device)
    network = yolo.model.to(device)
    given = [np.ascontiguousarray(picture[..., ::-1]) for picture in pictures]  # it takes BGR
    with torch.inference_mode():
        cut = _cut(network(images)[0][0])

    def predict(retina: bool) -> Any:
        return yolo.predict(
            given,
            imgsz=sides,
            conf=cut,
            max_det=detections,
            device=device,
            retina_masks=retina,
            verbose=False,
        )

    def rle() -> Any:
        planes = [each.masks.data.byte().cpu().numpy() for each in predict(retina=True)]
        return [[coco_mask.encode(np.asfortranarray(mask)) for mask in masks] for masks in planes]

    work = {"network": lambda: network(images), "call": lambda: predict(retina=False), "rle": rle}[task]

    def run() -> Any:
        with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            return work()

    return Job(run, lambda found: {"count": np.array([len(each) for each in found])})


if __name__ == "__main__":
    serve({"detect": detect})

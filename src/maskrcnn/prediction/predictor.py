"""A model that takes pictures of any kind and gives their objects in the pixels that came in.

Letters: B pictures, D detections, M side of a mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maskrcnn.config import InputConfig, ModelConfig, Resize
from maskrcnn.data.images import to_array
from maskrcnn.errors import ImageError, InputError
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.model.postprocess import Detections
from maskrcnn.model.weights import fill, read
from maskrcnn.ops.resize import padded_size, resize_image, target_size, to_tensor
from maskrcnn.structures import Instances, Patches

Picture = str | Path | Image.Image | NDArray[np.generic]


class Prepared(NamedTuple):
    """A picture as the network takes it.

    Attributes:
        pixels: (bands, h, w) uint8 or float32. Resized, not padded.
        size_hw: Height and width of the picture that came in.
    """

    pixels: Tensor
    size_hw: tuple[int, int]


def prepare(picture: Picture, config: InputConfig) -> Prepared:
    """Read and resize one picture.

    Raises:
        ImageError: It can't be read, or its bands are not those of the model.
    """
    array = to_array(picture)
    if array.shape[2] != config.bands:
        name = picture if isinstance(picture, str | Path) else "picture"
        raise ImageError(f"{name}: expected {config.bands} bands, as the model was trained on, got {array.shape[2]}")
    size_hw = (array.shape[0], array.shape[1])
    target = target_size(config.resize, size_hw, config.min_size, config.max_size)
    return Prepared(resize_image(to_tensor(array), target), size_hw)


def to_instances(
    detections: Detections, i: int, resized_hw: tuple[int, int], size_hw: tuple[int, int], config: ModelConfig
) -> Instances:
    """Take picture i out of a batch of detections, in the pixels of the picture that came in.

    Args:
        detections: Of a batch, on any device.
        i: Which picture.
        resized_hw: The size that the network saw, without padding.
        size_hw: The size to give the objects in.
        config: For the class names and the masks' threshold.
    """
    found = int((detections.labels[i] >= 0).sum())
    (h, w), (H, W) = resized_hw, size_hw
    scale = np.array([W / w, H / h, W / w, H / h], dtype=np.float32)
    boxes = detections.boxes[i, :found].float().cpu().numpy() * scale
    patches = detections.masks[i, :found].float().cpu().numpy()
    return Instances(
        size_hw,
        boxes,
        detections.labels[i, :found].cpu().numpy(),
        config.classes,
        Patches(patches, boxes, size_hw, config.mask_head.threshold),
        detections.scores[i, :found].float().cpu().numpy(),
    )


class Predictor:
    """A model ready for pictures.

    Attributes:
        model: The network, in evaluation mode.
        config: Its settings.
        device: Where it runs.
    """

    def __init__(self, model: MaskRCNN, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.config = model.config

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in label order."""
        return self.config.classes

    @overload
    def predict(self, image: Picture) -> Instances: ...  # type: ignore[overload-overlap]  # a str is a sequence too
    @overload
    def predict(self, image: Sequence[Picture]) -> list[Instances]: ...
    def predict(self, image: Picture | Sequence[Picture]) -> Instances | list[Instances]:
        """Find the objects of a picture, or of each of several.

        Args:
            image: A path, a PIL picture, or an array (H, W, bands) or (H, W) of any dtype, RGB where it has three
                bands; or a list of these.

        Returns:
            Objects by falling score, in pixels of the picture that came in; a list for a list.

        Raises:
            ImageError: A picture can't be read, or its bands are not those of the model.
        """
        if isinstance(image, str | Path | Image.Image | np.ndarray):
            return self.predict_prepared([prepare(image, self.config.input)])[0]
        return [self.predict_prepared([prepare(each, self.config.input)])[0] for each in image]

    def predict_prepared(self, pictures: Sequence[Prepared]) -> list[Instances]:
        """Find the objects of pictures that `prepare` made; those of one padded size run together."""
        results: dict[int, Instances] = {}
        for group in _same_shape(pictures, self.config.input):
            chosen = [pictures[i] for i in group]
            detections = self._run(chosen)
            for place, i in enumerate(group):
                pixels, size_hw = pictures[i]
                resized_hw = (pixels.shape[1], pixels.shape[2])
                results[i] = to_instances(detections, place, resized_hw, size_hw, self.config)
        return [results[i] for i in range(len(pictures))]

    def _run(self, pictures: Sequence[Prepared]) -> Detections:
        H, W = _padded(pictures[0], self.config.input)
        images = pictures[0].pixels.new_zeros(len(pictures), self.config.input.bands, H, W)
        for image, (pixels, _) in zip(images, pictures, strict=True):
            image[:, : pixels.shape[1], : pixels.shape[2]] = pixels
        size_hw = torch.tensor([pixels.shape[1:] for pixels, _ in pictures])
        with torch.inference_mode():
            found: Detections = self.model(images.to(self.device), size_hw.to(self.device))
        return found


def _padded(picture: Prepared, config: InputConfig) -> tuple[int, int]:
    size_hw = (picture.pixels.shape[1], picture.pixels.shape[2])
    return padded_size(config.resize, size_hw, config.max_size, config.divisor)


def _same_shape(pictures: Sequence[Prepared], config: InputConfig) -> Iterator[list[int]]:
    groups: dict[tuple[tuple[int, int], torch.dtype], list[int]] = {}
    for i, picture in enumerate(pictures):
        groups.setdefault((_padded(picture, config), picture.pixels.dtype), []).append(i)
    yield from groups.values()


def best_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load(
    path: str | Path,
    *,
    device: torch.device | str | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    resize: Resize | None = None,
    score_threshold: float | None = None,
    detections: int | None = None,
    proposals: int | None = None,
    pre_nms: int | None = None,
) -> Predictor:
    """Load a model file; what is given here overrides what the file says.

    Args:
        path: A `.safetensors` file that this package wrote.
        device: Where to run; the GPU where there is one.
        min_size: Pixels of the short edge that the network sees.
        max_size: Pixels of the long edge at most.
        resize: `short_edge`, `square` or `none`.
        score_threshold: Drop detections below this probability.
        detections: Detections a picture at most.
        proposals: Proposals a picture after NMS.
        pre_nms: Anchors a level before NMS.

    Raises:
        WeightsError: The file is missing, broken, or not one of this package.
        ConfigError: An override does not fit.
        InputError: The device is not there.
    """
    weights = read(Path(path))
    config = weights.config
    config = config.change(
        input=config.input.change(min_size=min_size, max_size=max_size, resize=resize),
        rpn=config.rpn.change(proposals=proposals, pre_nms=pre_nms),
        detect=config.detect.change(score_threshold=score_threshold, detections=detections),
    )
    model = build(config)
    fill(model, weights.tensors, str(path))
    try:
        return Predictor(model, device or best_device())
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {device}: expected one that this machine has, got an error: {reason}") from None

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
from maskrcnn.errors import ConfigError, ImageError, InputError
from maskrcnn.model.frame import OVERHANG
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.postprocess import Detections
from maskrcnn.model.weights import build_filled
from maskrcnn.ops.paste import PASTINGS
from maskrcnn.ops.resize import padded_size, place, resize_image, target_size, to_tensor
from maskrcnn.structures import Instances, Patches
from maskrcnn.zoo.opening import open_weights

Picture = str | Path | Image.Image | NDArray[np.generic]


class Prepared(NamedTuple):
    """A picture as the network takes it.

    Attributes:
        pixels: (bands, h, w) uint8 or float32. Resized, not padded.
        size_hw: Height and width of the picture that came in.
    """

    pixels: Tensor
    size_hw: tuple[int, int]


def prepare(picture: Picture, config: InputConfig, path: Path | None = None) -> Prepared:
    """Read and resize one picture.

    Args:
        picture: What holds it.
        config: What the network sees.
        path: Where a decoded picture came from, for the error.

    Raises:
        ImageError: It can't be read, or its bands are not those of the model.
    """
    if isinstance(picture, np.ndarray) and picture.ndim == 2 and config.bands == 1:
        picture = picture[..., None]  # not grey RGB, which 8 bits of two axes are otherwise
    array = to_array(picture)
    if array.shape[2] != config.bands:
        name = picture if isinstance(picture, str | Path) else path or "image"
        raise ImageError(
            f"{name}: expected {_bands(config.bands)}, as the model was trained on, got {_bands(array.shape[2])}"
        )
    size_hw = (array.shape[0], array.shape[1])
    return Prepared(resize_image(to_tensor(array), target_size(size_hw, config), config.sampling), size_hw)


def _bands(count: int) -> str:
    return f"{count} band" if count == 1 else f"{count} bands"


def to_instances(
    detections: Detections, i: int, resized_hw: tuple[int, int], size_hw: tuple[int, int], config: ModelConfig
) -> Instances:
    """Take picture i out of a batch of detections, in the pixels of the picture that came in.

    Args:
        detections: Of a batch, on any device.
        i: Which picture.
        resized_hw: The size that the network saw, without padding.
        size_hw: The size to give the objects in.
        config: For the class names, where boxes end, and how masks are pasted.
    """
    found = int((detections.labels[i] >= 0).sum())
    pasting = PASTINGS[config.mask_head.paste]
    end = OVERHANG[config.anchors.corners]
    y, x = ((new - end) / max(old - end, 1) for new, old in zip(size_hw, resized_hw, strict=True))
    scale, last = np.array([x, y, x, y], dtype=np.float32), np.array([0, 0, end, end], dtype=np.float32)
    boxes = pasting.boxes((detections.boxes[i, :found].float().cpu().numpy() - last) * scale + last)
    patches = detections.masks[i, :found].float().cpu().numpy()
    instances = Instances(
        size_hw,
        boxes,
        detections.labels[i, :found].cpu().numpy(),
        config.classes,
        Patches(patches, boxes, size_hw, config.mask_head.threshold, pasting.paste),
        detections.scores[i, :found].float().cpu().numpy(),
    )
    return instances[pasting.kept(boxes)]


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
                bands, with values as a file has them (0 to 255 for 8 bits); or a list or tuple of these.

        Returns:
            Objects by falling score, in pixels of the picture that came in; a list for a list or a tuple.

        Raises:
            ImageError: A picture can't be read, or its bands are not those of the model.
            InputError: It is none of these kinds.
        """
        if isinstance(image, Sequence) and not isinstance(image, str | bytes | bytearray):
            return [self._predict_place(i, each) for i, each in enumerate(image)]
        return self.predict_prepared([prepare(image, self.config.input)])[0]

    def _predict_place(self, i: int, image: Picture) -> Instances:
        try:
            return self.predict_prepared([prepare(image, self.config.input)])[0]
        except (ImageError, InputError) as error:
            raise type(error)(f"picture {i}, counted from 0: {error}") from error

    def predict_prepared(self, pictures: Sequence[Prepared]) -> list[Instances]:
        """Find the objects of pictures that `prepare` made; those of one padded size run together."""
        results: dict[int, Instances] = {}
        for group in _same_shape(pictures, self.config.input):
            chosen = [pictures[i] for i in group]
            detections = self._run(chosen)
            for slot, i in enumerate(group):
                pixels, size_hw = pictures[i]
                resized_hw = (pixels.shape[1], pixels.shape[2])
                results[i] = to_instances(detections, slot, resized_hw, size_hw, self.config)
        return [results[i] for i in range(len(pictures))]

    def _run(self, pictures: Sequence[Prepared]) -> Detections:
        H, W = _padded(pictures[0], self.config.input)
        images = pictures[0].pixels.new_zeros(len(pictures), self.config.input.bands, H, W)
        for image, (pixels, _) in zip(images, pictures, strict=True):
            place(pixels, image, self.config.input.resize)
        size_hw = torch.tensor([pixels.shape[1:] for pixels, _ in pictures])
        with torch.inference_mode():
            found: Detections = self.model(images.to(self.device), size_hw.to(self.device))
        return found


def _padded(picture: Prepared, config: InputConfig) -> tuple[int, int]:
    size_hw = (picture.pixels.shape[1], picture.pixels.shape[2])
    return padded_size(size_hw, config)


def _same_shape(pictures: Sequence[Prepared], config: InputConfig) -> Iterator[list[int]]:
    groups: dict[tuple[tuple[int, int], torch.dtype], list[int]] = {}
    for i, picture in enumerate(pictures):
        groups.setdefault((_padded(picture, config), picture.pixels.dtype), []).append(i)
    yield from groups.values()


def best_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _device(name: torch.device | str | None) -> torch.device:
    if name is None:
        return best_device()
    try:
        return torch.device(name)
    except RuntimeError:
        raise InputError(f"device: expected a name such as cpu, cuda, cuda:1 or mps, got {name!r}") from None


def _resized(config: InputConfig, min_size: int | None, max_size: int | None, resize: Resize | None) -> InputConfig:
    """Override sizes: what is given holds, and a limit that was not given makes way for it.

    >>> file = InputConfig(min_size=400, max_size=600)
    >>> (wider := _resized(file, 800, None, None)).min_size, wider.max_size
    (800, 1200)
    >>> (lower := _resized(file, None, 300, None)).min_size, lower.max_size
    (300, 300)
    """
    if isinstance(min_size, int) and max_size is None:
        max_size = round(config.max_size * min_size / config.min_size)
    elif isinstance(max_size, int) and min_size is None:
        min_size = min(config.min_size, max_size)
    if isinstance(min_size, int) and isinstance(max_size, int) and min_size > max_size:
        raise ConfigError(f"max_size: expected at least min_size {min_size}, got {max_size}")
    return config.change(min_size=min_size, max_size=max_size, resize=resize)


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
        path: A `.safetensors` file that this package wrote, or a file of another project (`.pth`, `.pkl`, `.h5`);
            also an address, or the name of a published model.
        device: Where to run; the GPU where there is one.
        min_size: Pixels of the short edge that the network sees; `max_size` grows and shrinks with it unless it is
            given too.
        max_size: Pixels of the long edge at most; a larger `min_size` comes down to it unless it is given too.
        resize: `short_edge`, `square` (long edge of `max_size`), `none`, the picture's own size, or another value of
            `InputConfig.resize`.
        score_threshold: Drop detections below this probability.
        detections: Detections a picture at most.
        proposals: Proposals a picture after NMS.
        pre_nms: Anchors a level before NMS.

    Raises:
        WeightsError: The file is missing, broken, can't be fetched, or holds no whole model of a known kind.
        ConfigError: An override does not fit.
        InputError: The device is not there.
    """
    place = _device(device)
    weights = open_weights(path)
    config = weights.config
    config = config.change(
        input=_resized(config.input, min_size, max_size, resize),
        rpn=config.rpn.change(proposals=proposals, pre_nms=pre_nms),
        detect=config.detect.change(score_threshold=score_threshold, detections=detections),
    )
    model = build_filled(config, weights.tensors, str(path))
    try:
        return Predictor(model, place)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device: expected one that this machine has, got {place} ({reason})") from None

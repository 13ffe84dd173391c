"""A model that takes pictures of any kind and gives their objects in the pixels that came in.

Letters: B pictures, P proposals, D detections, M side of a mask.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maskrcnn.config import DetectConfig, InputConfig, ModelConfig, Resize
from maskrcnn.data.images import to_array
from maskrcnn.engines.choice import choose, open_exported
from maskrcnn.engines.compiled import CompiledEngine
from maskrcnn.engines.eager import EagerEngine
from maskrcnn.engines.engine import Engine
from maskrcnn.engines.plain import PlainEngine
from maskrcnn.errors import ConfigError, ImageError, InputError
from maskrcnn.model.frame import OVERHANG
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.postprocess import Detections
from maskrcnn.model.weights import build_filled
from maskrcnn.ops.paste import PASTINGS
from maskrcnn.ops.resize import WAYS, padded_size, place, resize_image, target_size, to_tensor
from maskrcnn.prediction.tracing import Origins, Trace, walk
from maskrcnn.structures import Instances, Patches
from maskrcnn.zoo.opening import open_weights

Picture = str | Path | Image.Image | NDArray[np.generic]
Result = TypeVar("Result")
TOGETHER = {"cuda": 4}  # pictures of a list that run together, where one alone leaves the device idle
_CPU = torch.device("cpu")


class Prepared(NamedTuple):
    """A picture as the network takes it.

    Attributes:
        pixels: (bands, h, w) uint8 or float32. Resized, not padded.
        size_hw: Height and width of the picture that came in.
    """

    pixels: Tensor
    size_hw: tuple[int, int]


def prepare(picture: Picture, config: InputConfig, path: Path | None = None, device: torch.device = _CPU) -> Prepared:
    """Read and resize one picture.

    Args:
        picture: What holds it.
        config: What the network sees.
        path: Where a decoded picture came from, for the error.
        device: Where to resize.

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
    pixels = to_tensor(array).to(device)
    return Prepared(resize_image(pixels, target_size(size_hw, config), config.sampling), size_hw)


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
    boxes = in_picture(detections.boxes[i, :found].float().cpu().numpy(), resized_hw, size_hw, config)
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


def in_picture(
    boxes: NDArray[np.float32], resized_hw: tuple[int, int], size_hw: tuple[int, int], config: ModelConfig
) -> NDArray[np.float32]:
    """Bring boxes (N, 4) of the resized picture into the pixels of the one that came in; arguments as above."""
    return PASTINGS[config.mask_head.paste].boxes(grown(boxes, resized_hw, size_hw, config))


def grown(
    boxes: NDArray[np.float32], resized_hw: tuple[int, int], size_hw: tuple[int, int], config: ModelConfig
) -> NDArray[np.float32]:
    """Do the same without the rounding of results."""
    end = OVERHANG[config.anchors.corners]
    y, x = ((new - end) / max(old - end, 1) for new, old in zip(size_hw, resized_hw, strict=True))
    scale, last = np.array([x, y, x, y], dtype=np.float32), np.array([0, 0, end, end], dtype=np.float32)
    return (boxes - last) * scale + last


class Proposed(NamedTuple):
    """Where the first stage proposes objects in a picture, the likeliest first.

    Attributes:
        boxes: (P, 4) float32 x1, y1, x2, y2. In pixels of the picture that came in.
        scores: (P,) float32. Probabilities that there is an object of any class.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


class Seen(NamedTuple):
    """What both stages make of a picture.

    Attributes:
        objects: What the second stage found.
        proposed: What it had to work with.
    """

    objects: Instances
    proposed: Proposed


class Predictor:
    """A model ready for pictures.

    Args:
        model: What runs it, or a network, which then runs as it is.
        device: Where a network is to run; an engine has its own.

    Attributes:
        engine: What runs it.
        config: Its settings; those of the input hold for pictures that come.
        device: Where it runs.
        choice: A phrase for a person: what runs it and why.
    """

    def __init__(self, model: Engine | MaskRCNN, device: torch.device | str = "cpu") -> None:
        self.engine: Engine = PlainEngine(model, torch.device(device)) if isinstance(model, MaskRCNN) else model
        self.device = self.engine.device
        self.config = self.engine.config
        self.choice = f"{self.engine.backend}, {self.engine.precision}, on {self.device}"

    @property
    def model(self) -> MaskRCNN:
        """The network, in evaluation mode.

        Raises:
            InputError: It was exported, and is not a PyTorch module any more.
        """
        model = getattr(self.engine, "model", None)
        if isinstance(model, MaskRCNN):
            return model
        raise InputError(
            "model: expected one whose stages can be called, as proposals and traces need, by torch or compile, "
            f"got an exported file, as {self.engine.backend} runs it"
        )

    @property
    def network(self) -> MaskRCNN:
        """The network that runs, stage by stage: what the engine prepared, or the model as it is.

        Raises:
            InputError: As of `model`.
        """
        return self.engine.prepared if isinstance(self.engine, EagerEngine) else self.model

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
        if not isinstance(image, Sequence) or isinstance(image, str | bytes | bytearray):
            return self.predict_prepared([self.prepare(image)])[0]
        found: list[Instances] = []
        together = TOGETHER.get(self.device.type, 1)
        for first in range(0, len(image), together):
            part = enumerate(image[first : first + together], first)
            found += self.predict_prepared([self._prepare_place(i, each) for i, each in part])
        return found

    def prepare(self, image: Picture) -> Prepared:
        """Read and resize one picture, on a GPU if the network runs there; arguments and errors as of `predict`."""
        return prepare(image, self.config.input, device=self.device if self.device.type == "cuda" else _CPU)

    def _prepare_place(self, i: int, image: Picture) -> Prepared:
        try:
            return self.prepare(image)
        except (ImageError, InputError) as error:
            raise type(error)(f"picture {i}, counted from 0: {error}") from error

    def predict_prepared(self, pictures: Sequence[Prepared]) -> list[Instances]:
        """Find the objects of pictures that `prepare` made; those of one padded size run together."""
        return _in_groups(pictures, self.config.input, self._predict_group)

    def see_prepared(self, pictures: Sequence[Prepared]) -> list[Seen]:
        """Do the same and give what the first stage proposed too, in one pass.

        Raises:
            InputError: The model was exported, and its stages can't be called.
        """
        return _in_groups(pictures, self.config.input, self._see_group)

    def _predict_group(self, pictures: Sequence[Prepared]) -> list[Instances]:
        return self._objects(self._run(pictures), pictures)

    @torch.inference_mode()
    def _see_group(self, pictures: Sequence[Prepared]) -> list[Seen]:
        network = self.network
        images, size_hw = (each.to(self.device, non_blocking=True) for each in self._pad(pictures))
        proposals, detections = network.both_stages(images, size_hw)
        H, W = images.shape[2:]
        boxes = network.frame.leave(proposals.boxes, network.frame.limits(size_hw, (H, W))).float().cpu()
        scores, valid = proposals.logits.float().sigmoid().cpu(), proposals.valid.cpu()
        proposed = [
            Proposed(
                grown(boxes[slot, there].numpy(), _resized_hw(picture), picture.size_hw, self.config),
                scores[slot, there].numpy(),
            )
            for slot, (picture, there) in enumerate(zip(pictures, valid, strict=True))
        ]
        found = self._objects(Detections(*(each.cpu() for each in detections)), pictures)
        return [Seen(*both) for both in zip(found, proposed, strict=True)]

    def _objects(self, detections: Detections, pictures: Sequence[Prepared]) -> list[Instances]:
        """Take the objects of each picture out of a batch."""
        return [
            self._wanted(to_instances(detections, slot, _resized_hw(picture), picture.size_hw, self.config))
            for slot, picture in enumerate(pictures)
        ]

    def _wanted(self, found: Instances) -> Instances:
        return found[self._above(found)]

    def _above(self, found: Instances) -> NDArray[np.bool_]:
        """Say what is above the threshold of its class, and above one that an exported file does not know: (N)."""
        detect = self.config.detect
        above = np.ones(len(found), dtype=np.bool_)
        if detect.class_thresholds:
            above &= found.scores > np.array(detect.class_thresholds)[found.labels]
        if detect.score_threshold > self.engine.config.detect.score_threshold:
            above &= found.scores > detect.score_threshold
        return above

    def with_every_score(self) -> Predictor:
        """Return the same without thresholds of single classes: what measures a model needs the uncertain objects."""
        other = copy.copy(self)
        other.config = self.config.change(detect=self.config.detect.change(class_thresholds=()))
        return other

    def trace(self, image: Picture) -> Trace:
        """Find the objects of a picture and keep every stage of its way through the network.

        The stages hold all tensors, some hundred MB for a large picture.

        Args:
            image: As of `predict`.

        Raises:
            ImageError: The picture can't be read, or its bands are not those of the model.
            InputError: The model was exported, and its stages can't be called.
        """
        picture = self.prepare(image)
        images, resized_hw = (each.to(self.device) for each in self._pad([picture]))
        stages, origins, detections = walk(self.network, images, resized_hw)
        h, w = _resized_hw(picture)
        instances = to_instances(detections, 0, (h, w), picture.size_hw, self.config)
        boxes = detections.boxes[0, : len(origins.proposal)].float().cpu().numpy()
        kept = PASTINGS[self.config.mask_head.paste].kept(in_picture(boxes, (h, w), picture.size_hw, self.config))
        above = self._above(instances)
        way, (H, W) = WAYS[self.config.input.resize], images.shape[2:]
        return Trace(
            stages,
            Origins(*(each[kept][above] for each in origins)),
            instances[above],
            (h, w),
            (H, W),
            (way.before(H - h), way.before(W - w)),
        )

    def _run(self, pictures: Sequence[Prepared]) -> Detections:
        images, size_hw = self._pad(pictures)
        found = self.engine(images, size_hw)
        return Detections(*(each.cpu() for each in found))  # the one place that waits for the device

    def _pad(self, pictures: Sequence[Prepared]) -> tuple[Tensor, Tensor]:
        """Put pictures of one padded size into a batch: images (B, bands, H, W) and their sizes (B, 2)."""
        H, W = _padded(pictures[0], self.config.input)
        size = (len(pictures), self.config.input.bands, H, W)
        pixels = pictures[0].pixels
        pinned = self.device.type == "cuda" and pixels.device.type == "cpu"  # else the copy to the device waits
        images = torch.zeros(size, dtype=pixels.dtype, device=pixels.device, pin_memory=pinned)
        for image, (pixels, _) in zip(images, pictures, strict=True):
            place(pixels, image, self.config.input.resize)
        return images, torch.tensor([pixels.shape[1:] for pixels, _ in pictures])

    def warm_up(self, size_hw: tuple[int, int] | None = None, batch: int = 1) -> float:
        """Run once on black, so that what is planned or compiled on a first picture is done before it comes.

        Args:
            size_hw: Height and width of the pictures that will come; as wide as high if not given.
            batch: How many will run together.

        Returns:
            The seconds that it took.
        """
        began = time.perf_counter()
        config = self.config.input
        black = np.zeros((*(size_hw or (config.min_size, config.min_size)), config.bands), dtype=np.uint8)
        if isinstance(self.engine, CompiledEngine):
            self.engine.compile_heads()
        self.predict_prepared([self.prepare(black)] * batch)
        return time.perf_counter() - began


def _resized_hw(picture: Prepared) -> tuple[int, int]:
    """Return the size that the network sees, without padding."""
    return picture.pixels.shape[1], picture.pixels.shape[2]


def _padded(picture: Prepared, config: InputConfig) -> tuple[int, int]:
    return padded_size(_resized_hw(picture), config)


def _in_groups(
    pictures: Sequence[Prepared], config: InputConfig, run: Callable[[Sequence[Prepared]], Sequence[Result]]
) -> list[Result]:
    """Run pictures of one padded size together, and give the results in the order of the pictures."""
    results: dict[int, Result] = {}
    for group in _same_shape(pictures, config):
        results |= zip(group, run([pictures[i] for i in group]), strict=True)
    return [results[i] for i in range(len(pictures))]


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


def _limited(config: DetectConfig, score_threshold: float | None) -> DetectConfig:
    """Override the threshold: one that is given holds for every class."""
    if score_threshold is None:
        return config
    return config.change(score_threshold=score_threshold, class_thresholds=())


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
    backend: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
) -> Predictor:
    """Load a model file; what is given here overrides what the file says.

    Args:
        path: A `.safetensors` file that this package wrote, or a file of another project (`.pth`, `.pkl`, `.h5`);
            also an address, or the name of a published model; or a file that `maskrcnn export` wrote.
        device: Where to run; the GPU where there is one.
        min_size: Pixels of the short edge that the network sees; `max_size` grows and shrinks with it unless it is
            given too.
        max_size: Pixels of the long edge at most; a larger `min_size` comes down to it unless it is given too.
        resize: `short_edge`, `square` (long edge of `max_size`), `none`, the picture's own size, or another value of
            `InputConfig.resize`.
        score_threshold: Drop detections below this probability; an exported file has no less than it was made with. If
            not given, the thresholds of single classes hold that are stored in the file, if any.
        detections: Detections a picture at most.
        proposals: Proposals a picture after NMS.
        pre_nms: Anchors a level before NMS.
        backend: What runs the network, a key of `engines.choice.BACKENDS`; `torch` if not given, `auto` for the
            fastest that is here.
        precision: `fp32`, `bf16`, `fp16`, `int8`, or `auto` for what the device gains by; `fp32` if not given.
        threads: On a CPU, in this whole process; as many as there are cores if not given.

    Raises:
        WeightsError: The file is missing, broken, can't be fetched, or holds no whole model of a known kind.
        ConfigError: An override does not fit.
        InputError: The device is not there, or the backend or precision is not there for it.
    """
    place = _device(device)
    if threads is not None and threads < 1:
        raise InputError(f"threads: expected 1 or more, got {threads}")
    exported = open_exported(Path(path), place, threads)
    if exported is not None:
        fixed = {"detections": detections, "proposals": proposals, "pre_nms": pre_nms, "resize": resize}
        if exported.config.input.resize == "none":
            fixed |= {"min_size": min_size, "max_size": max_size}
        _refuse(path, {**fixed, "backend": backend, "precision": precision})
        predictor = Predictor(exported)
        predictor.config = exported.config.change(
            input=_resized(exported.config.input, min_size, max_size, None),
            detect=_limited(exported.config.detect, score_threshold),
        )
        return predictor
    choice = choose(backend, precision, place)
    weights = open_weights(path)
    config = weights.config
    config = config.change(
        input=_resized(config.input, min_size, max_size, resize),
        rpn=config.rpn.change(proposals=proposals, pre_nms=pre_nms),
        detect=_limited(config.detect, score_threshold).change(detections=detections),
    )
    model = build_filled(config, weights.tensors, str(path))
    try:
        predictor = Predictor(choice.make(model, threads))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device: expected one that this machine has, got {place} ({reason})") from None
    predictor.choice = choice.reason
    return predictor


def _refuse(path: str | Path, fixed: dict[str, object]) -> None:
    """Raise where something is asked for that an exported file has for good."""
    asked = [name for name, value in fixed.items() if value is not None]
    if asked:
        raise InputError(f"{path}: expected no {' or '.join(asked)} beside an exported file, which has its own")

"""A model that takes pictures of any kind and gives their objects in the pixels that came in.

Letters: P proposals.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import NamedTuple, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskrcnn.engines.compiled import CompiledEngine
from maskrcnn.engines.eager import EagerEngine
from maskrcnn.engines.engine import Engine
from maskrcnn.engines.plain import PlainEngine
from maskrcnn.errors import ImageError, InputError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.postprocess import Detections
from maskrcnn.ops.paste import PASTINGS
from maskrcnn.ops.resize import WAYS
from maskrcnn.prediction.objects import grown, in_picture, to_instances
from maskrcnn.prediction.preparing import CPU, Picture, Prepared, in_groups, pad, prepare
from maskrcnn.prediction.tracing import Origins, Trace, walk
from maskrcnn.structures import Instances

TOGETHER = {"cuda": 4}  # pictures of a list that run together, where one alone leaves the device idle


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
        return prepare(image, self.config.input, device=self.device if self.device.type == "cuda" else CPU)

    def _prepare_place(self, i: int, image: Picture) -> Prepared:
        try:
            return self.prepare(image)
        except (ImageError, InputError) as error:
            raise type(error)(f"picture {i}, counted from 0: {error}") from error

    def predict_prepared(self, pictures: Sequence[Prepared]) -> list[Instances]:
        """Find the objects of pictures that `prepare` made; those of one padded size run together."""
        return in_groups(pictures, self.config.input, self._predict_group)

    def see_prepared(self, pictures: Sequence[Prepared]) -> list[Seen]:
        """Do the same and give what the first stage proposed too, in one pass.

        Raises:
            InputError: The model was exported, and its stages can't be called.
        """
        return in_groups(pictures, self.config.input, self._see_group)

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
                grown(boxes[slot, there].numpy(), picture.resized_hw, picture.size_hw, self.config),
                scores[slot, there].numpy(),
            )
            for slot, (picture, there) in enumerate(zip(pictures, valid, strict=True))
        ]
        found = self._objects(Detections(*(each.cpu() for each in detections)), pictures)
        return [Seen(*both) for both in zip(found, proposed, strict=True)]

    def _objects(self, detections: Detections, pictures: Sequence[Prepared]) -> list[Instances]:
        """Take the objects of each picture out of a batch."""
        return [
            self._wanted(to_instances(detections, slot, picture.resized_hw, picture.size_hw, self.config))
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
        h, w = picture.resized_hw
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
        return pad(pictures, self.config.input, self.device)

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

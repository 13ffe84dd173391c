"""A model file to a model that is ready for pictures."""

from __future__ import annotations

from pathlib import Path

import torch

from maskrcnn.config import DetectConfig, InputConfig, Resize
from maskrcnn.engines.choice import choose, open_exported
from maskrcnn.errors import ConfigError, InputError
from maskrcnn.model.weights import build_filled
from maskrcnn.prediction.predictor import Predictor
from maskrcnn.zoo.opening import open_weights


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

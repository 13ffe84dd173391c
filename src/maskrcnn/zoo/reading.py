"""From a file to a model's settings and tensors, every tensor of both sides accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskrcnn.config import ModelConfig
from maskrcnn.errors import ConfigError, WeightsError
from maskrcnn.model.account import compare, listed, settle
from maskrcnn.pickles import PickledArray, read_pickle
from maskrcnn.settings import merge
from maskrcnn.zoo.checkpoints import check_tensor, read_checkpoint
from maskrcnn.zoo.detectron import DETECTRON, DETECTRON_BACKBONE
from maskrcnn.zoo.detectron2 import DETECTRON2, DETECTRON2_BACKBONE
from maskrcnn.zoo.folds import Own
from maskrcnn.zoo.foreign import Foreign, Recognised
from maskrcnn.zoo.keras import KERAS_BACKBONE, MATTERPORT, NEW_KERAS_BACKBONE
from maskrcnn.zoo.keras_files import read_h5
from maskrcnn.zoo.kinds import ARCHIVE, HDF5, PICKLES, SETTINGS, Found, Kind
from maskrcnn.zoo.ledger import Entry
from maskrcnn.zoo.measure import anchors_of, check_essentials, classes_of, measure_backbone, measure_model
from maskrcnn.zoo.mmdetection import MMDETECTION
from maskrcnn.zoo.names import find, find_reason
from maskrcnn.zoo.shapes import shapes_of
from maskrcnn.zoo.torchvision import TORCHVISION, TORCHVISION_BACKBONE

KINDS = (
    TORCHVISION,
    DETECTRON2,
    MATTERPORT,
    MMDETECTION,
    DETECTRON,
    TORCHVISION_BACKBONE,
    DETECTRON2_BACKBONE,
    KERAS_BACKBONE,
    NEW_KERAS_BACKBONE,
    DETECTRON_BACKBONE,
)
_OLD_CHECKPOINT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number that PyTorch began its files with until 1.6
_INSIDE = ("model", "state_dict", "model_state_dict", "blobs")  # where checkpoints keep the model
_WRAPPER = "module."  # that training on several devices puts before every name


def read_foreign(path: Path, *, classes: Sequence[str] | None = None) -> Foreign:
    """Read a file of another project, whichever it is.

    Args:
        path: The file.
        classes: Names of the foreground classes in the file's order; without them the file's own, COCO's where the
            number fits, else `class 1` and so on.

    Raises:
        WeightsError: The file is broken, of no known kind, or not a model that can be built here; a tensor is left
            over, missing or of another shape; or the number of names differs.
    """
    return translate(_open(path), classes)


def translate(found: Found, classes: Sequence[str] | None = None) -> Foreign:
    """Turn what a file holds into a model; takes the tensors out of it.

    Raises:
        WeightsError: As by `read_foreign`, but for files that can't be read.
    """
    kind = _kind_of(found)
    with _sentences(found.path, kind):
        own, targets, ignored = _renamed(kind, found)
        check_essentials(own.tensors, str(found.path), kind.complete)
        kind.fold(own)
        config = _config(kind, own, classes)
        _account(config, own, kind)
    return Foreign(kind.name, config, own.tensors, _ledger(found, own, targets, ignored), kind.complete)


def recognise(path: Path) -> Recognised:
    """Tell what a file is without turning it into a model.

    Raises:
        WeightsError: The file is broken or of no known kind.
    """
    found = _open(path)
    kind = _kind_of(found)
    return Recognised(kind.name, kind.complete, {name: tuple(found.tensors[name].shape) for name in found.names})


@contextmanager
def _sentences(path: Path, kind: Kind) -> Iterator[None]:
    """Turn what tensors of impossible shapes do to the folds into a sentence."""
    try:
        yield
    except WeightsError:
        raise
    except (RuntimeError, LookupError, ValueError, ArithmeticError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: expected tensors of the shapes of {kind.name}, got others: {reason}") from None


# ---- files


def _open(path: Path) -> Found:
    if not path.is_file():
        raise WeightsError(f"{path}: expected a file of weights, got {'a folder' if path.is_dir() else 'no such file'}")
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(HDF5):
        tensors = read_h5(path)
        return Found(path, tensors, tuple(tensors), {}, ())
    if start.startswith((ARCHIVE, _OLD_CHECKPOINT)):
        return _found(path, read_checkpoint(path))
    if start.startswith(PICKLES):
        return _found(path, read_pickle(path, WeightsError))
    what = f"one that starts with {start[:8]!r}" if start else "an empty one"
    raise WeightsError(f"{path}: expected a file of weights of PyTorch, Keras or Detectron, got {what}")


def _found(path: Path, content: object) -> Found:
    """Take the model out of what lies round it."""
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: expected tensors by name, got {type(content).__name__}")
    key = next((key for key in _INSIDE if isinstance(content.get(key), Mapping)), None)
    notes = {str(name): value for name, value in content.items() if name != key and not _is_array(value)}
    state = dict(content if key is None else content[key])
    del content  # each tensor goes on from here alone, so that two copies of all never exist
    others = [str(name) for name, value in state.items() if key is not None and not _is_array(value)]
    beside = tuple(Entry(name, "ignored", "lies beside the model's tensors") for name in [*others, *notes])
    arrays = [name for name, value in state.items() if _is_array(value)]
    tensors = {str(name): _tensor(path, str(name), state.pop(name)) for name in arrays}
    if tensors and all(name.startswith(_WRAPPER) for name in tensors):
        tensors = {name.removeprefix(_WRAPPER): tensor for name, tensor in tensors.items()}
    return Found(path, tensors, tuple(tensors), notes, beside)


def _is_array(value: object) -> bool:
    return isinstance(value, Tensor | PickledArray)


def _tensor(path: Path, name: str, value: Any) -> Tensor:
    if isinstance(value, PickledArray):
        return torch.from_numpy(value.numpy())
    check_tensor(path, name, value)
    return value.detach()  # type: ignore[no-any-return]


def _kind_of(found: Found) -> Kind:
    kind = next((kind for kind in KINDS if kind.fits(found.names)), None)
    if kind is None:
        names = listed(found.names) or "none"
        raise WeightsError(
            f"{found.path}: expected a Mask R-CNN of torchvision, Detectron, Detectron2, Matterport or MMDetection "
            f"with a feature pyramid, or a residual network of ImageNet, got {len(found.names)} tensors: {names}"
        )
    return kind


# ---- names


def _renamed(kind: Kind, found: Found) -> tuple[Own, dict[str, str], dict[str, str]]:
    """Move the tensors to their own names.

    Returns:
        The tensors, their own name by foreign name, and why others are ignored.
    """
    own = Own(found.path, found.names, found.notes)
    targets, ignored, unknown, twice = dict[str, str](), dict[str, str](), list[str](), list[str]()
    for name in found.names:
        tensor, reason = found.tensors.pop(name), find_reason(kind.skips, name)
        target = None if reason else find(kind.rules, name)
        if reason:
            ignored[name] = reason
        elif target is None:
            unknown.append(name)
        elif target.name in targets.values():
            twice.append(name)
        else:
            targets[name] = target.name
            room = own.settings if target.name.startswith(SETTINGS) else own.tensors
            room[target.name] = _plain(target.change(tensor) if target.change else tensor)
    settle(str(found.path), f"the tensors of {kind.name}", {"not known": unknown, "for a second time": twice})
    return own, targets, ignored


def _plain(tensor: Tensor) -> Tensor:
    """Keep counts, and turn everything else into contiguous float32."""
    return tensor.contiguous() if tensor.dtype == torch.int64 else tensor.to(torch.float32).contiguous()


# ---- settings


def _config(kind: Kind, own: Own, classes: Sequence[str] | None) -> ModelConfig:
    source = str(own.path)
    shapes = measure_model if kind.complete else _backbone_only
    values = merge(shapes(own.tensors, source), kind.settings, kind.refine(own))
    values["classes"] = _classes(kind, own, classes)
    try:
        config = ModelConfig.parse(values, source)
    except ConfigError as error:
        said = str(error).removeprefix(f"{source}: ")
        raise WeightsError(f"{source}: expected a model that can be built, got {said}") from None
    if kind.complete and anchors_of(own.tensors) != config.anchors.per_cell:
        raise WeightsError(
            f"{source}: expected {config.anchors.per_cell} anchors a cell, of one size and three ratios, got "
            f"{anchors_of(own.tensors)}; the file does not say which"
        )
    return config


def _backbone_only(tensors: Mapping[str, Tensor], source: str) -> dict[str, Any]:
    return {"backbone": measure_backbone(tensors, source)}


def _classes(kind: Kind, own: Own, given: Sequence[str] | None) -> list[str]:
    if not kind.complete:
        return list(given or ("class 1",))
    count = classes_of(own.tensors)
    if given is not None and len(given) != count:
        raise WeightsError(f"{own.path}: expected names of {count} classes, got {len(given)}: {listed(given)}")
    return list(given or kind.classes(own, count) or [f"class {i + 1}" for i in range(count)])


# ---- the account


def _account(config: ModelConfig, own: Own, kind: Kind) -> None:
    """Compare names and shapes with the model that the settings describe; counts of steps begin at zero.

    Raises:
        WeightsError: They differ.
    """
    wanted = shapes_of(config, kind.complete)
    for name in wanted:
        if name.endswith("num_batches_tracked"):
            own.tensors.setdefault(name, torch.zeros((), dtype=torch.int64))
    settle(str(own.path), f"the tensors of {kind.name} with {config.backbone.depth}", compare(wanted, own.tensors))


def _ledger(found: Found, own: Own, targets: Mapping[str, str], ignored: Mapping[str, str]) -> tuple[Entry, ...]:
    lines = [
        Entry(name, "ignored", ignored[name]) if name in ignored else Entry(name, "used", _reason(own, targets[name]))
        for name in found.names
    ]
    return (*lines, *found.beside)


def _reason(own: Own, name: str) -> str:
    return name if name in own.settings else ", ".join(own.heirs(name))

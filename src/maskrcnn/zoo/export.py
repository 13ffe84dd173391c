"""Models as files that other projects load, under their names and in their layouts.

A difference that was folded away can't come back, and a formula that they do not have stays behind: the notes say so.
Letters: K classes, C channels, P bins a side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from maskrcnn.config import ModelConfig
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.settings import merge
from maskrcnn.zoo import detectron2, torchvision
from maskrcnn.zoo.folds import STEM
from maskrcnn.zoo.names import LEAF, Rule, find

Project = Literal["torchvision", "detectron2"]
Tensors = dict[str, Tensor]


class Exported(NamedTuple):
    """A model for another project.

    Attributes:
        project: Which one.
        tensors: Its names, shapes and layouts.
        notes: What is not the same there, a sentence each.
    """

    project: Project
    tensors: Tensors
    notes: tuple[str, ...]


class _Plan(NamedTuple):
    """How tensors leave for a project: rows of names, changes of layout, and the settings of its own models.

    `choices` are the formulas that it can be set to.
    """

    rules: Callable[[ModelConfig], tuple[Rule, ...]]
    change: Callable[[Tensors, ModelConfig], list[str]]
    settings: Callable[[ModelConfig], Mapping[str, Any]]
    choices: frozenset[str]


_LAYERS = {"res2": "layer1", "res3": "layer2", "res4": "layer3", "res5": "layer4"}
_BLOCKS = {"lateral": "inner", "output": "layer"}
_STAGE = {"0": "2", "1": "3", "2": "4", "3": "5"}
_FROM_ONE = {str(i): str(i + 1) for i in range(8)}


def _torchvision_rules(config: ModelConfig) -> tuple[Rule, ...]:
    block = r"backbone\.(res[2-5])\.(\d+)\."
    to = "backbone.body.{0}.{1}."
    fc = {"fc1": "fc6", "fc2": "fc7"} if config.box_head.kind == "2fc" else {"fc1": "5"}
    return (
        Rule(r"backbone\.stem\.conv1\.conv\.weight", "backbone.body.conv1.weight"),
        Rule(rf"backbone\.stem\.conv1\.norm\.{LEAF}", "backbone.body.bn1.{0}"),
        Rule(rf"{block}conv(\d)\.conv\.weight", f"{to}conv{{2}}.weight", _LAYERS),
        Rule(rf"{block}conv(\d)\.norm\.{LEAF}", f"{to}bn{{2}}.{{3}}", _LAYERS),
        Rule(rf"{block}shortcut\.conv\.weight", f"{to}downsample.0.weight", _LAYERS),
        Rule(rf"{block}shortcut\.norm\.{LEAF}", f"{to}downsample.1.{{2}}", _LAYERS),
        Rule(rf"pyramid\.(\w+)\.(\d)\.conv\.{LEAF}", "backbone.fpn.{0}_blocks.{1}.0.{2}", _BLOCKS),
        Rule(rf"pyramid\.(\w+)\.(\d)\.norm\.{LEAF}", "backbone.fpn.{0}_blocks.{1}.1.{2}", _BLOCKS),
        Rule(rf"rpn\.head\.convs\.(\d+)\.{LEAF}", "rpn.head.conv.{0}.0.{1}"),
        Rule(rf"rpn\.head\.objectness\.{LEAF}", "rpn.head.cls_logits.{0}"),
        Rule(rf"rpn\.head\.deltas\.{LEAF}", "rpn.head.bbox_pred.{0}"),
        Rule(rf"box_head\.body\.(fc[12])\.{LEAF}", "roi_heads.box_head.{0}.{1}", fc),
        Rule(rf"box_head\.body\.convs\.(\d)\.conv\.{LEAF}", "roi_heads.box_head.{0}.0.{1}"),
        Rule(rf"box_head\.body\.convs\.(\d)\.norm\.{LEAF}", "roi_heads.box_head.{0}.1.{1}"),
        Rule(rf"box_head\.logits\.{LEAF}", "roi_heads.box_predictor.cls_score.{0}"),
        Rule(rf"box_head\.deltas\.{LEAF}", "roi_heads.box_predictor.bbox_pred.{0}"),
        Rule(rf"mask_head\.convs\.(\d+)\.conv\.{LEAF}", "roi_heads.mask_head.{0}.0.{1}"),
        Rule(rf"mask_head\.convs\.(\d+)\.norm\.{LEAF}", "roi_heads.mask_head.{0}.1.{1}"),
        Rule(rf"mask_head\.upsample\.{LEAF}", "roi_heads.mask_predictor.conv5_mask.{0}"),
        Rule(rf"mask_head\.logits\.{LEAF}", "roi_heads.mask_predictor.mask_fcn_logits.{0}"),
    )


def _detectron2_rules(config: ModelConfig) -> tuple[Rule, ...]:
    rpn = "proposal_generator.rpn_head."
    conv = f"{rpn}conv.{{1}}" if config.rpn.depth == 1 else f"{rpn}conv.conv{{0}}.{{1}}"
    return (
        Rule(r"backbone\.stem\.conv1\.conv\.weight", "backbone.bottom_up.stem.conv1.weight"),
        Rule(rf"backbone\.stem\.conv1\.norm\.{LEAF}", "backbone.bottom_up.stem.conv1.norm.{0}"),
        Rule(r"backbone\.(res[2-5]\.\d+\.\w+)\.conv\.weight", "backbone.bottom_up.{0}.weight"),
        Rule(rf"backbone\.(res[2-5]\.\d+\.\w+)\.norm\.{LEAF}", "backbone.bottom_up.{0}.norm.{1}"),
        Rule(rf"pyramid\.(\w+)\.(\d)\.conv\.{LEAF}", "backbone.fpn_{0}{1}.{2}", _STAGE),
        Rule(rf"pyramid\.(\w+)\.(\d)\.norm\.{LEAF}", "backbone.fpn_{0}{1}.norm.{2}", _STAGE),
        Rule(rf"rpn\.head\.convs\.(\d+)\.{LEAF}", conv),
        Rule(rf"rpn\.head\.objectness\.{LEAF}", f"{rpn}objectness_logits.{{0}}"),
        Rule(rf"rpn\.head\.deltas\.{LEAF}", f"{rpn}anchor_deltas.{{0}}"),
        Rule(rf"box_head\.body\.(fc[12])\.{LEAF}", "roi_heads.box_head.{0}.{1}"),
        Rule(rf"box_head\.body\.convs\.(\d)\.conv\.{LEAF}", "roi_heads.box_head.conv{0}.{1}", _FROM_ONE),
        Rule(rf"box_head\.body\.convs\.(\d)\.norm\.{LEAF}", "roi_heads.box_head.conv{0}.norm.{1}", _FROM_ONE),
        Rule(rf"box_head\.logits\.{LEAF}", "roi_heads.box_predictor.cls_score.{0}"),
        Rule(rf"box_head\.deltas\.{LEAF}", "roi_heads.box_predictor.bbox_pred.{0}"),
        Rule(rf"mask_head\.convs\.(\d+)\.conv\.{LEAF}", "roi_heads.mask_head.mask_fcn{0}.{1}", _FROM_ONE),
        Rule(rf"mask_head\.convs\.(\d+)\.norm\.{LEAF}", "roi_heads.mask_head.mask_fcn{0}.norm.{1}", _FROM_ONE),
        Rule(rf"mask_head\.upsample\.{LEAF}", "roi_heads.mask_head.deconv.{0}"),
        Rule(rf"mask_head\.logits\.{LEAF}", "roi_heads.mask_head.predictor.{0}"),
    )


def _to_torchvision(tensors: Tensors, config: ModelConfig) -> list[str]:
    """Put the background first; its rows in boxes and masks, which nothing reads, are zero."""
    classes = len(config.classes)
    for leaf in ("weight", "bias"):
        tensors[f"box_head.logits.{leaf}"] = tensors[f"box_head.logits.{leaf}"].roll(1, 0)
        for name, rows in ((f"box_head.deltas.{leaf}", 4), (f"mask_head.logits.{leaf}", 1)):
            own = tensors[name]
            each = own if own.shape[0] == classes * rows else own.repeat(classes, *[1] * (own.ndim - 1))
            tensors[name] = torch.cat([torch.zeros_like(each[:rows]), each])
    notes = ["roi_heads.box_predictor.bbox_pred and mask_fcn_logits: the rows of the background, unused, are zero"]
    if config.rpn.channels not in {0, config.pyramid.channels}:
        notes.append(f"rpn.head.conv: {config.rpn.channels} channels, which its own RPN head has no argument for")
    return notes


def _to_detectron2(tensors: Tensors, config: ModelConfig) -> list[str]:
    """Let the first convolution read BGR."""
    notes = [f"MODEL.ROI_HEADS.NUM_CLASSES is {len(config.classes)}"]
    if config.input.bands == 3:
        tensors[STEM] = tensors[STEM].flip(1)
    return notes


def _torchvision_settings(_: ModelConfig) -> Mapping[str, Any]:
    return torchvision.SETTINGS


def _detectron2_settings(config: ModelConfig) -> Mapping[str, Any]:
    return merge(detectron2.SETTINGS, detectron2.RESNEXT if "next" in config.backbone.depth else {})


_PLANS = {
    "torchvision": _Plan(_torchvision_rules, _to_torchvision, _torchvision_settings, frozenset()),
    "detectron2": _Plan(_detectron2_rules, _to_detectron2, _detectron2_settings, frozenset({"backbone.stride_in"})),
}
# What the tensors themselves say, or only our training knows.
_TOLD = re.compile(
    r"classes|ignored_overlap|backbone\.(depth|norm)|pyramid\..*|rpn\.(channels|depth)|\w+\.samples|\w+\.class_agnostic|"
    r"box_head\.(kind|channels|conv_channels|norm)|mask_head\.(channels|convs|norm)|detect\.candidates"
)


def export(model: MaskRCNN, kind: Project) -> Exported:
    """Give a model's tensors the names, shapes and layouts of another project.

    Args:
        model: Any model.
        kind: The project.
    """
    plan, config = _PLANS[kind], model.config
    tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    fc1 = "box_head.body.fc1.weight"
    tensors[fc1] = _channels_first(tensors[fc1], config.box_head.pool)
    notes = plan.change(tensors, config)
    rules = plan.rules(config)
    renamed = {}
    for name, tensor in tensors.items():
        target = find(rules, name)
        assert target is not None, name
        renamed[target.name] = tensor.contiguous()
    return Exported(kind, renamed, (*notes, *_differences(kind, config)))


def _channels_first(weight: Tensor, bins: int) -> Tensor:
    """Reorder (out, P·P·C) into (out, C·P·P)."""
    return weight.view(len(weight), bins * bins, -1).transpose(1, 2).flatten(1)


def _differences(kind: Project, config: ModelConfig) -> Iterator[str]:
    """Say where the model's settings are not those that the project's own models have."""
    plan = _PLANS[kind]
    theirs = ModelConfig.parse(merge({"classes": config.classes}, plan.settings(config))).model_dump()
    for path, own in _leaves(config.model_dump()):
        other = _at(theirs, path)
        if own != other and not _TOLD.fullmatch(path):
            is_formula = (isinstance(own, str) or own is None) and path not in plan.choices
            advice = "it has no such formula" if is_formula else "set it there"
            yield f"{path} is {own}, the models of {kind} have {other}: {advice}"


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _at(values: Mapping[str, Any], path: str) -> Any:
    for step in path.split("."):
        values = values[step]
    return values

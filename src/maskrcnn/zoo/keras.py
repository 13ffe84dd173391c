"""Names of Keras: Mask R-CNN of Matterport, and the classifier ResNet-50 in both of its spellings.

References: Mask_RCNN 2.1, `mrcnn/model.py`; Keras, `applications/resnet50.py` and `resnet.py`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from maskrcnn.zoo import folds
from maskrcnn.zoo.coco_names import names_of_count
from maskrcnn.zoo.folds import HEAD_STD, STEM, Own, from_convolution, from_dense, linear_from_convolution
from maskrcnn.zoo.kinds import Kind, as_it_is, no_names
from maskrcnn.zoo.names import FROM_ONE, FROM_TWO, Change, Rule, Skip

_ROOT = r"(?:model_weights/)?"  # files that hold a whole model have the weights one group deeper
_END = r"(?:_\d+)?(?::\d+)?"  # what a session with several models adds
_EPS = 1e-3  # of every norm of Keras that says nothing else
_NEW_EPS = 1.001e-5  # of the newer spelling of the classifier
_WORDS = {
    **{chr(ord("a") + i): str(i) for i in range(26)},  # blocks
    "branch2a": "conv1",
    "branch2b": "conv2",
    "branch2c": "conv3",
    "branch1": "shortcut",
}
_NEW_WORDS = {
    **{f"conv{i}": f"res{i}" for i in range(2, 6)},
    **{f"block{i + 1}": str(i) for i in range(36)},
    "_0_": "shortcut",
    "_1_": "conv1",
    "_2_": "conv2",
    "_3_": "conv3",
}
_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean|running_mean",
    "running_var": "moving_variance|running_std",  # the first Keras called its variance so
}


def _leaf(layer: str, leaf: str) -> str:
    """Make the pattern of a tensor: by its layer's group and the end of its name, whatever lies between."""
    return rf"{_ROOT}{layer}/(?:[^/]+/)*(?:\w+_)?(?:{leaf}){_END}"


def _layer(layer: str, own: str, words: dict[str, str], change: Change = from_convolution) -> tuple[Rule, ...]:
    """Make the rows of a convolution or a dense layer."""
    return (
        Rule(_leaf(layer, "kernel|W"), f"{own}.weight", words, change),
        Rule(_leaf(layer, "bias|b"), f"{own}.bias", words),
    )


def _norm(layer: str, own: str, words: dict[str, str]) -> tuple[Rule, ...]:
    """Make the rows of a norm."""
    return tuple(Rule(_leaf(layer, names), f"{own}.{leaf}", words) for leaf, names in _NORM.items())


_BRANCH = r"([2-5])([a-z])_(branch2[abc]|branch1)"
_RESIDUAL = (
    *_layer("conv1", "backbone.stem.conv1.conv", {}),
    *_norm("bn_conv1", "backbone.stem.conv1.norm", {}),
    *_layer(rf"res{_BRANCH}", "backbone.res{0}.{1}.{2}.conv", _WORDS),
    *_norm(rf"bn{_BRANCH}", "backbone.res{0}.{1}.{2}.norm", _WORDS),
)
_NEW_BRANCH = r"(conv[2-5])_(block\d+)(_[0-3]_)"
_NEW_RESIDUAL = (
    *_layer("conv1_conv", "backbone.stem.conv1.conv", {}),
    *_norm("conv1_bn", "backbone.stem.conv1.norm", {}),
    *_layer(rf"{_NEW_BRANCH}conv", "backbone.{0}.{1}.{2}.conv", _NEW_WORDS),
    *_norm(rf"{_NEW_BRANCH}bn", "backbone.{0}.{1}.{2}.norm", _NEW_WORDS),
)
_RPN = {"rpn_conv_shared": "convs.0", "rpn_class_raw": "objectness", "rpn_bbox_pred": "deltas"}
_RULES = (
    *_RESIDUAL,
    *_layer(r"fpn_c[2-5]p([2-5])", "pyramid.lateral.{0}.conv", FROM_TWO),
    *_layer(r"fpn_p([2-5])", "pyramid.output.{0}.conv", FROM_TWO),
    *_layer(rf"rpn_model(?:_\d+)?/(?:[^/]+/)*({'|'.join(_RPN)})(?:_\d+)?", "rpn.head.{0}", _RPN),
    *_layer("mrcnn_class_conv1", "box_head.body.fc1", {}, linear_from_convolution),
    *_norm("mrcnn_class_bn1", "box_head.body.fc1.norm", {}),
    *_layer("mrcnn_class_conv2", "box_head.body.fc2", {}, linear_from_convolution),
    *_norm("mrcnn_class_bn2", "box_head.body.fc2.norm", {}),
    *_layer("mrcnn_class_logits", "box_head.logits", {}, from_dense),
    *_layer("mrcnn_bbox_fc", "box_head.deltas", {}, from_dense),
    *_layer(r"mrcnn_mask_conv([1-8])", "mask_head.convs.{0}.conv", FROM_ONE),
    *_norm(r"mrcnn_mask_bn([1-8])", "mask_head.convs.{0}.norm", FROM_ONE),
    *_layer("mrcnn_mask_deconv", "mask_head.upsample", {}),
    *_layer("mrcnn_mask", "mask_head.logits", {}),
)
_SKIPS = (
    Skip(rf"{_ROOT}anchors/.*", "the anchors of one size of picture; they are laid out anew"),
    Skip(r"(?:model_weights/)?top_level_model_weights/.*", "kept by Keras outside the layers; nothing of the network"),
    Skip(r"optimizer_weights/.*", "the state of training, not of the model"),
)
_TOP = Skip(rf"{_ROOT}(fc1000|predictions|probs)/.*", "the classifier of ImageNet")
_MEAN = (123.7, 116.8, 103.9)
_CAFFE_MEAN = (123.68, 116.779, 103.939)
SETTINGS: dict[str, Any] = {
    "input": {
        "resize": "centred_square",
        "sampling": "zero_edge",
        "min_size": 800,
        "max_size": 1024,
        "divisor": 64,
    },
    "backbone": {"stride_in": "1x1", "pool_padding": "after"},
    "anchors": {"corners": "inclusive"},
    "rpn": {
        "ranking": "all",
        "beta": 1.0,
        "pre_nms_train": 6000,
        "pre_nms": 6000,
        "proposals_train": 2000,
        "proposals": 1000,
        "nms_iou": 0.7,
        "min_side": 0.0,
    },
    "regions": {"level": "round", "sampler": "corners"},
    "box_head": {"samples": 200, "positive_fraction": 0.33, "beta": 1.0},
    "mask_head": {"samples": 200, "paste": "zero_edge"},
    "detect": {"choice": "best", "score_threshold": 0.7, "nms_iou": 0.3, "detections": 100, "min_side": 0.0},
    "delta_clamp": None,
}
_BACKBONE = {"backbone": {"stride_in": "1x1"}, "input": {"mean": _CAFFE_MEAN, "std": (1.0, 1.0, 1.0)}}


def _fold(own: Own) -> None:
    for layer in ("box_head.body.fc1", "box_head.body.fc2"):
        _norm_into(own, layer, f"{layer}.norm")
    for name in own.matching(r"mask_head\.convs\.\d+\.conv\.weight"):
        layer = name.removesuffix(".weight")
        _norm_into(own, layer, layer.removesuffix("conv") + "norm")
    folds.biases_into_means(own)
    folds.norm_epsilon(own, _EPS)
    folds.one_logit(own, r"rpn\.head\.objectness\.(weight|bias)")
    folds.delta_order(own, r"rpn\.head\.deltas\.(weight|bias)", HEAD_STD)
    folds.anchors_reversed(own)
    folds.background_last(own)
    folds.drop_background(own, r"box_head\.deltas\.(weight|bias)", 4)
    folds.delta_order(own, r"box_head\.deltas\.(weight|bias)")
    folds.drop_background(own, r"mask_head\.logits\.(weight|bias)", 1)


def _norm_into(own: Own, layer: str, norm: str) -> None:
    """Fold a norm that is there as a whole; the account reports one that is not."""
    wanted = [f"{norm}.{leaf}" for leaf in _NORM] + [f"{layer}.weight", f"{layer}.bias"]
    if all(name in own.tensors for name in wanted):
        folds.norm_into_layer(own, layer, norm, _EPS)


def _refined(own: Own) -> dict[str, Any]:
    bands = own.tensors[STEM].shape[1]
    return {"input": {"mean": _mean(bands), "std": (1.0,) * bands}}


def _mean(bands: int) -> tuple[float, ...]:
    """Return the project's mean; grey takes the average, and what comes behind RGB is not shifted.

    The file does not say it: models of other bands were trained with numbers of their own.
    """
    if bands < len(_MEAN):
        return (sum(_MEAN) / len(_MEAN),) * bands
    return _MEAN + (0.0,) * (bands - len(_MEAN))


def _backbone_fold(epsilon: float, own: Own) -> None:
    folds.swap_colours(own)
    folds.biases_into_means(own)
    folds.norm_epsilon(own, epsilon)


MATTERPORT = Kind(
    name="matterport",
    complete=True,
    marks=(rf"{_ROOT}conv1/.*", rf"{_ROOT}(mrcnn_|rpn_model).*"),
    rules=_RULES,
    skips=_SKIPS,
    fold=_fold,
    settings=SETTINGS,
    refine=_refined,
    classes=names_of_count,
)
KERAS_BACKBONE = Kind(
    name="keras backbone",
    complete=False,
    marks=(rf"{_ROOT}conv1/.*", rf"{_ROOT}res2a_branch2a/.*"),
    rules=_RESIDUAL,
    skips=(*_SKIPS, _TOP),
    fold=partial(_backbone_fold, _EPS),
    settings=_BACKBONE,
    refine=as_it_is,
    classes=no_names,
)
NEW_KERAS_BACKBONE = KERAS_BACKBONE._replace(
    marks=(rf"{_ROOT}conv1_conv/.*", rf"{_ROOT}conv2_block1_1_conv/.*"),
    rules=_NEW_RESIDUAL,
    fold=partial(_backbone_fold, _NEW_EPS),
)

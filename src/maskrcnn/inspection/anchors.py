"""The anchors that are held against the objects of a set."""

from __future__ import annotations

from typing import NamedTuple

from maskrcnn.config import AnchorConfig, InputConfig, RPNConfig
from maskrcnn.data.dataset import Dataset
from maskrcnn.training.anchors import fit_anchors
from maskrcnn.training.devices import Devices
from maskrcnn.training.setup import PRESETS, choose_preset, fitting_size, seen_objects


class Setting(NamedTuple):
    """What decides where anchors lie.

    Attributes:
        name: What it is called on the page.
        input: How large the network sees a picture.
        anchors: Their shapes.
        rpn: From which overlap on they learn.
    """

    name: str
    input: InputConfig
    anchors: AnchorConfig
    rpn: RPNConfig


def settings(dataset: Dataset) -> list[Setting]:
    """Return what `train` would choose from scratch on this machine, and what published models have."""
    preset = choose_preset(Devices().kind)
    picture, rpn = fitting_size(dataset, preset), PRESETS[preset].rpn
    fitted = fit_anchors(seen_objects(dataset, picture), AnchorConfig(), rpn)
    return [
        Setting(f"fitted by train, preset {preset}", picture, fitted, rpn),
        Setting("the usual ones of published models", InputConfig(), AnchorConfig(), RPNConfig()),
    ]

"""What an exported file says of itself: a few texts beside the graph, the same ones in every format.

ONNX keeps them in `metadata_props`, OpenVINO in its runtime information, PyTorch's formats as extra files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from maskrcnn.config import ModelConfig
from maskrcnn.errors import ConfigError, WeightsError
from maskrcnn.version import __version__

KIND = "maskrcnn graph"
Takes = Literal["network", "uint8", "float32"]


class About(NamedTuple):
    """What a graph is.

    Attributes:
        config: The settings of the model.
        takes: `network` for pictures resized and padded as `MaskRCNN.forward` wants them; `uint8` or `float32` for
            whole pictures of that type, as they are read.
        precision: Of its arithmetic, `fp32` or `int8`.
        version: Of the package that wrote it.
    """

    config: ModelConfig
    takes: Takes = "network"
    precision: str = "fp32"
    version: str = __version__


def to_texts(about: About) -> dict[str, str]:
    """Write it as texts by name: `kind`, `version`, `config`, `classes`, `takes`, `precision`."""
    return {
        "kind": KIND,
        "version": about.version,
        "config": about.config.model_dump_json(),
        "classes": json.dumps(about.config.classes, ensure_ascii=False),
        "takes": about.takes,
        "precision": about.precision,
    }


def from_texts(texts: Mapping[str, str], path: Path) -> About:
    """Read what `to_texts` wrote.

    Args:
        texts: All that the file has.
        path: The file, for the error.

    Raises:
        WeightsError: Another program wrote the file.
        ConfigError: Its settings do not fit this version.
    """
    if texts.get("kind") != KIND or "config" not in texts or texts.get("takes") not in get_args(Takes):
        raise WeightsError(f"{path}: expected a file that maskrcnn export wrote, got one without its settings")
    version = texts.get("version", "?")
    try:
        config = ModelConfig.parse_json(texts["config"], f"{path}: settings")
    except ConfigError as error:
        raise ConfigError(f"{error}; written by version {version}, this is {__version__}") from None
    takes: Takes = texts["takes"]  # type: ignore[assignment]  # checked above
    return About(config, takes, texts.get("precision", "fp32"), version)

"""Models that other projects have published, by name, and what a user may call a weight file.

Addresses, checksums and figures are those that the projects give themselves; where they give none it says None.
AP is COCO's, over IoU 0.50 to 0.95, in percent, on val2017 or the same pictures under their older name minival.

References: torchvision, `models/detection/mask_rcnn.py` and `models/resnet.py` (file names end in the start of the
SHA-256); Detectron2, `MODEL_ZOO.md` and `model_zoo.py` (file names end in the start of the MD5); Detectron,
`MODEL_ZOO.md`; MMDetection, `configs/mask_rcnn/README.md` (file names end in the start of the SHA-256, as
`tools/model_converters/publish_model.py` makes them); Matterport Mask R-CNN, releases 2.0 and 2.1; Keras,
`deep-learning-models` 0.2.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urldefrag

from maskrcnn.errors import WeightsError

_URL = re.compile(r"[a-zA-Z][\w+.-]+://")
_OF_THE_CODE = "; the licence of its code, none is given for the weights"


class Published(NamedTuple):
    """A file that another project has published.

    Attributes:
        name: What to call it here: the project and its own name for the model.
        project: Who published it.
        url: Where it lies.
        checksum: The start of its hash as published, `sha256=bf2d0c1e` or `md5=f10217`.
        licence: Its licence, as the project states it.
        data: What it was trained on.
        box_ap: AP of its boxes in percent.
        mask_ap: AP of its masks in percent.
    """

    name: str
    project: str
    url: str
    checksum: str | None
    licence: str
    data: str
    box_ap: float | None
    mask_ap: float | None


# ---- the table: name, file, published checksum, box AP, mask AP

Row = tuple[str, str, str | None, float | None, float | None]

_TORCHVISION = "https://download.pytorch.org/models/"
_TORCHVISION_MODELS: tuple[Row, ...] = (
    ("maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", "sha256=bf2d0c1e", 37.9, 34.6),
    ("maskrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth", "sha256=73cbd019", 47.4, 41.8),
)
_TORCHVISION_BACKBONES: tuple[Row, ...] = (
    ("resnet18", "resnet18-f37072fd.pth", "sha256=f37072fd", None, None),
    ("resnet34", "resnet34-b627a593.pth", "sha256=b627a593", None, None),
    ("resnet50", "resnet50-0676ba61.pth", "sha256=0676ba61", None, None),
    ("resnet50_v2", "resnet50-11ad3fa6.pth", "sha256=11ad3fa6", None, None),
    ("resnet101", "resnet101-63fe2227.pth", "sha256=63fe2227", None, None),
    ("resnet101_v2", "resnet101-cd907fc2.pth", "sha256=cd907fc2", None, None),
    ("resnet152", "resnet152-394f9c45.pth", "sha256=394f9c45", None, None),
    ("resnet152_v2", "resnet152-f82ba261.pth", "sha256=f82ba261", None, None),
    ("resnext101_32x8d", "resnext101_32x8d-8ba56ff5.pth", "sha256=8ba56ff5", None, None),
    ("resnext101_32x8d_v2", "resnext101_32x8d-110c445d.pth", "sha256=110c445d", None, None),
)
_DETECTRON2 = "https://dl.fbaipublicfiles.com/detectron2/"
_COCO = "COCO-InstanceSegmentation/mask_rcnn_"
_NEW = "new_baselines/mask_rcnn_"
_DETECTRON2_MODELS: tuple[Row, ...] = (
    ("mask_rcnn_R_50_FPN_1x", f"{_COCO}R_50_FPN_1x/137260431/model_final_a54504.pkl", "md5=a54504", 38.6, 35.2),
    ("mask_rcnn_R_50_FPN_3x", f"{_COCO}R_50_FPN_3x/137849600/model_final_f10217.pkl", "md5=f10217", 41.0, 37.2),
    ("mask_rcnn_R_101_FPN_3x", f"{_COCO}R_101_FPN_3x/138205316/model_final_a3ec72.pkl", "md5=a3ec72", 42.9, 38.6),
    (
        "mask_rcnn_X_101_32x8d_FPN_3x",
        f"{_COCO}X_101_32x8d_FPN_3x/139653917/model_final_2d9806.pkl",
        *("md5=2d9806", 44.3, 39.5),
    ),
    *(
        (f"mask_rcnn_{name}_LSJ", f"{_NEW}{name}_LSJ/{run}/model_final_{start}.pkl", f"md5={start}", None, None)
        for name, run, start in (
            ("R_50_FPN_100ep", "42047764", "bb69de"),
            ("R_50_FPN_200ep", "42047638", "89a8d3"),
            ("R_50_FPN_400ep", "42019571", "14d201"),
            ("R_101_FPN_100ep", "42025812", "4f7b58"),
            ("R_101_FPN_200ep", "42131867", "0bb7ae"),
            ("R_101_FPN_400ep", "42073830", "f96b26"),
        )
    ),
)
_DETECTRON2_BACKBONES: tuple[Row, ...] = (
    ("R-50", "ImageNetPretrained/MSRA/R-50.pkl", None, None, None),
    ("R-101", "ImageNetPretrained/MSRA/R-101.pkl", None, None, None),
    ("X-101-32x8d", "ImageNetPretrained/FAIR/X-101-32x8d.pkl", None, None, None),
)
_DETECTRON = "https://dl.fbaipublicfiles.com/detectron/"
_BASELINES = "12_2017_baselines/e2e_mask_rcnn_"
_TRAINED = "/output/train/coco_2014_train%3Acoco_2014_valminusminival/generalized_rcnn/model_final.pkl"
_DETECTRON_MODELS: tuple[Row, ...] = tuple(
    (f"e2e_mask_rcnn_{name}", f"{run}/{_BASELINES}{name}.yaml.{made}{_TRAINED}", None, box, mask)
    for name, run, made, box, mask in (
        ("R-50-FPN_1x", "35858933", "01_48_14.DzEQe4wC", 37.7, 33.9),
        ("R-50-FPN_2x", "35859007", "01_49_07.By8nQcCH", 38.6, 34.5),
        ("R-101-FPN_1x", "35861795", "02_31_37.KqyEK4tT", 40.0, 35.9),
        ("R-101-FPN_2x", "35861858", "02_32_51.SgT4y1cO", 40.9, 36.4),
        ("X-101-32x8d-FPN_1x", "36761843", "06_35_59.RZotkLKI", 42.1, 37.3),
        ("X-101-32x8d-FPN_2x", "36762092", "06_37_59.DM5gJYRF", 41.7, 36.9),
    )
)
_DETECTRON_BACKBONES: tuple[Row, ...] = (
    ("R-50", "ImageNetPretrained/MSRA/R-50.pkl", None, None, None),
    ("R-101", "ImageNetPretrained/MSRA/R-101.pkl", None, None, None),
)
_MMDETECTION = "https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/"
_MMDETECTION_MODELS: tuple[Row, ...] = tuple(
    (name, f"{name}/{name}_{made}-{start}.pth", f"sha256={start}", box, mask)
    for name, made, start, box, mask in (
        ("mask_rcnn_r50_fpn_1x_coco", "20200205", "d4b0c5d6", 38.2, 34.7),
        (
            "mask_rcnn_r50_fpn_2x_coco",
            "bbox_mAP-0.392__segm_mAP-0.354_20200505_003907",
            *("3e542a40", 39.2, 35.4),
        ),
        ("mask_rcnn_r50_fpn_mstrain-poly_3x_coco", "20210524_201154", "21b550bb", 40.9, 37.1),
        ("mask_rcnn_r101_fpn_1x_coco", "20200204", "1efe0ed5", 40.0, 36.1),
        (
            "mask_rcnn_r101_fpn_2x_coco",
            "bbox_mAP-0.408__segm_mAP-0.366_20200505_071027",
            *("14b391c7", 40.8, 36.6),
        ),
        ("mask_rcnn_r101_fpn_mstrain-poly_3x_coco", "20210524_200244", "5675c317", 42.7, 38.5),
    )
)
_MATTERPORT = "https://github.com/matterport/Mask_RCNN/releases/download/"
_KERAS = "https://github.com/fchollet/deep-learning-models/releases/download/v0.2/"
_KERAS_RESNET50 = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"

_FAMILIES: tuple[tuple[str, str, str, str, tuple[Row, ...]], ...] = (
    ("torchvision", _TORCHVISION, f"BSD-3-Clause{_OF_THE_CODE}", "COCO", _TORCHVISION_MODELS),
    ("detectron2", _DETECTRON2, "CC-BY-SA-3.0", "COCO", _DETECTRON2_MODELS),
    ("detectron", _DETECTRON, "CC-BY-SA-3.0", "COCO", _DETECTRON_MODELS),
    ("mmdetection", _MMDETECTION, f"Apache-2.0{_OF_THE_CODE}", "COCO", _MMDETECTION_MODELS),
    (
        *("matterport", _MATTERPORT, f"MIT{_OF_THE_CODE}", "COCO"),
        (("coco", "v2.0/mask_rcnn_coco.h5", None, None, None),),
    ),
    (
        *("matterport", _MATTERPORT, f"MIT{_OF_THE_CODE}", "balloons"),
        (("balloon", "v2.1/mask_rcnn_balloon.h5", None, None, None),),
    ),
    ("torchvision", _TORCHVISION, f"BSD-3-Clause{_OF_THE_CODE}", "ImageNet", _TORCHVISION_BACKBONES),
    ("detectron2", _DETECTRON2, "CC-BY-SA-3.0", "ImageNet", _DETECTRON2_BACKBONES),
    ("detectron", _DETECTRON, "CC-BY-SA-3.0", "ImageNet", _DETECTRON_BACKBONES),
    (
        *("keras", _KERAS, "MIT", "ImageNet"),
        (("resnet50", _KERAS_RESNET50, "md5=a268eb855778b3df3c7506639542a6af", None, None),),
    ),
)


def _entries() -> Iterator[Published]:
    for project, base, licence, data, rows in _FAMILIES:
        for name, file, checksum, box_ap, mask_ap in rows:
            yield Published(f"{project}/{name}", project, base + file, checksum, licence, data, box_ap, mask_ap)


PUBLISHED = tuple(_entries())
_BY_NAME = {model.name: model for model in PUBLISHED}
_BY_URL = {model.url: model for model in PUBLISHED}


# ---- names, files and addresses


def resolve(source: str | os.PathLike[str]) -> Path:
    """Return the file that is meant by a path, an address or the name of a published model.

    A file that is there comes first. What an address or a name stands for is fetched once and then kept.

    Args:
        source: A path; `https://`, `http://` or `file://`, with `#sha256=...` if the hash is known; or a name of
            `PUBLISHED`.

    Returns:
        The path. A path that looks like a file's is returned even where nothing is there.

    Raises:
        WeightsError: It is none of these, or the file can't be fetched.
        OutputError: The cache can't be written.
    """
    text = os.fspath(source)
    if _URL.match(text):
        return _fetched(text)
    path = Path(text)
    if path.exists():
        return path
    if text in _BY_NAME:
        return _fetched(_BY_NAME[text].url)
    near = near_names(text)
    if near and not path.suffix:
        raise WeightsError(
            f"{text}: expected a file, an address or the name of a published model, got none of them; "
            f"did you mean {' or '.join(near)}?"
        )
    return path


def near_names(text: str) -> list[str]:
    """Return up to three published names that may have been meant.

    >>> near_names("coco")
    ['matterport/coco']
    >>> near_names("detectron2/mask_rcnn_R50_FPN_3x")[0]
    'detectron2/mask_rcnn_R_50_FPN_3x'
    """
    lower = text.lower()
    ends = [name for name in _BY_NAME if name.lower() == lower or name.lower().endswith(f"/{lower}")]
    return ends[:3] or difflib.get_close_matches(text, _BY_NAME, n=3, cutoff=0.75)


def _fetched(url: str) -> Path:
    from maskrcnn.zoo.download import Checksum, fetch  # its bars take longer to import than a list takes to be read

    known = _BY_URL.get(urldefrag(url).url)
    checksum = Checksum.parse(known.checksum) if known and known.checksum and "#" not in url else None
    return fetch(url, checksum=checksum)

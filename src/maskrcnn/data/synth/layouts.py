"""The two ways in which a set of drawn pictures lies on disk: COCO's, and that of the Pose Bowl challenge.

References: https://cocodataset.org/#format-data; https://www.drivendata.org/competitions/260/spacecraft-detection/
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.synth.scene import Scene
from maskrcnn.ops.rle import Bitmap, encode

Record = dict[str, Any]


class Ordered(Protocol):
    """What a set is made of; the same order makes the same bytes.

    Attributes:
        file: The name under which the set keeps it.
    """

    file: ClassVar[str]

    @property
    def kind(self) -> str:
        """What is made."""

    @property
    def count(self) -> int:
        """Number of pictures."""

    def values(self) -> Mapping[str, object]:
        """Return everything that the pictures follow from, as plain JSON."""


class Shown(Protocol):
    """A picture and the exact masks of what is in it."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width."""

    @property
    def labels(self) -> tuple[int, ...]:
        """The class of each object."""

    def picture(self) -> NDArray[np.uint8]:
        """Return the picture: (H, W, 3) uint8 RGB."""

    def masks(self) -> list[Bitmap]:
        """Return the visible pixels of each object, trimmed."""


@dataclass(frozen=True)
class Call:
    """What a set is made of; the same call makes the same bytes.

    Attributes:
        kind: What is drawn.
        layout: How it is laid out.
        count: Number of pictures.
        seed: Start of everything random.
        height: Of every picture, in pixels.
        width: Of every picture, in pixels.
        generation: Grows when the same call would draw other pictures than before.
    """

    file: ClassVar[str] = "synth.json"

    kind: str
    layout: str
    count: int
    seed: int
    height: int
    width: int
    generation: int = 1

    def values(self) -> dict[str, str | int]:
        """Return the fields by name."""
        return asdict(self)


class Layout(Protocol):
    """Which files a set consists of; pictures are counted from 0.

    Attributes:
        objects: Fewest and most objects of a picture.
        tables: Where the annotations go, below the folder of the set.
    """

    objects: tuple[int, int]
    tables: tuple[str, ...]

    def background(self, index: int) -> int:
        """Return the number of the background of a picture."""

    def pictures(self, index: int) -> tuple[str, ...]:
        """Return where the files of a picture go, below the folder of the set."""

    def pixels(self, scene: Any) -> tuple[NDArray[np.uint8], ...]:
        """Return what these files show, in the same order."""

    def record(self, index: int, scene: Any) -> Record:
        """Return what the tables have to say about a picture, as plain JSON."""

    def texts(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Return the contents of the tables, in their order, from the records of all pictures."""


def _box(mask: Bitmap) -> list[int]:
    """Return the box around a trimmed mask: first column, first row, and the ends behind the last ones."""
    h, w = mask.pixels.shape
    return [mask.x, mask.y, mask.x + w, mask.y + h]


class CocoLayout:
    """`images/000001.png` and so on, and `annotations.json` with compressed run lengths."""

    objects = (0, 4)
    tables: tuple[str, ...] = ("annotations.json",)

    def __init__(self, call: Ordered, class_names: Sequence[str]) -> None:
        self._call, self._class_names = call, class_names

    def background(self, index: int) -> int:
        """Give every picture a background of its own."""
        return index

    def pictures(self, index: int) -> tuple[str, ...]:
        """Name pictures by their id, which counts from 1."""
        return (f"images/{index + 1:06d}.png",)

    def pixels(self, scene: Shown) -> tuple[NDArray[np.uint8], ...]:
        """Return the picture."""
        return (scene.picture(),)

    def record(self, index: int, scene: Shown) -> Record:
        """Return the entry of the picture and those of its objects, which have no id yet."""
        h, w = scene.size_hw
        file_name = self.pictures(index)[0].removeprefix("images/")
        image = {"id": index + 1, "file_name": file_name, "height": h, "width": w}
        objects = [
            _coco_object(index + 1, label + 1, mask, (h, w))
            for label, mask in zip(scene.labels, scene.masks(), strict=True)
        ]
        return {"image": image, "annotations": objects}

    def texts(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Number the objects from 1 and put everything into one JSON object."""
        objects = [each for record in records for each in record["annotations"]]
        document = {
            "info": {"description": f"drawn {self._call.kind}", **self._call.values()},
            "images": [record["image"] for record in records],
            "annotations": [{"id": number, **each} for number, each in enumerate(objects, start=1)],
            "categories": [
                {"id": number, "name": name, "supercategory": self._call.kind}
                for number, name in enumerate(self._class_names, start=1)
            ],
        }
        return (json.dumps(document),)


def _coco_object(image_id: int, category_id: int, mask: Bitmap, size_hw: tuple[int, int]) -> Record:
    x1, y1, x2, y2 = _box(mask)
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": int(mask.pixels.sum()),
        "iscrowd": 0,
        "segmentation": encode(mask, size_hw),
    }


class PoseBowlLayout:
    """One object a picture; its type and the background's number in one table, its box in another.

    `no_background` holds the same objects under the same ids, alpha 255 on the mask and 0 elsewhere. A box
    ends at the pixel behind the last one, so that its width is xmax less xmin. Types are numbered from 1, in
    the order of the names.
    """

    objects = (1, 1)
    tables: tuple[str, ...] = ("train_metadata.csv", "no_background/no_background.csv", "train_labels.csv")
    backgrounds = 48

    def __init__(self, call: Call, class_names: Sequence[str]) -> None:
        self._call, self._class_names = call, class_names

    def background(self, index: int) -> int:
        """Choose one of a few backgrounds, so that a set can be split by them."""
        return int(self._id(index), 16) % self.backgrounds

    def pictures(self, index: int) -> tuple[str, ...]:
        """Name pictures by 32 hexadecimal digits."""
        name = f"images/{self._id(index)}.png"
        return name, f"no_background/{name}"

    def pixels(self, scene: Scene) -> tuple[NDArray[np.uint8], ...]:
        """Return the picture and the object cut out of it."""
        return scene.picture(), scene.cutout()

    def record(self, index: int, scene: Scene) -> Record:
        """Return the one object of a picture."""
        return {
            "image_id": self._id(index),
            "spacecraft_id": scene.labels[0] + 1,
            "background_id": self.background(index),
            **dict(zip(("xmin", "ymin", "xmax", "ymax"), _box(scene.canvas.mask(0)), strict=True)),
        }

    def texts(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Write three tables of the same rows."""
        box = ("xmin", "ymin", "xmax", "ymax")
        columns = (("spacecraft_id", "background_id"), ("spacecraft_id", *box), box)
        return tuple(_csv(("image_id", *names), records) for names in columns)

    def _id(self, index: int) -> str:
        name = f"{self._call.kind} {self._call.seed} {index}"
        return hashlib.sha256(name.encode()).hexdigest()[:32]


def _csv(columns: Sequence[str], records: Sequence[Record]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([record[column] for column in columns] for record in records)
    return text.getvalue()


LAYOUTS: dict[str, type[CocoLayout] | type[PoseBowlLayout]] = {
    "coco": CocoLayout,
    "pose-bowl": PoseBowlLayout,
}

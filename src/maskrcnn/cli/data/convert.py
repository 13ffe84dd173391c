"""`maskrcnn data convert`: its options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from maskrcnn.cli.data.options import Data, Out

# the same choices as in `maskrcnn.data.writing`, which takes longer to import than the help takes to be read
Format = Literal["coco", "png", "via", "yolo", "labelme", "cvat", "voc", "labels"]
Pictures = Literal["copy", "link", "none"]

EPILOG = """[bold]Examples[/]

  maskrcnn data convert photos/train photos-coco --format coco
  maskrcnn data convert coco/val tiny-yolo --format yolo --tolerance 0.5
  maskrcnn data convert scans/masks scans-via --format via --pictures link

[bold]What is kept[/]

  coco              all of it: holes, parts, crowds, boxes, ids, columns
  png               all pixels of all objects, one file an object
  labelme, cvat     exact outlines; pixels where an object has a hole
  via, yolo         exact outlines, parts and holes joined to one ring
  voc, labels       one object a pixel; what overlaps is lost, and said

What a format can't hold is listed with how many objects it concerns, and the
worst overlap (IoU) of a mask that went in and the one that will be read.

[bold]What comes out[/]

  coco              annotations.json  images/
  png               annotations/<image>_<class>_<k>.png  images/
  via               via_region_data.json, pictures beside it
  yolo              data.yaml  images/  labels/
  labelme           pictures, a .json beside each
  cvat              annotations.xml  images/
  voc               JPEGImages/  Annotations/  SegmentationObject/  ...
  labels            images/  masks/, TIFF files of 16 bits

A command that was cut off goes on when it is given again.

In Python: maskrcnn.data.writing.convert
"""


def convert(
    data: Data,
    out: Out,
    format_: Annotated[
        Format, typer.Option("--format", metavar="FORMAT", help="coco, png, via, yolo, labelme, cvat, voc or labels.")
    ],
    tolerance: Annotated[
        float, typer.Option(metavar="PIXELS", min=0.0, help="How far a simplified outline may leave the exact one.")
    ] = 0.0,
    pictures: Annotated[
        Pictures, typer.Option(help="Copy them as they are, link them (takes no room), or write annotations only.")
    ] = "copy",
    from_: Annotated[
        str | None, typer.Option("--from", metavar="FORMAT", help="What DATA is, where it is not recognised.")
    ] = None,
) -> None:
    """Write annotated pictures in another format.

    Says what the format can't hold, and by how much masks change.
    """
    from maskrcnn.cli.data.converting import run_convert

    run_convert(data, out, format_, tolerance, pictures, from_)

"""`maskrcnn weights`: its commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Target = Literal["maskrcnn", "torchvision", "detectron2"]

weights = typer.Typer(help="List, look into and convert weights, also of other projects.", no_args_is_help=True)


@weights.command(
    "list",
    epilog="""[bold]Examples[/]

  maskrcnn weights list
  maskrcnn weights list --json > models.json

In Python: maskrcnn.zoo.PUBLISHED
""",
)
def list_(
    json_: Annotated[
        bool, typer.Option("--json", metavar="", help="JSON, with the place that each file has in the cache.")
    ] = False,
) -> None:
    """List the models that other projects have published.

    Every name stands for its file, which is fetched when it is first used:
    as --weights of train, and as MODEL of evaluate and predict.
    """
    from maskrcnn.cli.weights import print_json, print_table

    if json_:
        print_json()
    else:
        print_table()


@weights.command(
    epilog="""[bold]Examples[/]

  maskrcnn weights info mask_rcnn_coco.h5
  maskrcnn weights info torchvision/maskrcnn_resnet50_fpn

In Python: maskrcnn.zoo.open_file
"""
)
def info(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A weight file of any kind, a URL or a name.")],
) -> None:
    """Say what a weight file holds, and what of it is not used and why.

    What kind of file it is follows from what is in it.
    """
    from maskrcnn.cli.weights import run_info

    run_info(file)


@weights.command(
    epilog="""[bold]Examples[/]

  maskrcnn weights convert mask_rcnn_balloon.h5 balloon.safetensors \\
      --classes balloon
  maskrcnn weights convert model.pth model.safetensors --classes cat,dog
  maskrcnn weights convert run/model.safetensors model.pth --to torchvision

In Python: maskrcnn.zoo.convert
"""
)
def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A weight file of any kind, a URL or a name.")],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help=".safetensors, or .pth or .pkl with --to.", show_default=False)
    ],
    classes: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Names of the classes, where the file has none or others.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A setting that the file does not say, as for train; may be repeated."
        ),
    ] = None,
    to: Annotated[Target, typer.Option(help="For which project; .pth for torchvision, .pkl for detectron2.")] = (
        "maskrcnn"
    ),
) -> None:
    """Write a model of any kind as one safe file, or as a file of another project.

    The result holds settings, classes and weights, and loads without this
    step's questions; it gives the same outputs.
    """
    from maskrcnn.cli.weights import run_conversion

    run_conversion(file, out, classes, set_ or [], to)

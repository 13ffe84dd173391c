"""`maskrcnn inspect`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.data.options import ClassMap, FormatName
from maskrcnn.cli.options import Device, Open, Threads

EPILOG = """[bold]Examples[/]

  maskrcnn inspect run/model.safetensors photo.jpg --open
  maskrcnn inspect run/model.safetensors photo.jpg --data photos/val
  maskrcnn inspect run/model.safetensors --weights --out weights.html
  maskrcnn inspect photos/train --open

[bold]What comes out[/]

  MODEL PICTURE     a page: every stage from pixels to masks, and where each
                    detection came from; with --data what was found of the
                    objects and what training would learn from them too
  MODEL --weights   a table of all tensors on stdout, dead and overflown ones
                    marked; with --out a page with histograms
  DATA              the page of maskrcnn data show, in the folder of --out

Without --out the page of photo.jpg is photo.inspect.html, here.

In Python: model.trace(picture), and maskrcnn.inspection
"""


def inspect(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL|DATA [PICTURE]",
            show_default=False,
            help="A model (file, URL or name) and a picture, or a model with --weights, or annotated pictures.",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(metavar="DATA", help="Annotated pictures, PICTURE among them, which may be a name only."),
    ] = None,
    weights: Annotated[bool, typer.Option("--weights", metavar="", help="Look at the weights of the model.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="PAGE.html", help="Where to; for DATA a folder.")] = None,
    open_: Open = False,
    score: Annotated[
        float | None, typer.Option(metavar="P", min=0, max=1, help="Leave out objects below this probability.")
    ] = None,
    format_: FormatName = None,
    classes: ClassMap = None,
    device: Device = None,
    threads: Threads = None,
) -> None:
    """Look inside: a picture's way through a model, its weights, or a data set.

    Every page is one file that needs nothing else.
    """
    from maskrcnn.cli.inspecting import run_inspection
    from maskrcnn.cli.opening import Wanted
    from maskrcnn.cli.running import Running

    running = Running(device, threads=threads)
    run_inspection(paths, data, weights, out, open_, score, Wanted(format_, classes), running)

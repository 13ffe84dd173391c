"""`maskrcnn data show`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.data.options import ClassMap, Data, FormatName

EPILOG = """[bold]Examples[/]

  maskrcnn data show photos/train --open
  maskrcnn data show photos/train --out look --count 40 --seed 1
  maskrcnn data show annotations.json --out look --format coco

[bold]What comes out, in the folder of --out[/]

  data.html   one page that needs nothing else: pictures with objects,
              classes, sizes, smallest and largest objects, anchors, pixels
  sheets/     the pictures again, as contact sheets

In Python: maskrcnn.inspection.show_data
"""


def show(
    data: Data,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder for the page and the sheets.")] = None,
    open_: Annotated[
        bool,
        typer.Option("--open", metavar="", help="Open the page; without --out it is written into the cache."),
    ] = False,
    count: Annotated[
        int, typer.Option(metavar="N", min=0, help="Pictures to show; the page has the first 40 of them.")
    ] = 24,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Which pictures these are follows from it.")] = 0,
    format_: FormatName = None,
    classes: ClassMap = None,
) -> None:
    """Look at a data set before anything is trained on it.

    Pictures that are missing or broken are shown as such.
    """
    from maskrcnn.cli.data.showing import run_show
    from maskrcnn.cli.opening import Wanted

    run_show(data, out, open_, count, seed, Wanted(format_, classes))

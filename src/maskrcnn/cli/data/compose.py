"""`maskrcnn data compose`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.data.options import ClassMap, FormatName, Out

LOOK = "How objects look"

EPILOG = """[bold]Examples[/]

  maskrcnn data compose photos/train new --backgrounds streets --count 500
  maskrcnn data compose bowl/no_background new --backgrounds bowl/images \\
      --objects 1-1 --scale 0.1-0.9 --size 1024x1280
  maskrcnn data compose cells new --backgrounds 'empty/*.png' --turn 180

[bold]What comes out, in OUT[/]

  annotations.json  COCO; masks are exactly what remains visible
  images/           the pictures
  compose.json      what they were made of

The same seed gives the same pictures; a run that was cut off goes on when it
is repeated. While training, without files: --set train.augment.copy_paste=0.5

In Python: maskrcnn.data.compose.compose
"""


def compose(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATA", help="Annotated pictures whose objects are cut out.", show_default=False)
    ],
    out: Out,
    backgrounds: Annotated[
        list[str],
        typer.Option(metavar="PICTURES", help="Files, folders, globs without such objects; may be repeated."),
    ],
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Pictures.")] = 100,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Height x width in pixels; that of the background.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The pictures follow from it.")] = 0,
    objects: Annotated[str, typer.Option(metavar="LOW-HIGH", help="Objects a picture.", rich_help_panel=LOOK)] = "1-5",
    scale: Annotated[
        str,
        typer.Option(
            metavar="LOW-HIGH",
            help="Longer side of an object, as a share of the picture's shorter side.",
            rich_help_panel=LOOK,
        ),
    ] = "0.2-0.8",
    turn: Annotated[
        float, typer.Option(metavar="DEGREES", help="Turn at most, either way.", rich_help_panel=LOOK)
    ] = 180.0,
    light: Annotated[
        float, typer.Option(metavar="SHARE", help="Change of brightness and shade at most.", rich_help_panel=LOOK)
    ] = 0.3,
    hidden: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Of an object, that others and the border may hide.", rich_help_panel=LOOK),
    ] = 0.5,
    format_: FormatName = None,
    classes: ClassMap = None,
) -> None:
    """Make new pictures: cut-outs over backgrounds, with exact masks.

    Objects are cut out along their masks, or along the alpha channel of their
    picture where it has one, then mirrored, scaled, turned, lit and placed.
    """
    from maskrcnn.cli.data.composing import Ranges, run_compose
    from maskrcnn.cli.opening import Wanted

    look = Ranges(objects, scale, turn, light, hidden)
    run_compose(dataset, Wanted(format_, classes), out, backgrounds, count, size, seed, look)

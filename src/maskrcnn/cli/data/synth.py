"""`maskrcnn data synth`: its options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from maskrcnn.cli.data.options import Out

# the same choices as in `maskrcnn.data.synth`, which takes longer to import than the help takes to be read
Kind = Literal["spacecraft", "shapes"]
Layout = Literal["coco", "pose-bowl"]

EPILOG = """[bold]Examples[/]

  maskrcnn data synth spacecraft drawn --count 400
  maskrcnn data synth shapes tiny --count 20 --size 64x96 --seed 1
  maskrcnn data synth spacecraft bowl --layout pose-bowl

In Python: maskrcnn.data.synth.synthesise
"""


def synth(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="spacecraft or shapes.")],
    out: Out,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Pictures.")] = 100,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The pictures follow from it.")] = 0,
    size: Annotated[str, typer.Option(metavar="HxW", help="Height x width in pixels, 64 at least.")] = "192x256",
    layout: Annotated[
        Layout, typer.Option(help="One JSON with masks, or CSV tables with cut-outs, one object a picture.")
    ] = "coco",
) -> None:
    """Draw annotated pictures with exact masks.

    The same seed gives the same pictures; a run that was cut off goes on when
    it is repeated.
    """
    from maskrcnn.cli.data.drawing import run_synth

    run_synth(kind, out, count, seed, size, layout)

"""`maskrcnn data sample`: its options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from maskrcnn.cli.data.options import ClassMap, Data, FormatName, Out, Pictures, Seed

EPILOG = """[bold]Examples[/]

  maskrcnn data sample photos some --count 100
  maskrcnn data sample coco few --count 200 --by stratified --pictures copy

[bold]What comes out[/]

  OUT/annotations.json   a COCO set; the pictures stay where they are, unless
                         --pictures says otherwise
  OUT/.made.json         what it was made of

In Python: maskrcnn.data.splits.sample
"""


def sample(
    data: Data,
    out: Out,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Pictures.")],
    by: Annotated[
        Literal["random", "stratified"], typer.Option(help="Stratified: every class is there, as far as N goes.")
    ] = "random",
    seed: Seed = 0,
    pictures: Pictures = "keep",
    format_: FormatName = None,
    classes: ClassMap = None,
) -> None:
    """Take some pictures of a set.

    The same seed gives the same pictures.
    """
    from maskrcnn.cli.data.parting import run_sample
    from maskrcnn.cli.opening import Wanted

    run_sample(data, out, count, by, seed, pictures, Wanted(format_, classes))

"""`maskrcnn data split`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from maskrcnn.cli.data.options import ClassMap, Data, FormatName, Out, Pictures, Seed

EPILOG = """[bold]Examples[/]

  maskrcnn data split photos parts --val 0.2
  maskrcnn data split photos parts --val 0.15 --test 0.15 --by stratified
  maskrcnn data split bowl parts --by 'spacecraft_id*background_id'
  maskrcnn train parts/train --val parts/val --out run

[bold]Ways of --by[/]

  random             pictures are drawn
  stratified         each part gets its share of every class, rare ones first
  region             by blocks of the map, from the columns x and y
  a column           no value of it in two parts; several by commas: pictures
                     that share a value of any of them stay together
  column*column      each parted by itself; pictures between are left out

[bold]What comes out[/]

  OUT/train, val, test   a COCO set each; the pictures stay where they are,
                         unless --pictures says otherwise
  OUT/.made.json         what it was made of

In Python: maskrcnn.data.splits.split
"""


def split(
    data: Data,
    out: Out,
    val: Annotated[float, typer.Option(metavar="SHARE", min=0, max=1, help="Of the pictures, for validation.")] = 0.2,
    test: Annotated[float, typer.Option(metavar="SHARE", min=0, max=1, help="Of the pictures, for a test.")] = 0,
    by: Annotated[
        str, typer.Option(metavar="WAY", help="random, stratified, region or columns; see below.")
    ] = "random",
    seed: Seed = 0,
    pictures: Pictures = "keep",
    format_: FormatName = None,
    classes: ClassMap = None,
) -> None:
    """Part a set for training, validation and test.

    No picture comes into two parts. The same seed gives the same parts.
    """
    from maskrcnn.cli.data.parting import run_split
    from maskrcnn.cli.opening import Wanted

    run_split(data, out, {"val": val, "test": test}, by, seed, pictures, Wanted(format_, classes))

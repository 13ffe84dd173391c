"""`maskrcnn data merge`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.data.options import ClassMap, FormatName, Pictures

EPILOG = """[bold]Examples[/]

  maskrcnn data merge balloons kites --out both
  maskrcnn data merge a b c --out all --classes 'vehicle=car,Truck;person'
  maskrcnn data merge balloons --classes 'balloon=object' --out named

[bold]What comes out, in the folder of --out[/]

  annotations.json   a COCO set; classes are joined by name, and each picture
                     says which of them were looked for in it (labelled)
  images/            the pictures, with --pictures link or copy
  .made.json         what it was made of

In Python: maskrcnn.data.joining.join
"""


def merge(
    data_: Annotated[
        list[Path], typer.Argument(metavar="DATA", show_default=False, help="Annotated pictures, several times.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder.")],
    pictures: Pictures = "keep",
    format_: FormatName = None,
    classes: ClassMap = None,
) -> None:
    """Join sets by the names of their classes.

    The sets may have different classes: what was not looked for in a picture
    is not learnt as background there.
    """
    from maskrcnn.cli.data.parting import run_merge
    from maskrcnn.cli.opening import Wanted

    run_merge(data_, out, pictures, Wanted(format_, classes))

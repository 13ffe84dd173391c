"""Options that every command that opens data has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Data = Annotated[
    Path, typer.Argument(metavar="DATA", show_default=False, help="Annotated pictures: a folder or an annotation file.")
]
Out = Annotated[Path, typer.Argument(metavar="OUT", show_default=False, help="A new folder.")]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="NAME", help="Kind of annotation, where it is not to be recognised: coco, via ..."
    ),
]
ClassMap = Annotated[
    str | None,
    typer.Option(
        "--classes",
        metavar="MAP",
        help="Merge, rename or drop classes: 'vehicle=car,truck;person'. What is not named is dropped.",
    ),
]
Pictures = Annotated[
    Literal["keep", "link", "copy"],
    typer.Option(help="Leave the pictures where they are, link to them, or copy them into the new folder."),
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Everything random follows from it.")]

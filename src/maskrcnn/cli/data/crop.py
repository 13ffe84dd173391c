"""`maskrcnn data crop`: its options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from maskrcnn.cli.data.options import ClassMap, Data, FormatName, Out

# the same choices as in `maskrcnn.data.tiles`, which takes longer to import than the help takes to be read
Empty = Literal["keep", "drop"]

EPILOG = """[bold]Examples[/]

  maskrcnn data crop field field-tiles --size 512x512 --overlap 64
  maskrcnn data crop city/buildings.gpkg tiles --size 1024x1024 --empty drop
  maskrcnn data crop photos/train tiles --overlap 0 --min-share 0.3

[bold]What comes out[/]

  OUT/annotations.json     COCO with exact masks; the columns of a picture say
                           which one it was cut from
  OUT/images/              NAME_y00448_x00000.png: where the tile begins; .tif
                           where PNG can't hold it, and for a GeoTIFF, whose
                           tiles know where they lie

In Python: maskrcnn.data.tiles.write_tiles
"""


def crop(
    data: Data,
    out: Out,
    size: Annotated[str, typer.Option(metavar="HxW", help="Height x width of a tile in pixels.")] = "512x512",
    overlap: Annotated[
        int, typer.Option(metavar="N", min=0, help="Pixels that neighbours share; best a usual object's.")
    ] = 64,
    min_share: Annotated[
        float,
        typer.Option(metavar="P", min=0, max=1, help="An object of which less is in a tile is ignored there."),
    ] = 0.1,
    empty: Annotated[Empty, typer.Option(help="Tiles without an object.")] = "keep",
    format_: FormatName = None,
    classes: ClassMap = None,
) -> None:
    """Cut large pictures into tiles, with their objects.

    The last tile of a row ends at the border, so all are of one size. A large
    GeoTIFF is read by the window. A run that was cut off goes on when it is
    repeated.
    """
    from maskrcnn.cli.data.cropping import run_crop
    from maskrcnn.cli.opening import Wanted

    run_crop(data, out, size, Wanted(format_, classes), overlap=overlap, min_share=min_share, empty=empty)

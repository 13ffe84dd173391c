"""`maskrcnn data doctor`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from maskrcnn.cli.data.options import FormatName

# the same choices as in `maskrcnn.doctor.looking`, which takes longer to import than the help takes to be read
Depth = Literal["pixels", "headers", "records"]

EPILOG = """[bold]Examples[/]

  maskrcnn data doctor photos/train
  maskrcnn data doctor photos/train photos/val
  maskrcnn data doctor photos/train --fix mended
  maskrcnn data doctor train.json val.json --deleak val-clean
  maskrcnn data doctor big.json --depth records --json > findings.jsonl
  maskrcnn data doctor photos --ignore G209,pictures-without-objects

[bold]What comes out[/]

  stdout         a table of what was found, grouped by its code
  --json         instead of it a JSON object a finding: code, severity,
                 file, picture, annotation, detail, effect, mend
  exit status    0, or 1 where there are errors: what would stop training

docs/findings.md lists every code with its meaning and what to do.

In Python: maskrcnn.doctor.examine, mend and deleak
"""

CODES = "CODES"


def doctor(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA", show_default=False, help="A folder or annotation file, and others to compare it with."
        ),
    ],
    depth: Annotated[
        Depth, typer.Option(help="How far pictures are looked at: decoded, sizes and EXIF only, or not at all.")
    ] = "pixels",
    json_: Annotated[bool, typer.Option("--json", metavar="", help="Print a JSON object a finding.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write everything as one JSON file.")] = None,
    fix: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a mended copy of DATA, as COCO, into a new folder.")
    ] = None,
    deleak: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write OTHER without the pictures that DATA has too.")
    ] = None,
    only: Annotated[
        str, typer.Option(metavar=CODES, show_default=False, help="Report these alone: P101,tiny-object.")
    ] = "",
    ignore: Annotated[str, typer.Option(metavar=CODES, show_default=False, help="Do not report or mend these.")] = "",
    format_: FormatName = None,
) -> int:
    """Look for what is wrong with annotated pictures.

    Each finding says what is wrong, where, what it will do to training, and
    whether --fix can mend it in a copy. The originals are never changed.
    With OTHER, pictures that stand in both sets are found too, also when
    they were resized or stored anew: what is measured on them is too good.
    """
    from maskrcnn.cli.data.visiting import Wishes, run_doctor

    return run_doctor(data, Wishes(depth, json_, out, fix, deleak, only, ignore, format_))

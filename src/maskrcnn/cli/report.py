"""`maskrcnn report`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.data.options import ClassMap, FormatName
from maskrcnn.cli.options import Batch, Device, Open, Workers

EPILOG = """[bold]Examples[/]

  maskrcnn report run --open
  maskrcnn report run --data photos/test --out look --pictures 500
  maskrcnn report run1 run2 run3 --out compared

[bold]What comes out, in the folder of --out[/]

  report.html  one page that needs nothing else: scores, curves, errors,
               pictures with truth beside prediction, missed and false
  figures/     its curves as SVG, its pictures as PNG

In Python: maskrcnn.reporting.report
"""


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", show_default=False, help="Folders of trainings.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to; 'report' in the run's folder unless several are named."),
    ] = None,
    data_: Annotated[
        Path | None,
        typer.Option("--data", metavar="DATA", help="Annotated pictures; by default the run's validation data."),
    ] = None,
    open_: Open = False,
    pictures: Annotated[int, typer.Option(metavar="N", min=0, help="Pictures to show at most.")] = 100,
    score: Annotated[
        float | None,
        typer.Option(metavar="P", min=0, max=1, help="Show detections from this probability on; 0.5 unless given."),
    ] = None,
    format_: FormatName = None,
    classes: ClassMap = None,
    device: Device = None,
    batch: Batch = 1,
    workers: Workers = 0,
) -> None:
    """Show what came of a training, or of several side by side, on one page.

    What a model finds on the data is kept beside its run, so that the next
    report is there in seconds.
    """
    from maskrcnn.cli.opening import Wanted
    from maskrcnn.cli.reporting import run_report
    from maskrcnn.cli.running import Running

    running = Running(device)
    run_report(runs, out, data_, open_, pictures, score, Wanted(format_, classes), running, batch, workers)

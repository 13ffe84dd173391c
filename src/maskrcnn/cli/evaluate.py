"""`maskrcnn evaluate`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from maskrcnn.cli.data.options import ClassMap, FormatName
from maskrcnn.cli.options import (
    BackendName,
    Batch,
    Device,
    ModelAndData,
    OutFolder,
    PrecisionName,
    Results,
    Threads,
    Workers,
)

EPILOG = """[bold]Examples[/]

  maskrcnn evaluate run/model.safetensors photos/val --out scores
  maskrcnn evaluate --results results.json photos/val
  maskrcnn evaluate model photos/val --measures coco,boundary,sizes:16:64
  maskrcnn evaluate new photos/val --against old --bootstrap 1000

[bold]Measures[/]

  coco boundary lvis voc kitti dsb pose mapping sizes tide proposals
  figures may follow a name: mapping:0.75  sizes:16:64:256  dsb:0.3

[bold]What comes out[/]

  stdout                        a table of AP and AR, one of AP per class
  --out DIR: metrics.json       the same numbers, per class below
             predictions.json   what the model found, as COCO results

In Python: maskrcnn.evaluate
"""


def evaluate(
    paths: ModelAndData,
    out: OutFolder = None,
    results: Results = None,
    measures: Annotated[
        str, typer.Option(metavar="NAMES", help="What to measure, with commas between; the names are below.")
    ] = "coco",
    detections: Annotated[
        str, typer.Option(metavar="N,N", help="Detections a picture and class that are looked at, for the recall.")
    ] = "1,10,100",
    bootstrap: Annotated[
        int, typer.Option(metavar="N", min=0, help="Draw the pictures N times, for 95 % intervals; 1000 is usual.")
    ] = 0,
    against: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Compare with this model, or these results, a .json file.")
    ] = None,
    format_: FormatName = None,
    classes: ClassMap = None,
    device: Device = None,
    backend: BackendName = None,
    precision: PrecisionName = None,
    threads: Threads = None,
    batch: Batch = 1,
    workers: Workers = 0,
) -> None:
    """Measure AP and AR of boxes and masks as COCO does, or other measures.

    Every number is shown with its IoU range, area and limit of detections.
    Classes of model and data are matched by name.
    """
    from maskrcnn.cli.evaluating import Asked, run_evaluation, run_evaluation_of_results
    from maskrcnn.cli.opening import Wanted
    from maskrcnn.cli.running import Running

    wanted, asked = Wanted(format_, classes), Asked(measures, detections, bootstrap, against)
    running = Running(device, backend, precision, threads)
    if results is not None:
        run_evaluation_of_results(paths, results, out, running, wanted, asked)
    else:
        run_evaluation(paths, out, running, batch, workers, wanted, asked)

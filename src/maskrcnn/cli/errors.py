"""`maskrcnn errors`: its options."""

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

  maskrcnn errors run/model.safetensors photos/val --out scores
  maskrcnn errors run/model.safetensors photos/val --store
  maskrcnn errors --results results.json photos/val

[bold]What comes out[/]

  stdout                        tables: classes of errors and the AP each
                                costs, confusion, calibration, thresholds
  --out DIR: errors.json        the same as JSON
             predictions.json   what the model found, as COCO results

docs/errors.md says what each number means.

In Python: maskrcnn.evaluation.analyse, analyse_results
"""


def errors(
    paths: ModelAndData,
    out: OutFolder = None,
    results: Results = None,
    store: Annotated[
        bool,
        typer.Option(
            "--store", metavar="", help="Write the best thresholds into MODEL, which predict and load use then."
        ),
    ] = False,
    score: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            min=0,
            max=1,
            help="Confusion counts objects from this probability on; by default the model file's thresholds, or 0.5.",
        ),
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
    """Say what a model gets wrong, and what it costs.

    Every wrong detection and missed object is put into one of six classes, as
    TIDE does. Also which class is taken for which, what probabilities are
    worth, and the best threshold of each class.
    """
    from maskrcnn.cli.opening import Wanted
    from maskrcnn.cli.running import Running
    from maskrcnn.cli.wrong import explain_model, explain_results

    wanted = Wanted(format_, classes)
    if results is not None:
        explain_results(paths, results, out, wanted, score, store)
    else:
        running = Running(device, backend, precision, threads)
        explain_model(paths, out, wanted, score, store, running, batch, workers)

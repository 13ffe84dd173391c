"""`maskrcnn predict`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from maskrcnn.cli.options import BackendName, Batch, Device, PrecisionName, Threads, Workers

StyleName = Literal["overlay", "splash", "cutout", "contours", "blur"]

EPILOG = """[bold]Examples[/]

  maskrcnn predict run/model.safetensors photo.jpg --out found
  maskrcnn predict run/model.safetensors photos '2024/**/*.tif' --out found
  maskrcnn predict run/model.safetensors photos --out found --json > f.jsonl
  maskrcnn predict run/model.safetensors photos --out found --style splash

[bold]What comes out[/]

  stdout                       a line an object: file, class, probability,
                               box x1 y1 x2 y2, with tabs between them
  --out DIR: overlays/         each picture with its masks, boxes and names
             predictions.json  COCO results in pixels of the input pictures
             pictures.json     which picture and class each id there means

In Python: maskrcnn.load(model).predict(picture)
"""


def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model file such as run/model.safetensors, a URL or a name.")
    ],
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURES", help="Files, folders and globs.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for what comes out.")],
    json_lines: Annotated[
        bool, typer.Option("--json", metavar="", help="JSON lines with masks (RLE) on stdout.")
    ] = False,
    score: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            min=0,
            max=1,
            help="Leave out objects below this probability; by default 0.5 in lines and overlays.",
        ),
    ] = None,
    style: Annotated[
        StyleName,
        typer.Option(
            help="How the pictures in overlays/ show the objects: masks over the picture; all else grey, transparent "
            "or out of focus; or outlines alone."
        ),
    ] = "overlay",
    device: Device = None,
    backend: BackendName = None,
    precision: PrecisionName = None,
    threads: Threads = None,
    batch: Batch = 1,
    workers: Workers = 0,
) -> None:
    """Find the objects in pictures.

    As many pictures come out as went in: a broken one is named, the rest goes
    on, and the exit status is 1. Pictures are turned as their EXIF says first.
    """
    from maskrcnn.cli.predicting import json_line, run_prediction, word_line
    from maskrcnn.cli.running import Running

    write = json_line if json_lines else word_line
    running = Running(device, backend, precision, threads)
    raise typer.Exit(run_prediction(model, pictures, out, write, score, style, running, batch, workers))

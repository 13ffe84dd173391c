"""`maskrcnn export`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Target = Literal["onnx", "openvino", "torchscript", "pt2"]
Takes = Literal["network", "uint8", "float32"]

EPILOG = """[bold]Examples[/]

  maskrcnn export run/model.safetensors --to onnx --out model.onnx
  maskrcnn export run/model.safetensors --to onnx --takes uint8 \\
      --out model.onnx --pictures photos --data photos/val
  maskrcnn export run/model.safetensors --to openvino --out model.xml \\
      --int8 --calibrate photos/train --data photos/val

[bold]What comes out[/]

  --out FILE   the model; .onnx, .xml (with a .bin), .torchscript or .pt2
  FILE.json    how well it agrees: differences, AP, time, operators
  stdout       the same as a table

In Python: maskrcnn.export.export
"""


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model file, a URL or a name.")],
    to: Annotated[Target, typer.Option(help="The kind of file.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to.")],
    takes: Annotated[
        Takes,
        typer.Option(
            help="network: pictures resized and padded by the caller. uint8, float32: whole pictures of that type, "
            "which the file resizes."
        ),
    ] = "network",
    pictures: Annotated[
        list[str] | None,
        typer.Option(metavar="PICTURES", help="Compare on these; by default on drawn ones. May be repeated."),
    ] = None,
    data_: Annotated[
        Path | None, typer.Option("--data", metavar="DATA", help="Measure AP of model and file on these.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", metavar="", help="Compute in 8 bits; onnx and openvino.")] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(metavar="DATA", help="With --int8: pictures of the kind that the model will see."),
    ] = None,
) -> None:
    """Write a model as one file that runs without this package.

    The file is run beside the model, and the report says how far boxes,
    probabilities and masks differ. See docs/export.md for what is inside.
    """
    from maskrcnn.cli.exporting import check_calibration, run_export

    check_calibration(int8, calibrate)
    run_export(model, out, to, takes, pictures or (), data_, calibrate)

"""`maskrcnn demo`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """[bold]What comes out, in the folder of --out[/]

  report.html        pictures beside ground truth, losses, AP: open this one
  figures/           its curves, as SVG
  metrics.json       AP and AR on pictures that the model has never seen
  predictions.json   what it found on them, as COCO results
  run/               the training, with model.safetensors
  data/              the drawn pictures

In Python: maskrcnn.demo.demo
"""


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for everything.")] = Path("demo"),
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Pictures and weights follow from it.")] = 0,
) -> None:
    """Show the whole way on drawn spacecraft: draw, train, evaluate, report.

    Takes under five minutes on two CPU cores; nothing is downloaded.
    """
    import json

    from maskrcnn.cli.words import say
    from maskrcnn.demo import demo as run_demo

    report = run_demo(out, seed=seed, say=say)
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    say(
        f"held-out pictures: box AP@.50 {metrics['box/AP50']:.3f}, mask AP@.50 {metrics['mask/AP50']:.3f} "
        "(COCO, area all, 100 detections)"
    )
    say(f"open {report}")

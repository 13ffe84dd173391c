"""`maskrcnn train`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from maskrcnn.cli.data.options import ClassMap, FormatName
from maskrcnn.cli.options import MACHINE

# the same choices as in `maskrcnn.config`, which takes longer to import than the help takes to be read; held by a test
Preset = Literal["small", "full"]
Backbone = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext101_32x8d"]
Layers = Literal["heads", "5+", "4+", "3+", "all"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Accelerator = Literal["auto", "cpu", "gpu", "mps"]

MODEL, SCHEDULE, OPTIMISATION, SETTINGS = "Model", "Schedule", "Optimisation", "Any other setting"

EPILOG = """[bold]Examples[/]

  maskrcnn train photos/train --val photos/val --out run
  maskrcnn train photos.json --out run2 --weights run/model.safetensors \\
      --stages heads:5,all:20@0.1
  maskrcnn train photos --out run3 --preset full --set train.augment.turn=0.5
  maskrcnn train photos --out run4 --weights matterport/coco
  maskrcnn train coco more --out run5 --classes 'vehicle=car,truck;person'
  maskrcnn train photos/train --val photos/val --out run --resume

[bold]What comes out, in the folder of --out[/]

  model.safetensors  the best model so far, all that predicting needs
  settings.json      every setting, ready for --config
  run.json           fingerprint of the data, versions, seed, machine
  checkpoints/       the last state, for --resume, and the best
  logs/history.csv   losses of every step, AP of every validation
  tensorboard/       the same for TensorBoard, with pictures
  samples/           annotated beside predicted, as training goes on

In Python: maskrcnn.train
"""


def _pictures(text: str) -> int:
    """Read a number of pictures, or `auto`, which is 0."""
    if text == "auto":
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"expected a number from 1 up or auto, got {text!r}")
    return int(text)


def train(
    data_: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA",
            show_default=False,
            help="Annotated pictures: a folder or a file. Several are joined by class name.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The run's folder.")],
    val: Annotated[
        list[Path] | None,
        typer.Option(metavar="DATA", help="Pictures to measure AP on while training; may be repeated."),
    ] = None,
    format_: FormatName = None,
    classes: ClassMap = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE|URL",
            help="Start from this model or backbone, also of other projects; heads are matched by class name.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", metavar="", help="Go on with the run in --out where it stopped.")
    ] = False,
    preset: Annotated[
        Preset | None,
        typer.Option(help="ResNet-18 for a CPU or ResNet-50 for a GPU; as the machine is.", rich_help_panel=MODEL),
    ] = None,
    backbone: Annotated[
        Backbone | None,
        typer.Option(
            metavar="NAME",
            help="resnet18, resnet34, resnet50, resnet101, resnet152 or resnext101_32x8d.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    min_size: Annotated[
        int | None,
        typer.Option(metavar="PIXELS", min=1, help="Short edge that the network sees.", rich_help_panel=MODEL),
    ] = None,
    max_size: Annotated[
        int | None, typer.Option(metavar="PIXELS", min=1, help="Long edge at most.", rich_help_panel=MODEL)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Times that every picture is seen.", rich_help_panel=SCHEDULE)
    ] = None,
    train_layers: Annotated[
        Layers | None,
        typer.Option(
            help="What learns; 4+ is the backbone from its 4th stage on and the heads.", rich_help_panel=SCHEDULE
        ),
    ] = None,
    stages: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Instead of both: layers:epochs or layers:epochs@rate, by commas.",
            rich_help_panel=SCHEDULE,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Stop after so many validations without a better AP; 0 never.",
            rich_help_panel=SCHEDULE,
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            metavar="N|auto",
            parser=_pictures,
            help="Pictures a step and process; auto finds the most that fit into memory.",
            rich_help_panel=OPTIMISATION,
        ),
    ] = None,
    accumulate: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Batches whose gradients are added up.", rich_help_panel=OPTIMISATION),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", "--lr", metavar="RATE", help="At its highest.", rich_help_panel=OPTIMISATION),
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Of the arithmetic.", rich_help_panel=OPTIMISATION)
    ] = None,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", metavar="", help="Less memory, more time.", rich_help_panel=OPTIMISATION)
    ] = False,
    compile_: Annotated[
        bool,
        typer.Option("--compile", metavar="", help="Compile the step on a GPU.", rich_help_panel=OPTIMISATION),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Everything random follows from it.", rich_help_panel=OPTIMISATION),
    ] = None,
    accelerator: Annotated[Accelerator, typer.Option(help="Where to compute.", rich_help_panel=MACHINE)] = "auto",
    devices: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="GPUs (on a CPU: processes); under torchrun its number counts.",
            rich_help_panel=MACHINE,
        ),
    ] = 1,
    nodes: Annotated[int, typer.Option(metavar="N", min=1, help="Machines; likewise.", rich_help_panel=MACHINE)] = 1,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Processes that read pictures.", rich_help_panel=MACHINE)
    ] = None,
    logger: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Who is shown curves, weights and pictures: tensorboard, wandb, mlflow; by commas.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="JSON with model and train, as settings.json of a run.", rich_help_panel=SETTINGS
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="model.rpn.samples=128, say; may be repeated and wins over "
            "--config. An unknown name is answered with the known ones.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
) -> None:
    """Train a Mask R-CNN on your own annotated pictures.

    The kind of annotation (VIA, COCO) is recognised. Size, anchors and network
    are chosen from the data and the machine unless you say otherwise. A run
    can be killed at any moment and goes on with --resume.
    """
    from maskrcnn.cli.training import Flags, Named, run_training

    flags = Flags(
        epochs=epochs, batch=batch, accumulate=accumulate, learning_rate=learning_rate, min_size=min_size,
        max_size=max_size, backbone=backbone, train_layers=train_layers, stages=stages, patience=patience,
        precision=precision, checkpointing=checkpointing or None, compile=compile_ or None, seed=seed, workers=workers,
        logger=logger, config=config, settings=tuple(set_ or ()),
    )  # fmt: skip
    named = Named(tuple(data_), tuple(val or ()), format_, classes)
    run_training(named, out, weights, resume, preset, flags, accelerator, devices, nodes)

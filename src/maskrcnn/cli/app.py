"""The commands and their options.

References: each command mirrors a function of the package, named in its help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.version import __version__

app = typer.Typer(
    name="maskrcnn",
    help="Mask R-CNN, the toolkit: train on your own annotated pictures, see whether it is right, use it anywhere.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
data = typer.Typer(help="Make and look at data sets.", no_args_is_help=True)
app.add_typer(data, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None: ...


Device = Annotated[
    str | None, typer.Option(help="Where to compute: cpu, cuda, cuda:1, mps. By default a GPU where there is one.")
]
Workers = Annotated[int, typer.Option(min=0, help="Processes that read pictures; 0 reads in this one.")]
Batch = Annotated[int, typer.Option(min=1, help="Pictures read together; those of one size run together.")]


@app.command()
def train(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATA", help="Pictures with annotations: a folder or file in a known format.")
    ],
    out: Annotated[Path, typer.Option(help="The run's folder: model, checkpoints, logs, samples, settings.")],
    val: Annotated[Path | None, typer.Option(help="Pictures to measure AP on while training.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Start from this model file; heads are matched by class name.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out where it stopped.")] = False,
    preset: Annotated[
        str | None, typer.Option(help="small (ResNet-18, for a CPU) or full (ResNet-50). By default as the device is.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Times that every picture is seen.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Pictures a step and process.")] = None,
    accumulate: Annotated[int | None, typer.Option(min=1, help="Steps whose gradients are added up.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", "--lr", help="At its highest.")] = None,
    min_size: Annotated[int | None, typer.Option(min=1, help="Pixels of the short edge that the network sees.")] = None,
    max_size: Annotated[int | None, typer.Option(min=1, help="Pixels of the long edge at most.")] = None,
    backbone: Annotated[str | None, typer.Option(help="resnet18, 34, 50, 101, 152 or resnext101_32x8d.")] = None,
    train_layers: Annotated[str | None, typer.Option(help="What learns: heads, 5+, 4+, 3+ or all.")] = None,
    stages: Annotated[
        str | None,
        typer.Option(help="A staged schedule, layers:epochs[@rate]: heads:10,4+:20,all:10@0.1."),
    ] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, help="Stop after so many validations without a better AP; 0 never.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Everything random follows from it.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that read pictures.")] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, gpu or mps.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Devices (on a CPU: processes); torchrun's number counts.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines; torchrun's number counts.")] = 1,
    config: Annotated[
        Path | None, typer.Option(help='Settings as JSON: {"model": {...}, "train": {...}}, as settings.json of a run.')
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One setting: model.rpn.samples=128 or train.augment.turn=0.5.")
    ] = None,
) -> None:
    """Train a Mask R-CNN: `maskrcnn train photos/train --val photos/val --out run`.

    The kind of annotation (VIA, COCO) is recognised. Size, anchors and network are chosen from the data and the
    machine unless you say otherwise. A run can be killed at any moment and goes on with `--resume`.
    In Python: `maskrcnn.train`.
    """
    from maskrcnn.cli.training import Flags, run_training

    flags = Flags(
        epochs=epochs, batch=batch, accumulate=accumulate, learning_rate=learning_rate, min_size=min_size,
        max_size=max_size, backbone=backbone, train_layers=train_layers, stages=stages, patience=patience,
        precision=precision, seed=seed, workers=workers, config=config, settings=tuple(set_ or ()),
    )  # fmt: skip
    run_training(dataset, out, val, weights, resume, preset, flags, accelerator, devices, nodes)


@app.command()
def evaluate(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="[MODEL] DATA", help="A model file and annotated pictures; DATA alone with --results."),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for metrics.json and predictions.json.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Measure these COCO results, made elsewhere, instead of a model.")
    ] = None,
    device: Device = None,
    batch: Batch = 1,
    workers: Workers = 0,
) -> None:
    """Measure AP and AR as COCO does: `maskrcnn evaluate run/model.safetensors photos/val --out scores`.

    Every number is printed with its IoU range, area and limit of detections. In Python: `maskrcnn.evaluate`.
    """
    from maskrcnn.cli.jobs import run_evaluation, run_evaluation_of_results

    if results is not None:
        run_evaluation_of_results(paths, results, out)
    else:
        run_evaluation(paths, out, device, batch, workers)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file, such as run/model.safetensors.")],
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURES...", help="Files, folders and globs.")],
    out: Annotated[Path, typer.Option(help="Folder for overlays, predictions.json and pictures.json.")],
    json_lines: Annotated[bool, typer.Option("--json", help="Print JSON lines instead of words.")] = False,
    score: Annotated[float | None, typer.Option(min=0, max=1, help="Leave out objects below this probability.")] = None,
    device: Device = None,
    batch: Batch = 1,
    workers: Workers = 0,
) -> None:
    """Find objects in pictures: `maskrcnn predict run/model.safetensors photos/*.jpg --out found`.

    A line an object goes to stdout; overlays and COCO results, in the pixels of the input, to the folder. A broken
    picture is named, the rest goes on, and the exit status is 1. In Python: `maskrcnn.load(path).predict(picture)`.
    """
    from maskrcnn.cli.jobs import run_prediction

    raise typer.Exit(run_prediction(model, pictures, out, json_lines, score, device, batch, workers))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="A new folder for everything.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Pictures and weights follow from it.")] = 0,
) -> None:
    """Show the whole way on drawn spacecraft: draw, train, evaluate, predict, `report.html`.

    Takes about five minutes on two CPU cores; nothing is downloaded.
    """
    from maskrcnn.cli.jobs import run_demo

    run_demo(out, seed)


@data.command()
def synth(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="spacecraft or shapes.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    count: Annotated[int, typer.Option(min=1, help="Pictures.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The pictures follow from it.")] = 0,
    size: Annotated[str, typer.Option(help="Height x width, such as 192x256.")] = "192x256",
    layout: Annotated[str, typer.Option(help="coco, or pose-bowl (CSV tables, cut-outs with alpha).")] = "coco",
) -> None:
    """Draw annotated pictures: `maskrcnn data synth spacecraft OUT --count 400`.

    Masks are exact. The same seed gives the same pictures; a run that was cut off goes on.
    In Python: `maskrcnn.data.synth.synthesise`.
    """
    from maskrcnn.cli.drawing import run_synth

    run_synth(kind, out, count, seed, size, layout)

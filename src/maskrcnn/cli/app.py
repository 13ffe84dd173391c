"""The commands and their options.

References: each command mirrors a function of the package, named in its help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from maskrcnn.cli.data import data
from maskrcnn.cli.data.options import ClassMap, FormatName
from maskrcnn.cli.errors import EPILOG as ERRORS_EPILOG
from maskrcnn.cli.errors import errors
from maskrcnn.cli.inspect import EPILOG as INSPECTING
from maskrcnn.cli.inspect import inspect
from maskrcnn.cli.report import EPILOG as REPORT_EPILOG
from maskrcnn.cli.report import report
from maskrcnn.cli.weights_group import weights
from maskrcnn.version import __version__

# the same choices as in `maskrcnn.config`, which takes longer to import than the help takes to be read; held by a test
Preset = Literal["small", "full"]
Backbone = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext101_32x8d"]
Layers = Literal["heads", "5+", "4+", "3+", "all"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Accelerator = Literal["auto", "cpu", "gpu", "mps"]
Arithmetic = Literal["auto", "fp32", "bf16", "fp16", "int8"]
Target = Literal["onnx", "openvino", "torchscript", "pt2"]
Takes = Literal["network", "uint8", "float32"]
StyleName = Literal["overlay", "splash", "cutout", "contours", "blur"]

MODEL, SCHEDULE, OPTIMISATION, MACHINE, SETTINGS = "Model", "Schedule", "Optimisation", "Machine", "Any other setting"

app = typer.Typer(
    name="maskrcnn",
    help="Mask R-CNN, the toolkit: train on your own annotated pictures, see whether it is right, use it anywhere.",
    epilog="""[bold]From pictures to masks[/]

  maskrcnn train photos/train --val photos/val --out run
  maskrcnn evaluate run/model.safetensors photos/val --out scores
  maskrcnn predict run/model.safetensors new/*.jpg --out found

No pictures yet?  [bold]maskrcnn demo[/]  shows all of it in minutes.
Data goes to stdout, words to stderr; the exit status is 0 when all is well,
1 when some pictures were broken, 2 when something was wrong with the command.
""",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", metavar="", help="Show the traceback of an error; may stand anywhere.")
    ] = False,
) -> None: ...


Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="cpu, cuda, cuda:1 or mps; the GPU where there is one.", rich_help_panel=MACHINE),
]
Workers = Annotated[
    int,
    typer.Option(
        metavar="N", min=0, help="Processes that read pictures; 0 reads in this one.", rich_help_panel=MACHINE
    ),
]
Batch = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, help="Pictures read together; those of one size run together.", rich_help_panel=MACHINE
    ),
]
BackendName = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME",
        help="What runs the network: torch, compile, onnx or openvino; auto takes the fastest that is here.",
        rich_help_panel=MACHINE,
    ),
]
PrecisionName = Annotated[
    Arithmetic | None,
    typer.Option(
        "--precision",
        help="Of the arithmetic; fp32 unless given, auto for what the device gains by.",
        rich_help_panel=MACHINE,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Threads of a CPU; one a core unless given.", rich_help_panel=MACHINE),
]


def _pictures(text: str) -> int:
    """Read a number of pictures, or `auto`, which is 0."""
    if text == "auto":
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"expected a number from 1 up or auto, got {text!r}")
    return int(text)


@app.command(
    epilog="""[bold]Examples[/]

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
)
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


@app.command(
    epilog="""[bold]Examples[/]

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
)
def evaluate(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] DATA",
            help="A model (file, URL or name) and annotated pictures; with --results the pictures alone.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for what comes out.")] = None,
    results: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Measure these COCO results, made elsewhere, not a model.")
    ] = None,
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
    from maskrcnn.cli.jobs import Asked, run_evaluation, run_evaluation_of_results
    from maskrcnn.cli.opening import Wanted
    from maskrcnn.cli.running import Running

    wanted, asked = Wanted(format_, classes), Asked(measures, detections, bootstrap, against)
    running = Running(device, backend, precision, threads)
    if results is not None:
        run_evaluation_of_results(paths, results, out, running, wanted, asked)
    else:
        run_evaluation(paths, out, running, batch, workers, wanted, asked)


@app.command(
    epilog="""[bold]Examples[/]

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
)
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
    from maskrcnn.cli.jobs import json_line, run_prediction, word_line
    from maskrcnn.cli.running import Running

    write = json_line if json_lines else word_line
    running = Running(device, backend, precision, threads)
    raise typer.Exit(run_prediction(model, pictures, out, write, score, style, running, batch, workers))


@app.command(
    epilog="""[bold]Examples[/]

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
)
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
    from maskrcnn.cli.export import check_calibration, run_export

    check_calibration(int8, calibrate)
    run_export(model, out, to, takes, pictures or (), data_, calibrate)


@app.command(
    epilog="""[bold]What comes out, in the folder of --out[/]

  report.html        pictures beside ground truth, losses, AP: open this one
  figures/           its curves, as SVG
  metrics.json       AP and AR on pictures that the model has never seen
  predictions.json   what it found on them, as COCO results
  run/               the training, with model.safetensors
  data/              the drawn pictures

In Python: maskrcnn.demo.demo
"""
)
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for everything.")] = Path("demo"),
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Pictures and weights follow from it.")] = 0,
) -> None:
    """Show the whole way on drawn spacecraft: draw, train, evaluate, report.

    Takes under five minutes on two CPU cores; nothing is downloaded.
    """
    from maskrcnn.cli.jobs import run_demo

    run_demo(out, seed)


app.command(epilog=REPORT_EPILOG)(report)
app.command(epilog=ERRORS_EPILOG)(errors)
app.command(epilog=INSPECTING)(inspect)
app.add_typer(data, name="data")
app.add_typer(weights, name="weights")

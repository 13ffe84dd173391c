"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

# the same choices as in `maskrcnn.config`, which takes longer to import than the help takes to be read; held by a test
Arithmetic = Literal["auto", "fp32", "bf16", "fp16", "int8"]

MACHINE = "Machine"

ModelAndData = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL] DATA",
        help="A model (file, URL or name) and annotated pictures; with --results the pictures alone.",
    ),
]
Results = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Judge these COCO results, made elsewhere, not what a model finds."),
]
OutFolder = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for what comes out.")]
Open = Annotated[bool, typer.Option("--open", metavar="", help="Open the page in the browser.")]
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

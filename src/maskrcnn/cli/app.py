"""The commands; the options of each are in a file of its name.

References: each command mirrors a function of the package, named in its help.
"""

from __future__ import annotations

from types import ModuleType
from typing import Annotated

import typer

from maskrcnn.cli import demo, errors, evaluate, export, inspect, predict, report, train
from maskrcnn.cli.data import data
from maskrcnn.cli.weights_group import weights
from maskrcnn.version import __version__

_COMMANDS: tuple[ModuleType, ...] = (train, evaluate, predict, errors, inspect, report, export, demo)

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


for _module in _COMMANDS:
    _name = _module.__name__.rpartition(".")[2]
    app.command(_name, epilog=_module.EPILOG)(getattr(_module, _name))
app.add_typer(data, name="data")
app.add_typer(weights, name="weights")

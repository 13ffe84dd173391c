"""`maskrcnn data`: one module a command, with its options; the work is imported when a command runs."""

from __future__ import annotations

import typer

from maskrcnn.cli.data import compose, merge, sample, split, synth
from maskrcnn.cli.data import show, synth

data = typer.Typer(help="Make and look at data sets.", no_args_is_help=True)
from maskrcnn.cli.data import convert, synth

data = typer.Typer(help="Make and convert data sets.", no_args_is_help=True)

data.command(epilog=convert.EPILOG)(convert.convert)
data.command(epilog=synth.EPILOG)(synth.synth)
data.command(epilog=compose.EPILOG)(compose.compose)
data.command(epilog=split.EPILOG)(split.split)
data.command(epilog=merge.EPILOG)(merge.merge)
data.command(epilog=sample.EPILOG)(sample.sample)
data.command(epilog=show.EPILOG)(show.show)

"""`maskrcnn data`: one module a command, with its options; the work is imported when a command runs."""

from __future__ import annotations

import typer

from maskrcnn.cli.data import compose, convert, crop, doctor, merge, sample, show, split, synth

data = typer.Typer(help="Look at, check, convert, split, join and make data sets.", no_args_is_help=True)

data.command(epilog=show.EPILOG)(show.show)
data.command(epilog=doctor.EPILOG)(doctor.doctor)
data.command(epilog=convert.EPILOG)(convert.convert)
data.command(epilog=split.EPILOG)(split.split)
data.command(epilog=merge.EPILOG)(merge.merge)
data.command(epilog=sample.EPILOG)(sample.sample)
data.command(epilog=crop.EPILOG)(crop.crop)
data.command(epilog=compose.EPILOG)(compose.compose)
data.command(epilog=synth.EPILOG)(synth.synth)

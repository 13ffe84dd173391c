"""`maskrcnn data`: one module a command, with its options; the work is imported when a command runs."""

from __future__ import annotations

import typer

from maskrcnn.cli.data import doctor, synth

data = typer.Typer(help="Make data sets, and look for what is wrong with them.", no_args_is_help=True)

data.command(epilog=synth.EPILOG)(synth.synth)
data.command(epilog=doctor.EPILOG)(doctor.doctor)

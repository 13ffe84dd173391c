"""The command line: arguments in, words out; torch is imported only inside a command that needs it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from typer import TyperException

from maskrcnn.cli.app import app
from maskrcnn.errors import DataError, MaskRCNNError

DEBUG = "--debug"
MISTAKE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; a user's mistake is one sentence on stderr, its traceback comes with `--debug`.

    Args:
        arguments: What follows the program's name; by default what it was called with.

    Returns:
        The exit status: 0, 1 where some pictures were broken, 2 for a mistake, 130 when interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in given
    try:
        status = app([each for each in given if each != DEBUG], prog_name="maskrcnn", standalone_mode=False) or 0
        sys.stdout.flush()
    except (MaskRCNNError, OSError, TyperException) as error:
        if debug:
            traceback.print_exception(error)
        else:
            _say(f"{_label(error, sentence)}: {sentence}" if (sentence := _sentence(error)) else "")
        return MISTAKE
    if status == INTERRUPTED:
        _say("interrupted")
    return int(status)


def _say(line: str) -> None:
    if line:
        print(line, file=sys.stderr)  # noqa: T201 - the one place that speaks for every command


def _label(error: Exception, sentence: str) -> str:
    """Return what stands before a sentence: of data that is wrong the code too, which the findings explain."""
    return f"error[{error.code}]" if isinstance(error, DataError) and error.code not in sentence else "error"


def _sentence(error: Exception) -> str:
    """Say in one line what was wrong; nothing where the help was shown instead."""
    if isinstance(error, TyperException):
        return _usage(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split("\n"))


def _usage(error: TyperException) -> str:
    # pydantic, which checks values for typer, names the kind of its own error
    message = error.format_message().replace("Value error, ", "").replace("\n\t", " ").replace("\n", " ")
    context = getattr(error, "ctx", None)
    if not message or context is None:
        return message
    stop = "" if message.endswith(("?", ".")) else "."
    return f"{message[0].lower()}{message[1:]}{stop} See {context.command_path} --help"


__all__ = ["app", "main"]

"""The command line: arguments in, words out; torch is imported only inside a command that needs it."""

from __future__ import annotations

import sys

from maskrcnn.cli.app import app
from maskrcnn.errors import MaskRCNNError


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit status 2."""
    try:
        app()
    except MaskRCNNError as error:
        if "--debug" in sys.argv:
            raise
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the one place that speaks for every command
        sys.exit(2)


__all__ = ["app", "main"]

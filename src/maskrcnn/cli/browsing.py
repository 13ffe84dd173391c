"""Pages opened for the one who asked for them."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from maskrcnn.cli.words import say


def browse(page: Path) -> None:
    """Open a page in the browser, or say that there is none."""
    if not webbrowser.open(page.absolute().as_uri()):
        say("note: no browser was found; open the page yourself")

"""Words for people, on stderr; data goes to stdout.

Names of files and classes may have brackets and colons, which rich would take for styles and pictures: here nothing is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

console = Console(stderr=True, highlight=False, markup=False, emoji=False)


def say(line: str) -> None:
    """Print a line as it is."""
    console.print(line, soft_wrap=True)


def show(*tables: Table | str, width: int = 120) -> None:
    """Print tables on stdout with their texts as they are, as wide as they want where nobody's terminal limits them."""
    wide = None if sys.stdout.isatty() else width
    Console(file=sys.stdout, width=wide, highlight=False, markup=False, emoji=False).print(*tables, sep="\n")


def give(lines: Iterable[str]) -> None:
    """Print data on stdout; once nobody reads it any more, as after `| head`, the job goes on without."""
    try:
        for line in lines:
            print(line)  # noqa: T201 - the command's data
        sys.stdout.flush()
    except BrokenPipeError:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def count_of(number: int, noun: str) -> str:
    """Say how many.

    >>> count_of(1, "picture"), count_of(2, "picture"), count_of(2, "class")
    ('1 picture', '2 pictures', '2 classes')
    """
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{plural}"


class Advance(Protocol):
    """Moves a progress bar: what is done, of how many."""

    def __call__(self, done: int, total: int) -> None:
        """Move it."""


@contextmanager
def progress(title: str, beside: TextIO | None = None) -> Iterator[Advance]:
    """Show a bar on a terminal while the block runs; nothing where there is none.

    Args:
        title: What is being done.
        beside: What the block prints data on; the bar gives way where that is a terminal too.
    """
    with progress_of_stages(title, beside) as advance:
        yield partial(advance, title)


@contextmanager
def progress_of_stages(title: str, beside: TextIO | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar whose title changes with what is being done; arguments as of `progress`."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not console.is_terminal or (beside is not None and beside.isatty())
    # redirected, what the block prints on stdout would come out on stderr
    with Progress(*columns, console=console, transient=True, disable=hidden, redirect_stdout=False) as bar:
        task = bar.add_task(title, total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)

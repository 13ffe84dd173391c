"""A set of pictures on disk: begun, gone on with after a break, finished; never a file that is there in part.

`synth.json`, or what the order calls it, says what the folder belongs to; `records.jsonl.partial` collects what
the tables will say, one line for each picture that is there; the tables come last.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from maskrcnn.data.synth.layouts import Layout, Ordered, Record
from maskrcnn.data.writing.folder import claim
from maskrcnn.data.writing.pictures import write_png
from maskrcnn.files import replacing, write_text, writing
from maskrcnn.machine import usable_cores

RECORDS_FILE = "records.jsonl.partial"
AT_ONCE = 64  # pictures that wait for the processes that draw
MOST_PROCESSES = 8
WORTH_A_PROCESS = 10  # pictures

Draw = Callable[[int], Any]


def write_set(
    out: Path, call: Ordered, layout: Layout, draw: Draw, progress: Callable[[int], None] | None, workers: int
) -> None:
    """Draw and write every picture that is not there yet, then the tables.

    Args:
        out: Folder of the set.
        call: What the set is made of.
        layout: Which files it has.
        draw: Draws a picture, counted from 0.
        progress: Is told how many pictures are there.
        workers: Processes that draw; this one at 0 or 1, one a core, at most 8, below.

    Raises:
        OutputError: The folder holds something else, or a file cannot be written.
    """
    progress = progress or _silent
    with writing(out):
        claim(out, call.values(), call.file)
        if all((out / table).is_file() for table in layout.tables):
            progress(call.count)
        else:
            _write_rest(out, call.count, layout, partial(_write_picture, out, layout, draw), progress, workers)
        (out / RECORDS_FILE).unlink(missing_ok=True)


def _write_rest(
    out: Path,
    count: int,
    layout: Layout,
    write: Callable[[int], Record],
    progress: Callable[[int], None],
    workers: int,
) -> None:
    records = _finished(out, layout)
    write_text(out / RECORDS_FILE, "".join(map(_line, records)))
    progress(len(records))
    with (out / RECORDS_FILE).open("a", encoding="utf-8") as log:
        for record in _in_order(write, range(len(records), count), workers):
            records.append(record)
            log.write(_line(record))
            log.flush()
            progress(len(records))
    for table, text in zip(layout.tables, layout.texts(records), strict=True):
        write_text(out / table, text)


def _silent(_done: int) -> None:
    """Tell nobody."""


def _write_picture(out: Path, layout: Layout, draw: Draw, index: int) -> Record:
    """Draw a picture, write its files, and return what the tables will say."""
    scene = draw(index)
    for path, pixels in zip(layout.pictures(index), layout.pixels(scene), strict=True):
        with replacing(out / path) as unfinished:
            write_png(unfinished, pixels)
    return layout.record(index, scene)


def _in_order(write: Callable[[int], Record], indices: range, workers: int) -> Iterator[Record]:
    """Write pictures here or in other processes, and give their records one after the other."""
    workers = min(MOST_PROCESSES, usable_cores()) if workers < 0 else workers
    if workers < 2 or len(indices) < WORTH_A_PROCESS * workers:
        yield from map(write, indices)
        return
    # an interrupt is this process's to deal with
    with ProcessPoolExecutor(workers, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)) as pool:
        for first in range(0, len(indices), AT_ONCE):
            yield from pool.map(write, indices[first : first + AT_ONCE])


def _finished(out: Path, layout: Layout) -> list[Record]:
    """Return the records of the pictures, from the first on, that an earlier call finished."""
    records: list[Record] = []
    for line in _lines(out / RECORDS_FILE):
        there = all((out / picture).is_file() for picture in layout.pictures(len(records)))
        try:
            record = json.loads(line)
        except ValueError:  # the line that was being written when the call broke off
            break
        if not there:
            break
        records.append(record)
    return records


def _lines(path: Path) -> Iterable[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else ()


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"

"""Damage valid sets of every format, over and over, and see how reading them ends.

    python tests/fuzz/fuzz_formats.py --inputs 200000            every format
    python tests/fuzz/fuzz_formats.py --inputs 1000 --only via   one of them, for a quick look

Whatever lies in a file, reading it ends well or in an error of `maskrcnn.errors`, within seconds and in little
memory. An input that ends otherwise is kept in `--keep`, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
from corpus import CORPUS
from mutations import mutation

from maskrcnn.data import open_dataset
from maskrcnn.errors import MaskRCNNError

SECONDS = 10  # of processor time, which other work on the machine does not lengthen
WAITING = 600  # seconds by the clock, for an input that waits instead of computing
MEGABYTES = 200
KEPT = 5  # inputs of a format that are kept


class Hang(BaseException):
    """An input took longer than `SECONDS`, or waited longer than `WAITING`."""


def _ring(*_: object) -> None:
    raise Hang(f"more than {SECONDS} seconds of processor time, or {WAITING} by the clock")


def _wind(computing: float, waiting: int) -> None:
    """Set both clocks; 0 stops them."""
    signal.setitimer(signal.ITIMER_PROF, computing)
    signal.alarm(waiting)


def read(place: Path, name: str, rng: random.Random) -> str:
    """Open a set as a user does, draw its objects, read a picture; say how it ended."""
    try:
        dataset = open_dataset(place, format=name if rng.random() < 0.98 else None)
        for i in range(min(len(dataset), 2)):
            dataset.instances(i)
        if rng.random() < 0.3:
            dataset[0]
            dataset.fingerprint()
    except MaskRCNNError:
        return "refused"
    return "read"


def tolerant(place: Path, name: str) -> str:
    """Open a set as the doctor does."""
    try:
        open_dataset(place, format=name, pictures="optional", fault=lambda _: None)
    except MaskRCNNError:
        return "refused"
    return "read"


def fuzz(job: tuple[str, int, int, Path]) -> dict[str, object]:
    """Read that many damaged sets of a format."""
    name, inputs, seed, keep = job
    for bell in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(bell, _ring)
    rng = random.Random(f"{name} {seed}")
    home = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    os.environ["MASKRCNN_CACHE"] = str(home / "cache")
    place, kind = CORPUS[name](home / "set"), name.split()[0]
    assert len(open_dataset(place, format=kind)) > 0
    assert open_dataset(place).format == kind
    files = [path for path in sorted((home / "set").rglob("*")) if path.is_file()]
    told = [path for path in files if path.suffix.lower() not in {".jpg", ".jpeg"}]
    content = {path: path.read_bytes() for path in files}
    ends: dict[str, int] = {"read": 0, "refused": 0, "escaped": 0}
    begin, first = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest = 0.0
    for number in range(inputs):
        path = rng.choice(told)
        damaged = mutation(path.name, rng)(content[path], rng)
        path.write_bytes(damaged)
        started = time.process_time()
        _wind(SECONDS, WAITING)
        try:
            end = tolerant(place, kind) if rng.random() < 0.3 else read(place, kind, rng)
        except (Exception, Hang) as error:
            end = "escaped"
            if ends["escaped"] < KEPT:
                _keep(keep, f"{name}-{seed}-{number}", home / "set", error)
        finally:
            _wind(0, 0)
        slowest = max(slowest, time.process_time() - started)
        ends[end] += 1
        if path.read_bytes() != content[path]:
            path.write_bytes(content[path])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first) / 1024
    shutil.rmtree(home, ignore_errors=True)
    return {"format": name, **ends, "slowest": slowest, "grown": grown, "seconds": time.process_time() - begin}


def _keep(keep: Path, name: str, folder: Path, error: BaseException) -> None:
    shutil.copytree(folder, keep / name, dirs_exist_ok=True)
    (keep / name / "traceback.txt").write_text("".join(traceback.format_exception(error)))


def main() -> int:
    """Fuzz every format and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--only", nargs="*", default=list(CORPUS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    options = parser.parse_args()
    np.seterr(all="warn")
    jobs = [(name, options.inputs, options.seed, options.keep) for name in options.only]
    failed = False
    print("| format | inputs | read | refused | escaped | slowest s | memory grown MB | s |")
    print("|---|---|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.jobs, maxtasksperchild=1) as pool:
        for result in pool.imap_unordered(fuzz, jobs, chunksize=1):
            failed |= bool(result["escaped"]) or result["grown"] > MEGABYTES
            print(
                f"| {result['format']} | {options.inputs:,} | {result['read']:,} | {result['refused']:,} | "
                f"{result['escaped']} | {result['slowest']:.2f} | {result['grown']:.0f} | {result['seconds']:.0f} |",
                flush=True,
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

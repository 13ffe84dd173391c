"""The half of a comparison that asks: starts the sides' interpreters, gives them jobs, and lets one work at a time.

```python
with Side("torchvision", python) as theirs, Side("ours") as ours:
    jobs = {name: side.make("nms", arrays, iou=0.7) for name, side in (("ours", ours), ("theirs", theirs))}
    same = np.array_equal(*(job.arrays()["kept"] for job in jobs.values()))
    seconds = {name: median(run.seconds for run in runs) for name, runs in take_turns(jobs, 5).items()}
```
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from maskrcnn.machine import usable_cores

SCRIPTS = {"ours": "our_side.py", "limit": "worker.py"}
PEERS = {"torchvision": "torchvision_side.py", "ultralytics": "ultralytics_side.py"}
PRODUCTS: dict[str, dict[str, Any]] = {
    "cpu": {"side": 2048},
    "cuda": {"side": 8192, "dtype": "bfloat16", "device": "cuda"},
}
MIB = 1 << 20
PAUSE = 0.1  # seconds between turns: threads of the other side stop waiting for work


class SideError(RuntimeError):
    """A side could not do what it was asked."""


class Run(NamedTuple):
    """One run of a job.

    Attributes:
        seconds: By the clock of its interpreter.
        highest: Bytes that the interpreter, or its accelerator, held at the highest meanwhile.
        before: Bytes that it held when the run began.
        base: Bytes that it held before any job; 0 of an accelerator.
    """

    seconds: float
    highest: int
    before: int
    base: int


class Side:
    """An interpreter that makes and runs jobs.

    Args:
        name: `ours`, `limit`, or one of `PEERS`.
        python: The interpreter; this one by default.
        threads: Threads of torch there.
        gibibytes: Address space that it may take; 0 for no limit.
    """

    def __init__(self, name: str, python: str | None = None, threads: int | None = None, gibibytes: float = 0) -> None:
        script = Path(__file__).with_name((SCRIPTS | PEERS)[name])
        count = str(threads or int(os.environ.get("OMP_NUM_THREADS", usable_cores())))
        chosen = {"OMP_NUM_THREADS": count, "BENCH_THREADS": count, "BENCH_GIBIBYTES": str(gibibytes)}
        self.name = name
        self.threads = int(count)
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        answers, given = os.pipe()
        self._process = subprocess.Popen(
            [python or sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=sys.stderr,  # what a library prints is no answer
            text=True,
            pass_fds=[given],
            env=os.environ | chosen | {"BENCH_ANSWERS": str(given)},
        )
        os.close(given)
        self._answers = os.fdopen(answers, encoding="utf-8")
        self._made = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the interpreter."""
        self._process.communicate()
        self._answers.close()
        self._folder.cleanup()

    def make(self, kind: str, arrays: Mapping[str, NDArray[Any]] | None = None, **options: Any) -> Job:
        """Make a job of a kind that the side's script knows, from arrays and options."""
        name, place = f"{kind}-{self._made}", None
        self._made += 1
        if arrays is not None:
            place = self.place(f"{name}-in.npz")
            np.savez(place, **arrays)
        self.ask("make", job=name, kind=kind, arrays=place, options=options)
        return Job(self, name)

    def place(self, name: str) -> str:
        """Name a file in the folder that goes when the side ends."""
        return str(Path(self._folder.name) / name)

    def versions(self) -> str:
        """Say what runs there."""
        found = self.ask("versions", packages=["torch", "torchvision", "ultralytics"])
        return ", ".join(f"{name} {version}" for name, version in found.items())

    def ask(self, do: str, **rest: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            SideError: The job failed, or the interpreter ended.
        """
        assert self._process.stdin is not None
        try:
            print(json.dumps({"do": do, **rest}), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise SideError(f"{self.name}: the interpreter ended") from None
        line = self._answers.readline()
        if not line:
            raise SideError(f"{self.name}: the interpreter ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SideError(f"{self.name}: {answer['error']}")
        return answer


class Job(NamedTuple):
    """A job of a side, ready to run."""

    side: Side
    name: str

    def run(self) -> Run:
        """Run it once against the clock of its own interpreter."""
        return Run(**self.side.ask("run", job=self.name))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Run it once and fetch what it gives."""
        path = self.side.place(f"{self.name}-out.npz")
        self.side.ask("save", job=self.name, path=path)
        with np.load(path) as file:
            return dict(file)

    def flops(self) -> int:
        """Count the multiplications and additions of products and convolutions, each as one."""
        return int(self.side.ask("flops", job=self.name)["flops"])

    def profile(self, rows: int = 12) -> list[list[str]]:
        """Return the operators that take longest: name, share, calls."""
        found = self.side.ask("profile", job=self.name, rows=rows)["rows"]
        return [[f"`{name}`", f"{share:.1%}", str(count)] for name, share, count in found]

    def drop(self) -> None:
        """Let its side forget it."""
        self.side.ask("drop", job=self.name)


class Contestant(NamedTuple):
    """Somebody who is measured: how the tables call it, its interpreter, and what it is told beside the task."""

    name: str
    side: Side
    options: Mapping[str, Any]


def take_turns(jobs: Mapping[str, Job], repetitions: int) -> dict[str, list[Run]]:
    """Run jobs in turn, once to warm up and then so many times."""
    runs: dict[str, list[Run]] = {name: [] for name in jobs}
    for turn in range(repetitions + 1):
        for name, job in jobs.items():
            time.sleep(PAUSE)
            run = job.run()
            if turn:
                runs[name].append(run)
    return runs


def median(runs: Sequence[Run]) -> float:
    """Return the median of the seconds."""
    return statistics.median(run.seconds for run in runs)


def added(runs: Sequence[Run]) -> int:
    """Return the bytes that a side's jobs added to its libraries, at the highest."""
    return max(run.highest - run.base for run in runs)


class Heat(NamedTuple):
    """Everybody's runs of one task, taken in turn with a product of two matrices.

    Attributes:
        runs: By contestant.
        most: FLOP a second of the product.
    """

    runs: Mapping[str, Sequence[Run]]
    most: float

    @classmethod
    def of(cls, jobs: Mapping[str, Job], limit: Job, repetitions: int) -> Self:
        """Run everybody and the product in turn."""
        runs = take_turns({"limit": limit, **jobs}, repetitions)
        return cls(runs, limit.flops() / median(runs.pop("limit")))

    def cells(self, name: str, flops: int, references: Sequence[str]) -> list[str]:
        """Write seconds, times the speed of each reference, GFLOP/s, the share of the limit, and added memory."""
        seconds = median(self.runs[name])
        times = [f"{median(self.runs[each]) / seconds:.2f}" for each in references if each in self.runs]
        speed = flops / seconds
        memory = f"{added(self.runs[name]) / MIB:.0f}"
        return [f"{seconds:.3f}", *times, f"{speed / 1e9:.0f}", f"{speed / self.most:.0%}", memory]


def heads(references: Sequence[str]) -> list[str]:
    """Name the columns of `Heat.cells`."""
    return ["seconds", *(f"times {name}" for name in references), "GFLOP/s", "of the limit", "added, MiB"]


# ---- the command line


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let a command take peers, as `--peer NAME --peer-python PATH`, a device and threads."""
    parser.add_argument("--peer", action="append", choices=PEERS, default=[], help="another project to compare with")
    parser.add_argument(
        "--peer-python", action="append", default=[], metavar="PATH", help="the interpreter that has it; one a peer"
    )
    parser.add_argument("--device", default="cpu", choices=PRODUCTS)
    parser.add_argument("--threads", type=int, default=None, help="threads of every side; by default every core")


def peers_of(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> dict[str, str]:
    """Return the interpreter of each peer."""
    if len(parsed.peer) != len(parsed.peer_python):
        parser.error(f"--peer-python: expected one a --peer, got {len(parsed.peer_python)} for {len(parsed.peer)}")
    for python in parsed.peer_python:
        if shutil.which(python) is None:
            parser.error(f"--peer-python: expected an interpreter, got {python}; bench/README.md says how to make one")
    return dict(zip(parsed.peer, parsed.peer_python, strict=True))


def size_of(text: str) -> tuple[int, int]:
    """Read a size such as 800x1333, height x width."""
    height, width = text.split("x")
    return int(height), int(width)

"""The half of a comparison that runs in an interpreter of its own: it makes jobs and runs them when it is asked to.

Wants torch and numpy and not this package, so that the environment of another project can run it. One line of JSON a
request on the standard input, one an answer on a pipe of its own; arrays travel in `.npz` files:

```text
{"do": "make", "job": "a", "kind": "nms", "arrays": "in.npz", "options": {"iou": 0.7}}    {"threads": 2}
{"do": "run", "job": "a"}                        {"seconds": 0.1, "highest": 9e8, "before": 5e8, "base": 3e8}
{"do": "save", "job": "a", "path": "out.npz"}    {}
{"do": "flops", "job": "a"}                      {"flops": 1e12}
{"do": "profile", "job": "a", "rows": 12}        {"rows": [["aten::mm", 0.12, 7], ...]}
{"do": "versions", "packages": ["torch"]}        {"torch": "2.13.0"}
{"do": "drop", "job": "a"}                       {}
```

What goes wrong in a job comes back as {"error": "..."}.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


def _nothing(_: Any) -> Arrays:
    return {}


class Job(NamedTuple):
    """Something to measure.

    Attributes:
        work: What the clock runs for.
        arrays: Turns what `work` returns into arrays that can be compared with those of another side.
    """

    work: Callable[[], Any]
    arrays: Callable[[Any], Arrays] = _nothing


Maker = Callable[..., Job]


# ---- the clock and the memory


def wait() -> None:
    """Wait until the accelerator has done what it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def clock() -> float:
    """Read the time, with one thread on a CPU that of the process, which other work on the machine disturbs little."""
    wait()
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_initialized()
    return time.process_time() if alone else time.perf_counter()


def resident(key: str) -> int:
    """Read `VmRSS` (now), `VmHWM` (at the highest) or `VmSize` of this process in bytes; 0 where there is no /proc."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(rf"^{key}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found.group(1)) * 1024


def forget_highest() -> None:
    """Let the highest memory so far be that of now."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    place = Path("/proc/self/clear_refs")
    if place.exists():
        place.write_text("5", encoding="ascii")


def highest() -> int:
    """Return the highest memory, of the accelerator where one is used, in bytes."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else resident("VmHWM")


def held() -> int:
    """Return the memory of now, likewise."""
    return torch.cuda.memory_allocated() if torch.cuda.is_initialized() else resident("VmRSS")


def limit_memory(gibibytes: float) -> None:
    """Let this process fail, rather than the machine swap, when it takes so much more; 0 sets no limit."""
    if gibibytes:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (resident("VmSize") + round(gibibytes * 2**30), hard))


# ---- a job that every side has


def product(side: int = 2048, dtype: str = "float32", device: str = "cpu") -> Job:
    """Multiply two square matrices, the limit that a machine's convolutions are held against."""
    a, b = (torch.randn(side, side, device=device).to(getattr(torch, dtype)) for _ in range(2))
    return Job(lambda: torch.mm(a, b))


# ---- requests


class Worker:
    """Answers requests."""

    def __init__(self, makers: Mapping[str, Maker]) -> None:
        self.makers = {"product": product, **makers}
        self.jobs: dict[str, Job] = {}
        self.base = resident("VmRSS")

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a request asks."""
        rest = {key: value for key, value in request.items() if key != "do"}
        do: Callable[..., dict[str, Any]] = getattr(self, request["do"])
        return do(**rest)

    def make(self, job: str, kind: str, arrays: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
        """Make a job and keep it under a name."""
        given: dict[str, Any] = {}
        if arrays is not None:
            with np.load(arrays) as file:
                given = dict(file)
        self.jobs[job] = self.makers[kind](**given, **options)
        return {"threads": torch.get_num_threads()}

    def run(self, job: str) -> dict[str, Any]:
        """Run a job against the clock."""
        forget_highest()
        before = held()
        start = clock()
        result = self.jobs[job].work()
        seconds = clock() - start
        del result
        base = 0 if torch.cuda.is_initialized() else self.base
        return {"seconds": seconds, "highest": highest(), "before": before, "base": base}

    def save(self, job: str, path: str) -> dict[str, Any]:
        """Run a job and write what it gives."""
        made = self.jobs[job]
        np.savez(path, **made.arrays(made.work()))
        return {}

    def flops(self, job: str) -> dict[str, Any]:
        """Count multiplications and additions of products and convolutions, each as one."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            self.jobs[job].work()
        return {"flops": counter.get_total_flops()}

    def profile(self, job: str, rows: int) -> dict[str, Any]:
        """Run a job under the profiler: the operators that take longest, their share and how often they run."""
        from torch.profiler import ProfilerActivity, profile

        cuda = torch.cuda.is_initialized()
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
        with profile(activities=activities) as profiled:
            self.jobs[job].work()
            wait()
        key = "self_device_time_total" if cuda else "self_cpu_time_total"
        found = sorted(profiled.key_averages(), key=lambda event: -getattr(event, key))
        total = sum(getattr(event, key) for event in found)
        return {"rows": [[event.key, getattr(event, key) / total, event.count] for event in found[:rows]]}

    def versions(self, packages: list[str]) -> dict[str, Any]:
        """Name the version of each package that is there."""
        found = {}
        for name in packages:
            with suppress(PackageNotFoundError):
                found[name] = version(name)
        return found

    def drop(self, job: str) -> dict[str, Any]:
        """Forget a job."""
        del self.jobs[job]
        return {}


def serve(makers: Mapping[str, Maker]) -> None:
    """Answer requests until there are no more."""
    torch.set_num_threads(int(os.environ.get("BENCH_THREADS", torch.get_num_threads())))
    limit_memory(float(os.environ.get("BENCH_GIBIBYTES", 0)))
    worker = Worker(makers)
    with os.fdopen(int(os.environ["BENCH_ANSWERS"]), "w", encoding="utf-8") as answers:
        for line in sys.stdin:
            try:
                answer = worker.answer(json.loads(line))
            except Exception as error:
                traceback.clear_frames(error.__traceback__)
                where = traceback.extract_tb(error.__traceback__)[-1]
                answer = {"error": f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve({})

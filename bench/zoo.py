"""Time the import of other projects' files and measure its memory; writes `bench/zoo.md`.

Weights of a ResNet-50 model for 80 classes are drawn and written in each format; every row then reads one file in a
fresh process, after the imports, from the file to a model that is ready. Time is wall clock, the best of some runs, as
the file lies in the system's cache; memory is the highest resident memory less that before, over the file's size.

    python bench/zoo.py [--repetitions 3] [--out bench/zoo.md]
"""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from machine import describe, table
from maskrcnn.config import ModelConfig
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import build_filled
from maskrcnn.zoo import read_foreign
from maskrcnn.zoo.export import export
from memory import resident

CLASSES = tuple(f"class {i}" for i in range(80))
AIM_SECONDS, AIM_MEMORY = 2.0, 2.2
MEGABYTE = 1e6


def state(kind: str) -> dict[str, Tensor]:
    """Return the tensors of a fresh model under a project's names."""
    torch.manual_seed(0)
    return export(build(ModelConfig(classes=CLASSES)), kind).tensors  # type: ignore[arg-type]


def write_checkpoint(path: Path) -> None:
    """Write what torchvision publishes."""
    torch.save(state("torchvision"), path)


def write_pickle(path: Path) -> None:
    """Write what Detectron2 publishes."""
    arrays = {name: tensor.numpy() for name, tensor in state("detectron2").items()}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "bench"}, protocol=3))


def write_training(path: Path) -> None:
    """Write what a training script of Detectron2 leaves."""
    torch.save({"model": state("detectron2"), "iteration": 0}, path)


def write_h5(path: Path) -> None:
    """Write what Matterport's code saves."""
    import h5py
    import numpy as np

    layout = (Path(__file__).parents[1] / "../shared/golden/matterport/layout.txt").read_text(encoding="utf-8")
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for line in layout.splitlines():
            if "float32" not in line:
                continue
            name, shape = line.split()[1], line[line.index("(") + 1 : line.index(")")]
            sides = [int(n) for n in shape.split(",") if n.strip()]
            file[name] = rng.random(sides, np.float32)


FORMATS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "torchvision, `.pth`": ("a.pth", write_checkpoint),
    "Detectron2, `.pkl`": ("b.pkl", write_pickle),
    "Detectron2, `.pth`": ("c.pth", write_training),
    "Matterport, `.h5`": ("d.h5", write_h5),
}


def measure(path: Path) -> None:
    """Read a file into a model; print the seconds and the bytes of reading and of both."""
    if path.suffix == ".h5":
        import h5py  # noqa: F401 - imports are not what is measured
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest so far is forgotten
    before = resident("VmRSS")
    start = time.perf_counter()
    foreign = read_foreign(path)
    read = time.perf_counter() - start
    reading = resident("VmHWM") - before
    build_filled(foreign.config, foreign.tensors, str(path))
    seconds = time.perf_counter() - start
    print(read, seconds, reading, resident("VmHWM") - before)


def row(what: str, path: Path, repetitions: int) -> list[str]:
    """Measure one file in fresh processes."""
    runs = []
    for _ in range(repetitions):
        done = subprocess.run([sys.executable, __file__, "--measure", path], capture_output=True, text=True, check=True)
        runs.append([float(number) for number in done.stdout.split()])
    read, seconds, reading, memory = (min(column) for column in zip(*runs, strict=True))
    size = path.stat().st_size
    met = seconds <= AIM_SECONDS and memory / size <= AIM_MEMORY
    return [
        what,
        f"{size / MEGABYTE:.0f}",
        f"{read:.2f}",
        f"{seconds:.2f}",
        f"{reading / size:.2f}",
        f"{memory / size:.2f}",
        f"≤ {AIM_SECONDS:.0f} s, ≤ {AIM_MEMORY}: {'met' if met else 'MISSED'}",
    ]


def main() -> None:
    """Write the files, measure each, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for what, (name, write) in FORMATS.items():
            path = Path(folder) / name
            write(path)
            rows.append(row(what, path, options.repetitions))
            path.unlink()
    head = ["file", "MB", "read, s", "to a model, s", "memory of reading", "of both", "aim"]
    text = f"# Reading other projects' files\n\n{describe(torch.get_num_threads())}\n\n{table(head, rows)}\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

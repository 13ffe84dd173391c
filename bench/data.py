"""Time the reading of large COCO files against pycocotools, and the loader; writes `bench/data.md`.

Drawn files: 100,000 pictures with 4 objects each, read by this package (the first time, which parses the file and
keeps an index in the cache; again, from the index) and by pycocotools; and 280,741 pictures with 2.4 million objects,
the size of the Mapping challenge, read by this package. Each in a fresh process after the imports: wall clock and
processor seconds, and the highest resident memory less that before. To open is to have a set whose pictures can be
asked for; to go through is to make every annotation of every picture once.

The loader is `TrainingLoader` on a drawn set of 64 pictures of 480x640, two a batch, flipped at random: pictures a
second of whole epochs, after one that is not counted. With their size kept; with random colours and the short edge
800; and with the last two and the flips left to the device, as a run on an accelerator does, so not made here.

    python bench/data.py [--share 1.0] [--repetitions 3] [--out bench/data.md]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from machine import describe, table
from peers.worker import resident

if TYPE_CHECKING:
    from maskrcnn.config import InputConfig
    from maskrcnn.data.transforms import Transform

SIDE = 300
LOADER = ["batches are made by", "size kept, flips", "short edge 800, flips and colours", "the same left to the device"]
AIM_SECONDS, AIM_BYTES = 60, 2e9


def annotations(pictures: int, objects: int) -> Iterator[dict[str, object]]:
    """Draw polygons of 6 to 12 corners, spread evenly over the pictures."""
    rng = np.random.default_rng(0)
    for i in range(objects):
        corners, reach = int(rng.integers(6, 13)), rng.uniform(3, 40)
        turn = np.sort(rng.uniform(0, 2 * np.pi, corners))
        ring = np.round(rng.uniform(40, SIDE - 40, 2) + reach * np.stack([np.cos(turn), np.sin(turn)], axis=1), 2)
        corner, size = ring.min(axis=0), np.round(np.ptp(ring, axis=0), 2)
        yield {
            "id": i,
            "image_id": i * pictures // objects,
            "segmentation": [ring.ravel().tolist()],
            "area": round(float(reach**2 * 2.5), 2),
            "bbox": [*corner.tolist(), *size.tolist()],
            "category_id": 100,
            "iscrowd": 0,
        }


def write(path: Path, pictures: int, objects: int) -> None:
    """Write a COCO file, its lists in the order that COCO's own files have."""
    images = ({"id": i, "file_name": f"{i:012d}.jpg", "width": SIDE, "height": SIDE} for i in range(pictures))
    with path.open("w", encoding="utf-8") as file:
        file.write('{"info": {}')
        lists: dict[str, Iterable[object]] = {
            "images": images,
            "annotations": annotations(pictures, objects),
            "categories": [{"id": 100, "name": "building", "supercategory": "building"}],
        }
        for key, entries in lists.items():
            file.write(f', "{key}": [')
            for i, entry in enumerate(entries):
                file.write((", " if i else "") + json.dumps(entry))
            file.write("]")
        file.write("}")


def read_ours(path: Path) -> Iterator[int]:
    """Open a set, then go through it; gives the objects that were met."""
    from maskrcnn.data import open_dataset

    dataset = open_dataset(path, pictures="optional")
    yield len(dataset)
    yield sum(len(record.annotations) for record in dataset.records)


def read_pycocotools(path: Path) -> Iterator[int]:
    """Do the same with pycocotools, whose opening prints."""
    from pycocotools.coco import COCO

    coco = COCO(str(path))
    yield len(coco.imgs)
    yield sum(len(coco.loadAnns(coco.getAnnIds(imgIds=[i]))) for i in coco.getImgIds())


READERS = {"ours": read_ours, "pycocotools": read_pycocotools}


def measure(who: str, path: Path) -> None:
    """Read a file; print what was met, and the seconds, processor seconds and bytes of opening and of all."""
    if who == "ours":
        import maskrcnn.data.formats  # noqa: F401 - imports are not what is measured
    else:
        import pycocotools.coco  # noqa: F401
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest so far is forgotten
    before = resident("VmRSS")
    start, spent = time.perf_counter(), time.process_time()
    figures = [
        [met, time.perf_counter() - start, time.process_time() - spent, resident("VmHWM") - before]
        for met in READERS[who](path)
    ]
    print(json.dumps(figures))


def read(who: str, path: Path, cache: Path) -> np.ndarray:
    """Measure in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", who, path],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MASKRCNN_CACHE": str(cache)},
    )
    return np.array(json.loads(done.stdout.splitlines()[-1]))


def row(what: str, runs: list[np.ndarray], aim: bool = False) -> list[str]:
    """Give the best of some runs."""
    (_, opened, spent, memory), (met, whole, _, most) = np.min(runs, axis=0)
    reached = opened <= AIM_SECONDS and memory <= AIM_BYTES
    return [
        what,
        f"{met:,.0f}",
        f"{opened:.1f}",
        f"{spent:.1f}",
        f"{memory / 1e6:,.0f}",
        f"{whole - opened:.1f}",
        f"{most / 1e6:,.0f}",
        f"≤ {AIM_SECONDS} s, ≤ {AIM_BYTES / 1e9:.0f} GB: {'met' if reached else 'MISSED'}" if aim else "",
    ]


def files(folder: Path, share: float, repetitions: int) -> Iterator[list[str]]:
    """Measure the reading of the two drawn files."""
    for pictures, objects, rivals in ((100_000, 400_000, True), (280_741, 2_400_000, False)):
        count, path = int(pictures * share), folder / "set.json"
        write(path, count, int(objects * share))
        named = f"{count:,} pictures, {path.stat().st_size / 1e6:,.0f} MB: "
        first, again, other = [], [], []
        for i in range(repetitions):
            first.append(read("ours", path, folder / f"cache{i}"))
            again.append(read("ours", path, folder / f"cache{i}"))
            if rivals:
                other.append(read("pycocotools", path, folder))
        yield row(f"{named}ours, the first time", first, aim=not rivals)
        yield row(f"{named}ours, again", again, aim=not rivals)
        if rivals:
            yield row(f"{named}pycocotools", other)


def chain(way: str, config: InputConfig) -> Transform:
    """Return what is done to the pictures in one of the three ways."""
    from maskrcnn.data.transforms import Colour, Compose, Defer, HorizontalFlip, Resize

    ways = {
        "kept": (HorizontalFlip(), Resize(config)),
        "made": (HorizontalFlip(), Colour(0.2, 0.2, 0.2), Resize(config)),
        "left": (Defer(), HorizontalFlip(), Colour(0.2, 0.2, 0.2), Resize(config)),
    }
    return Compose(ways[way])


def throughput(folder: Path, way: str, workers: int, epochs: int) -> float:
    """Return the pictures a second that a training loader gives."""
    from maskrcnn.config import InputConfig
    from maskrcnn.data import open_dataset
    from maskrcnn.data.loading import TrainingLoader

    dataset = open_dataset(folder)
    config = InputConfig(min_size=480, max_size=640) if way == "kept" else InputConfig()
    loader = TrainingLoader(dataset, config, chain(way, config), batch_size=2, seed=0, workers=workers)
    for _ in loader:
        pass
    start = time.perf_counter()
    for _ in range(epochs):
        for _ in loader:
            pass
    seconds = time.perf_counter() - start
    loader.close()
    return epochs * len(dataset) / seconds


def loading(folder: Path, epochs: int) -> Iterator[list[str]]:
    """Measure the loader without and with worker processes."""
    from maskrcnn.data.synth import synthesise

    synthesise("spacecraft", folder, count=64, seed=0, size_hw=(480, 640))
    for workers in (0, 1, 2):
        where = ("the process itself", "1 worker process", "2 worker processes")[workers]
        yield [where, *(f"{throughput(folder, way, workers, epochs):.1f}" for way in ("kept", "made", "left"))]


def main() -> None:
    """Draw, measure, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the pictures and objects, for a quick look")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("data.md"))
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure[0], Path(options.measure[1]))
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        loaded = list(loading(Path(folder) / "drawn", epochs=3))
        rows = list(files(Path(folder), options.share, options.repetitions))
    head = ["file", "objects", "open, s", "of the processor", "memory, MB", "go through, s", "memory of both", "aim"]
    text = (
        f"# Reading data\n\n{describe(1)}\n\n## Large COCO files\n\n{table(head, rows)}\n"
        f"## Training loader\n\nPictures a second.\n\n{table(LOADER, loaded)}"
    )
    print(text)
    options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

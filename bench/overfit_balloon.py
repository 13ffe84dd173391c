"""Overfit a few balloon pictures: what a model can't learn by heart it can't learn at all.

Trains from scratch on eight photographs read from the VIA file, measures on the same eight, and says whether mask
AP at IoU 0.50 reached 0.90 within 20 minutes. Exit status 1 if it did not.

    python bench/overfit_balloon.py ../shared/data/balloon/train [--epochs 160] [--out RUN]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch

import maskrcnn
from machine import describe, table

PICTURES = 8
SHORT_EDGE, LONG_EDGE = 320, 448
ANCHORS = [[12.0], [24.0], [48.0], [96.0], [192.0]]  # the balloons have sides of 6 to 200 pixels at that size
LEAST_AP50, MOST_MINUTES = 0.90, 20.0


def settings(epochs: int, seed: int) -> dict[str, object]:
    """Return how to train: two steps an epoch, mirrored pictures, one warm-up and one fall of the rate."""
    return {
        "stages": [{"epochs": epochs}],
        "batch": 4,
        "learning_rate": 1e-3,
        "warmup": 40,
        "schedule": "cosine",
        "validate_every": max(epochs // 8, 1),
        "workers": 1,
        "seed": seed,
        "augment": {"flip": 0.5},
    }


def main() -> int:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description="Overfit eight balloon pictures.")
    parser.add_argument("data", type=Path, help="balloon/train with its via_region_data.json")
    parser.add_argument("--epochs", type=int, default=160, help="of two steps each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the run here")
    parsed = parser.parse_args()
    folder = parsed.out or Path(tempfile.mkdtemp(prefix="overfit_balloon_")) / "run"

    pictures = maskrcnn.data.open_dataset(parsed.data).select(range(PICTURES))
    objects = sum(len(pictures.instances(i)) for i in range(len(pictures)))
    print(describe(torch.get_num_threads()))
    print(f"{len(pictures)} pictures, {objects} objects, {parsed.epochs} epochs, seed {parsed.seed}", flush=True)

    start = time.monotonic()
    model = maskrcnn.train(
        pictures,
        val=pictures,
        out=folder,
        preset="small",
        model={"input": {"min_size": SHORT_EDGE, "max_size": LONG_EDGE}, "anchors": {"sizes": ANCHORS}},
        settings=settings(parsed.epochs, parsed.seed),
        say=lambda line: print(line, flush=True),
    )
    minutes = (time.monotonic() - start) / 60
    metrics = maskrcnn.evaluate(model, pictures, folder / "scores")
    found = {name: value or 0.0 for name, value in metrics.values.items()}

    rows = [[name, f"{found[f'box/{name}']:.3f}", f"{found[f'mask/{name}']:.3f}"] for name in ("AP", "AP50", "AP75")]
    print(f"\n{table(['IoU 0.50:0.95, 0.50, 0.75; area all; 100 detections', 'box', 'mask'], rows)}")
    passed = found["mask/AP50"] >= LEAST_AP50 and minutes <= MOST_MINUTES
    print(f"{minutes:.1f} minutes, mask AP50 {found['mask/AP50']:.3f}: {'passed' if passed else 'FAILED'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

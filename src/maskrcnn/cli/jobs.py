"""`maskrcnn evaluate`, `predict` and `demo`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from maskrcnn.cli.words import progress, say
from maskrcnn.data import open_dataset
from maskrcnn.data.formats.coco_results import read_results, to_coco_results
from maskrcnn.data.images import list_images
from maskrcnn.errors import InputError, MaskRCNNError
from maskrcnn.evaluation import evaluate
from maskrcnn.evaluation.coco import Metrics, class_table, evaluate_results, table, write
from maskrcnn.prediction import load
from maskrcnn.prediction.folder import predict_folder
from maskrcnn.structures import Instances


def _show(metrics: Metrics, out: Path | None) -> None:
    # on stdout, as wide as the table wants where nobody's terminal limits it
    printer = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120)
    printer.print(table(metrics))
    if len(metrics.classes) > 1:
        printer.print(class_table(metrics))
    for note in metrics.notes:
        say(f"note: {note}")
    if out is not None:
        say(f"results in {out}")


def run_evaluation(paths: list[Path], out: Path | None, device: str | None, batch: int, workers: int) -> None:
    """Measure a model, with a progress bar."""
    if len(paths) != 2:
        raise InputError(f"evaluate: expected MODEL DATA, or --results FILE DATA, got {len(paths)} path(s)")
    predictor = load(paths[0], device=device)
    dataset = open_dataset(paths[1])
    say(f"{len(dataset)} pictures ({dataset.format}), {len(dataset.class_names)} classes")
    with progress("evaluating") as advance:
        metrics = evaluate(predictor, dataset, out, batch=batch, workers=workers, progress=advance)
    _show(metrics, out)


def run_evaluation_of_results(paths: list[Path], results: Path, out: Path | None) -> None:
    """Measure results that were made elsewhere."""
    if len(paths) != 1:
        raise InputError(f"evaluate: expected DATA alone beside --results, got {len(paths)} path(s)")
    dataset = open_dataset(paths[0], pictures="optional")
    metrics = evaluate_results(dataset, read_results(results), source=str(results))
    if out is not None:
        write(metrics, out / "metrics.json")
    _show(metrics, out)


def _lines(path: Path, found: Instances, json_lines: bool) -> Iterator[str]:
    """Write a line an object: words with tabs, or JSON."""
    if json_lines:
        ids = range(1, len(found.class_names) + 1)
        for name, result in zip(found.names, to_coco_results(found, 0, ids), strict=True):
            fields = {key: value for key, value in result.items() if key != "image_id"}
            yield json.dumps({"file": str(path), "class": name, **fields})
        return
    for name, score, box in zip(found.names, found.scores, found.boxes, strict=True):
        x1, y1, x2, y2 = box
        yield f"{path}\t{name}\t{score:.3f}\t{x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f}"


def run_prediction(
    model: Path,
    pictures: list[str],
    out: Path,
    json_lines: bool,
    score: float | None,
    device: str | None,
    batch: int,
    workers: int,
) -> int:
    """Predict, print an object a line, and return 1 if a picture was broken."""
    files = list_images(pictures)
    predictor = load(model, device=device, score_threshold=score)
    broken = objects = 0
    with progress("predicting") as advance:
        outcomes = predict_folder(predictor, files, out, batch=batch, workers=workers)
        for done, (path, found) in enumerate(outcomes, 1):
            if isinstance(found, MaskRCNNError):
                broken += 1
                say(f"error: {found}")
            else:
                objects += len(found)
                for line in _lines(path, found, json_lines):
                    print(line)  # noqa: T201 - the command's data
            advance(done, len(files))
    say(f"{len(files)} pictures, {objects} objects, {broken} pictures broken; overlays and predictions.json in {out}")
    return 1 if broken else 0


def run_demo(out: Path, seed: int) -> None:
    """Run the demo and say where to look."""
    from maskrcnn.demo import demo

    report = demo(out, seed=seed, say=say)
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    say(
        f"held-out pictures: box AP@.50 {metrics['box/AP50']:.3f}, mask AP@.50 {metrics['mask/AP50']:.3f} "
        "(COCO, area all, 100 detections)"
    )
    say(f"open {report}")

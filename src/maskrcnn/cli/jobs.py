"""`maskrcnn evaluate`, `predict` and `demo`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from maskrcnn.cli.opening import Wanted, describe, open_chosen
from maskrcnn.cli.running import Running
from maskrcnn.cli.words import count_of, give, progress, say
from maskrcnn.data import open_dataset
from maskrcnn.data.classes import choose
from maskrcnn.data.formats.coco_results import read_results, rename_categories, to_coco_results
from maskrcnn.data.images import list_images
from maskrcnn.errors import InputError, MaskRCNNError, few
from maskrcnn.evaluation import evaluate
from maskrcnn.evaluation.coco import Metrics, class_table, table, write
from maskrcnn.evaluation.measuring import evaluate_results
from maskrcnn.files import make_folder
from maskrcnn.prediction.folder import SHOWN, predict_folder
from maskrcnn.structures import Instances

Lines = Callable[[Path, Instances], Iterator[str]]


def _show(metrics: Metrics, out: Path | None) -> None:
    # on stdout, as wide as the table wants where nobody's terminal limits it
    printer = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120)
    printer.print(table(metrics))
    if len(metrics.classes) > 1:
        printer.print(class_table(metrics))
    if out is not None:
        say(f"results in {out}")


def run_evaluation(
    paths: Sequence[str], out: Path | None, running: Running, batch: int, workers: int, wanted: Wanted
) -> None:
    """Measure a model, with a progress bar."""
    if len(paths) != 2:
        raise InputError(f"evaluate: expected MODEL DATA, or --results FILE DATA, got {_listed(paths)}")
    dataset = open_chosen(Path(paths[1]), wanted)
    predictor = running.load(paths[0])
    if out is not None:
        make_folder(out)
    describe(dataset)
    with progress("evaluating") as advance:
        metrics = evaluate(predictor, dataset, out, batch=batch, workers=workers, progress=advance)
    _show(metrics, out)


def run_evaluation_of_results(paths: Sequence[str], results: Path, out: Path | None, wanted: Wanted) -> None:
    """Measure results that were made elsewhere."""
    if len(paths) != 1:
        raise InputError(f"evaluate: expected DATA alone beside --results, got {_listed(paths)}")
    dataset = open_dataset(paths[0], format=wanted.format, pictures="optional")
    found = read_results(results)
    if wanted.classes is not None:
        choice = choose(dataset, wanted.classes)
        say(choice.report(dataset))
        found = rename_categories(found, choice.category_ids(dataset), dataset.category_ids, str(results))
        dataset = choice.apply(dataset)
    if out is not None:
        make_folder(out)
    describe(dataset)
    metrics = evaluate_results(dataset, found, source=str(results))
    if out is not None:
        write(metrics, out / "metrics.json")
    _show(metrics, out)


def _listed(paths: Sequence[str]) -> str:
    return f"{len(paths)} paths: {' '.join(paths)}" if len(paths) > 1 else f"{paths[0]} alone"


def word_line(path: Path, found: Instances) -> Iterator[str]:
    """Write a line an object: file, class, probability and box x1 y1 x2 y2, with tabs between them."""
    for name, score, box in zip(found.names, found.scores, found.boxes, strict=True):
        yield "\t".join([str(path), name, f"{score:.3f}", *(f"{edge:.1f}" for edge in box)])


def json_line(path: Path, found: Instances) -> Iterator[str]:
    """Write a JSON object a line: file, class, and what a COCO result holds."""
    ids = range(1, len(found.class_names) + 1)
    for name, result in zip(found.names, to_coco_results(found, 0, ids), strict=True):
        fields = {key: value for key, value in result.items() if key != "image_id"}
        yield json.dumps({"file": str(path), "class": name, **fields}, ensure_ascii=False)


def run_prediction(
    model: str,
    pictures: Sequence[str],
    out: Path,
    lines: Lines,
    score: float | None,
    running: Running,
    batch: int,
    workers: int,
) -> int:
    """Predict, print an object a line, and return 1 if a picture was broken."""
    files = list_images(pictures)
    predictor = running.load(model, score)
    stored = predictor.config.detect.class_thresholds
    shown = score if score is not None else 0.0 if stored else SHOWN
    broken = objects = more = 0
    with progress("predicting", beside=sys.stdout) as advance:
        outcomes = predict_folder(predictor, files, out, shown=shown, batch=batch, workers=workers)
        for done, (path, found) in enumerate(outcomes, 1):
            if isinstance(found, MaskRCNNError):
                broken += 1
                say(f"error: {found}")
            else:
                clear = found[found.scores >= shown]
                objects += len(clear)
                more += len(found) - len(clear)
                give(lines(path, clear))
            advance(done, len(files))
    hint = f"; {more} less probable ones are in predictions.json too" if more else ""
    above = f"of at least {shown:g}"
    if stored:
        named = [f"{name} {value:.2f}" for name, value in zip(predictor.class_names, stored, strict=True)]
        above = f"above the thresholds that the model file states ({few(named, 5)}); --score sets another"
    say(f"{count_of(len(files), 'picture')}, {count_of(objects, 'object')} with a probability {above}{hint}")
    if broken:
        say(f"{count_of(broken, 'picture')} broken, named above and in {out / 'pictures.json'}")
    say(f"overlays and predictions.json in {out}")
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

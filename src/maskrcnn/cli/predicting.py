"""What `maskrcnn predict` does."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from maskrcnn.cli.running import Running
from maskrcnn.cli.words import count_of, give, progress, say
from maskrcnn.data.formats.coco_results import to_coco_results
from maskrcnn.data.images import list_images
from maskrcnn.draw.styles import STYLES
from maskrcnn.errors import MaskRCNNError, few
from maskrcnn.prediction.folder import SHOWN, predict_folder
from maskrcnn.structures import Instances

Lines = Callable[[Path, Instances], Iterator[str]]


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
    style: str,
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
        outcomes = predict_folder(predictor, files, out, shown=shown, style=STYLES[style], batch=batch, workers=workers)
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

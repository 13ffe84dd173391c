"""Pictures in, a folder of overlays and COCO results out; as many results as pictures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn.data.formats.coco_results import Result, to_coco_results, write_results
from maskrcnn.data.images import read_image
from maskrcnn.draw.overlay import overlay
from maskrcnn.errors import MaskRCNNError
from maskrcnn.files import replacing, write_text
from maskrcnn.prediction.predictor import Predictor
from maskrcnn.prediction.stream import Found, predict_all


class Outcome(NamedTuple):
    """What became of one picture: its path and its objects, or the error that it raised."""

    path: Path
    found: Found


def overlay_names(pictures: Sequence[Path]) -> list[str]:
    """Name the overlay of each picture after it, with a number where two share a name.

    >>> overlay_names([Path("a/1.jpg"), Path("b/1.png"), Path("b/2.png")])
    ['1.jpg', '1_2.jpg', '2.jpg']
    """
    names, taken = [], Counter[str]()
    for path in pictures:
        taken[path.stem] += 1
        count = taken[path.stem]
        names.append(f"{path.stem}.jpg" if count == 1 else f"{path.stem}_{count}.jpg")
    return names


def predict_folder(
    predictor: Predictor, pictures: Sequence[Path], out: Path, *, batch: int = 1, workers: int = 0
) -> Iterator[Outcome]:
    """Predict pictures and leave overlays, `predictions.json` and `pictures.json` in a folder.

    The results are COCO's, in pixels of the input; `image_id` is the picture's number, from 1, which `pictures.json`
    resolves, and `category_id` the class's number, from 1. Both files are written when the last picture is done.

    Args:
        predictor: The model.
        pictures: Files.
        out: The folder.
        batch: Pictures that are read together.
        workers: Processes that read pictures.

    Yields:
        What became of each picture, in order.

    Raises:
        OutputError: Something can't be written.
    """
    ids = range(1, len(predictor.class_names) + 1)
    names = overlay_names(pictures)
    results: list[Result] = []
    records: list[dict[str, Any]] = []
    stream = predict_all(predictor, len(pictures), pictures.__getitem__, batch=batch, workers=workers)
    for i, (path, found) in enumerate(zip(pictures, stream, strict=True)):
        records.append({"id": i + 1, "file_name": str(path), **_record(found)})
        if not isinstance(found, MaskRCNNError):
            results += to_coco_results(found, i + 1, ids)
            with replacing(out / "overlays" / names[i]) as temporary:
                overlay(read_image(path), found).convert("RGB").save(temporary, quality=92)
        yield Outcome(path, found)
    write_results(results, out / "predictions.json")
    categories = [{"id": i, "name": name} for i, name in zip(ids, predictor.class_names, strict=True)]
    write_text(out / "pictures.json", json.dumps({"images": records, "categories": categories}, indent=1) + "\n")


def _record(found: Found) -> dict[str, Any]:
    if isinstance(found, MaskRCNNError):
        return {"error": str(found)}
    return {"height": found.size_hw[0], "width": found.size_hw[1], "objects": len(found)}

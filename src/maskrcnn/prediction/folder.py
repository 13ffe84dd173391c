"""Pictures in, a folder of overlays and COCO results out; as many results as pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.formats.coco_results import Result, to_coco_results, write_results
from maskrcnn.draw.styles import STYLES, Style
from maskrcnn.errors import InputError, MaskRCNNError
from maskrcnn.files import make_folder, replacing, write_text
from maskrcnn.prediction.predictor import Predictor
from maskrcnn.prediction.stream import Found, predict_files
from maskrcnn.structures import Instances

OVERLAYS = "overlays"
SHOWN = 0.5  # probability from which a person would want to see an object


class Outcome(NamedTuple):
    """What became of one picture: its path and its objects, or the error that it raised."""

    path: Path
    found: Found


def overlay_names(pictures: Sequence[Path], suffix: str = ".jpg") -> list[str]:
    """Name the overlay of each picture after it, with a number where the name is taken.

    >>> overlay_names([Path("a/1.jpg"), Path("b/1.png"), Path("b/2.png")])
    ['1.jpg', '1_2.jpg', '2.jpg']
    """
    names: dict[str, str] = {}  # some file systems do not tell A from a
    for path in pictures:
        stem, count = path.stem, 1
        while stem.casefold() in names:
            count += 1
            stem = f"{path.stem}_{count}"
        names[stem.casefold()] = f"{stem}{suffix}"
    return list(names.values())


def predict_folder(
    predictor: Predictor,
    pictures: Sequence[Path],
    out: Path,
    *,
    shown: float = SHOWN,
    style: Style = STYLES["overlay"],
    batch: int = 1,
    workers: int = 0,
) -> Iterator[Outcome]:
    """Predict pictures and leave overlays, `predictions.json` and `pictures.json` in a folder.

    The results are COCO's, in pixels of the upright input; `image_id` is the picture's number, from 1, which
    `pictures.json` resolves, and `category_id` the class's number, from 1. Both files are written when the last
    picture is done.

    Args:
        predictor: The model.
        pictures: Files.
        out: The folder.
        shown: Overlays show objects of at least this probability; the results hold all that the predictor finds.
        style: How they show them.
        batch: Pictures that are read together.
        workers: Processes that read pictures.

    Yields:
        What became of each picture, in order.

    Raises:
        InputError: An overlay would take the place of a picture.
        OutputError: Something can't be written.
    """
    make_folder(out)
    places = [out / OVERLAYS / name for name in overlay_names(pictures, style.suffix)]
    _spare_pictures(pictures, places)
    ids = range(1, len(predictor.class_names) + 1)
    results: list[Result] = []
    records: list[dict[str, Any]] = []
    stream = predict_files(predictor, pictures, batch=batch, workers=workers)
    for i, (path, (found, picture)) in enumerate(zip(pictures, stream, strict=True)):
        records.append({"id": i + 1, "file_name": str(path), **_record(found, places[i])})
        if not isinstance(found, MaskRCNNError) and picture is not None:
            results += to_coco_results(found, i + 1, ids)
            _draw(style, picture, found[found.scores >= shown], places[i])
        yield Outcome(path, found)
    write_results(results, out / "predictions.json")
    categories = [{"id": i, "name": name} for i, name in zip(ids, predictor.class_names, strict=True)]
    write_text(out / "pictures.json", json.dumps({"images": records, "categories": categories}, indent=1) + "\n")


def _spare_pictures(pictures: Sequence[Path], places: Sequence[Path]) -> None:
    """Refuse to draw over the pictures themselves."""
    taken = {path.resolve() for path in pictures} & {place.resolve() for place in places}
    if taken:
        raise InputError(f"{min(taken)}: expected pictures outside of the folder for overlays, got one inside of it")


def _draw(style: Style, picture: NDArray[np.uint8], found: Instances, place: Path) -> None:
    with replacing(place) as temporary:
        style.draw(picture, found).save(temporary, quality=92)


def _record(found: Found, place: Path) -> dict[str, Any]:
    if isinstance(found, MaskRCNNError):
        return {"error": str(found)}
    h, w = found.size_hw
    return {"height": h, "width": w, "objects": len(found), "overlay": f"{OVERLAYS}/{place.name}"}

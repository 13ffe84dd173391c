"""`maskrcnn inspect`."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from maskrcnn.cli.data.showing import run_show
from maskrcnn.cli.opening import Wanted, open_chosen
from maskrcnn.cli.running import Running
from maskrcnn.cli.words import count_of, progress, say, show
from maskrcnn.errors import InputError
from maskrcnn.files import write_text
from maskrcnn.inspection import inspect_picture, inspect_weights
from maskrcnn.inspection.weights import TensorNumbers, shape_of, weights_page, words_of
from maskrcnn.zoo.opening import open_weights
from maskrcnn.zoo.published import PUBLISHED

MODELS = {".safetensors", ".pth", ".pt", ".pkl", ".h5", ".ckpt", ".onnx", ".xml", ".torchscript", ".pt2"}


def run_inspection(
    paths: Sequence[str],
    data: Path | None,
    weights: bool,
    out: Path | None,
    browse: bool,
    score: float | None,
    wanted: Wanted,
    running: Running,
) -> None:
    """Look at what the paths name.

    Raises:
        InputError: They name something else than a model and a picture, a model, or a data set.
    """
    if weights:
        if len(paths) != 1 or data is not None:
            raise InputError(f"inspect: expected MODEL alone beside --weights, got {' '.join(paths)}{_and(data)}")
        if browse and out is None:
            raise InputError("inspect: expected --out PAGE.html beside --weights and --open, got none")
        _show(_weights(paths[0], out), browse)
    elif len(paths) == 2:
        _show(_picture(paths[0], paths[1], data, out, score, wanted, running), browse)
    elif len(paths) == 1 and data is None and not _is_model(paths[0]):
        if out is None and not browse:
            raise InputError("inspect: expected --out DIR, --open, or both, got neither")
        run_show(Path(paths[0]), out, browse, 24, 0, wanted)
    else:
        raise InputError(f"inspect: expected MODEL PICTURE, MODEL --weights or DATA, got {' '.join(paths)}{_and(data)}")


def _and(data: Path | None) -> str:
    return "" if data is None else f" --data {data}"


def _is_model(path: str) -> bool:
    return Path(path).suffix.lower() in MODELS or path in {model.name for model in PUBLISHED}


def _picture(
    model: str,
    picture: str,
    data: Path | None,
    out: Path | None,
    score: float | None,
    wanted: Wanted,
    running: Running,
) -> Path:
    dataset = None if data is None else open_chosen(data, wanted)
    predictor = running.load(model, score)
    page = _page(out, f"{Path(picture).stem}.inspect.html")
    with progress("looking") as advance:
        return inspect_picture(predictor, picture, page, data=dataset, progress=advance)


def _page(out: Path | None, name: str) -> Path:
    """Choose where a page goes: into a folder that is there under a name of its own."""
    if out is None:
        return Path(name)
    return out / name if out.is_dir() else out


def _weights(model: str, out: Path | None) -> Path | None:
    rows = inspect_weights(open_weights(model).tensors)
    _print(rows)
    marked = sum(bool(row.mark) for row in rows)
    say(f"{count_of(len(rows), 'tensor')}, {marked:,} marked")
    if out is None:
        return None
    page = _page(out, f"{Path(model).stem}.weights.html")
    write_text(page, weights_page(Path(model).name, rows))
    return page


def _print(rows: Sequence[TensorNumbers]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for column in ("tensor", "shape", "least", "greatest", "mean", "std", "mark"):
        table.add_column(column, justify="left" if column in ("tensor", "shape", "mark") else "right", overflow="fold")
    for row in rows:
        numbers = (f"{value:.4g}" for value in (row.low, row.high, row.mean, row.std))
        table.add_row(row.name, shape_of(row), *numbers, words_of(row), style="red" if row.mark else "")
    show(table, width=160)


def _show(page: Path | None, browse: bool) -> None:
    if page is None:
        return
    say(f"page {page}")
    if browse and not webbrowser.open(page.absolute().as_uri()):
        say("note: no browser was found; open the page yourself")

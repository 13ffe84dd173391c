"""What `maskrcnn errors` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskrcnn.cli.opening import Wanted, describe, open_chosen, open_results
from maskrcnn.cli.running import Running
from maskrcnn.cli.words import progress, say, show
from maskrcnn.errors import InputError, few
from maskrcnn.evaluation.analysis import Analysis, analyse, analyse_results, write
from maskrcnn.evaluation.error_tables import tables
from maskrcnn.evaluation.thresholds import store_thresholds
from maskrcnn.files import make_folder
from maskrcnn.model.weights import read
from maskrcnn.prediction.folder import SHOWN


def explain_model(
    paths: Sequence[str],
    out: Path | None,
    wanted: Wanted,
    score: float | None,
    store: bool,
    running: Running,
    batch: int,
    workers: int,
) -> None:
    """Show what a model gets wrong, with a progress bar, and store its best thresholds where that is asked for."""
    if len(paths) != 2:
        raise InputError(f"errors: expected MODEL DATA, or --results FILE DATA, got {' '.join(paths)}")
    if store:
        _check_place(Path(paths[0]))
    dataset = open_chosen(Path(paths[1]), wanted)
    predictor = running.load(paths[0])
    if out is not None:
        make_folder(out)
    describe(dataset)
    with progress("looking for errors") as advance:
        found = analyse(predictor, dataset, out, sure=score, batch=batch, workers=workers, progress=advance)
    _show(found, out)
    if store:
        values = store_thresholds(paths[0], found.thresholds)
        named = few((f"{name} {value:.3f}" for name, value in values.items()), 10)
        say(f"{paths[0]} states thresholds now, which predict and load use: {named}")


def explain_results(
    paths: Sequence[str], results: Path, out: Path | None, wanted: Wanted, score: float | None, store: bool
) -> None:
    """Show what is wrong with results that were made elsewhere."""
    if len(paths) != 1:
        raise InputError(f"errors: expected DATA alone beside --results, got {' '.join(paths)}")
    if store:
        raise InputError("--store: expected MODEL DATA, whose file takes the thresholds, got --results")
    dataset, found = open_results(paths[0], results, wanted)
    if out is not None:
        make_folder(out)
    describe(dataset)
    sure = SHOWN if score is None else score
    with progress("looking for errors") as advance:
        analysis = analyse_results(dataset, found, sure=sure, source=str(results), progress=advance)
    if out is not None:
        write(analysis, out / "errors.json")
    _show(analysis, out)


def _check_place(model: Path) -> None:
    """Refuse before the long run what can't take thresholds after it."""
    if not model.is_file():
        raise InputError(
            f"--store: expected a model file of this package, which takes the thresholds, got {model}; "
            "maskrcnn weights convert writes one"
        )
    read(model)


def _show(analysis: Analysis, out: Path | None) -> None:
    show(*tables(analysis))
    if out is not None:
        say(f"results in {out}")

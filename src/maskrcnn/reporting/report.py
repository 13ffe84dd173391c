"""`report`: what came of a run, or of several, as one page with its figures beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import Result
from maskrcnn.draw.page import render
from maskrcnn.errors import InputError
from maskrcnn.evaluation.coco import Kind, Metrics, evaluate_results
from maskrcnn.evaluation.ground_truth import GroundTruth, from_dataset
from maskrcnn.files import make_folder, write_text
from maskrcnn.prediction import Predictor, load
from maskrcnn.reporting.cases import Case, Cases, Wrong, choose, collect, judged
from maskrcnn.reporting.charts import training_charts
from maskrcnn.reporting.contents import (
    IOU_WORDS,
    Card,
    RunPage,
    card_words,
    colours,
    data_of,
    drawings,
    galleries,
    many,
    scores,
    settings_of,
    versions_of,
)
from maskrcnn.reporting.measuring import Found, Progress, found_by
from maskrcnn.reporting.runs import Told, opened_set, read_runs, same_data, validation_of
from maskrcnn.reporting.shots import Crop, cut_out, sceneries, shoot
from maskrcnn.training.folder import describe
from maskrcnn.version import __version__

PAGE = "report.html"
SURE = 0.5
CASES = 24  # of each kind


def _silent(_what: str, _done: int, _total: int) -> None:
    """Tell nobody."""


def report(
    runs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    data: str | Path | Dataset | None = None,
    pictures: int = 100,
    score: float = SURE,
    open_model: Callable[[Path], Predictor] = load,
    progress: Progress = _silent,
) -> Path:
    """Write a page about a run, or about several side by side, with its figures beside it.

    Where the folder of a run does not have what its model finds on the data, that is made first and kept there.

    ```python
    maskrcnn.reporting.report("run")
    maskrcnn.reporting.report(["run1", "run2"], "compared", data="photos/test")
    ```

    Args:
        runs: Folders of runs.
        out: A folder for `report.html` and `figures/`; `report` in the run's folder unless several are named.
        data: Annotated pictures to measure on; by default the run's validation data.
        pictures: How many are shown at most.
        score: Detections below this probability are not shown.
        open_model: Makes a predictor of a model file.
        progress: Is told what is being done, how much of it is done, and of how much.

    Returns:
        The page.

    Raises:
        InputError: A folder holds no run, there is no validation data, or a number is out of range.
        MaskRCNNError: The model or the data can't be read.
        OutputError: Something can't be written.
    """
    if pictures < 0:
        raise InputError(f"pictures: expected at least 0, got {pictures}")
    told = read_runs([Path(run) for run in ([runs] if isinstance(runs, str | Path) else runs)])
    if out is None and len(told) > 1:
        raise InputError(f"report: expected a folder for the page about {len(told)} runs, got none; name it with --out")
    folder = told[0].run.folder / "report" if out is None else Path(out)
    make_folder(folder)
    dataset = validation_of(told[0]) if data is None else opened_set([data])
    found = [found_by(each.run, dataset, open_model, progress) for each in told]
    page = _run_page(told[0], dataset, found[0], pictures, score, progress)
    write_text(folder / PAGE, render("run.html", "maskrcnn.reporting", page=page, names=dataset.class_names, iou_words=IOU_WORDS, version=__version__))
    return folder / PAGE


def _run_page(told: Told, dataset: Dataset, found: Found, count: int, score: float, progress: Progress) -> RunPage:
    metrics = evaluate_results(dataset, found.results)
    truth = from_dataset(dataset)
    least = np.full(len(dataset.class_names), score)
    kind = metrics.kinds[-1]
    cases = collect(judged(kind, truth, found.results, least), CASES)
    chosen = choose(cases.pictures, count)
    cards, missed, false = _pictures(dataset, kind, truth, [found.results], least, cases, chosen, progress)
    top, numbers = scores(metrics)
    return RunPage(
        title=f"{told.name}",
        lead=_lead(told, dataset, metrics, found),
        headlines=top,
        notes=_notes(told, dataset),
        colours=colours(dataset.class_names),
        galleries=galleries(cards, missed, false, cases, f"at least {score:g}"),
        scores=numbers,
        curves=[],
        training=drawings(training_charts(told.history)),
        settings=settings_of(told),
        data=data_of(told, describe(dataset)),
        versions=versions_of(told),
    )


def _pictures(
    dataset: Dataset,
    kind: Kind,
    truth: GroundTruth,
    results: Sequence[Sequence[Result]],
    least: NDArray[np.float64],
    cases: Cases,
    chosen: Sequence[int],
    progress: Progress,
) -> tuple[list[Card], list[Crop], list[Crop]]:
    """Read each picture that is shown once, and draw all that is shown of it."""
    cards: dict[int, Card] = {}
    crops: dict[tuple[str, int], Crop] = {}
    wanted = {cases.pictures[each].image_id: each for each in chosen}
    own: dict[int, list[tuple[Wrong, int, Case]]] = {}
    for of, each in (("missed", cases.missed), ("false", cases.false)):
        for n, case in enumerate(each):
            own.setdefault(case.image_id, []).append((of, n, case))
    needed = {*wanted, *own}
    done = 0
    for scenery in sceneries(dataset, kind, truth, results, least, needed):
        image_id = scenery.sample.image_id
        if image_id in wanted:
            went = cases.pictures[wanted[image_id]]
            words = card_words(went.right, went.missed, went.false)
            cards[wanted[image_id]] = Card(shoot(scenery), wanted[image_id], went.quality, words)
        for of, n, case in own.get(image_id, ()):
            crops[of, n] = cut_out(scenery, case, of)
        done += 1
        progress("drawing", done, len(needed))
    missed = [crops["missed", n] for n in range(len(cases.missed))]
    false = [crops["false", n] for n in range(len(cases.false))]
    return [cards[each] for each in chosen], missed, false


def _lead(told: Told, dataset: Dataset, metrics: Metrics, found: Found) -> str:
    learnt = told.facts.get("data", {}).get("pictures")
    of = f" after learning from {many(learnt, 'picture')}" if isinstance(learnt, int) else ""
    return (
        f"{told.model.backbone.depth} measured on {many(len(dataset), 'picture')} with "
        f"{many(metrics.objects, 'object')} of {many(len(dataset.class_names), 'class')}{of}. "
        f"Finding them took {found.seconds / len(dataset):.2f} s a picture."
    )


def _notes(told: Told, dataset: Dataset) -> list[str]:
    noted = told.facts.get("validation")
    if noted and not same_data(told, dataset.fingerprint()):
        return ["This is other data than the run was measured on while it trained, so the numbers differ from its AP there."]
    return []

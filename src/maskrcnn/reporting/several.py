"""The page of several runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from maskrcnn.data.dataset import Dataset
from maskrcnn.draw.chart import Chart
from maskrcnn.draw.page import Cell, Table
from maskrcnn.evaluation.bootstrap import compare
from maskrcnn.evaluation.coco import KINDS, Kind
from maskrcnn.evaluation.curves import precision_recall
from maskrcnn.evaluation.errors import ERRORS, ErrorCounter, Errors
from maskrcnn.evaluation.scenes import scenes
from maskrcnn.reporting.cases import Collector, Picture, judged
from maskrcnn.reporting.charts import compared_charts
from maskrcnn.reporting.faults import mean_line
from maskrcnn.reporting.measuring import Measured, Progress, Sure
from maskrcnn.reporting.page import Page
from maskrcnn.reporting.runs import Told, same_data
from maskrcnn.reporting.shots import Shot, sceneries, shoot
from maskrcnn.reporting.words import (
    card_words,
    data_of,
    many,
    settings_of,
    versions_of,
)
from maskrcnn.training.folder import describe

DRAWS = 200
SCORES = ("AP", "AP50", "AP75", "AR100")


class Row(NamedTuple):
    """A picture as every run sees it; `qualities` and `words` are one a run, `place` is its place in the data."""

    shot: Shot
    place: int
    qualities: Sequence[float]
    words: Sequence[str]


@dataclass(frozen=True)
class RunsPage(Page):
    """Everything on the page; whatever is empty is left out.

    Attributes:
        title: The page's name.
        lead: One sentence below it.
        notes: What should be known first.
        runs: What the runs are called.
        names: The classes, in the order of the data.
        hyperparameters: Settings against AP and AR.
        differences: How much lower AP is than that of the best run.
        scores: AP per class of each run.
        changed: Settings that differ.
        rows: Pictures, those on which the runs differ most first.
        choice: How they were chosen.
        curves: Precision over recall.
        training: Losses, learning rate and AP over the steps.
        data: What is known of the data.
        versions: Names and versions of the software and the machine of each run.
    """

    template = "runs.html"

    title: str
    lead: str
    notes: Sequence[str]
    runs: Sequence[str]
    names: Sequence[str]
    hyperparameters: Table
    differences: Table
    scores: Sequence[Table]
    changed: Table
    rows: Sequence[Row]
    choice: str
    curves: Sequence[Chart]
    training: Sequence[Chart]
    data: Mapping[str, object]
    versions: Table


def runs_page(
    runs: Sequence[Measured], dataset: Dataset, count: int, score: float | None, progress: Progress
) -> RunsPage:
    """Find out everything that the page of several runs says.

    Args:
        runs: The runs, measured on the same data.
        dataset: What they were measured on.
        count: Pictures to show at most.
        score: Detections below this probability are not shown.
        progress: Is told what is done.
    """
    told = [each.told for each in runs]
    kind = _kinds(runs)[-1]
    sure = [Sure.of(each, score) for each in runs]
    looked = [_look(each, kind, own) for each, own in zip(runs, sure, strict=True)]
    rows = _rows(runs, dataset, kind, sure, [each.pictures for each in looked], count, progress)
    return RunsPage(
        title=f"{len(runs)} runs side by side",
        lead=f"{', '.join(each.name for each in told)}: measured on {many(len(dataset), 'picture')} with "
        f"{many(runs[0].metrics.objects, 'object')} of {many(len(dataset.class_names), 'class')}.",
        notes=_notes(told, dataset.fingerprint()),
        runs=[each.name for each in told],
        names=dataset.class_names,
        hyperparameters=hyperparameters(runs),
        differences=differences(runs, progress),
        scores=[*_class_tables(runs), _error_table(runs, looked)],
        changed=_side_by_side("Settings that differ", "setting", told, [settings_of(each) for each in told]),
        rows=rows,
        choice=_choice(len(rows), len(dataset), sure),
        curves=_mean_curves(runs),
        training=compared_charts(told),
        data=data_of(told[0], describe(dataset)),
        versions=_side_by_side("Versions and machines that differ", "", told, [versions_of(each) for each in told]),
    )


def hyperparameters(runs: Sequence[Measured]) -> Table:
    """Lay the settings that matter most beside AP and AR, a row a run, the best one first."""
    kinds = _kinds(runs)
    rows: list[list[Cell]] = []
    for each in _best_first(runs):
        train = each.told.train
        pictures = f"{train.batch}" if train.accumulate == 1 else f"{train.batch} x {train.accumulate}"
        settings: list[Cell] = [f"{train.learning_rate:g}", f"{train.weight_decay:g}", pictures, f"{train.epochs}"]
        backbone: list[Cell] = [each.told.model.backbone.depth, f"{each.told.model.input.min_size}"]
        scores = [each.metrics[f"{kind}/{name}"] for kind in kinds for name in SCORES]
        rows.append([each.told.name, *settings, *backbone, *scores, each.found.seconds / max(each.metrics.images, 1)])
    columns = ["run", "learning\nrate", "weight\ndecay", "batch", "epochs", "backbone", "short\nedge"]
    columns += [f"{kind}\n{name}" for kind in kinds for name in SCORES]
    note = "AP is over IoU 0.50:0.95, AR100 recall with at most 100 detections of a picture and class; all areas."
    return Table("Settings against scores", [*columns, "s a\npicture"], rows, note)


def _best_first(runs: Sequence[Measured]) -> list[Measured]:
    kind = _kinds(runs)[-1]
    return sorted(runs, key=lambda one: -(one.metrics[f"{kind}/AP"] or 0.0))


def differences(runs: Sequence[Measured], progress: Progress) -> Table:
    """Compare the runs with the best one on the same draws of pictures; nothing of a single picture."""
    best, *others = _best_first(runs)
    keys = [f"{kind}/{name}" for kind in _kinds(runs) for name in ("AP", "AP50")]
    rows: list[list[Cell]] = []
    for other in others if best.metrics.images > 1 else ():
        title = f"comparing {other.told.name}"
        found = compare(best.evaluation, other.evaluation, DRAWS, progress=partial(progress, title))
        for key in keys:
            if key in found:
                one = found[key]
                clear = "yes" if one.clear else "no"
                rows.append([other.told.name, key, one.difference, one.interval.low, one.interval.high, clear])
    columns = ["run", "number", "difference", "from", "to", "clear"]
    note = (
        f"The pictures are drawn with replacement {DRAWS} times, and both runs are measured on the same draws: 95 % of "
        "the differences are between the two last numbers. A difference is clear where they do not enclose 0."
    )
    return Table(f"Differences from {best.told.name}", columns, rows, note)


def _kinds(runs: Sequence[Measured]) -> list[Kind]:
    return [kind for kind in KINDS if all(kind in each.metrics.kinds for each in runs)]


def _class_tables(runs: Sequence[Measured]) -> list[Table]:
    tables = []
    for kind in _kinds(runs):
        names = runs[0].metrics.classes
        rows: list[list[Cell]] = [
            [name, *(each.metrics.classes[name][f"{kind}/AP"] for each in runs), names[name]["objects"]]
            for name in names
        ]
        columns = ["class", *(each.told.name for each in runs), "objects"]
        tables.append(Table(f"{kind.capitalize()} AP per class", columns, rows, "IoU 0.50:0.95, all areas."))
    return tables


def _side_by_side(title: str, what: str, told: Sequence[Told], values: Sequence[Mapping[str, object]]) -> Table:
    """List what is not the same everywhere, a column a run."""
    names = dict.fromkeys(name for each in values for name in each)
    rows: list[list[Cell]] = [
        [name, *(str(each.get(name, "-")) for each in values)]
        for name in names
        if len({str(each.get(name)) for each in values}) > 1
    ]
    return Table(title, [what, *(each.name for each in told)], rows)


def _notes(told: Sequence[Told], fingerprint: str) -> list[str]:
    notes = []
    others = [each.name for each in told if each.facts.get("validation") and not same_data(each, fingerprint)]
    if others:
        notes.append(f"This is other data than {', '.join(others)} measured AP on while training.")
    if len({str((each.facts.get("data") or {}).get("fingerprint")) for each in told}) > 1:
        notes.append("The runs did not learn from the same data.")
    return notes


class _Looked(NamedTuple):
    """A run's errors, and how each picture went, in the order of the data."""

    errors: Errors
    pictures: Sequence[Picture]


def _look(measured: Measured, kind: Kind, sure: Sure) -> _Looked:
    counter, collector = ErrorCounter(kind, list(measured.truth.names.values())), Collector(0)
    for scene in scenes(kind, measured.truth, measured.found.results):
        counter.add(scene)
        collector.add(judged(scene, sure.least))
    return _Looked(counter.errors(), collector.cases().pictures)


def _error_table(runs: Sequence[Measured], looked: Sequence[_Looked]) -> Table:
    rows: list[list[Cell]] = [
        [name, *(each.errors.costs[name] for each in looked), looked[0].errors.meaning(name)] for name in ERRORS
    ]
    errors = looked[0].errors
    columns = ["error", *(each.told.name for each in runs), "what it is"]
    note = f"What AP of every {errors.kind} at IoU {errors.iou:g} would gain if these errors and no others were mended."
    return Table("What is wrong", columns, rows, note)


def _mean_curves(runs: Sequence[Measured]) -> list[Chart]:
    """Draw precision over recall of each run, as the mean over the classes."""
    charts = []
    for kind in _kinds(runs):
        lines = [
            mean_line(each.told.name, list(precision_recall(kind, each.truth, each.found.results).values()))
            for each in runs
            if each.metrics.objects
        ]
        title = f"Precision over recall, {kind} IoU 0.50, mean of the classes"
        plain = [replace(line, emphasis=False) for line in lines]
        charts.append(Chart(title, "recall", "precision", plain, y_max=1.0, x_max=1.0))
    return charts


def _rows(
    runs: Sequence[Measured],
    dataset: Dataset,
    kind: Kind,
    sure: Sequence[Sure],
    went: Sequence[Sequence[Picture]],
    count: int,
    progress: Progress,
) -> list[Row]:
    """Show the pictures on which the runs differ most."""
    results = [each.found.results for each in runs]
    order = sorted(range(len(dataset)), key=lambda i: -_apart([each[i] for each in went]))[:count]
    place_of = {went[0][i].image_id: i for i in order}
    rows: dict[int, Row] = {}
    stream = sceneries(dataset, kind, runs[0].truth, results, [each.least for each in sure], place_of)
    for done, scenery in enumerate(stream, 1):
        i = place_of[scenery.sample.image_id]
        own = [each[i] for each in went]
        words = [card_words(each.right, each.missed, each.false) for each in own]
        rows[i] = Row(shoot(scenery), i, [each.quality for each in own], words)
        progress("drawing", done, len(order))
    return [rows[i] for i in order]


def _apart(went: Sequence[Picture]) -> float:
    qualities = [each.quality for each in went]
    return max(qualities) - min(qualities)


def _choice(shown: int, total: int, sure: Sequence[Sure]) -> str:
    which = f"All {many(total, 'picture')}" if shown == total else f"{shown:,} of {many(total, 'picture')}"
    words = list(dict.fromkeys(each.words for each in sure))
    least = words[0] if len(words) == 1 else "the threshold of their run"
    return (
        f"{which}, those first on which the runs differ most. Detections with a probability of at least {least} "
        "are shown."
    )

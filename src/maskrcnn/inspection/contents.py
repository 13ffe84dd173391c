"""What stands on the page of a data set: numbers and words, each with what it is about.

Letters: N objects, P pictures, K classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Dataset
from maskrcnn.draw.bars import TIMES, Plot, layout_bars, layout_dots
from maskrcnn.draw.page import Cell, Headline, Share, Table
from maskrcnn.draw.palette import RGB, palette
from maskrcnn.inspection.anchors import Setting
from maskrcnn.inspection.pictures import Crop, Shot
from maskrcnn.inspection.pixels import Pixels
from maskrcnn.inspection.plots import counts_plot, lengths_plot, pixels_of, ratios_plot, sizes_plot
from maskrcnn.inspection.statistics import ClassNumbers, class_numbers, objects_a_picture, picture_sizes
from maskrcnn.inspection.survey import KINDS, Survey
from maskrcnn.model.anchor_fit import Fit
from maskrcnn.model.fpn import STRIDES

MOST_NAMED = 20  # things of a kind that are named one by one
MOST_FAULTS = 4  # sentences
MOST_VALUES = 10  # of a column
FEW_SIZES = 3  # sizes of pictures that need no drawing


class ClassRow(NamedTuple):
    """A class in the table.

    Attributes:
        name: What it is called.
        colour: Its colour in the pictures, as CSS has it.
        supercategory: The wider class; empty where there is none.
        numbers: Its objects.
        share: Of all objects.
        part: Of the objects of the most frequent class.
        looked_for: In how many pictures it was looked for.
    """

    name: str
    colour: str
    supercategory: str
    numbers: ClassNumbers
    share: Share
    part: Share
    looked_for: int


class FitRow(NamedTuple):
    """How the anchors of one setting lie on the objects: a table a level and the sizes that the network sees."""

    setting: Setting
    table: Table
    plot: Plot


@dataclass(frozen=True)
class Seen:
    """What was found out about a set.

    Attributes:
        dataset: The set.
        survey: Its annotations in numbers.
        shots: Pictures with their objects, and how they were chosen.
        choice: How they were chosen, one sentence.
        smallest: The smallest objects.
        largest: The largest ones.
        fits: Settings of anchors, each with the objects as the network sees them and its best anchors.
        pixels: The values of some pictures.
        fingerprint: Of names, sizes and annotations.
    """

    dataset: Dataset
    survey: Survey
    shots: Sequence[Shot]
    choice: str
    smallest: Sequence[Crop]
    largest: Sequence[Crop]
    fits: Sequence[tuple[Setting, NDArray[np.float64], Fit]]
    pixels: Pixels
    fingerprint: str


@dataclass(frozen=True)
class DataPage:
    """Everything on the page; whatever is empty is left out.

    Attributes:
        title: The page's name.
        lead: One sentence below it.
        headlines: The numbers that matter most.
        notes: What should be looked at first, one sentence each.
        shots: Pictures with their objects.
        choice: How they were chosen.
        colours: The colour of each of the K classes, as CSS has it.
        classes: A row a class, the most frequent first.
        partial: Some classes were not looked for in every picture.
        wider: Some classes have a supercategory.
        plots: Objects a picture, sizes, aspect ratios, sizes of pictures.
        sizes: The most frequent sizes of pictures.
        smallest: The smallest objects, enlarged.
        largest: The largest ones.
        fits: Anchors against objects.
        pixels: Mean, std and range of each band.
        columns: What else is known of the pictures.
        left_out: Annotations that became no objects.
        facts: Names and values.
    """

    title: str
    lead: str
    headlines: Sequence[Headline]
    notes: Sequence[str]
    shots: Sequence[Shot]
    choice: str
    colours: Sequence[str]
    classes: Sequence[ClassRow]
    partial: bool
    wider: bool
    plots: Sequence[Plot]
    sizes: Table
    smallest: Sequence[Crop]
    largest: Sequence[Crop]
    fits: Sequence[FitRow]
    pixels: Table
    columns: Sequence[Table]
    left_out: Table
    facts: dict[str, str]


def contents(seen: Seen) -> DataPage:
    """Put what was found out into words and tables."""
    dataset, survey = seen.dataset, seen.survey
    names = dataset.class_names
    numbers = class_numbers(survey.label, survey.crowd, survey.picture, survey.lengths, len(names))
    counts = objects_a_picture(survey.picture, survey.crowd, len(survey.size_hw))
    colours = [_css(colour) for colour in palette(names)]
    return DataPage(
        title=title(dataset),
        lead=_lead(seen),
        headlines=_headlines(seen, numbers, counts),
        notes=_notes(seen, numbers),
        shots=seen.shots,
        choice=seen.choice,
        colours=colours,
        classes=_class_rows(seen, numbers, colours),
        partial=bool((survey.looked_for < len(survey.size_hw)).any()),
        wider=any(dataset.supercategories),
        plots=_plots(survey, counts),
        sizes=_size_table(survey),
        smallest=seen.smallest,
        largest=seen.largest,
        fits=[_fit_row(*each) for each in seen.fits] if (~survey.crowd).any() else [],
        pixels=_pixel_table(seen.pixels),
        columns=[_column_table(name, values) for name, values in survey.columns.items()],
        left_out=_left_out_table(dataset),
        facts=_facts(seen),
    )


def title(dataset: Dataset) -> str:
    """Name a set by the folder or the file that it is."""
    source = dataset.source.absolute()
    plain = source.parent.name if source.parent.name not in {"annotations", "labels"} else source.parent.parent.name
    return source.name if source.is_dir() or not plain else f"{plain}/{source.name}"


def _css(colour: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _many(number: int, noun: str) -> str:
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def _lead(seen: Seen) -> str:
    dataset, survey = seen.dataset, seen.survey
    objects = int((~survey.crowd).sum())
    from maskrcnn.data.formats import FORMATS

    kind = FORMATS[dataset.format].title if dataset.format in FORMATS else dataset.format
    return (
        f"{kind}: {_many(len(dataset), 'picture')}, {_many(objects, 'object')} "
        f"of {_many(len(dataset.class_names), 'class')}. Counts and sizes are of all of them."
    )


def _headlines(seen: Seen, numbers: Sequence[ClassNumbers], counts: NDArray[np.int64]) -> list[Headline]:
    survey = seen.survey
    objects, crowds, empty = int(counts.sum()), int(survey.crowd.sum()), int((counts == 0).sum())
    lengths = survey.lengths[~survey.crowd]
    unused = sum(not each.objects for each in numbers)
    headlines = [
        Headline(f"{len(counts):,}", "pictures", f"{empty:,} without objects"),
        Headline(f"{objects:,}", "objects", f"and {crowds:,} crowd or ignored"),
        Headline(f"{len(numbers):,}", "classes", f"{unused:,} without objects"),
        Headline(
            f"{counts.mean():.1f}", "objects a picture", f"median {np.median(counts):g}, at most {counts.max():,}"
        ),
    ]
    if len(lengths):
        span = f"{pixels_of(float(lengths.min()))} to {pixels_of(float(lengths.max()))} px"
        headlines.append(Headline(f"{pixels_of(float(np.median(lengths)))} px", "median object", span))
        setting, _, fit = seen.fits[0]
        low = [f"{Share((fit.iou < limit).mean())} below {limit:g}" for limit in _limits(setting)]
        headlines.append(Headline(f"{fit.iou.mean():.2f}", "IoU of the best anchor", f"mean; {', '.join(low)}"))
    return headlines


def _notes(seen: Seen, numbers: Sequence[ClassNumbers]) -> list[str]:
    """Say what a person should look at before training."""
    notes = []
    names = seen.dataset.class_names
    if not any(each.objects for each in numbers):
        notes.append("There is no object to learn from.")
    unused = [names[each.label] for each in numbers if not each.objects]
    if unused and len(unused) < len(names):
        notes.append(f"{_many(len(unused), 'class')} without an object: {_listed(unused)}.")
    if seen.dataset.left_out:
        notes.append(f"{_many(len(seen.dataset.left_out), 'annotation')} left out; the reasons are listed below.")
    faults = [shot.fault for shot in seen.shots if shot.fault]
    faults = list(dict.fromkeys([*faults, *seen.pixels.unread]))
    if faults:
        named = _listed(faults, "; ", MOST_FAULTS)
        notes.append(f"{_many(len(faults), 'picture')} of those that were opened can't be used: {named}.")
    if seen.pixels.unlike:
        notes.append(
            f"{_many(seen.pixels.unlike, 'picture')} of those that were opened have another number of bands or kind "
            f"of number than the first one, {len(seen.pixels.bands)} {TIMES} {seen.pixels.dtype}."
        )
    if seen.pixels.gaps:
        notes.append(f"{_many(seen.pixels.gaps, 'picture')} of those that were opened have pixels that are no number.")
    return notes


def _listed(things: Sequence[str], between: str = ", ", most: int = MOST_NAMED) -> str:
    more = f"{between}and {len(things) - most:,} more" if len(things) > most else ""
    return between.join(things[:most]) + more


def _class_rows(seen: Seen, numbers: Sequence[ClassNumbers], colours: Sequence[str]) -> list[ClassRow]:
    most = max((each.objects for each in numbers), default=0) or 1
    rows = [
        ClassRow(
            seen.dataset.class_names[each.label],
            colours[each.label],
            seen.dataset.supercategories[each.label],
            each,
            Share(each.share),
            Share(each.objects / most),
            int(seen.survey.looked_for[each.label]),
        )
        for each in numbers
    ]
    return sorted(rows, key=lambda row: -row.numbers.objects)


def _plots(survey: Survey, counts: NDArray[np.int64]) -> list[Plot]:
    plots = [layout_bars(counts_plot(counts))]
    objects = ~survey.crowd
    if objects.any():
        width, height = survey.sides[objects].T
        plots.append(layout_bars(lengths_plot(survey.lengths[objects], "Size of objects")))
        plots.append(layout_bars(ratios_plot(height / width)))
    sizes = picture_sizes(survey.size_hw)
    if len(sizes) > FEW_SIZES:
        plots.append(layout_dots(sizes_plot(sizes)))
    return plots


def _size_table(survey: Survey) -> Table:
    sizes = picture_sizes(survey.size_hw)
    total = len(survey.size_hw)
    rows: list[list[Cell]] = [
        [f"{size.size_hw[0]} {TIMES} {size.size_hw[1]}", size.pictures, Share(size.pictures / total)]
        for size in sizes[:MOST_VALUES]
    ]
    rest = sizes[MOST_VALUES:]
    if rest:
        pictures = sum(size.pictures for size in rest)
        rows.append([f"{len(rest):,} other sizes", pictures, Share(pictures / total)])
    return Table("Most frequent sizes of pictures", [f"height {TIMES} width", "pictures", "share"], rows)


def _fit_row(setting: Setting, boxes: NDArray[np.float64], fit: Fit) -> FitRow:
    limits = _limits(setting)
    rows: list[list[Cell]] = []
    for level, sizes in enumerate(setting.anchors.sizes):
        own = fit.iou[fit.level == level]
        label = ", ".join(f"{size:g}" for size in sizes)
        rows.append([f"P{level + 2}", label, *_fit_cells(own, limits)])
    rows.append(["all", "", *_fit_cells(fit.iou, limits)])
    ratios = ", ".join(f"{ratio:g}" for ratio in setting.anchors.ratios)
    low = [f"below\n{limit:g}" for limit in limits]
    table = Table(
        f"Anchors: {setting.name}",
        ["level", "anchor\npx", "best for\nobjects", "mean\nIoU", *low],
        rows,
        f"Short edge {setting.input.min_size}, long edge at most {setting.input.max_size} pixels; height / width of "
        f"anchors {ratios}; {', '.join(str(stride) for stride in STRIDES)} pixels from anchor to anchor on P2 to P6.",
        digits=2,
    )
    lengths = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    anchors = [size for sizes in setting.anchors.sizes for size in sizes]
    plot = layout_bars(lengths_plot(lengths, f"Objects as the network sees them: {setting.name}", anchors))
    return FitRow(setting, table, plot)


def _limits(setting: Setting) -> tuple[float, float]:
    """Return the overlaps below which no anchor matches, and below which an anchor is background."""
    return setting.rpn.positive_iou, setting.rpn.negative_iou


def _fit_cells(iou: NDArray[np.float64], limits: Sequence[float]) -> list[Cell]:
    if not len(iou):
        return [0, None, *(None for _ in limits)]
    return [len(iou), float(iou.mean()), *(Share((iou < limit).mean()) for limit in limits)]


def _whole(value: float) -> Cell:
    return int(value) if value == int(value) else value


def _pixel_table(pixels: Pixels) -> Table:
    rows: list[list[Cell]] = [
        [f"{i}", band.mean, band.std, _whole(band.low), _whole(band.high)] for i, band in enumerate(pixels.bands, 1)
    ]
    return Table(
        "Pixels",
        ["band", "mean", "std", "least", "greatest"],
        rows,
        f"{pixels.dtype}, from {_many(pixels.measured, 'picture')} spread evenly over the set; each counts alike.",
        digits=2,
    )


def _column_table(name: str, values: Counter[str]) -> Table:
    total = values.total()
    rows: list[list[Cell]] = [[value, count, Share(count / total)] for value, count in values.most_common(MOST_VALUES)]
    if len(values) > MOST_VALUES:
        rest = total - sum(count for _, count in values.most_common(MOST_VALUES))
        rows.append([f"{len(values) - MOST_VALUES:,} other values", rest, Share(rest / total)])
    return Table(name, ["value", "pictures", "share"], rows, f"{_many(len(values), 'value')}.")


def _left_out_table(dataset: Dataset) -> Table:
    rows = [[left.code, left.picture, left.name, left.reason] for left in dataset.left_out[:MOST_NAMED]]
    counts = Counter(left.code for left in dataset.left_out)
    more = f"The first {MOST_NAMED} are named. " if len(dataset.left_out) > MOST_NAMED else ""
    note = more + ", ".join(f"{code}: {count:,}" for code, count in sorted(counts.items()))
    return Table("Left out", ["code", "picture", "annotation", "reason"], rows, note)


def _facts(seen: Seen) -> dict[str, str]:
    dataset, survey = seen.dataset, seen.survey
    counts = np.bincount(survey.kind[~survey.crowd], minlength=len(KINDS))
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in zip(KINDS, counts.tolist(), strict=True) if count)
    per_picture = objects_a_picture(survey.picture, survey.crowd, len(survey.size_hw))
    empty = [dataset.records[i].name for i in np.flatnonzero(per_picture == 0)[: MOST_NAMED + 1].tolist()]
    facts = {
        "Source": str(dataset.source),
        "Format": dataset.format,
        "Shapes of objects": kinds or "none",
        "Crowds and ignored regions": f"{int(survey.crowd.sum()):,}",
        "Annotations left out": f"{len(dataset.left_out):,}",
        "Pictures without objects": _empty_words(int((per_picture == 0).sum()), empty),
        "Fingerprint": seen.fingerprint,
    }
    wider = Counter(name for name in dataset.supercategories if name)
    if wider:
        facts["Supercategories"] = ", ".join(f"{name} ({_many(count, 'class')})" for name, count in wider.most_common())
    return facts


def _empty_words(count: int, names: Sequence[str]) -> str:
    if not count:
        return "0"
    more = ", ..." if count > MOST_NAMED else ""
    return f"{count:,}: {', '.join(names[:MOST_NAMED])}{more}"

"""Measures taken together: every picture is looked at once, and nothing is kept of it but what is counted.

References: LVIS (1908.03195) for classes that were not looked for in a picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from maskrcnn.data.formats.coco_results import Result
from maskrcnn.errors import AnnotationError, InputError, few
from maskrcnn.evaluation.averages import coco
from maskrcnn.evaluation.coco import BOUNDARY, KINDS, Kind, Metrics, Values
from maskrcnn.evaluation.counting import Count, Measure, Times, once
from maskrcnn.evaluation.ground_truth import GroundTruth, from_coco, from_dataset
from maskrcnn.evaluation.proposals import ProposalRecall
from maskrcnn.evaluation.scenes import Viewer, by_picture

if TYPE_CHECKING:
    from maskrcnn.data.dataset import Dataset

LIMITS = (1, 10, 100)
"""COCO's limits of detections a picture and class."""


class Evaluation:
    """Measures that are taken of pictures as they come, in memory that grows by some bytes a detection.

    Args:
        truth: What is there.
        measures: What is measured; COCO's numbers if not given.
        detections: Limits of detections a picture and class, for the recall; precision uses the largest.

    Raises:
        InputError: A limit is below 1.
    """

    def __init__(
        self, truth: GroundTruth, measures: Sequence[Measure] | None = None, detections: Sequence[int] = LIMITS
    ) -> None:
        self.truth = truth
        self.limits = limits_of(detections)
        self.measures = (coco(self.limits),) if measures is None else tuple(measures)
        self._viewer = Viewer(truth)
        maskless = sum(one.rle is None for one in truth.objects)
        asked = dict.fromkeys(kind for measure in self.measures for kind in measure.kinds)
        self.notes = (
            [f"no mask numbers: {maskless} of {len(truth.objects)} annotated objects have no mask"] if maskless else []
        )
        self._counts: dict[Kind, list[tuple[Measure, Count]]] = {
            kind: [(each, each.start(kind, truth)) for each in self.measures if kind in each.kinds]
            for kind in (*KINDS, BOUNDARY)
            if kind in asked and not (maskless and kind != "box")
        }
        self._found: Counter[int] = Counter()
        self._without: Counter[Kind] = Counter()
        self._unsure = 0

    def add(self, image_id: int, results: Sequence[Result]) -> None:
        """Count a picture, also one in which nothing was found.

        Args:
            image_id: Of a picture of the data that was not added before.
            results: What was found in it, of classes of the data.
        """
        self._found.update(result["category_id"] for result in results)
        self._without["box"] += sum("bbox" not in result for result in results)
        self._without["mask"] += sum("segmentation" not in result for result in results)
        looked_for = self.truth.labelled.get(image_id)
        if looked_for is not None:
            self._unsure += sum(result["category_id"] not in looked_for for result in results)
        for kind in [kind for kind in self._counts if self._lacks(kind)]:
            del self._counts[kind]
        for kind, counts in self._counts.items():
            scene = self._viewer.see(kind, image_id, results)
            for _, count in counts:
                count.add(scene)

    def _lacks(self, kind: Kind) -> bool:
        return bool(self._without["box" if kind == "box" else "mask"])

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of overlap that can be measured."""
        return tuple(self._counts)

    def require(self, source: str) -> None:
        """Refuse results of which nothing can be measured.

        Raises:
            AnnotationError: They have neither all boxes nor all masks, or what was asked for needs what they lack.
        """
        if self.measures and not self._counts:
            raise AnnotationError(f"{source}: nothing can be measured: {'; '.join(self.metrics().notes)}")

    @property
    def detections(self) -> int:
        """How many were counted."""
        return self._found.total()

    def values(self, times: Times | None = None) -> tuple[Values, dict[str, Values]]:
        """Return the numbers over all classes and those of each class by name, with the kind before their names.

        Args:
            times: How often each picture counts; once if not given.
        """
        times = times or once(self.truth.sizes_hw)
        overall: Values = {}
        classes: dict[str, Values] = {name: {} for name in self.truth.names.values()}
        for kind, counts in self._counts.items():
            for _, count in counts:
                tally = count.tally(times)
                overall.update({f"{kind}/{name}": value for name, value in tally.overall.items()})
                for row, values in zip(classes.values(), tally.classes, strict=False):
                    row.update({f"{kind}/{name}": value for name, value in values.items()})
        return overall, classes

    def metrics(self) -> Metrics:
        """Return all numbers."""
        truth = self.truth
        overall, rows = self.values()
        objects = Counter(one.category_id for one in truth.objects if not one.crowd)
        classes = {
            name: {"objects": objects[i], "detections": self._found[i], **rows[name]} for i, name in truth.names.items()
        }
        crowds = sum(one.crowd for one in truth.objects)
        return Metrics(
            overall,
            classes,
            images=len(truth.sizes_hw),
            objects=len(truth.objects) - crowds,
            crowds=crowds,
            detections=self.detections,
            limits=self.limits,
            notes=(*truth.notes, *self._said()),
            meanings={
                f"{kind}/{name}": words
                for kind, counts in self._counts.items()
                for measure, _ in counts
                for name, words in measure.meanings.items()
            },
        )

    def _said(self) -> list[str]:
        """Return what the reader should know about the results."""
        lacking = [
            f"no {kind} numbers: {count} of {self.detections} results have no {kind}"
            for kind, count in self._without.items()
            if count
        ]
        return [*lacking, *self.notes, *_unsure_note(self._unsure, self.detections)]


def _unsure_note(count: int, detections: int) -> list[str]:
    if not count:
        return []
    return [
        f"{count} of {detections} detections are of a class that was not looked for in their picture: "
        "they are right where they match an object and else not counted"
    ]


def limits_of(detections: Sequence[int]) -> tuple[int, ...]:
    """Return limits of detections, rising.

    Raises:
        InputError: There is none, or one is below 1.
    """
    limits = tuple(sorted(set(detections)))
    if not limits or limits[0] < 1:
        raise InputError(f"detections: expected one or more limits of at least 1, got {list(detections)}")
    return limits


def evaluate_results(
    ground_truth: Dataset | Mapping[str, Any] | GroundTruth,
    results: Sequence[Result],
    *,
    detections: Sequence[int] = LIMITS,
    measures: Sequence[Measure] | None = None,
    source: str = "results",
    progress: Callable[[int, int], None] | None = None,
) -> Metrics:
    """Measure detections against annotations.

    Boxes are measured where every record has a `bbox`, masks where every record and every object has a mask;
    what could not be measured is said in the notes.

    Args:
        ground_truth: A data set, or the content of a COCO annotation file.
        results: Detections as COCO results, in any order; `read_results` and `to_coco_results` make them.
        detections: Limits of detections a picture and class, for the recall; precision uses the largest.
        measures: What is measured, as `choose_measures` gives it; COCO's numbers if not given.
        source: Where the results come from, for errors.
        progress: Called with pictures done and pictures in all.

    Raises:
        AnnotationError: Records name pictures or classes that the data does not have, a mask has another size
            than its picture, or records have neither all boxes nor all masks.
        InputError: A limit is below 1.
    """
    return measure_results(
        ground_truth, results, detections=detections, measures=measures, source=source, progress=progress
    ).metrics()


def measure_results(
    ground_truth: Dataset | Mapping[str, Any] | GroundTruth,
    results: Sequence[Result],
    *,
    detections: Sequence[int] = LIMITS,
    measures: Sequence[Measure] | None = None,
    source: str = "results",
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Count what `evaluate_results` gives, for those who ask further, such as for intervals.

    Raises:
        AnnotationError: As `evaluate_results`.
        InputError: As `evaluate_results`.
    """
    limits_of(detections)
    if any(isinstance(measure, ProposalRecall) for measure in measures or ()):
        raise InputError("proposals: expected a model, whose first stage proposes boxes, got results alone")
    truth = truth_of(ground_truth)
    check_results(results, truth, source)
    evaluation = Evaluation(truth, measures, detections)
    records = by_picture(results)
    for done, image_id in enumerate(truth.sizes_hw, 1):
        evaluation.add(image_id, [results[i] for i in records.get(image_id, ())])
        if progress:
            progress(done, len(truth.sizes_hw))
    evaluation.require(source)
    return evaluation


def truth_of(ground_truth: Dataset | Mapping[str, Any] | GroundTruth) -> GroundTruth:
    """Take annotations of any kind as what detections are measured against."""
    if isinstance(ground_truth, GroundTruth):
        return ground_truth
    return from_coco(ground_truth) if isinstance(ground_truth, Mapping) else from_dataset(ground_truth)


def check_results(results: Sequence[Result], truth: GroundTruth, source: str) -> None:
    """Refuse records that do not belong to the data.

    Raises:
        AnnotationError: They name pictures or classes that it does not have, or a mask has another size.
    """
    for key, known, what in (
        ("image_id", truth.sizes_hw.keys(), "pictures"),
        ("category_id", truth.names.keys(), "classes"),
    ):
        ids = Counter(result[key] for result in results)  # type: ignore[literal-required]
        unknown = {one: count for one, count in ids.items() if one not in known}
        if unknown:
            raise AnnotationError(
                f"{source}: expected the {key} of {what} in the data, "
                f"got others in {sum(unknown.values())} of {len(results)} records: {few(sorted(unknown), 5)}"
            )
    for i, result in enumerate(results):
        size = list(truth.sizes_hw[result["image_id"]])
        if "segmentation" in result and result["segmentation"]["size"] != size:
            got = result["segmentation"]["size"]
            hint = "; height and width are swapped" if got == size[::-1] else ""
            raise AnnotationError(
                f"{source}: record {i}: segmentation: expected size {size} of picture {result['image_id']}, "
                f"got {got}{hint}"
            )

"""An exported network in 8-bit integers: ranges measured on pictures, detection logic left as it is.

References: Quantization and training of neural networks for efficient integer-arithmetic-only inference (1712.05877).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maskrcnn.data.dataset import Dataset
from maskrcnn.evaluation.coco import Metrics


@dataclass(frozen=True)
class Quantised:
    """What became of a graph.

    Attributes:
        path: The file.
        pictures: How many the ranges were measured on.
        layers: Convolutions and matrix products with weights.
        quantised: How many of them compute in 8 bits.
        kept: Names of the others.
        before: AP and AR of the graph that came in, if a data set was given.
        after: The same of the file.
    """

    path: Path
    pictures: int
    layers: int
    quantised: int
    kept: tuple[str, ...]
    before: Metrics | None = None
    after: Metrics | None = None


def quantise(
    graph: Path,
    out: Path,
    calibrate: str | Path | Dataset,
    *,
    data: Dataset | None = None,
    threads: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Quantised:
    """Turn an exported ONNX graph into one that computes its convolutions and matrix products in 8 bits.

    Args:
        graph: A file that this package exported, fp32 `.onnx`.
        out: Where to: `.onnx`, or `.xml` for OpenVINO.
        calibrate: Pictures to measure ranges on, of the kind that the model will see: a folder or pattern of
            pictures, or annotated data. Some hundred are taken, always the same ones.
        data: Annotated pictures to measure AP on, before and after.
        threads: To compute with; all cores by default.
        progress: Called with what is being done, steps done and steps in all.

    Raises:
        ImageError: A picture can't be read, or there is none.
        InputError: A library is missing, or the model does not know a class of the data.
        WeightsError: The graph is not one that this package exported.
        OutputError: The file can't be written.
    """
    raise NotImplementedError

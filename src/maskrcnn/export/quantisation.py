"""An exported network in 8-bit integers: ranges measured on pictures, detection logic left as it is.

References: Quantization and training of neural networks for efficient integer-arithmetic-only inference (1712.05877).
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskrcnn.engines import openvino
from maskrcnn.engines.graphs.metadata import About, to_texts
from maskrcnn.engines.graphs.onnx_file import read_about
from maskrcnn.engines.onnx import open_session
from maskrcnn.errors import InputError
from maskrcnn.export.calibration import Reader
from maskrcnn.export.integers import SCHEMES, Plan, Range, Writer, plan, watched
from maskrcnn.files import replacing

CPU = torch.device("cpu")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Quantised:
    """What became of a graph.

    Attributes:
        path: The file.
        pictures: How many the ranges were measured on.
        layers: Convolutions and matrix products with weights.
        quantised: How many of them compute in 8 bits.
        kept: Names of the others.
    """

    path: Path
    pictures: int
    layers: int
    quantised: int
    kept: tuple[str, ...]


def quantise(
    graph: Path,
    out: Path,
    seen: Sequence[Path],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Quantised:
    """Turn an exported ONNX graph into one that computes its convolutions and matrix products in 8 bits.

    Args:
        graph: A file that this package exported, fp32 `.onnx`.
        out: Where to: `.onnx`, or `.xml` for OpenVINO.
        seen: Pictures to measure ranges on, of the kind that the model will see; `find_pictures` chooses some.
        threads: To compute with; all cores by default.
        progress: Called with what is being done, steps done and steps in all.

    Raises:
        ImageError: A picture can't be read.
        InputError: A library is missing, or the graph computes in 8 bits already.
        WeightsError: The graph is not one that this package exported.
        OutputError: The file can't be written.
    """
    _check_libraries(out)
    import onnx

    about = read_about(graph)
    if about.precision != "fp32":
        raise InputError(f"{graph}: expected a graph in fp32, got one in {about.precision}")
    scheme, model = SCHEMES[out.suffix], onnx.load(graph)
    reader = Reader(seen, about)
    chosen = plan(model, scheme)
    ranges = measure_ranges(model, chosen, reader, threads, progress)
    Writer(model, ranges, scheme).write(chosen)
    _write(model, about, out)
    kept = tuple(node.name for node in chosen.layers if all(node is not each for each in chosen.chosen))
    return Quantised(out, len(reader), len(chosen.layers), len(chosen.chosen), kept)


def _check_libraries(out: Path) -> None:
    if out.suffix not in SCHEMES:
        raise InputError(f"{out}: expected a name that ends in {' or '.join(SCHEMES)}")
    needed = ("onnx", "onnxruntime", *(["openvino"] if out.suffix == ".xml" else []))
    absent = [name for name in needed if importlib.util.find_spec(name) is None]
    if absent:
        raise InputError(f"{out}: expected {', '.join(absent)} for 8 bits, got none; pip install maskrcnn[int8]")


def measure_ranges(
    model: Any, chosen: Plan, reader: Reader, threads: int | None = None, progress: Progress | None = None
) -> dict[str, Range]:
    """Run a model over pictures: the mean over them of the smallest and of the largest value of each tensor.

    The mean leaves out what a single picture does once, which would make the steps of all others coarser.
    """
    import onnx

    lows_highs = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "watched.onnx"
        onnx.save(watched(model, chosen.tensors), path)
        session = open_session(path, CPU, threads)
        for done, feed in enumerate(reader, 1):
            lows_highs.append(np.array(session.run(None, feed), dtype=np.float64).reshape(-1, 2))
            if progress:
                progress("ranges of values", done, len(reader))
    means = np.mean(lows_highs, axis=0)
    return {name: Range(*map(float, mean)) for name, mean in zip(chosen.tensors, means, strict=True)}


def _write(model: Any, about: About, out: Path) -> None:
    import onnx

    texts = to_texts(about._replace(precision="int8"))
    others = {each.key: each.value for each in model.metadata_props}
    onnx.helper.set_model_props(model, others | texts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "integers.onnx"
        onnx.save(model, path)
        if out.suffix == ".xml":
            openvino.convert(path, out)
            return
        with replacing(out) as temporary:
            temporary.write_bytes(path.read_bytes())

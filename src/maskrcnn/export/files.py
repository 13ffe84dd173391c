"""A model as a file for other programs, checked against the model before anybody uses it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from maskrcnn.data.dataset import Dataset
from maskrcnn.engines.choice import open_exported
from maskrcnn.engines.graphs import onnx_file, programs
from maskrcnn.engines.graphs.metadata import About, Takes
from maskrcnn.errors import InputError
from maskrcnn.evaluation import evaluate
from maskrcnn.export.calibration import find_pictures
from maskrcnn.export.parity import Report, compare, run_both
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.weights import build_filled
from maskrcnn.prediction import Picture, Predictor
from maskrcnn.zoo.opening import open_weights

Progress = Callable[[str, int, int], None]
_DRAWN = 4
_DRAWN_HW = (480, 640)


class Contents(NamedTuple):
    """What is in a file: opset (of ONNX alone), and how often each operator occurs."""

    opset: int | None
    operators: Mapping[str, int]


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        suffix: With the dot.
        write: Writes a model.
        contents: Looks into a file.
        takes: Which pictures it can take.
    """

    suffix: str
    write: Callable[[MaskRCNN, About, Path], None]
    contents: Callable[[Path], Contents]
    takes: tuple[Takes, ...] = ("network", "uint8", "float32")


# ---- formats


def _onnx_contents(path: Path) -> Contents:
    import onnx

    graph = onnx.load(path, load_external_data=False)
    names = Counter(f"{node.domain}::{node.op_type}".removeprefix("::") for node in graph.graph.node)
    return Contents(graph.opset_import[0].version, _sorted(names))


def _write_openvino(model: MaskRCNN, about: About, path: Path) -> None:
    from maskrcnn.engines.openvino import convert

    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        onnx_file.write_onnx(model, about, graph)
        convert(graph, path)


def _openvino_contents(path: Path) -> Contents:
    import openvino

    graph = openvino.Core().read_model(path)
    return Contents(None, _sorted(Counter(each.get_type_name() for each in graph.get_ops())))


def _pt2_contents(path: Path) -> Contents:
    program, _ = programs.open_pt2(path)
    return Contents(None, _sorted(programs.operators_of(program)))


def _torchscript_contents(path: Path) -> Contents:
    script: Any = programs.open_torchscript(path)[0]
    return Contents(None, _sorted(Counter(node.kind() for node in script.inlined_graph.nodes())))


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


FORMATS = {
    "onnx": Format(".onnx", onnx_file.write_onnx, _onnx_contents),
    "openvino": Format(".xml", _write_openvino, _openvino_contents),
    "torchscript": Format(".torchscript", programs.write_torchscript, _torchscript_contents),
    "pt2": Format(".pt2", programs.write_pt2, _pt2_contents),
}


# ---- exporting


def export(
    model: str | Path | MaskRCNN | Predictor,
    out: str | Path,
    *,
    to: str = "onnx",
    takes: Takes = "network",
    calibrate: str | Path | Dataset | None = None,
    pictures: Sequence[Picture] = (),
    data: Dataset | None = None,
    progress: Progress | None = None,
) -> Report:
    """Write a model as one file for other programs, run that file beside the model, and report how they agree.

    Args:
        model: A model file, address or name, as `load` takes them, or a model.
        out: Where to; `.onnx`, `.xml`, `.torchscript` or `.pt2`. The report lies beside it, with `.json` added.
        to: A key of `FORMATS`: `onnx`, `openvino`, `torchscript` or `pt2`.
        takes: `network` for pictures resized and padded as `MaskRCNN.forward` wants them; `uint8` or `float32` for
            whole pictures of that type, which the file resizes and whose pixels the boxes are in.
        calibrate: Pictures of the kind that the model will see; the file then computes in 8 bits.
        pictures: To compare on; drawn ones by default.
        data: Annotated pictures to measure AP of both on.
        progress: Called with what is being done, steps done and steps in all.

    Raises:
        InputError: There is no such format, the name does not fit it, a library is missing, or the model does not
            know a class of the data.
        WeightsError: The model can't be read.
        ImageError: A picture can't be read.
        OutputError: The file can't be written.
    """
    target = Path(out)
    form = _format(to, target, takes, calibrate)
    advance = progress or (lambda *_: None)
    steps = 2 + (2 if data is not None else 0)
    seen = None if calibrate is None else find_pictures(calibrate)
    network = _network(model)
    advance("writing", 0, steps)
    notes = _write(network, form, About(network.config, takes), target, seen, advance)
    advance("comparing", 1, steps)
    engine = open_exported(target, torch.device("cpu"))
    assert engine is not None, "every format has a backend"
    ours, theirs = Predictor(network), Predictor(engine)
    chosen = list(pictures) or _drawn(network.config.input.bands)
    ran = run_both(ours, theirs, chosen)
    same = compare(ran.model, ran.file)
    before: Mapping[str, float | None] = {}
    after: Mapping[str, float | None] = {}
    if data is not None:
        advance("measuring the model", 2, steps)
        before = evaluate(ours, data, progress=partial(advance, "measuring the model")).values
        advance("measuring the file", 3, steps)
        after = evaluate(theirs, data, progress=partial(advance, "measuring the file")).values
    contents = form.contents(target)
    report = Report(
        file=target.name,
        format=to,
        takes=takes,
        precision=engine.precision,
        bytes=_bytes(target),
        opset=contents.opset,
        operators=contents.operators,
        agreement=same,
        model_ms=ran.model_ms,
        file_ms=ran.file_ms,
        model_ap=before,
        file_ap=after,
        notes=(*notes, *_notes(same.found, bool(pictures))),
    )
    report.write(target.with_name(f"{target.name}.json"))
    advance("done", steps, steps)
    return report


def _format(to: str, target: Path, takes: Takes, calibrate: object) -> Format:
    if to not in FORMATS:
        raise InputError(f"to: expected one of {', '.join(FORMATS)}, got {to!r}")
    form = FORMATS[to]
    if target.suffix != form.suffix:
        raise InputError(f"{target}: expected a name that ends in {form.suffix}, got '{target.suffix}'")
    if takes not in form.takes:
        raise InputError(f"takes: expected one of {', '.join(form.takes)}, got {takes!r}")
    if calibrate is not None and to not in ("onnx", "openvino"):
        raise InputError(f"to: expected onnx or openvino for 8 bits, got {to}")
    return form


def _network(model: str | Path | MaskRCNN | Predictor) -> MaskRCNN:
    if isinstance(model, MaskRCNN):
        return model.cpu().eval()
    if isinstance(model, Predictor):
        return model.model.cpu().eval()
    weights = open_weights(model)
    return build_filled(weights.config, weights.tensors, str(model))


def _write(
    network: MaskRCNN, form: Format, about: About, target: Path, seen: Sequence[Path] | None, advance: Progress
) -> tuple[str, ...]:
    """Write the file, in 8 bits where pictures are given, and say what became of the layers."""
    if seen is None:
        form.write(network, about, target)
        return ()
    from maskrcnn.export.quantisation import quantise

    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        onnx_file.write_onnx(network, about, graph)
        done = quantise(graph, target, seen, progress=advance)
    return (f"{done.quantised} of {done.layers} layers compute in 8 bits; ranges from {done.pictures} pictures",)


def _drawn(bands: int) -> list[Picture]:
    """Draw pictures to compare on, with as many bands."""
    from maskrcnn.data.synth import draw
    from maskrcnn.data.synth.layouts import Call

    call = Call("spacecraft", "coco", _DRAWN, 0, *_DRAWN_HW)
    scenes = (draw(call, i).picture() for i in range(_DRAWN))
    return [np.take(scene, np.arange(bands) % scene.shape[2], axis=2) for scene in scenes]


def _bytes(path: Path) -> int:
    weights = path.with_suffix(".bin")
    beside = weights.stat().st_size if path.suffix == ".xml" and weights.is_file() else 0
    return path.stat().st_size + beside


def _notes(found: int, given: bool) -> tuple[str, ...]:
    if found:
        return ()
    hint = "these pictures" if given else "the drawn pictures; name pictures of your own to compare on"
    return (f"nothing could be compared: the model finds no object in {hint}",)

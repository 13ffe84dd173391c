"""Trainings in processes of their own: killed at named moments, resumed, or several at once under torchrun.

Run as a script, `sessions.py JOB ...`; the jobs are the functions at the end. The model is cut down to some ten
thousand weights so that a checkpoint after every step costs nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from maskrcnn.data import open_dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.model import backbone
from maskrcnn.training import checkpoints, history, module, recording, train, validation

SIZE_HW = (64, 64)
MODEL: dict[str, Any] = {
    "input": {"min_size": 64, "max_size": 64},
    "pyramid": {"channels": 16},
    "anchors": {"sizes": [[8.0], [16.0], [32.0], [64.0], [128.0]]},
    "rpn": {"pre_nms_train": 40, "proposals_train": 20, "pre_nms": 20, "proposals": 8, "samples": 32},
    "box_head": {"channels": 16, "samples": 16},
    "mask_head": {"channels": 8, "convs": 1},
    "detect": {"detections": 4},
}
SETTINGS: dict[str, Any] = {
    "stages": [{"epochs": 3}],
    "batch": 2,
    "workers": 0,
    "warmup": 2,
    "augment": {"flip": 0.5, "crop": 0.7, "colour": 0.3, "scale": [1.0, 1.5]},
}
EVERY_STEP = 1e-9  # minutes between checkpoints


def shrink() -> None:
    """Make `resnet18` a network of four blocks of 16 channels."""
    backbone.WIDTHS = (16, 16, 16, 16)
    backbone.BASIC["resnet18"] = backbone.BASIC["resnet18"]._replace(blocks=(1, 1, 1, 1))


def draw(folder: Path) -> None:
    """Draw seven pictures to learn from, the same with one object in all, and two to measure on."""
    synthesise("shapes", folder / "train", 7, size_hw=SIZE_HW)
    synthesise("shapes", folder / "val", 2, seed=1, size_hw=SIZE_HW)
    shutil.copytree(folder / "train", folder / "sparse")
    path = folder / "sparse/annotations.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "annotations": document["annotations"][:1]}))


# Kills

MOMENTS: dict[str, tuple[Any, str, str]] = {
    "after the checkpoint": (checkpoints.LastCheckpoint, "_save", "after"),
    "before the loss": (module.TrainingModule, "training_step", "before"),
    "after the loss": (module.TrainingModule, "training_step", "after"),
    "before the record": (recording.Recorder, "on_train_batch_end", "before"),
    "after the record": (recording.Recorder, "on_train_batch_end", "after"),
    "half a row": (history.History, "write", "half a row"),
    "half a checkpoint": (torch, "save", "half a file"),
    "in the validation": (validation.Validation, "_measure", "inside"),
    "after the validation": (validation.Validation, "on_train_epoch_end", "after"),
    "before the best model": (checkpoints.BestModel, "on_train_epoch_end", "before"),
    "after the best model": (checkpoints.BestModel, "on_train_epoch_end", "after"),
}
KILLED = 9


def kill_at(moment: str, occurrence: int) -> None:
    """Let this process die without a word when something happens for the n-th time."""
    owner, name, way = MOMENTS[moment]
    original, left = getattr(owner, name), [occurrence]

    def dying(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] != 0:
            return original(*args, **kwargs)
        WAYS[way](original, args, kwargs)
        os._exit(KILLED)

    setattr(owner, name, dying)


def _half_a_row(_: Any, args: Any, __: Any) -> None:
    with args[0].path.open("a") as file:
        file.write("7,1,0.00")


def _half_a_file(_: Any, args: Any, __: Any) -> None:
    Path(args[1]).write_bytes(b"PK\x03\x04 half a file")


def _inside_validation(original: Any, args: Any, kwargs: Any) -> None:
    args[0].progress = lambda _done, _total: os._exit(KILLED)
    original(*args, **kwargs)


WAYS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "before": lambda _original, _args, _kwargs: None,
    "after": lambda original, args, kwargs: original(*args, **kwargs),
    "half a row": _half_a_row,
    "half a file": _half_a_file,
    "inside": _inside_validation,
}


def session(prepare: Callable[[], None], **arguments: Any) -> int:
    """Train in a process that dies when it will; return how it ended."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        prepare()
        train(**{"devices": "cpu", **arguments})
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def kill_and_resume(folder: str, name: str, accumulate: str, minutes: str, workers: str, steps: str) -> None:
    """Train once unbroken and once killed at all moments one after the other, each time going on.

    Args:
        folder: Where the data is and the runs go.
        name: Folder of the runs.
        accumulate: Batches a step.
        minutes: Time between checkpoints inside an epoch.
        workers: Processes that read pictures.
        steps: Steps after which losses are looked at, one on a CPU and more on an accelerator.
    """
    root = Path(folder)
    recording.steps_between_looks = lambda _: int(steps)
    settings = {
        **SETTINGS,
        "accumulate": int(accumulate),
        "checkpoint_minutes": float(minutes),
        "workers": int(workers),
        "validate_every": 2,
    }
    data = {"data": root / "train", "val": root / "val"}
    begin = {**data, "model": MODEL, "settings": settings}
    assert session(lambda: None, **begin, out=root / name / "unbroken") == 0
    broken = root / name / "broken"
    assert session(lambda: kill_at("before the loss", 1), **begin, out=broken) == KILLED
    for moment in MOMENTS:
        for occurrence in (1, 2) if "loss" in moment or "record" in moment else (1,):
            code = session(lambda m=moment, o=occurrence: kill_at(m, o), **data, out=broken, resume=True)
            assert code == KILLED, (moment, code)
    assert session(lambda: None, **data, out=broken, resume=True) == 0


# Several processes


def together(folder: str) -> None:
    """Train on half of each joint batch; under torchrun the other process takes the other half."""
    root = Path(folder)
    for name, extra in JOINT.items():
        settings = {**SETTINGS, "optimiser": "sgd", "learning_rate": 0.05, **extra}
        settings["batch"] = 4 // int(os.environ.get("WORLD_SIZE", "1"))
        out = root / f"{os.environ.get('WORLD_SIZE', '1')}-{name}"
        model = {**MODEL, "backbone": {"norm": "batch"}} if name == "heads" else MODEL
        data = root / ("sparse" if name == "sparse" else "train")
        train(data, val=root / "val", out=out, model=model, settings=settings, devices="cpu")


JOINT: dict[str, dict[str, Any]] = {
    "plain": {"accumulate": 2},
    "sparse": {},
    "staged": {"stages": [{"layers": "heads", "epochs": 1}, {"layers": "5+", "epochs": 1}, {"epochs": 1, "rate": 0.5}]},
    "heads": {"stages": [{"layers": "heads", "epochs": 5}], "patience": 1, "learning_rate": 1e-4},
}


def two_devices(folder: str) -> None:
    """Train on two processes, the second of which Lightning starts."""
    root = Path(folder)
    dataset = open_dataset(root / "train")
    train(dataset, out=root / "two", model=MODEL, settings={**SETTINGS, "stages": [{"epochs": 1}]}, devices=2)


if __name__ == "__main__":
    shrink()
    globals()[sys.argv[1]](*sys.argv[2:])

"""Runs that are killed and resumed, and runs of two processes, against one unbroken run of one process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from maskrcnn.data import open_dataset
from maskrcnn.training import Run
from maskrcnn.training.history import LOSSES, curve, read_history
from maskrcnn.training.setup import start_model

SCRIPT = Path(__file__).with_name("sessions.py")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": ""}
TOLERANCE = 2e-5  # of float32 sums in another order, after a few steps


def python(*arguments: object) -> str:
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def same(a: Path, b: Path, tolerance: float = 0.0) -> None:
    ours, theirs = load_file(a), load_file(b)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize(
    ("name", "accumulate", "minutes", "workers", "steps"),
    [
        ("a checkpoint after every step", 1, 1e-9, 0, 1),
        ("gradients of two batches, and a worker", 2, 1e-9, 1, 1),
        ("a checkpoint an epoch", 1, 1000, 0, 1),
        ("losses looked at now and then", 1, 1e-9, 0, 3),
    ],
)
def test_killed_at_any_moment_and_resumed_a_run_is_the_unbroken_one(
    shapes, tmp_path, name, accumulate, minutes, workers, steps
):
    for kind in ("train", "val"):
        (tmp_path / kind).symlink_to(shapes / kind)
    said = python(SCRIPT, "kill_and_resume", tmp_path, name, accumulate, minutes, workers, steps)
    assert said.count("resuming") == 16
    unbroken, broken = Run(tmp_path / name / "unbroken"), Run(tmp_path / name / "broken")
    rows = read_history(unbroken.folder)
    assert read_history(broken.folder) == rows
    assert broken.history.read_bytes() == unbroken.history.read_bytes()
    assert len(rows) == 3 * -(-4 // accumulate)
    assert all(row.keys() >= {f"train/{loss}" for loss in LOSSES} for row in rows)
    assert len({row["train/loss"] for row in rows}) == len(rows)
    assert [row["epoch"] for row in rows if "val/AP" in row] == [1, 2]
    same(broken.model, unbroken.model)
    ends = [torch.load(run.last, weights_only=True) for run in (broken, unbroken)]
    for optimiser in zip(*(end["optimizer_states"][0]["state"].values() for end in ends), strict=True):
        assert all(torch.equal(optimiser[0][key], optimiser[1][key]) for key in ("exp_avg", "exp_avg_sq"))
    for run in (unbroken, broken):
        assert {path.name for path in run.last.parent.iterdir()} == {"last.ckpt", "best.ckpt"}


@pytest.fixture(scope="module")
def joint(shapes, tmp_path_factory) -> Path:
    """The same trainings by two processes under torchrun and by one."""
    folder = tmp_path_factory.mktemp("joint")
    for kind in ("train", "sparse", "val"):
        (folder / kind).symlink_to(shapes / kind)
    python(*TORCHRUN, SCRIPT, "together", folder)
    python(SCRIPT, "together", folder)
    return folder


@pytest.mark.parametrize("name", ["plain", "sparse", "staged", "heads"])
def test_two_processes_are_one_with_the_joint_batch(joint, name):
    one, two = Run(joint / f"1-{name}"), Run(joint / f"2-{name}")
    ours, theirs = read_history(two.folder), read_history(one.folder)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    for column in ours[0]:
        assert curve(ours, column)[1] == pytest.approx(curve(theirs, column)[1], rel=TOLERANCE, abs=TOLERANCE)
    same(two.model, one.model, TOLERANCE)


def test_training_has_changed_what_two_processes_agree_on(joint, sessions, shrunk):
    fresh = start_model(open_dataset(joint / "train"), None, "small", sessions.MODEL, 0).model.state_dict()
    final = load_file(Run(joint / "2-plain").model)
    largest = max(float((final[name] - fresh[name]).abs().max()) for name in fresh)
    assert largest > 100 * TOLERANCE


@pytest.mark.parametrize("world", [1, 2])
def test_parts_that_do_not_learn_keep_their_weights_and_norms_exactly(joint, sessions, shrunk, world):
    dataset = open_dataset(joint / "train")
    model = {**sessions.MODEL, "backbone": {"norm": "batch"}}
    fresh = start_model(dataset, None, "small", model, 0).model.state_dict()
    final = load_file(Run(joint / f"{world}-heads").model)
    backbone = {name for name in fresh if name.startswith("backbone.")}
    assert any("running_mean" in name for name in backbone)
    assert all(torch.equal(final[name], fresh[name]) for name in backbone)
    assert any(not torch.equal(final[name], fresh[name]) for name in fresh if name not in backbone)


@pytest.mark.parametrize("world", [1, 2])
def test_no_better_ap_ends_all_processes_early(joint, world):
    epochs = {row["epoch"] for row in read_history(joint / f"{world}-heads")}
    assert epochs == {0, 1}  # of five: a first AP, and one that is no better


def test_a_second_process_that_lightning_starts_leaves_the_folder_and_the_words_to_the_first(shapes, tmp_path):
    (tmp_path / "train").symlink_to(shapes / "train")
    said = python(SCRIPT, "two_devices", tmp_path)
    assert said.count("model: resnet18") == said.count("epoch 1/1") == 1
    assert len(read_history(tmp_path / "two")) == 2  # seven pictures, twice two at a time


ALLOWED = re.compile(
    r"(note|data|validation|model|weights|epoch \d+/\d+|interrupted|the run can go on|error|resuming)\b"
)


def test_the_command_says_only_what_we_say_and_how_to_go_on(shapes, tmp_path):
    out = tmp_path / "run"
    arguments = ["--epochs", "1000", "--set", "model.pyramid.channels=16"]
    code = "import sys; from maskrcnn.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "train", shapes / "train", "--val", shapes / "val", "--out", out, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    lines = []
    with subprocess.Popen([*map(str, command)], env=ENVIRONMENT, **pipes) as process:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("epoch 1/"):
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130, lines
    assert all(ALLOWED.match(line) for line in lines), lines
    going_on = [line for line in lines if "--resume" in line]
    assert going_on == [
        f"the run can go on: maskrcnn train {shapes}/train/annotations.json "
        f"--val {shapes}/val/annotations.json --out {out} --resume\n"
    ]

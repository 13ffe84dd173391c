"""An accelerator's way through training and prediction, where there is none: nothing mixes devices, nothing waits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration

from maskrcnn.config import ModelConfig

pytestmark = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this torch knows no devices that are written in Python",
)
SCRIPT = Path(__file__).with_name("accelerator.py")


@pytest.fixture(scope="module")
def outcomes(tiny: ModelConfig) -> dict[str, str]:
    """What was wrong in each case, or nothing."""
    command = [sys.executable, "-W", "error", SCRIPT, tiny.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_nothing_mixes_devices_and_no_training_step_waits(outcomes: dict[str, str]) -> None:
    sound = {name: wrong for name, wrong in outcomes.items() if not name.startswith("fault")}
    assert len(sound) == 13
    assert sound == dict.fromkeys(sound, "")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("of_main_memory", "arange has a tensor in the main memory"),
        ("with_a_copy_that_waits", "a copy to the device waits"),
        ("backward_in_main_memory", "arange has a tensor in the main memory"),
        ("of_few", "nonzero"),
    ],
)
def test_a_planted_fault_is_found(outcomes: dict[str, str], fault: str, sentence: str) -> None:
    assert sentence in outcomes[f"fault, {fault}"]

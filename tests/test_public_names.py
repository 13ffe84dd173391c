"""What others import: frozen here, so that a change of it is a decision."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import maskrcnn
from maskrcnn.version import __version__

NAMES = [
    "Instances",
    "MaskRCNNError",
    "ModelConfig",
    "Predictor",
    "Sample",
    "__version__",
    "data",
    "evaluate",
    "load",
    "train",
]
HEAVY = ("torch", "lightning", "faster_coco_eval", "pydantic", "numpy", "PIL")


def imported_by(code: str) -> set[str]:
    """Return which of the heavy packages a fresh interpreter has imported after some code."""
    check = f"import sys; print(' '.join(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", f"{code}; {check}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_public_names_are_frozen() -> None:
    assert maskrcnn.__all__ == NAMES
    assert dir(maskrcnn) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(maskrcnn, name) is not None


def test_the_version_is_that_of_the_package() -> None:
    assert maskrcnn.__version__ == __version__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'maskrcnn' has no attribute 'lode'"):
        maskrcnn.lode  # noqa: B018


def test_jobs_are_functions_also_once_their_rooms_are_imported() -> None:
    import maskrcnn.evaluation
    import maskrcnn.prediction
    import maskrcnn.training

    assert inspect.isfunction(maskrcnn.train)
    assert inspect.isfunction(maskrcnn.evaluate)
    assert inspect.isfunction(maskrcnn.load)


def test_load_takes_what_others_rely_on() -> None:
    path, *overrides = inspect.signature(maskrcnn.load).parameters.values()
    assert path.name == "path"
    expected = "device min_size max_size resize score_threshold detections proposals pre_nms backend precision threads"
    assert [override.name for override in overrides] == expected.split()
    assert all(o.default is None and o.kind is inspect.Parameter.KEYWORD_ONLY for o in overrides)


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert imported_by("import maskrcnn; maskrcnn.__version__; dir(maskrcnn)") == set()


def test_settings_and_data_do_without_torch() -> None:
    code = (
        "import maskrcnn; maskrcnn.ModelConfig; maskrcnn.Instances; maskrcnn.data.open_dataset; maskrcnn.MaskRCNNError"
    )
    assert imported_by(code).isdisjoint({"torch", "lightning", "faster_coco_eval"})

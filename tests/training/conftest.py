"""A network so small that whole trainings fit into a test, and pictures for it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from maskrcnn.model import backbone
from maskrcnn.training import train


def _load_sessions() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sessions", Path(__file__).with_name("sessions.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def sessions() -> ModuleType:
    """The file that other processes run, for its settings."""
    return _load_sessions()


@pytest.fixture(scope="session")
def shapes(tmp_path_factory, sessions) -> Path:
    """A folder with `train`, seven pictures, and `val`, two."""
    folder = tmp_path_factory.mktemp("shapes")
    sessions.draw(folder)
    return folder


@pytest.fixture
def shrunk(monkeypatch) -> None:
    """`resnet18` of four blocks of 16 channels."""
    monkeypatch.setattr(backbone, "WIDTHS", (16, 16, 16, 16))
    monkeypatch.setitem(backbone.BASIC, "resnet18", backbone.BASIC["resnet18"]._replace(blocks=(1, 1, 1, 1)))


@pytest.fixture
def learn(shrunk, shapes, sessions) -> Callable[..., Path]:
    """Train on the shapes, one epoch unless told otherwise; what is given overrides what is usual."""

    def run(out: Path, *, settings=None, resume=False, **arguments) -> Path:
        begin = {
            "model": sessions.MODEL,
            "settings": {**sessions.SETTINGS, "stages": [{"epochs": 1}], **(settings or {})},
        }
        return train(
            **{
                "data": shapes / "train",
                "out": out,
                "devices": "cpu",
                "say": lambda _: None,
                "resume": resume,
                **({} if resume else begin),
                **arguments,
            }
        )

    return run

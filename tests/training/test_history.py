"""One file that reads as if the run had never been interrupted."""

from __future__ import annotations

import csv

import pytest

from maskrcnn.errors import OutputError
from maskrcnn.training.folder import Run
from maskrcnn.training.history import COLUMNS, History, curve, read_history


@pytest.fixture
def history(tmp_path) -> History:
    history = History(Run(tmp_path).history)
    history.begin(0)
    return history


def row(step: int, loss: float) -> dict[str, float]:
    return {"step": step, "epoch": step // 2, "train/loss": loss}


def test_numbers_come_back_exactly(history, tmp_path):
    values = [0.1, 1 / 3, 1e-30, 12345678.9]
    history.write([row(step, value) for step, value in enumerate(values)])
    assert curve(read_history(tmp_path), "train/loss") == ([0, 1, 2, 3], values)
    with history.path.open() as file:
        assert next(csv.reader(file)) == list(COLUMNS)


def test_what_was_measured_at_one_step_is_one_row(history, tmp_path):
    history.write([row(0, 2.0), row(1, 1.0)])
    history.write([{"step": 1, "epoch": 0, "val/AP": 0.5}])
    assert read_history(tmp_path) == [row(0, 2.0), {**row(1, 1.0), "val/AP": 0.5}]
    assert curve(read_history(tmp_path), "val/AP") == ([1], [0.5])


def test_a_session_drops_what_it_will_repeat_and_nothing_else(history, tmp_path):
    history.write([row(step, step / 10) for step in range(5)])
    History(history.path).begin(3)
    assert [r["step"] for r in read_history(tmp_path)] == [0, 1, 2]
    history.write([row(3, 7.0)])
    assert curve(read_history(tmp_path), "train/loss") == ([0, 1, 2, 3], [0, 0.1, 0.2, 7])
    History(history.path).begin(0)
    assert read_history(tmp_path) == []


def test_beginning_again_at_the_end_leaves_the_file_as_it_is(history):
    history.write([{name: 0.1 + i for i, name in enumerate(COLUMNS)} | {"step": 4, "epoch": 2}])
    before = history.path.read_bytes()
    History(history.path).begin(5)
    assert history.path.read_bytes() == before


def test_half_a_line_of_a_killed_process_is_not_a_number(history, tmp_path):
    history.write([row(0, 1.0)])
    with history.path.open("a") as file:
        file.write("1,0,0.01")  # was to be 0.0123
    assert [r["step"] for r in read_history(tmp_path)] == [0]
    History(history.path).begin(1)
    history.write([row(1, 0.5)])
    assert curve(read_history(tmp_path), "train/loss") == ([0, 1], [1.0, 0.5])


def test_a_folder_without_a_history_has_no_rows(tmp_path):
    assert read_history(tmp_path) == []


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(OutputError, match=r"history\.csv: could not be written"):
        History(Run(tmp_path).history).begin(0)

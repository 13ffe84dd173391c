from __future__ import annotations

import io
import os
import sys

import pytest
from rich.console import Console

from maskrcnn.cli import words
from maskrcnn.cli.words import give, progress, say


def test_words_go_to_stderr_as_they_are(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    line = "train[0]: [bold]no markup[/] :car:, and a line longer than the terminal"
    say(line)
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{line}\n")


def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    screen = io.StringIO()
    monkeypatch.setattr(words, "console", Console(file=screen, force_terminal=True, width=80))
    return screen


def test_data_stays_on_stdout_beside_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with progress("predicting", beside=sys.stdout) as advance:
        give(["one", "two"])
        advance(1, 2)
    assert capsys.readouterr().out == "one\ntwo\n"
    assert "predicting" in screen.getvalue()
    assert "one" not in screen.getvalue()


def test_a_bar_gives_way_to_data_on_the_same_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, beside = terminal(monkeypatch), io.StringIO()
    monkeypatch.setattr(beside, "isatty", lambda: True)
    with progress("predicting", beside=beside) as advance:
        advance(1, 2)
    assert screen.getvalue().strip() == ""


def test_no_bar_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("drawing") as advance:
        advance(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_job_goes_on_when_nobody_reads_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        give(["line"] * 3)
        give(["line"] * 100_000)

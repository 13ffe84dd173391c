"""`report`: what came of a run, or of several, as one page with its figures beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from maskrcnn.data.dataset import Dataset
from maskrcnn.errors import InputError
from maskrcnn.files import make_folder, write_text
from maskrcnn.prediction import Predictor, load
from maskrcnn.reporting.figures import write_figures
from maskrcnn.reporting.measuring import Measured, Progress, measure, silent
from maskrcnn.reporting.one import RunPage, run_page
from maskrcnn.reporting.runs import opened_set, read_runs, validation_of
from maskrcnn.reporting.several import RunsPage, runs_page

PAGE = "report.html"
FIGURES = "figures"


def report(
    runs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    data: str | Path | Dataset | None = None,
    pictures: int = 100,
    score: float | None = None,
    open_model: Callable[[Path], Predictor] = load,
    batch: int = 1,
    workers: int = 0,
    progress: Progress = silent,
) -> Path:
    """Write a page about a run, or about several side by side, with its figures beside it.

    Where the folder of a run does not have what its model finds on the data, that is made first and kept there.

    ```python
    maskrcnn.reporting.report("run")
    maskrcnn.reporting.report(["run1", "run2"], "compared", data="photos/test")
    ```

    Args:
        runs: Folders of runs.
        out: A folder for `report.html` and `figures/`; `report` in the run's folder unless several are named.
        data: Annotated pictures to measure on; by default the run's validation data.
        pictures: How many are shown at most.
        score: Detections below this probability are not shown; by default 0.5.
        open_model: Makes a predictor of a model file.
        batch: Pictures that are read together.
        workers: Processes that read pictures.
        progress: Is told what is being done, how much of it is done, and of how much.

    Returns:
        The page.

    Raises:
        InputError: A folder holds no run, there is no validation data, or a number is out of range.
        MaskRCNNError: The model or the data can't be read.
        OutputError: Something can't be written.
    """
    if pictures < 0:
        raise InputError(f"pictures: expected at least 0, got {pictures}")
    told = read_runs([Path(run) for run in ([runs] if isinstance(runs, str | Path) else runs)])
    if out is None and len(told) > 1:
        raise InputError(f"report: expected a folder for the page about {len(told)} runs, got none; name it with --out")
    folder = told[0].run.folder / "report" if out is None else Path(out)
    make_folder(folder)
    dataset = validation_of(told[0]) if data is None else opened_set([data])
    measured = [measure(each, dataset, open_model, progress, batch=batch, workers=workers) for each in told]
    page = _page(measured, dataset, pictures, score, progress)
    write_figures(page.charts, page.sheets, folder / FIGURES)
    write_text(folder / PAGE, page.html())
    return folder / PAGE


def _page(
    measured: Sequence[Measured], dataset: Dataset, pictures: int, score: float | None, progress: Progress
) -> RunPage | RunsPage:
    if len(measured) == 1:
        return run_page(measured[0], dataset, pictures, score, progress)
    return runs_page(measured, dataset, pictures, score, progress)

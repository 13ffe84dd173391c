"""The page of a data set, its contact sheets, and the order in which everything is looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from maskrcnn.data.dataset import Dataset
from maskrcnn.draw.layout import contact_sheet
from maskrcnn.draw.page import render
from maskrcnn.errors import InputError
from maskrcnn.files import make_folder, replacing, write_text
from maskrcnn.inspection.anchors import settings
from maskrcnn.inspection.contents import Seen, contents
from maskrcnn.inspection.pictures import MOST_NAMES, Shot, choose_pictures, cut_out, shoot
from maskrcnn.inspection.pixels import measure
from maskrcnn.inspection.plots import pixels_of
from maskrcnn.inspection.statistics import extremes
from maskrcnn.inspection.survey import survey
from maskrcnn.model.anchor_fit import fit, see
from maskrcnn.training.setup import LOOK_AT
from maskrcnn.version import __version__

PAGE = "data.html"
SHEETS = "sheets"
ON_PAGE = 40  # pictures at most, so that the page stays small
A_SHEET = 12
COLUMNS = 3
MEASURED = 50  # pictures whose pixels are measured
EXTREMES = 6

Progress = Callable[[int, int], None]


def show_data(
    data: str | Path | Dataset,
    out: str | Path,
    *,
    count: int = 24,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Look at a data set and write what is seen: one HTML page that needs nothing else, and contact sheets.

    Every annotation is counted and measured; pictures are opened only where they are shown or where the page says
    that so many were measured. A picture that is missing or broken is shown as such.

    Args:
        data: A folder or file in any known format, or an open data set.
        out: A folder for `data.html` and `sheets/`; what a former call left there is replaced.
        count: Pictures on the sheets; the first 40 of them are on the page.
        seed: Which pictures these are follows from it.
        progress: Called with steps done and steps in all.

    Returns:
        The page.

    Raises:
        InputError: `count` or `seed` is below 0.
        MaskRCNNError: The data can't be read.
        OutputError: Something can't be written.
    """
    for name, value in (("count", count), ("seed", seed)):
        if value < 0:
            raise InputError(f"{name}: expected at least 0, got {value}")
    dataset = data if isinstance(data, Dataset) else _opened(data)
    folder = Path(out)
    make_folder(folder)
    seen = look(dataset, count, seed, progress or _silent)
    _write_sheets(seen.shots, folder / SHEETS)
    page = folder / PAGE
    write_text(page, data_page(seen))
    return page


def data_page(seen: Seen) -> str:
    """Make the page, a whole HTML document."""
    return render(
        "data.html",
        "maskrcnn.inspection",
        filters={"pixels": pixels_of},
        page=contents(seen),
        on_page=ON_PAGE,
        most_names=MOST_NAMES,
        look_at=LOOK_AT,
        version=__version__,
    )


def look(dataset: Dataset, count: int, seed: int, progress: Progress) -> Seen:
    """Find out everything that the page says."""
    measured = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), MEASURED)).astype(np.int64)).tolist()
    steps = _Steps(progress, len(dataset) + min(count, len(dataset)) + len(measured) + 1)
    seen = survey(dataset, steps.advance)
    shots = []
    for i in choose_pictures(seen, len(dataset.class_names), count, seed):
        shots.append(shoot(dataset, i))
        steps.advance()
    pixels = measure(dataset, measured, steps.advance)
    small, large = extremes(seen.lengths, seen.crowd, EXTREMES)
    fits = []
    for setting in settings(dataset):
        objects = see(seen.boxes, seen.picture, seen.size_hw, setting.input).select(~seen.crowd)
        fits.append((setting, objects.boxes, fit(objects, setting.anchors, setting.rpn)))
    found = Seen(
        dataset,
        seen,
        shots,
        _choice(len(shots), len(dataset), seed),
        cut_out(dataset, seen, small),
        cut_out(dataset, seen, large),
        fits,
        pixels,
        dataset.fingerprint(),
    )
    steps.advance()
    return found


def _opened(data: str | Path) -> Dataset:
    from maskrcnn.data import open_dataset

    return open_dataset(data, pictures="optional")


def _choice(shown: int, pictures: int, seed: int) -> str:
    if shown == pictures:
        return "All pictures of the set."
    return (
        f"{shown} of {pictures:,} pictures: up to half of them so that rare classes are seen, the others at random "
        f"(seed {seed})."
    )


def _write_sheets(shots: Sequence[Shot], folder: Path) -> None:
    """Write the contact sheets, and take away those that an earlier call left behind the last one."""
    sheets = math.ceil(len(shots) / A_SHEET)
    for i in range(sheets):
        part = shots[i * A_SHEET : (i + 1) * A_SHEET]
        sheet = contact_sheet([shot.image for shot in part], COLUMNS, [shot.name for shot in part])
        with replacing(folder / f"{i + 1:03d}.jpg") as path:
            sheet.save(path, quality=88)
    for old in folder.glob("[0-9][0-9][0-9].jpg"):
        if int(old.stem) > sheets:
            old.unlink()


class _Steps:
    """Counts what is done."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.done, self.total = progress, 0, total

    def advance(self) -> None:
        self.done += 1
        self.progress(self.done, self.total)


def _silent(_done: int, _total: int) -> None:
    """Tell nobody."""

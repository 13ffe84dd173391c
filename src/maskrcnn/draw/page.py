"""A report as one HTML file that needs nothing else: pictures and charts are inside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from maskrcnn.draw.chart import Chart, layout
from maskrcnn.files import write_text

Cell = str | int | float | None


@dataclass(frozen=True)
class Headline:
    """One large number: `value` as it is to be shown, `label` what it is, `note` the small print."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of numbers.

    Attributes:
        title: What the table shows.
        columns: Heading of every column.
        rows: One cell a column; a float is shown with three digits, None as a dash.
        note: What holds for all of its numbers.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """One picture twice: as annotated and as predicted, with a caption below."""

    truth: Image.Image
    prediction: Image.Image
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures, ground truth beside prediction."""

    title: str
    comparisons: Sequence[Comparison]
    note: str = ""


@dataclass(frozen=True)
class ReportData:
    """Everything on the page; whatever is empty is left out.

    Attributes:
        title: The page's name.
        subtitle: One sentence below it.
        headlines: The numbers that matter most, three to six.
        galleries: Pictures.
        tables: AP over all classes, per class, and others.
        charts: Losses and validation AP over the steps.
        settings: Names and values that made the run.
        versions: Names and versions of the software and the machine.
    """

    title: str
    subtitle: str = ""
    headlines: Sequence[Headline] = ()
    galleries: Sequence[Gallery] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, object] = field(default_factory=dict)


def report_page(report: ReportData) -> str:
    """Make the page, a whole HTML document."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("maskrcnn.draw"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cell=_cell, data_uri=data_uri)
    drawings = [layout(chart) for chart in report.charts]
    return environment.get_template("report.html").render(report=report, drawings=drawings)


def write_report(report: ReportData, path: Path | str) -> None:
    """Write the page in one step; folders are made where they are missing.

    Raises:
        OutputError: The file can't be written.
    """
    write_text(Path(path), report_page(report))


def data_uri(image: Image.Image) -> str:
    """Put a picture into a link: PNG or JPEG, whichever is smaller.

    >>> data_uri(Image.new("RGB", (8, 8)))[:22]
    'data:image/png;base64,'
    """
    files = []
    for kind in ("PNG", "JPEG"):
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, kind, quality=90, subsampling=0, optimize=True)
        files.append((len(buffer.getvalue()), kind.lower(), buffer.getvalue()))
    _, kind, content = min(files)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)

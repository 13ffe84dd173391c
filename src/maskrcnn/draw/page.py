"""Pages as one HTML file that needs nothing else: pictures and charts are inside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from PIL import Image

_FEW_COLOURS = 256


class Share(float):
    """A part of a whole, 0 to 1, that is written as a percentage.

    >>> [str(Share(part)) for part in (0, 0.0004, 0.25, 0.9999, 1)]
    ['0 %', '< 0.1 %', '25.0 %', '> 99.9 %', '100 %']
    """

    def __str__(self) -> str:
        if float(self) in (0.0, 1.0):
            return f"{100 * self:.0f} %"
        if self < 0.001:
            return "< 0.1 %"
        return "> 99.9 %" if self > 0.999 else f"{100 * self:.1f} %"


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
        rows: One cell a column; None is shown as a dash.
        note: What holds for all of its numbers.
        digits: How many a float is shown with, behind the point.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    digits: int = 3

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        return render("table.html", table=self)


def render(
    template: str,
    room: str = "maskrcnn.draw",
    filters: Mapping[str, Callable[..., str]] = MappingProxyType({}),
    **values: object,
) -> str:
    """Fill a template of a room, which may extend `base.html` and import `parts.html` of this one.

    Every value is escaped; half a surrogate pair, which names from JSON may have, is written as such.

    Args:
        template: The file's name in the room's `templates`.
        room: The package.
        filters: What the template may write values with, beside `cell` and `data_uri`.
        values: What the template names.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(each) for each in dict.fromkeys((room, "maskrcnn.draw"))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({"cell": _cell, "data_uri": data_uri, **filters})
    page = environment.get_template(template).render(**values)
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def data_uri(image: Image.Image, quality: int = 90) -> str:
    """Put a picture into a link: JPEG of a quality from 1 to 95, or PNG where it has few colours and that is smaller.

    >>> data_uri(Image.new("RGB", (8, 8)))[:22]
    'data:image/png;base64,'
    """
    picture = image.convert("RGB")
    kinds = ("PNG", "JPEG") if picture.getcolors(_FEW_COLOURS) else ("JPEG",)
    files = []
    for kind in kinds:
        buffer = io.BytesIO()
        picture.save(buffer, kind, quality=quality, subsampling=0, optimize=True)
        files.append((len(buffer.getvalue()), kind.lower(), buffer.getvalue()))
    _, kind, content = min(files)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _cell(value: Cell, digits: int = 3) -> str:
    if value is None:
        return "-"
    if isinstance(value, Share | str):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"

"""What the page of one run and that of several have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from PIL import Image

from maskrcnn.draw.chart import Chart, layout
from maskrcnn.draw.page import render
from maskrcnn.reporting.words import QUALITY, RIGHT, Colour, colours
from maskrcnn.version import __version__


class Page:
    """A page that is filled into a template of this room, with its charts laid out."""

    template: ClassVar[str]
    names: Sequence[str]
    curves: Sequence[Chart]
    training: Sequence[Chart]

    @property
    def charts(self) -> list[Chart]:
        """What is written as figures too."""
        return [*self.curves, *self.training]

    @property
    def sheets(self) -> dict[str, Image.Image]:
        """What is written as pictures too, by the names of the files."""
        return {}

    @property
    def colours(self) -> list[Colour]:
        """The colour of each class."""
        return colours(self.names)

    def html(self) -> str:
        """Make the page, a whole HTML document."""
        return render(
            self.template,
            "maskrcnn.reporting",
            page=self,
            curves=[layout(chart) for chart in self.curves],
            training=[layout(chart) for chart in self.training],
            right=RIGHT,
            quality=QUALITY,
            version=__version__,
        )

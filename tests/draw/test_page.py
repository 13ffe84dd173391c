"""Pictures inside of pages, and tables on their own."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from maskrcnn.draw.page import Table, data_uri

RED = Image.new("RGB", (40, 30), (255, 0, 0))


def test_pictures_come_back_out_of_their_links() -> None:
    head, content = data_uri(RED).split(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB").tobytes() == RED.tobytes()


def test_photographs_become_jpeg_of_a_quality() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    assert data_uri(noise).startswith("data:image/jpeg;base64,")
    assert len(data_uri(noise, 40)) < len(data_uri(noise, 90))


def test_a_table_shows_itself_in_a_notebook() -> None:
    shown = Table("A <b>", ("class", "AP"), [("<i>", 0.5), ("dog", None)], note="of all")._repr_html_()
    assert "A &lt;b&gt;" in shown
    assert "&lt;i&gt;" in shown
    assert "0.500" in shown
    assert "<b>" not in shown

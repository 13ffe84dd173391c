"""The checks of pages find what they are there for: each fault, planted, is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checking import check_page
from chromium import Chromium
from PIL import Image

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>page</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>:focus-visible {{ outline: 3px solid }} button {{ padding: 9px }} {style}</style></head>
<body><main><h1>Page</h1><button id="go">Go</button>{body}</main>{script}</body></html>"""

FAULTY = """
<p style="color:#999;background:#fff">pale</p>
<p style="opacity:.3">faint</p>
<p class="night">night</p>
<details><summary>More</summary><p style="color:Canvas">lost</p></details>
<div style="position:relative"><img alt="a" width="90" height="90"><b class="on">cat</b></div>
<svg aria-label="a" width="90" height="90"><rect width="90" height="90" fill="#000"/><text x="9" y="40">bar</text></svg>
<p style="width:500px;margin:0 0 0 -8px">wide</p>
<button style="width:9px;height:9px;padding:0" aria-label="small"></button>
<a href="#none" style="outline:0">nowhere</a>
<button onfocus="this.blur()" class="gone">gone</button>
<p style="cursor:pointer">press</p>
<img><button></button><p id="go">again</p><h3>deep</h3>
<div class="late"><p style="color:Canvas">deferred</p></div>
<p class="soft">soft</p><p class="turn">turn</p>
"""
STYLE = """
.late { margin-top: 9000px; content-visibility: auto }
.on { position: absolute; left: 9px; top: 9px }
@media (prefers-color-scheme: dark) { .night { color: #333 } }
.soft { transition: color 1s } @keyframes t { to { opacity: .9 } } .turn { animation: t 9s infinite }
"""
SCRIPT = """
<script>throw new Error('broken')</script>
<script>Promise.reject(new Error('later'))</script>
<script>console.error('trouble'); new Image().src = 'https://example.invalid/a.png'</script>
<script>new Image().src = 'file:///beside.png'</script>
"""


def _write(folder: Path, body: str = "", style: str = "", script: str = "") -> Path:
    path = folder / "page.html"
    path.write_text(PAGE.format(body=body, style=style, script=script), encoding="utf-8")
    return path


def test_a_good_page_passes(browser: Chromium, tmp_path: Path) -> None:
    check_page(browser, _write(tmp_path, '<p>Words</p><img alt="" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'))


def test_a_page_that_is_not_there_is_an_error(browser: Chromium, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="ERR_FILE_NOT_FOUND"):
        check_page(browser, tmp_path / "none.html")


@pytest.fixture(scope="module")
def faults(browser: Chromium, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said of a page with everything wrong."""
    with pytest.raises(AssertionError) as caught:
        check_page(browser, _write(tmp_path_factory.mktemp("faulty"), FAULTY, STYLE, SCRIPT))
    return str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        r"360 pixels, light: contrast: 2\.8\d: \"pale\"",
        r"1280 pixels, dark: contrast: \d\.\d\d: \"faint\"",
        r"dark: contrast: 1\.\d\d: \"night\"",
        r"contrast: 1\.00: \"lost\"",
        r"contrast: 1\.00: \"deferred\"",
        r"contrast: letters on a picture without a plate: \"cat\"",
        r"contrast: 1\.00: \"bar\"",
        "360 pixels, light: too wide: 500 pixels",
        "too small to tap: 9 x 9 pixels",
        "focus is not visible: <a",
        "the tab key does not reach <button.*gone",
        "structure: no key reaches",
        "structure: no alt: <img>",
        "structure: no name: <button>",
        "structure: id twice: <p",
        "structure: leads nowhere: <a",
        "structure: a heading skips a level: <h3>",
        "moves: transition of <p class=.soft",
        "moves: animation of <p class=.turn",
        "exception: Error: broken",
        "exception: Error: later",
        "console: error: trouble",
        r"request: https://example\.invalid/",
        "request: file:///beside",
    ],
)
def test_a_fault_is_named(faults: str, words: str) -> None:
    assert re.search(words, faults), faults


def test_what_is_right_is_not_named(faults: str) -> None:
    assert not re.search(
        r"light: contrast: [\d.]+: \"night\"|contrast: .*(Page|again|deep)|1280 pixels.*too wide", faults
    )


def test_the_pointer_the_finger_and_the_keys_arrive(browser: Chromium, tmp_path: Path) -> None:
    kinds = ("pointerover", "click", "touchstart", "keydown")
    listening = "window.seen = []; for (const kind of {}) go.addEventListener(kind, event => seen.push(kind))"
    page = _write(tmp_path, script=f"<script>{listening.format(list(kinds))}</script>")
    with browser.open(page, 1280, "light") as tab:
        tab.hover("#go")
        tab.click("#go")
        tab.press("ArrowLeft")
        assert tab.ask("seen") == ["pointerover", "click", "keydown"]
    with browser.open(page, 360, "dark") as tab:
        tab.tap("#go")
        assert "touchstart" in tab.ask("seen")
        assert tab.ask("matchMedia('(prefers-color-scheme: dark)').matches")
        assert tab.ask("innerWidth") == 360


def test_a_screenshot_is_the_whole_page(browser: Chromium, tmp_path: Path) -> None:
    page = _write(tmp_path, '<p style="height:2000px">tall</p>')
    with browser.open(page, 1280, "light") as tab:
        tab.screenshot(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as shot:
        assert shot.width in range(1200, 1281)
        assert shot.height > 2000

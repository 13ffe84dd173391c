"""A headless Chromium that tests talk to over a pair of pipes: no driver, no port, no library.

References: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root, and open their own pages only
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
PATIENCE = 120.0  # seconds; a busy machine is slow
KEYS = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    " ": 32,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}
_LOAD_ALL = """Promise.all([...document.images].map(each => {
  each.loading = 'eager';
  return each.decode().catch(() => null);
}))"""
_TEXTS = {"Enter": "\r", " ": " "}


def find_chromium() -> str | None:
    """Return where a Chromium is, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """One browser, ended by `with`.

    Args:
        program: Where it is.
        profile: A folder of its own.
    """

    def __init__(self, program: str, profile: Path) -> None:
        # the browser reads its file 3 and writes its file 4; high numbers here, so that neither is taken twice
        reads, self._writing = (_high(fd) for fd in os.pipe())
        self._reading, writes = (_high(fd) for fd in os.pipe())
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, reads, 3),
            (os.POSIX_SPAWN_DUP2, writes, 4),
        ]
        words = [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = os.posix_spawn(program, words, os.environ, file_actions=actions, setpgroup=0)
        os.close(reads)
        os.close(writes)
        self._rest = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._writing)
        os.close(self._reading)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)

    def call(self, method: str, session: str | None = None, **values: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; what happens meanwhile is kept in `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": values}
        _write(self._writing, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            answer = self._receive(until, method)
            if answer.get("id") == self._number:
                break
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, method: str, session: str) -> dict[str, Any]:
        """Wait for something to happen that has not been taken yet, and take it."""
        until = time.monotonic() + PATIENCE
        while True:
            for event in self.events:
                if event.get("method") == method and event.get("sessionId") == session:
                    self.events.remove(event)
                    return event
            self.events.append(self._receive(until, method))

    def _receive(self, until: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._reading], [], [], max(until - time.monotonic(), 0))[0]:
                raise TimeoutError(f"{what}: the browser has said nothing for {PATIENCE:g} s")
            piece = os.read(self._reading, 1 << 20)
            if not piece:
                raise ConnectionError(f"{what}: the browser has ended")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    @contextlib.contextmanager
    def open(self, path: Path, width: int, scheme: str, *, still: bool = False) -> Iterator[Tab]:
        """Open a page from disk; below 600 pixels it is a phone with a touch screen.

        Args:
            path: The page.
            width: Pixels of the window.
            scheme: `light` or `dark`.
            still: Whether the reader has asked for less motion.
        """
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        tab = Tab(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.call(f"{domain}.enable")
        phone = width < 600
        tab.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=740 if phone else 900,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        if phone:
            tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
        motion = "reduce" if still else "no-preference"
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        listed = [{"name": name, "value": value} for name, value in features.items()]
        tab.call("Emulation.setEmulatedMedia", media="", features=listed)
        answer = tab.call("Page.navigate", url=path.absolute().as_uri())
        if "errorText" in answer:
            raise FileNotFoundError(f"{path}: {answer['errorText']}")
        tab.wait_for("Page.loadEventFired")
        try:
            yield tab
        finally:
            self.call("Target.closeTarget", targetId=target)
            self.events = [event for event in self.events if event.get("sessionId") != tab.session]


class Tab:
    """One open page."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self.browser = browser
        self.session = session

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """Send a command about this page."""
        return self.browser.call(method, self.session, **values)

    def wait_for(self, method: str) -> dict[str, Any]:
        """Wait for something to happen on this page."""
        return self.browser.wait_for(method, self.session)

    def ask(self, expression: str) -> Any:
        """Evaluate JavaScript, a promise too, and return its value."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression[:80]}: {answer['exceptionDetails']['exception']['description']}")
        return answer["result"].get("value")

    def said(self) -> list[str]:
        """Return what went wrong: messages on the console, exceptions, requests to anywhere but the page."""
        self.ask("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        return [
            fault for event in self.browser.events if event.get("sessionId") == self.session for fault in _told(event)
        ]

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key and let it go."""
        values = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key]}
        values |= {"modifiers": 8 if shift else 0}
        text = {"text": _TEXTS[key]} if key in _TEXTS else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **values, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def hover(self, selector: str) -> None:
        """Put the pointer on the middle of an element."""
        x, y = self._middle(selector)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector: str) -> None:
        """Click on the middle of an element."""
        x, y = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tap(self, selector: str) -> None:
        """Tap on the middle of an element, with a finger."""
        x, y = self._middle(selector)
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def drag(self, selector: str, by: float) -> None:
        """Press on the middle of an element and move the pointer to the right."""
        x, y = self._middle(selector)
        for kind, at in (("mousePressed", x), ("mouseMoved", x + by), ("mouseReleased", x + by)):
            self.call("Input.dispatchMouseEvent", type=kind, x=at, y=y, button="left", buttons=1, clickCount=1)

    def screenshot(self, path: Path) -> None:
        """Save the whole page as PNG, with the pictures that wait to be scrolled to."""
        self.ask(_LOAD_ALL)
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 8000), "scale": 1}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _middle(self, selector: str) -> tuple[float, float]:
        place = self.ask(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{block: "center", behavior: "instant"}});
              const box = element.getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        return place[0], place[1]


def _told(event: dict[str, Any]) -> Iterator[str]:
    values = event["params"]
    match event["method"]:
        case "Runtime.exceptionThrown":
            details = values["exceptionDetails"]
            yield f"exception: {details.get('exception', {}).get('description', details['text'])}"
        case "Runtime.consoleAPICalled" if values["type"] in {"error", "warning", "assert"}:
            words = " ".join(str(each.get("value", each.get("description", ""))) for each in values["args"])
            yield f"console: {values['type']}: {words}"
        case "Log.entryAdded" if values["entry"]["level"] in {"error", "warning"}:
            yield f"log: {values['entry']['level']}: {values['entry']['text']}"
        case "Network.requestWillBeSent" if values.get("type") != "Document":
            url = values["request"]["url"]
            if not url.startswith(("data:", "blob:")):
                yield f"request: {url[:200]}"


def _high(fd: int) -> int:
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return high


def _write(fd: int, content: bytes) -> None:
    while content:
        content = content[os.write(fd, content) :]

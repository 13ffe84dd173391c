"""One browser for all pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium import NAMES, Chromium, find_chromium


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A headless Chromium; `make test` installs Debian's where it may."""
    program = find_chromium()
    if program is None:
        pytest.skip(f"no Chromium here: none of {', '.join(NAMES)}")
    with Chromium(program, tmp_path_factory.mktemp("profile")) as browser:
        yield browser

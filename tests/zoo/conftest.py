"""Where the outputs of other projects lie."""

from __future__ import annotations

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "../shared/golden"


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    if not GOLDEN.exists():
        pytest.skip("../shared/golden is not here")
    return GOLDEN

"""What the machine offers this process."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource
from maskrcnn.machine import keep_memory
kept = {keep}
if kept and not keep_memory():
    print("no")
    raise SystemExit
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
size = 256 << 20
def use():
    block = library.malloc(size)
    ctypes.memset(block, 1, size)
    library.free(block)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> str:
    """Return how many pages a large block needs the second time."""
    done = subprocess.run([sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_memory_that_is_kept_does_not_come_page_by_page_again() -> None:
    kept = faults(keep=True)
    if kept == "no":
        pytest.skip("not glibc")
    assert int(kept) < 10
    assert int(faults(keep=False)) > 100

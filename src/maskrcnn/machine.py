"""What the machine offers this process."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def usable_cores() -> int:
    """Return how many cores this process may use, which a container makes fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> int | None:
    """Return the most memory in bytes that this process has held at a time; None where the system does not say."""
    try:
        import resource
    except ImportError:  # on Windows
        return None
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024


# of glibc's malloc.h; what each takes
_TRIM_THRESHOLD, _MMAP_MAX, _MOST = -1, -4, 2**31 - 1


def keep_memory() -> bool:
    """Let this process keep large freed blocks and use them again; return whether the C library can.

    By default glibc gives a block of more than 32 MiB back to the system at once, and the next one comes page by page.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return all(library.mallopt(*setting) == 1 for setting in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _MOST)))


@contextmanager
def collection_paused() -> Iterator[None]:
    """Work without garbage collection, which would look through millions of objects, or touch what is forked."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

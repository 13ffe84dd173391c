"""HDF5 files whose numbers lie in them: no links to elsewhere, no plug-ins, no more than was asked for.

References: HDF5 file format.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

_FILTERS = frozenset({1, 2, 3})  # deflate, shuffle, checksum: those that come with the library


def h5py_for(path: Path, refusal: type[Exception]) -> Any:
    """Import h5py, which the extra `h5` brings.

    Args:
        path: The file that needs it, for the error.
        refusal: The caller's kind of error.
    """
    try:
        return importlib.import_module("h5py")
    except ImportError:
        raise refusal(f"{path}: expected h5py to read this file, got none; pip install maskrcnn[h5]") from None


def is_here(dataset: Any) -> bool:
    """Tell whether the library finds the numbers in the file, with no plug-in to unpack them."""
    plan = dataset.id.get_create_plist()
    filters = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())}
    return not dataset.is_virtual and not dataset.external and filters <= _FILTERS

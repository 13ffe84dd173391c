"""What a table of measurements has to say about where it was made, and the table itself."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("maskrcnn", "torch", "numpy", "pycocotools", "faster-coco-eval")


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def _processor() -> str:
    """Return the kind of processor, never the machine's name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    name = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return name.group(1) if name else platform.machine()


def describe(threads: int) -> str:
    """Say when and on what a table was made."""
    day = datetime.now(UTC).date().isoformat()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{day}. {_versions()}.\n{_processor()}, {os.cpu_count()} cores, {capability}, {threads} threads."


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def show(rows: list[list[str]]) -> list[list[str]]:
    """Print rows as they come and return them."""
    for row in rows:
        print(" | ".join(row), flush=True)
    return rows

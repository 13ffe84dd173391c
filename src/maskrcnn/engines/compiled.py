"""The network compiled by torch, for a program that runs long enough to win back what compiling takes.

The first picture size is compiled for itself, the second one for every size; heads are for any number of regions.

References: torch.compile.
"""

from __future__ import annotations

import os
import shutil
import time

import torch

from maskrcnn.engines.eager import EagerEngine, channels_last, cpu_precisions, use_threads
from maskrcnn.engines.engine import Backend, Engine
from maskrcnn.errors import InputError
from maskrcnn.model.mask_rcnn import MaskRCNN

PRECISIONS = {"cpu": cpu_precisions(), "cuda": ("fp32", "bf16", "fp16")}
COMPILER = "inductor"
_COMPILERS = ("g++", "clang++", "cl")


class CompiledEngine(EagerEngine):
    """Runs a compiled copy of a network; what it is compiled for follows from the first calls.

    Args:
        model: The network; see `EagerEngine`.
        precision: Of the arithmetic.
        device: Where to run.
    """

    backend = "compile"

    def prepare(self) -> MaskRCNN:
        """Return the copy that runs."""
        copy = channels_last(self.model, self.precision)
        for part in (copy.backbone, copy.pyramid, copy.rpn.head):
            part.compile(backend=COMPILER)
        for head in (copy.box_head, copy.mask_head):
            head.compile(backend=COMPILER, dynamic=True)
        return copy

    def compile_heads(self) -> float:
        """Compile what the first picture might not need, if it shows nothing; return the seconds that it took."""
        began = time.perf_counter()
        head = self.prepared.mask_head
        pooled = torch.zeros(2, self.config.pyramid.channels, *[self.config.mask_head.pool] * 2, device=self.device)
        pooled = pooled.to(head.logits.weight.dtype, memory_format=torch.channels_last)
        with torch.inference_mode():
            head(pooled, torch.zeros(2, dtype=torch.int64, device=self.device))
        return time.perf_counter() - began


def missing() -> str | None:
    """Say what torch.compile lacks here."""
    if not hasattr(torch, "compile"):
        return "this build of torch has no torch.compile"
    named = os.environ.get("CXX")
    if any(shutil.which(each) for each in ([named] if named else _COMPILERS)):
        return None
    return f"torch.compile needs a C++ compiler, and {named or ' or '.join(_COMPILERS)} is not on the PATH"


def _make(model: MaskRCNN, precision: str, device: torch.device, threads: int | None) -> Engine:
    if (reason := missing()) is not None:
        raise InputError(f"backend: expected one that this machine can run, got compile: {reason}")
    use_threads(threads)
    return CompiledEngine(model, precision, device)


BACKEND = Backend("PyTorch, compiled", PRECISIONS, missing, _make)

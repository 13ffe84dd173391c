"""Lightning's advice, kept from people who did not ask for it, and its way to stop, made Python's own."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.utilities.exceptions import SIGTERMException

LOUD = ("lightning.pytorch", "lightning.fabric", "lightning_utilities")
TERMINATED = 128 + signal.SIGTERM  # the exit status of a process that this signal ended


@contextmanager
def quiet() -> Iterator[None]:
    """Let Lightning report errors only, and hide its warnings, while the block runs."""
    loggers = [logging.getLogger(name) for name in LOUD]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # it advises on loaders that are not torch's own; ours brings its own workers
            warnings.filterwarnings("ignore", module="lightning")
            # 1x1 convolutions are channels-last and not so at the same time, and the strides say either
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def python_interrupts() -> Iterator[None]:
    """Let an interrupted block end as Python code does: Lightning exits, and ignores later interrupts.

    Raises:
        KeyboardInterrupt: The user interrupted.
        SystemExit: The process was asked to end; the status says so.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException:
        raise SystemExit(TERMINATED) from None
    except SystemExit as end:
        if not isinstance(end.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None

"""What runs a network for a command, and what is set for it in this process."""

from __future__ import annotations

import os
from typing import NamedTuple

from maskrcnn.cli.words import say
from maskrcnn.engines.choice import AUTO
from maskrcnn.engines.compiled import CompiledEngine
from maskrcnn.machine import keep_memory
from maskrcnn.prediction import Predictor, load

MALLOC = "MASKRCNN_MALLOC"  # `system` leaves the allocator as it is


class Running(NamedTuple):
    """What was asked for on the command line, None where nothing was.

    Attributes:
        device: Where.
        backend: What runs the network.
        precision: Of its arithmetic.
        threads: Of a CPU.
    """

    device: str | None = None
    backend: str | None = None
    precision: str | None = None
    threads: int | None = None

    def load(self, model: str, score_threshold: float | None = None) -> Predictor:
        """Load a model, and say what was picked for it and what takes long."""
        predictor = load(model, score_threshold=score_threshold, **self._asdict())
        if AUTO in (self.backend, self.precision):
            say(predictor.choice)
        if predictor.device.type == "cpu" and os.environ.get(MALLOC) != "system" and keep_memory():
            say(f"memory stays with this process until it ends, which is faster; {MALLOC}=system gives it back")
        if isinstance(predictor.engine, CompiledEngine):
            say("compiling, which can take a minute")
            say(f"compiled in {predictor.warm_up():.0f} s; a second size of pictures is compiled once more")
        return predictor

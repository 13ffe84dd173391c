"""What is wrong with data, what it will do to training, and a mended copy of it."""

from __future__ import annotations

from maskrcnn.doctor.examining import Visit, examine
from maskrcnn.doctor.gate import admit
from maskrcnn.doctor.mending import deleak, mend

__all__ = ["Visit", "admit", "deleak", "examine", "mend"]

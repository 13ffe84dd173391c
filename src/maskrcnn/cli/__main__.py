"""`python -m maskrcnn.cli`, which torchrun can start: `torchrun --nproc-per-node 2 -m maskrcnn.cli train ...`."""

from __future__ import annotations

import sys

from maskrcnn.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""Random numbers that are a pure function of a key: the same on every device, in every process, after every resume.

References: Steele et al., "Fast splittable pseudorandom number generators" (2014), for the mixing function.
"""

from __future__ import annotations

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
_MIX = (-4658895280553007687, -7723592293110705685)  # 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _shift(x: Tensor, bits: int) -> Tensor:
    """Shift right, filling with zeros."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def priorities(keys: Tensor, count: int, stream: int) -> Tensor:
    """Draw uniform numbers from keys by a counter-based generator (SplitMix64).

    Args:
        keys: (B) int64. One a picture.
        count: Numbers a key.
        stream: Different streams of one key are independent.

    Returns:
        (B, count) float32 in [0, 1), multiples of 2**-24.
    """
    counter = torch.arange(count, device=keys.device) + (stream << 32)
    x = keys[:, None] + counter * _GOLDEN
    x = (x ^ _shift(x, 30)) * _MIX[0]
    x = (x ^ _shift(x, 27)) * _MIX[1]
    x = x ^ _shift(x, 31)
    return _shift(x, 40).to(torch.float32) * 2.0**-24

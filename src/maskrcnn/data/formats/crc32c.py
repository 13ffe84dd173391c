"""The checksum CRC-32C, over many rows of bytes at once.

A checksum is linear: rows are summed side by side, and put together with what a row of zeros does to a sum.

References: RFC 3720, appendix B.4; Castagnoli 1993.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78
_ROW = 512  # bytes
_SHORT = 4 * _ROW


@cache
def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)  # the register
        table.append(value)
    return table


def _step(register: int, content: bytes) -> int:
    table = _table()
    for byte in content:
        register = table[(register ^ byte) & 255] ^ register >> 8
    return register


@cache
def _past_a_row() -> list[list[int]]:
    """Return what a row of zeros makes of each value of each of the register's four bytes."""
    return [[_step(value << shift, bytes(_ROW)) for value in range(256)] for shift in (0, 8, 16, 24)]


def crc32c(content: bytes) -> int:
    """Return the checksum of bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    if len(content) < _SHORT:
        return _step(0xFFFFFFFF, content) ^ 0xFFFFFFFF
    count = len(content) // _ROW
    rows = np.frombuffer(content, np.uint8, count * _ROW).reshape(count, _ROW)
    table: NDArray[np.uint32] = np.array(_table(), dtype=np.uint32)
    registers = np.zeros(count, dtype=np.uint32)
    for column in np.ascontiguousarray(rows.T):
        registers = table[(registers ^ column) & 255] ^ registers >> np.uint32(8)
    zeros = _past_a_row()
    whole = 0xFFFFFFFF
    for register in registers.tolist():
        moved = zeros[0][whole & 255] ^ zeros[1][whole >> 8 & 255] ^ zeros[2][whole >> 16 & 255] ^ zeros[3][whole >> 24]
        whole = moved ^ register
    return _step(whole, content[count * _ROW :]) ^ 0xFFFFFFFF

"""TFRecord files, written without TensorFlow: messages as protocol buffers, framed with checksums."""

from __future__ import annotations

import struct
from typing import Any


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def feature(values: list[Any]) -> bytes:
    if values and isinstance(values[0], bytes):
        return field(1, b"".join(field(1, value) for value in values))
    if values and isinstance(values[0], float):
        return field(2, field(1, struct.pack(f"<{len(values)}f", *values)))
    return field(3, field(1, b"".join(map(varint, values))))


def example(features: dict[str, list[Any]]) -> bytes:
    entries = (field(1, key.encode()) + field(2, feature(values)) for key, values in features.items())
    return field(1, b"".join(field(1, entry) for entry in entries))


def checksum(content: bytes) -> bytes:
    """Sum bit by bit."""
    register = 0xFFFFFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    plain = register ^ 0xFFFFFFFF
    return struct.pack("<I", ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def framed(content: bytes) -> bytes:
    head = struct.pack("<Q", len(content))
    return head + checksum(head) + content + checksum(content)

"""Small damages to files: of bytes, of words, and of JSON documents."""

from __future__ import annotations

import copy
import json
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "data"))
from tf_records import framed  # of the tests beside it

TOKENS = [
    *(
        b"0",
        b"-1",
        b"1",
        b"0.5",
        b"1e999",
        b"-1e999",
        b"nan",
        b"NaN",
        b"Infinity",
        b"null",
        b"true",
        b'""',
        b"[]",
        b"{}",
    ),
    *(b"99999999999999999999", b"4294967296", b"-2147483649", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"'", b","),
    *(
        b"\n",
        b"\r\n",
        b"\t",
        b"<",
        b">",
        b"&amp;",
        b"&x;",
        b"</",
        b"]]>",
        b"../..",
        b"/etc/passwd",
        b"C:\\",
        b"%s",
        b":",
    ),
]
ODD: list[object] = [
    *(None, True, False, -1, 0, 1, 2.5, 1e308, 10**30, -(10**30), "", "a", "-1", "nan", "1e999", "../../x", "/", "\0"),
    *([], [[]], [None], [0] * 7, {}, {"a": 1}, "x" * 3000, [[0, 0, 1e9, 1e9, 5, 5]], [1e6] * 6),
]

Mutate = Callable[[bytes, random.Random], bytes]


def damage_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat or insert a few bytes."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(6)
        if kind == 0 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[at : at + rng.choice([1, 2, 8, 64])]
        elif kind == 2:
            out[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice([1, 4])))
        elif kind == 3:
            out[at:at] = out[at : at + rng.choice([1, 16, 128])]
        elif kind == 4:
            del out[at:]
        else:
            out[at:at] = rng.choice(TOKENS)
    return bytes(out)


def damage_words(data: bytes, rng: random.Random) -> bytes:
    """Put an odd word in the place of a number or a word."""
    words = list(re.finditer(rb"[-+\w.]+", data))
    if not words:
        return damage_bytes(data, rng)
    for _ in range(rng.choice([1, 1, 2, 3])):
        word = rng.choice(words)
        data = data[: word.start()] + rng.choice(TOKENS) + data[word.end() :]
    return data


def damage_json(data: bytes, rng: random.Random) -> bytes:
    """Put an odd value, or a copy of another part, into a document."""
    try:
        document = json.loads(data)
    except ValueError:
        return damage_bytes(data, rng)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        places = list(_places(document))
        if not places:
            break
        holder, key = rng.choice(places)
        kind = rng.randrange(8)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            other_holder, other_key = rng.choice(places)
            holder[key] = copy.deepcopy(other_holder[other_key])
        elif kind == 2 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif kind == 3 and isinstance(holder, dict):
            holder[rng.choice(["", "a", key.upper()])] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(rng.choice(ODD))
    return json.dumps(document).encode()


def _places(document):
    pending = [document]
    while pending:
        holder = pending.pop()
        items = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for key, value in list(items):
            yield holder, key
            if isinstance(value, dict | list):
                pending.append(value)


def damage_record(data: bytes, rng: random.Random) -> bytes:
    """Damage what is in the first record of a TFRecord file, and sum it up anew, so that it is looked at."""
    length = int.from_bytes(data[:8], "little")
    return framed(damage_bytes(data[12 : 12 + length], rng))


def mutation(name: str, rng: random.Random) -> Mutate:
    """Choose how a file is damaged, by its suffix."""
    if name.endswith((".json", ".geojson")):
        return rng.choice([damage_json, damage_json, damage_json, damage_words, damage_bytes])
    if name.endswith((".csv", ".xml", ".txt", ".yaml", ".pbtxt", ".names", ".data")):
        return rng.choice([damage_words, damage_words, damage_bytes])
    if name.endswith(".tfrecord"):
        return rng.choice([damage_record, damage_record, damage_bytes])
    return damage_bytes

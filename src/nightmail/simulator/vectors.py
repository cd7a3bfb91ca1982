"""Embeddings: a hashed bag of words, of unit length.

Texts that share words have a larger cosine than texts that don't, which is all that a rehearsal needs.
Most places are zero, so only the others are computed.
"""

from __future__ import annotations

import array
import base64
import math
import sys
import zlib

from nightmail.simulator.words import words_of


def vector(text: str, dimensions: int, salt: int = 0) -> list[float]:
    """`dimensions` numbers whose squares sum to 1, each exact in single precision."""
    values: dict[int, float] = {}
    for word in words_of(text) or [b""]:
        hashed = zlib.crc32(word, salt & 0xFFFFFFFF)
        place = hashed % dimensions
        values[place] = values.get(place, 0.0) + (1.0 if hashed & 0x8000_0000 else -1.0)
    norm = math.sqrt(sum(value * value for value in values.values()))
    if norm == 0.0:  # words that cancelled each other in the same place
        values, norm = {0: 1.0}, 1.0
    made = [0.0] * dimensions
    single = array.array("f", [value / norm for value in values.values()])
    for place, value in zip(values, single, strict=True):
        made[place] = value
    return made


def in_base64(values: list[float]) -> str:
    """Little-endian 32-bit floats, as `encoding_format: base64` has them."""
    packed = array.array("f", values)
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode("ascii")

"""An embedding as a server writes it -> packed numbers. Pure.

Usually a JSON list: `simdjson` reads it into a buffer without a Python object per number, four times as fast
as anything that makes a list first. Where it is not installed, or finds something odd, `msgspec` decides.
"""

from __future__ import annotations

import base64
import binascii
import sys
from array import array
from contextlib import suppress

import msgspec

try:
    import simdjson
except ImportError:  # no wheel for this Python
    simdjson = None  # type: ignore[assignment]

_QUOTE = ord(b'"')
# Nowhere but in front of a vector: inside of a string its quotes would be escaped.
_KEY = b'"embedding":'


class Extract(msgspec.Struct, frozen=True):
    """A result line without its vectors. Where one was stands its number in `lists`."""

    line: bytes
    lists: list[bytes]

    def whole(self, part: bytes) -> bytes:
        """A part of the line as it was, the vectors in it."""
        first, *others = part.split(_KEY)
        restored = [first]
        for other in others:
            number = other[: len(other) - len(other.lstrip(b"0123456789"))]
            restored += (_KEY, self.lists[int(number)], other[len(number) :])
        return b"".join(restored)


def extract(line: bytes) -> Extract | None:
    """What is left of a line that holds lists of numbers, so that 20,000 bytes for each need not be looked
    through twice; None if it holds none, or something odd in their place."""
    pieces: list[bytes] = []
    lists: list[bytes] = []
    read_to = 0
    while (key_at := line.find(_KEY, read_to)) >= 0:
        begin = key_at + len(_KEY)
        end = line.find(b"]", begin) + 1
        text = line[begin:end]
        if not text[:100].lstrip().startswith(b"["):
            return None
        pieces += (line[read_to:begin], b"%d" % len(lists))
        lists.append(text)
        read_to = end
    return Extract(b"".join((*pieces, line[read_to:])), lists) if lists else None


def numbers_in(raw: msgspec.Raw | bytes) -> array[float]:
    """The numbers of an embedding: 64-bit from a list, 32-bit from base64 (`encoding_format`).

    Raises `msgspec.ValidationError` if it is neither.
    """
    text = bytes(raw)
    if text[0] == _QUOTE:
        return _from_base64(msgspec.json.decode(text, type=str))
    # A list in the list would be read as if its brackets were not there.
    if simdjson is not None and text.rfind(b"[") == text.find(b"["):
        with suppress(ValueError, TypeError, RuntimeError):
            values = simdjson.Parser().parse(text)
            if isinstance(values, simdjson.Array):
                numbers = array("d")
                numbers.frombytes(memoryview(values.as_buffer(of_type="d")))
                return numbers
    return array("d", msgspec.json.decode(text, type=list[float]))


def _from_base64(text: str) -> array[float]:
    """Little-endian 32-bit floats; the official clients ask for it."""
    try:
        floats = array("f", base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise msgspec.ValidationError("an embedding is neither a list nor base64") from error
    if sys.byteorder == "big":
        floats.byteswap()
    return floats

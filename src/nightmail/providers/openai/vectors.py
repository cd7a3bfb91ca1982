"""An embedding as a server writes it -> packed numbers. Pure.

Usually a JSON list: `simdjson` reads it into a buffer without a Python object per number, four times as fast
as anything that makes a list first. Where it is not installed, or finds something odd, `msgspec` decides.
"""

from __future__ import annotations

import base64
import binascii
import sys
from array import array

import msgspec

try:
    import simdjson
except ImportError:  # no wheel for this Python
    simdjson = None  # type: ignore[assignment]

_QUOTE = ord(b'"')
# Nowhere but in front of a vector: inside of a string its quotes would be escaped.
_KEY = b'"embedding":'
_ODD = (ValueError, TypeError, RuntimeError)  # of simdjson: no list of numbers
_CLOSING = {b"[": b"]", b'"': b'"'}


class Extract(msgspec.Struct, frozen=True):
    """A result line without its vectors. Where one was stands its number in `texts`."""

    line: bytes
    texts: list[bytes]


def extract(line: bytes) -> Extract | None:
    """What is left of a line that holds lists of numbers, or base64, so that 20,000 bytes for each need not
    be looked through twice; None if it holds none, or something odd in their place."""
    pieces: list[bytes] = []
    texts: list[bytes] = []
    read_to = 0
    while (key_at := line.find(_KEY, read_to)) >= 0:
        begin = key_at + len(_KEY)
        while line[begin : begin + 1] == b" ":
            begin += 1
        if (closing := _CLOSING.get(line[begin : begin + 1])) is None:
            return None
        if (end := line.find(closing, begin + 1) + 1) == 0:
            return None
        pieces += (line[read_to:begin], b"%d" % len(texts))
        texts.append(line[begin:end])
        read_to = end
    return Extract(b"".join((*pieces, line[read_to:])), texts) if texts else None


class Numbers:
    """Reads embeddings, one after the other; used by one thread."""

    def __init__(self) -> None:
        self._parser = None if simdjson is None else simdjson.Parser()

    def view(self, text: bytes) -> memoryview[float]:
        """The numbers of an embedding, packed: 64-bit from a list, 32-bit from base64 (`encoding_format`).

        Raises `msgspec.ValidationError` if it is neither.
        """
        if text[0] == _QUOTE:
            return memoryview(_from_base64(msgspec.json.decode(text, type=str)))
        # A list in the list would be read as if its brackets were not there.
        if self._parser is not None and text.find(b"[", 1) < 0:
            try:
                values = self._parser.parse(text)
                if isinstance(values, simdjson.Array):
                    return memoryview(values.as_buffer(of_type="d")).cast("d")
            except _ODD:
                pass
        return memoryview(array("d", msgspec.json.decode(text, type=list[float])))


def numbers_in(raw: msgspec.Raw) -> array[float]:
    """The same for one, as an array. Raises `msgspec.ValidationError`."""
    view = Numbers().view(bytes(raw))
    return array("d" if view.format == "d" else "f", view.tobytes())


def _from_base64(text: str) -> array[float]:
    """Little-endian 32-bit floats; the official clients ask for it."""
    try:
        floats = array("f", base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise msgspec.ValidationError("an embedding is neither a list nor base64") from error
    if sys.byteorder == "big":
        floats.byteswap()
    return floats

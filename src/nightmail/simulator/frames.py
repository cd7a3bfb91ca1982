"""Request lines that differ in their custom_id and the user's text alone, read without what they share.

Nearly all lines of a batch are so: a client fills them into one template. A frame is taken from a line that
was read as any other, and is believed only if another line made with it is read as that one was. Where its
parts stand in a line there can be two JSON strings between them and nothing else.
"""

from __future__ import annotations

import msgspec

from nightmail.core.request import Endpoint

_string = msgspec.json.Decoder(str).decode


class Frame:
    """What lines share: `before` their custom_id, `between` it and the text, `after` that. The parts hold
    the strings' quotes."""

    def __init__(self, before: bytes, between: bytes, after: bytes) -> None:
        self._before, self._between, self._after = before, between, after
        self._first, self._next, self._last = len(before), len(between), len(after)

    def line(self, custom_id: bytes, text: bytes) -> bytes:
        """A line of this frame; both are as JSON escapes them."""
        return b"".join((self._before, custom_id, self._between, text, self._after))

    def parts(self, line: bytes) -> tuple[str, str] | None:
        """The custom_id and the text of a line; None if it has another frame, or is none."""
        if not (line.startswith(self._before) and line.endswith(self._after)):
            return None
        quote = line.find(b'"', self._first)
        if not line.startswith(self._between, quote):
            return None
        try:
            # With their quotes: what has a quote too many or too few is no string.
            custom_id = _string(line[self._first - 1 : quote + 1])
            text = _string(line[quote + self._next - 1 : len(line) - self._last + 1])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return (custom_id, text) if custom_id else None


def frame_of(line: bytes, endpoint: Endpoint) -> Frame | None:
    """The frame of a line that can be read plainly, as it seems; None if it has none."""
    found = _strings(line, endpoint)
    if found is None:
        return None
    custom_id, text = found
    first = line.find(custom_id)
    second = line.find(text, first + len(custom_id))
    if second < 0:
        return None
    return Frame(
        line[: first + 1], line[first + len(custom_id) - 1 : second + 1], line[second + len(text) - 1 :]
    )


class _Message(msgspec.Struct):
    role: str
    content: msgspec.Raw


class _Messages(msgspec.Struct):
    messages: list[_Message]


class _Input(msgspec.Struct):
    input: msgspec.Raw


class _Chat(msgspec.Struct):
    custom_id: msgspec.Raw
    body: _Messages


class _Responses(msgspec.Struct):
    custom_id: msgspec.Raw
    body: _Input


def _strings(line: bytes, endpoint: Endpoint) -> tuple[bytes, bytes] | None:
    """Its custom_id and the user's first text as they are written there."""
    if endpoint is Endpoint.RESPONSES:
        read = msgspec.json.decode(line, type=_Responses)
        return bytes(read.custom_id), bytes(read.body.input)
    chat = msgspec.json.decode(line, type=_Chat)
    said = [bytes(message.content) for message in chat.body.messages if message.role == "user"]
    return (bytes(chat.custom_id), said[0]) if said else None

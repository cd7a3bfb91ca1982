"""Request bodies as bytes: how a text becomes JSON, and the fixed frame around it.

A body whose only variable part is one text is compiled once per model: what stands before the text,
what stands after it. Making a body is then one escape and one concatenation.

Whatever leaves here may be read by programs that split lines at more than b"\\n". U+2028, U+2029
and U+0085 are legal inside JSON strings but end a line for Python's `splitlines`, for SDKs and for
JavaScript tools, so they leave as \\u escapes. Every other such character is a control character,
which JSON escapes anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

_LINE_ENDS = (
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
    (b"\xc2\x85", b"\\u0085"),
)

LONE_SURROGATE = (
    "the text holds half of a surrogate pair, which no JSON reader accepts; it comes from a damaged source. "
    'Drop such characters in `build`: text.encode("utf-8", "ignore").decode()'
)


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """The frame of a body: `prefix + json_string(text) + suffix` is the body with that text.

    `body_without_text` is the same body as Python values with "" as its text.
    """

    model: str
    prefix: bytes
    suffix: bytes
    body_without_text: dict[str, Any]


def json_string(text: str) -> bytes:
    """`text` as a JSON string with its quotes, safe for readers that split lines loosely.

    Raises `ValueError` for a lone surrogate.
    """
    try:
        escaped = orjson.dumps(text)
    except TypeError as error:
        raise ValueError(LONE_SURROGATE) from error
    # Looking for one character in a str is 30 times as fast as for its bytes in bytes.
    if text.isascii() or not ("\u2028" in text or "\u2029" in text or "\x85" in text):
        return escaped
    return line_safe(escaped)


def json_strings(texts: Sequence[str]) -> list[bytes]:
    """`json_string` of each."""
    escape = orjson.dumps
    return [escape(text) if text.isascii() else json_string(text) for text in texts]


def line_safe(encoded: bytes) -> bytes:
    """JSON bytes without the characters that some readers take for the end of a line."""
    if encoded.isascii():
        return encoded
    for character, escape in _LINE_ENDS:
        if character in encoded:
            encoded = encoded.replace(character, escape)
    return encoded


def json_body(body: dict[str, Any]) -> bytes:
    """A whole body. Raises `ValueError` for a lone surrogate, `TypeError` for a value JSON cannot hold."""
    try:
        return line_safe(orjson.dumps(body))
    except TypeError as error:
        if "surrogates" in str(error):
            raise ValueError(LONE_SURROGATE) from error
        raise


def compile_template(model: str, marked: dict[str, Any], mark: str, empty: dict[str, Any]) -> Template:
    """The template of `marked`, in which `mark` stands once, where the text goes.

    `empty` is the same body with "" there. Raises `ValueError` if the mark stands in it twice.
    """
    prefix, *rest = json_body(marked).split(json_string(mark))
    if len(rest) != 1:
        raise ValueError(f"the mark {mark!r} stands in the body {len(rest)} times")
    return Template(model=model, prefix=prefix, suffix=rest[0], body_without_text=empty)

"""Width and height of an image from the first bytes of its file, without decoding the image.

Reads PNG, JPEG, GIF and WebP, the formats that vision models take, from bytes or from a base64 data URL.
Of a data URL only the few characters that hold the size are decoded.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

Size = tuple[int, int]
Read = Callable[[int, int], bytes]

_DATA_URL = re.compile(r"data:[^,]{0,200}?;base64,", re.IGNORECASE)
_SPACES = " \t\r\n"


def size_of_data_url(url: str) -> Size | None:
    """(width, height), or None if it is not a base64 data URL of a readable image."""
    start = _DATA_URL.match(url)
    if start is None:
        return None
    begin = start.end()
    # Base64 keeps its places (3 bytes in 4 characters) only where no line breaks are inside.
    if any(url.find(space, begin) >= 0 for space in _SPACES):
        url, begin = "".join(url[begin:].split()), 0

    def read(offset: int, length: int) -> bytes:
        first = offset // 3
        last = (offset + length + 2) // 3
        text = url[begin + first * 4 : begin + last * 4]
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        return data[offset - first * 3 :][:length]

    try:
        return _size(read)
    except (ValueError, IndexError):
        return None


def size_of_bytes(data: bytes) -> Size | None:
    """(width, height) of an image file's bytes, or None if they are of no format that is read here."""
    try:
        return _size(lambda offset, length: data[offset : offset + length])
    except IndexError:
        return None


def _size(read: Read) -> Size | None:
    head = read(0, 30)
    size: Size | None = None
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR" and len(head) >= 24:
        size = _big(head[16:20]), _big(head[20:24])
    elif head.startswith((b"GIF87a", b"GIF89a")) and len(head) >= 10:
        size = _little(head[6:8]), _little(head[8:10])
    elif head.startswith(b"RIFF") and head[8:12] == b"WEBP" and len(head) == 30:
        size = _webp(head)
    elif head.startswith(b"\xff\xd8"):
        size = _jpeg(read)
    return size if size is not None and size[0] > 0 and size[1] > 0 else None


def _webp(head: bytes) -> Size | None:
    # https://developers.google.com/speed/webp/docs/riff_container, and RFC 6386 section 9.1 for VP8
    kind = head[12:16]
    if kind == b"VP8X":
        return _little(head[24:27]) + 1, _little(head[27:30]) + 1
    if kind == b"VP8L" and head[20] == 0x2F:
        bits = _little(head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        return _little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF
    return None


def _jpeg(read: Read) -> Size | None:
    # Markers C0 to CF begin a frame and hold its size, but for C4, C8 and CC (ITU T.81, table B.1). The
    # segments before it (EXIF with a thumbnail, colour profiles) are skipped by their lengths.
    offset = 2
    for _ in range(1000):
        segment = read(offset, 9)
        if len(segment) < 9 or segment[0] != 0xFF:
            return None
        marker = segment[1]
        if marker == 0xFF:  # fill byte
            offset += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _big(segment[7:9]), _big(segment[5:7])
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length
            offset += 2
        elif marker in (0xD9, 0xDA):  # the image began or ended without a frame header
            return None
        else:
            offset += 2 + _big(segment[2:4])
    return None


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")

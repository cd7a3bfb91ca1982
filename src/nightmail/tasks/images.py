"""An image as a part of a message.

Formats and detail levels are those of OpenAI's guide "Images and vision" (read 2026-11): PNG, JPEG, WebP,
GIF that is not animated. A file travels inside the request as base64, a third larger than it is. The ceiling
per file is ours: a batch's input file holds 200 MB in all.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any, Literal

MAX_IMAGE_BYTES = 20_000_000

_REMOTE = ("https://", "http://", "data:image/")


def image(
    source: str | os.PathLike[str], detail: Literal["auto", "low", "high", "original"] = "auto"
) -> dict[str, Any]:
    """The content part for an image: a URL as it is, a file read and put inside.

    Goes into a message's `content`, or into the list that `build` returns, beside texts; for the
    responses endpoint the task turns it into that endpoint's words. Raises `ValueError` for a file
    that is no such image or over 20 MB, `OSError` if it cannot be read.
    """
    if isinstance(source, str) and source.lower().startswith(_REMOTE):
        url = source
    else:
        url = _data_url(Path(source))
    return {"type": "image_url", "image_url": {"url": url, "detail": detail}}


def _data_url(path: Path) -> str:
    size = path.stat().st_size
    if size > MAX_IMAGE_BYTES:
        raise ValueError(
            f"{path}: {size:,} bytes; an image may have {MAX_IMAGE_BYTES:,}. Make it smaller first"
        )
    content = path.read_bytes()
    kind = _kind(content)
    if kind is None:
        raise ValueError(f"{path}: not a PNG, JPEG, GIF or WebP image")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _kind(content: bytes) -> str | None:
    """By the first bytes: the file's name may be wrong, and the server looks at the bytes too."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    return None

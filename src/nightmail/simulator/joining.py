"""The bytes of a result file: joined from its pieces, and damaged where a fault says so."""

from __future__ import annotations

import mmap
import shutil
from pathlib import Path

import msgspec
import orjson

_COPY_BYTES = 4 << 20


def joined(parts: list[Path], target: Path) -> int:
    """Write the parts one after the other; gives back how many bytes there are."""
    if len(parts) == 1:
        parts[0].replace(target)
        return target.stat().st_size
    with target.open("wb") as whole:
        for part in parts:
            with part.open("rb") as one:
                shutil.copyfileobj(one, whole, _COPY_BYTES)
        return whole.tell()


class Cut(msgspec.Struct, kw_only=True):
    """What was cut off a file: bytes, and the tokens of the request whose line it was.

    `elsewhere`: the file has another line of that request, or it was never sent.
    """

    bytes: int
    input_tokens: int
    output_tokens: int
    elsewhere: bool


def halve_last_line(path: Path) -> Cut:
    """Take the second half of its last line, newline included, away from a file of result lines."""
    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
            size = len(held)
            start = held.rfind(b"\n", 0, size - 1) + 1
            row = orjson.loads(held[start:size])
            named = b'"custom_id":%b,' % orjson.dumps(row["custom_id"])
            elsewhere = 0 <= held.find(named) < start or row["custom_id"].startswith("unknown-")
        kept = start + (size - start) // 2
        file.truncate(kept)
    body = row["response"]["body"]
    usage = (orjson.loads(body) if isinstance(body, str) else body).get("usage") or {}
    return Cut(
        bytes=size - kept,
        input_tokens=usage.get("prompt_tokens", usage.get("input_tokens", 0)),
        output_tokens=usage.get("completion_tokens", usage.get("output_tokens", 0)),
        elsewhere=elsewhere,
    )

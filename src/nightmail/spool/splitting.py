"""Where the lines of a file are. They end at `\\n` and nowhere else: JSON text may hold U+2028 and other
characters at which `splitlines` would cut."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import IO

from nightmail.errors import StoreError

CHUNK = 1 << 20
MAX_LINE = 1 << 30


def split_lines(file: IO[bytes], *, block: int = CHUNK) -> Iterator[tuple[list[int], list[bytes]]]:
    """Offsets of lines and the lines, about `block` bytes at a time, in bounded memory (the longest line).
    Neither blank lines nor ends of lines are among them."""
    start, rest = 0, b""
    while chunk := file.read(block):
        # A return may be all that the block before has of a line's end.
        returns = b"\r" in chunk or rest.endswith(b"\r")
        lines, end = _cut(chunk)
        if not lines:
            rest += chunk
        else:
            lines[0] = rest + lines[0]
            rest = chunk[end:]
            *offsets, start = accumulate((len(line) + 1 for line in lines), initial=start)
            yield _not_blank(offsets, lines, returns)
        if len(rest) > MAX_LINE:
            raise StoreError(f"a line of more than {MAX_LINE} bytes at byte {start}: not a line file")
    if rest:
        yield _not_blank([start], [rest], True)


def _cut(chunk: bytes) -> tuple[list[bytes], int]:
    """The lines that end in it, and where the last of them does. Looking for each end takes two thirds of
    the time of `split`, which goes byte by byte, and for long lines a third."""
    lines: list[bytes] = []
    add, find = lines.append, chunk.find
    begin = 0
    while (end := find(b"\n", begin)) >= 0:
        add(chunk[begin:end])
        begin = end + 1
    return lines, begin


def _not_blank(offsets: list[int], lines: list[bytes], returns: bool) -> tuple[list[int], list[bytes]]:
    if returns:
        lines = [line.removesuffix(b"\r") for line in lines]
    if all(lines):
        return offsets, lines
    kept = [(offset, line) for offset, line in zip(offsets, lines, strict=True) if line]
    return [offset for offset, _ in kept], [line for _, line in kept]

"""Byte ranges of several files, read as if they were one: what is sent is what lies in the spool, and no copy
of it is made before."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import IO

from nightmail.core import disk
from nightmail.errors import StoreError

Range = tuple[Path, int, int]  # so many bytes from an offset on: file, offset, length


class Joined(io.RawIOBase):
    """Ranges one after the other; may be read from any place, again too. One of the files is open at a
    time, however many there are. Raises `StoreError` where a file does not have what it should."""

    def __init__(self, ranges: Sequence[Range]) -> None:
        self._ranges = ranges
        *self._starts, self.size = accumulate((length for _, _, length in ranges), initial=0)
        self._at = 0
        self._open: tuple[Path, io.FileIO] | None = None
        for path, end in _ends(ranges).items():
            try:
                held = path.stat().st_size
            except OSError as error:
                raise StoreError(disk.refused(path, "read", error)) from error
            if held < end:
                raise _shorter(path, end)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """As many bytes as are asked for, fewer only at the end."""
        left = max(0, self.size - self._at)
        if 0 <= size < left:
            left = size
        parts = []
        number = bisect_right(self._starts, self._at) - 1
        while left:
            path, offset, length = self._ranges[number]
            within = self._at - self._starts[number]
            wanted = min(left, length - within)
            if wanted:
                parts.append(self._read(path, offset + within, wanted))
            self._at += wanted
            left -= wanted
            number += 1
        return b"".join(parts)

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
        super().close()

    def _read(self, path: Path, offset: int, wanted: int) -> bytes:
        try:
            if self._open is None or self._open[0] != path:
                if self._open is not None:
                    self._open[1].close()
                self._open = path, path.open("rb", buffering=0)
            file = self._open[1]
            file.seek(offset)
            found = read_fully(file, wanted)
        except OSError as error:
            raise StoreError(disk.refused(path, "read", error)) from error
        if len(found) != wanted:
            raise _shorter(path, offset + wanted)
        return found


def read_fully(file: IO[bytes] | io.FileIO, length: int) -> bytes:
    """So many bytes, or all there are. Without a buffer one read may give less, as file systems of a network
    do."""
    found: bytes = file.read(length) or b""
    while len(found) < length and (more := file.read(length - len(found))):
        found += more
    return found


def merged(ranges: Iterable[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
    """Ranges in order, neighbours that touch joined."""
    current: tuple[str, int, int] | None = None
    for name, offset, length in ranges:
        if current and current[0] == name and current[1] + current[2] == offset:
            current = (name, current[1], current[2] + length)
            continue
        if current:
            yield current
        current = (name, offset, length)
    if current:
        yield current


def _ends(ranges: Sequence[Range]) -> dict[Path, int]:
    ends: dict[Path, int] = {}
    for path, offset, length in ranges:
        ends[path] = max(ends.get(path, 0), offset + length)
    return ends


def _shorter(path: Path, end: int) -> StoreError:
    return StoreError(f"{path} is shorter than the database says: it should have at least {end} bytes")

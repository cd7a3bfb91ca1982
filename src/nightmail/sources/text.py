"""The bytes of a text file, from any offset, whether it is compressed or not.

Offsets count uncompressed bytes. A compressed file has no way to jump, so everything before the
offset is decompressed and dropped. Several gzip members or zstd frames one after the other are one
text, as `cat a.gz b.gz` makes them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from nightmail.errors import SourceError
from nightmail.sources.files import ending

BOM = b"\xef\xbb\xbf"

# What one read of a compressed file may grow to is its size times the ratio; text compresses up to
# some hundred times, so 16 kB in stays within a few MB out.
_COMPRESSED_READ = 16_384


class Damaged(Exception):
    """Compressed data that cannot be read on; everything before it has been given."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def blocks(path: Path, *, offset: int = 0, size: int = 1 << 20) -> Iterator[bytes]:
    """The text from `offset` on in blocks of about `size` bytes. Raises `SourceError` if the file
    cannot be opened or read, `Damaged` where compressed data ends early or is not what it should be."""
    compression = ending(path)[1]
    try:
        if not compression:
            yield from _plain(path, offset, size)
        else:
            yield from _gathered(_decompressed(path, compression), offset, size)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error


def _plain(path: Path, offset: int, size: int) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while block := file.read(size):
            yield block


def _gathered(chunks: Iterator[bytes], offset: int, size: int) -> Iterator[bytes]:
    parts: list[bytes] = []
    held = 0
    to_skip = offset
    damage: Damaged | None = None
    while damage is None:
        try:
            chunk = next(chunks, None)
        except Damaged as error:
            damage = error
            break
        if chunk is None:
            break
        if to_skip:
            dropped = min(to_skip, len(chunk))
            chunk = chunk[dropped:]
            to_skip -= dropped
        if not chunk:
            continue
        parts.append(chunk)
        held += len(chunk)
        if held >= size:
            yield b"".join(parts)
            parts, held = [], 0
    if parts:
        yield b"".join(parts)
    if damage is not None:
        raise damage


def _decompressed(path: Path, compression: str) -> Iterator[bytes]:
    one: _Decompressor | None = None
    with path.open("rb") as file:
        while data := file.read(_COMPRESSED_READ):
            while data:
                if one is None:
                    # gzip allows zeros after a member, as tapes and block devices leave them.
                    data = data.lstrip(b"\0") if compression == ".gz" else data
                    if not data:
                        break
                    one = _decompressor(compression)
                yield _step(one, data, compression)
                data = b""
                if one.eof:
                    data, one = one.unused_data, None
    if one is not None:
        raise Damaged("the compressed data ends early")


def _decompressor(compression: str) -> _Decompressor:
    if compression == ".gz":
        return zlib.decompressobj(wbits=31)
    import zstandard

    found: _Decompressor = zstandard.ZstdDecompressor().decompressobj()
    return found


def _step(one: _Decompressor, data: bytes, compression: str) -> bytes:
    if compression == ".gz":
        try:
            return one.decompress(data)
        except zlib.error as error:
            raise Damaged(f"the data is damaged or not gzip ({error})") from error
    import zstandard

    try:
        return one.decompress(data)
    except zstandard.ZstdError as error:
        raise Damaged(f"the data is damaged or not zstd ({error})") from error

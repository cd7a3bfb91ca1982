"""Text on its way into a file, compressed if the file's ending asks for it."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from nightmail.sinks.files import Compression


class TextOut(Protocol):
    """Takes bytes; `close` ends the compressed stream and leaves the file below open."""

    def write(self, data: bytes, /) -> object: ...
    def close(self) -> None: ...


def text_out(file: BinaryIO, compression: Compression) -> TextOut:
    """A writer onto `file`. The same bytes compress to the same file: no time or name is in it."""
    match compression:
        case ".gz":
            return gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0)
        case ".zst":
            import zstandard

            compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
            found: TextOut = compressor.stream_writer(file, closefd=False)
            return found
        case _:
            return _Plain(file)


class _Plain:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes, /) -> object:
        return self._file.write(data)

    def close(self) -> None:
        self._file.flush()

"""The source port: where records come from.

A source gives *pieces*: a few thousand records each, as bytes in the source's own format, with the
place where the next piece begins. Pieces are small enough to hold, picklable (a worker process may
read them), and kept in the spool verbatim, so that a record can be read again, with the same types,
after the input has moved. Reading a piece is `records(payload)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from nightmail.errors import SourceError

Record = dict[str, Any]


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where reading goes on: which file of the source, where in it (bytes, or rows for tables), and
    the number that the next row has in that file (counted from 1; lines for text files)."""

    file: int = 0
    offset: int = 0
    row: int = 1


class Piece(msgspec.Struct, frozen=True, kw_only=True, tag="piece"):
    """Records of one file, undecoded. `row` is the number of its first row (line) in `path`.

    If the end of the payload is the file's own bytes, from `stands_at` up to `next.offset`, they can be read
    again. In compressed files and tables that is not so.
    """

    path: str
    row: int
    payload: bytes
    next: Position
    stands_at: int | None = None

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return len(self.payload)

    def reference(self) -> PieceReference | None:
        """The piece without what can be read again; None if nothing can."""
        if self.stands_at is None:
            return None
        length = self.next.offset - self.stands_at
        head = self.payload[: len(self.payload) - length]
        return PieceReference(
            path=self.path, row=self.row, head=head, stands_at=self.stands_at, next=self.next
        )

    def whole(self) -> Piece:
        return self


class PieceReference(msgspec.Struct, frozen=True, kw_only=True, tag="reference"):
    """A piece to be read again: `head`, then the bytes of the file from `stands_at` to `next.offset`."""

    path: str
    row: int
    head: bytes
    stands_at: int
    next: Position

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return len(self.head) + self.next.offset - self.stands_at

    def whole(self) -> Piece:
        """The piece. Raises `SourceError` if the file cannot be read or has become shorter."""
        wanted = self.next.offset - self.stands_at
        try:
            with Path(self.path).open("rb") as file:
                file.seek(self.stands_at)
                found = file.read(wanted)
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read: {error.strerror or error}") from error
        if len(found) != wanted:
            raise SourceError(
                f"{self.path} became shorter while it was read. Let it come to rest, then go on."
            )
        return Piece(
            path=self.path,
            row=self.row,
            payload=self.head + found,
            next=self.next,
            stands_at=self.stands_at,
        )


class BadRow(NamedTuple):
    """A row that is no record: what is wrong, and on which line (or row) of the file."""

    row: int
    message: str


class Source(Protocol):
    """Opened as `SourceClass(paths)`, the files in the order in which they are read. Opening reads nothing.

    Failures that end the reading (a truncated gz, a file that is not Parquet, no record at all) raise
    `SourceError` with `file:line: what`; a single row that cannot be read is a `BadRow` in its place.
    """

    paths: tuple[Path, ...]

    def pieces(self, start: Position) -> Iterator[Piece]:
        """Read on from `start`; blocking, bounded memory. Pieces are never empty, but their rows may be
        bad. From the position after the last piece there is nothing, and no error."""
        ...

    def records(self, piece: Piece) -> list[Record | BadRow]:
        """The rows of a piece in order: a pure function of the piece. What a file has between its
        records (blank lines) is left out."""
        ...

    def skim(self, piece: Piece, field: str | None) -> list[Any] | None:
        """The value of a field in each of `records(piece)`, for None as many times None, without making the
        records. None if a row is bad or lacks the field, or where skimming saves nothing: `records` tells.
        A number that no Python value can hold may be passed over; `records` calls that row bad."""
        ...

    def numbers(self, piece: Piece) -> list[int]:
        """The file's own number (line, or row of a table) of each of `records(piece)`: for messages."""
        ...

    def fingerprint(self) -> str:
        """Changes when the files' names, sizes or times change; cheap."""
        ...

"""CSV and TSV by RFC 4180: a header, quoted fields that may hold newlines, every value a string.

A row's number is the line on which it begins. A piece begins with the file's delimiter and header,
so each can be read alone. The delimiter is the one of comma, tab and semicolon that splits the header
most. An empty field is an empty string: nothing in a CSV file says "none".
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from nightmail.sources.base import BadRow, Piece, Position, Record
from nightmail.sources.csv_layout import (
    Header,
    Reader,
    read_header,
    reader,
    record_ends,
    refuse_other_columns,
)
from nightmail.sources.cutting import Sizes, cut
from nightmail.sources.files import ending, fingerprint, no_records


class CsvSource:
    """Rows of `.csv` or `.tsv` files, plain or `.gz` or `.zst`, as records of strings."""

    piece_bytes = 4_000_000
    piece_rows = 5_000
    max_row_bytes = 64 << 20

    def __init__(self, paths: Iterable[Path | str]) -> None:
        self.paths = tuple(Path(path) for path in paths)

    def pieces(self, start: Position) -> Iterator[Piece]:
        """Whole rows of about `piece_bytes` and at most `piece_rows`, each piece with the header.

        Raises `SourceError` before the first piece if a header is faulty or the files' columns differ.
        """
        headers = [read_header(path, self.max_row_bytes) for path in self.paths]
        refuse_other_columns(self.paths, headers)
        found = False
        for index in range(start.file, len(self.paths)):
            header = headers[index]
            here = Position(file=index, offset=header.offset, row=header.row)
            if index == start.file and start.offset:
                here = start
            for piece in self._pieces_of(here, header):
                found = True
                yield piece
        if not found and start == Position():
            raise no_records(self.paths)

    def records(self, piece: Piece) -> list[Record | BadRow]:
        """The rows of a piece as `{column: text}`; a row with too many or too few fields, or with
        bytes that are not UTF-8, is a `BadRow`."""
        table = _Table.of(piece)
        if (rows := table.whole_rows()) is not None:
            return [dict(zip(table.names, fields, strict=True)) for fields in rows]
        return [_record(table, fields, row) for row, fields in _numbered(table, piece.row)]

    def skim(self, piece: Piece, field: str | None) -> list[Any] | None:
        """See `Source.skim`."""
        table = _Table.of(piece)
        if (rows := table.whole_rows()) is None:
            return None
        if field is None:
            return [None] * len(rows)
        if field not in table.names:
            return None
        at = table.names.index(field)
        return [fields[at] for fields in rows]

    def numbers(self, piece: Piece) -> list[int]:
        """The line on which each item that `records` gives begins."""
        return [row for row, _ in _numbered(_Table.of(piece), piece.row)]

    def fingerprint(self) -> str:
        return fingerprint(self.paths)

    def _pieces_of(self, start: Position, header: Header) -> Iterator[Piece]:
        path = self.paths[start.file]
        sizes = Sizes(self.piece_bytes, self.piece_rows, self.max_row_bytes)
        row_ends = partial(record_ends, delimiter=header.delimiter, sizes=sizes)
        for each in cut(path, offset=start.offset, row=start.row, row_ends=row_ends, sizes=sizes):
            if not each.payload.strip(b"\r\n"):
                continue
            yield Piece(
                path=str(path),
                row=each.row,
                payload=header.delimiter.encode() + header.raw + each.payload,
                next=Position(file=start.file, offset=each.next_offset, row=each.next_row),
                stands_at=None if ending(path)[1] else each.next_offset - len(each.payload),
            )


class _Table(NamedTuple):
    """A piece as text. Bytes that are no UTF-8 are in it as lone surrogates."""

    text: str
    delimiter: str
    names: tuple[str, ...]
    is_utf8: bool

    @classmethod
    def of(cls, piece: Piece) -> _Table:
        is_utf8 = True
        try:
            text = piece.payload.decode()
        except UnicodeDecodeError:
            text, is_utf8 = piece.payload.decode(errors="surrogateescape"), False
        delimiter, text = text[0], text[1:]
        return cls(text, delimiter, tuple(next(reader(text, delimiter))), is_utf8)

    def rows(self) -> Reader:
        rows = reader(self.text, self.delimiter)
        next(rows)
        return rows

    def whole_rows(self) -> list[list[str]] | None:
        """The fields of every row; None if there is one that is not as it should be, or blank."""
        if not self.is_utf8:
            return None
        try:
            rows = list(self.rows())
        except csv.Error:
            return None
        return rows if set(map(len, rows)) == {len(self.names)} else None


def _numbered(table: _Table, first: int) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Each row that is not blank with the line on which it begins; its error where csv cannot read it."""
    rows = table.rows()
    shift = first - rows.line_num
    while True:
        row = shift + rows.line_num
        try:
            fields = next(rows)
        except csv.Error as error:
            yield row, error
            continue
        except StopIteration:
            return
        if fields:
            yield row, fields


def _record(table: _Table, fields: list[str] | csv.Error, row: int) -> Record | BadRow:
    names = table.names
    if isinstance(fields, csv.Error):
        # Of what `csv` refuses, only this can be met here: quotes are read leniently, fields have no limit.
        return BadRow(row, "not CSV (a carriage return outside quotes)")
    if not table.is_utf8:
        for position, text in enumerate(fields):
            try:
                text.encode()
            except UnicodeEncodeError as error:
                column = repr(names[position]) if position < len(names) else str(position + 1)
                byte = ord(text[error.start]) - 0xDC00
                return BadRow(row, f"not UTF-8 (byte 0x{byte:02x} in column {column})")
    if len(fields) != len(names):
        plural = "field" if len(fields) == 1 else "fields"
        return BadRow(row, f"has {len(fields)} {plural}, the header has {len(names)}")
    return dict(zip(names, fields, strict=True))

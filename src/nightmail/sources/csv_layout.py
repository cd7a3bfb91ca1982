"""Where the header and the rows of a CSV file begin and end.

The places are found by `csv.reader` itself, over Latin-1 text: that maps each byte to one character,
and what delimits CSV is ASCII, which is never part of another UTF-8 character. So cutting a file and
reading its pieces cannot disagree about what is inside quotes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Protocol

from nightmail.errors import SourceError
from nightmail.sources.cutting import End, OpenQuote, Sizes, line_ends
from nightmail.sources.files import ending, no_records
from nightmail.sources.text import BOM, Damaged, blocks

# Fields may be whole documents; the csv module's own 128 kB is a setting of the process, so it is
# only ever raised.
csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))


class Header(NamedTuple):
    """A file's first row that is not blank: its bytes with a newline and without a byte order mark,
    what they mean, and where (byte, line) the next row begins."""

    raw: bytes
    names: tuple[str, ...]
    delimiter: str
    offset: int
    row: int


class Reader(Protocol):
    """What `csv.reader` returns."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


def reader(text: str, delimiter: str) -> Reader:
    """Rows of a text whose lines end with a newline character and with nothing else."""
    # Not a StringIO, which takes four bytes for a character.
    lines = [line + "\n" for line in text.split("\n")]
    if lines[-1] == "\n":
        lines.pop()
    return csv.reader(lines, delimiter=delimiter)


def record_ends(data: bytes, final: bool, delimiter: str, sizes: Sizes) -> list[End]:
    """`RowEnds` where a newline inside quotes ends no row. Raises `OpenQuote` if the last row of a
    file does not close one."""
    if b'"' not in data:
        return line_ends(data, final, sizes)
    whole = data if final else data[: data.rfind(b"\n") + 1]
    if not whole:
        return []
    # One more, empty line is a row of its own exactly if the row before it is complete.
    lines = whole.decode("latin-1").removesuffix("\n").split("\n")
    line_starts = list(accumulate(map(len, lines), lambda start, length: start + length + 1, initial=0))
    lines.append("")
    row_ends = [line_starts[line] for line in _last_lines(csv.reader(lines, delimiter=delimiter))[:-1]]
    ends: list[int] = []
    begin = before = rows = 0
    for end in row_ends:
        is_full = end - begin > sizes.bytes and len(whole) - begin > sizes.largest
        if rows == sizes.rows or (rows and is_full):
            ends.append(before)
            begin, rows = before, 0
        before, rows = end, rows + 1
    before = min(before, len(whole))
    if rows:
        ends.append(before)
    if final and before < len(whole):
        raise OpenQuote(before)
    return [End(end, data.count(b"\n", begin, end)) for begin, end in zip([0, *ends], ends, strict=False)]


def read_header(path: Path, max_bytes: int) -> Header:
    """The header of a file. Raises `SourceError` if it has none, or one that cannot name columns."""
    data = b""
    try:
        for block in blocks(path, size=65_536):
            data += block
            header = _header_in(data, path, final=False)
            if header is not None:
                return header
            if len(data) > max_bytes:
                raise SourceError(f"{path}:1: the header has no end; is this a CSV file?")
    except Damaged as error:
        line = 1 + data.count(b"\n")
        raise SourceError(f"{path}:{line}: {error}") from error
    header = _header_in(data, path, final=True)
    if header is None:
        raise no_records([path])
    return header


def refuse_other_columns(paths: Sequence[Path], headers: Sequence[Header]) -> None:
    """Raise `SourceError` naming the first column that one file has and another has not."""
    for path, header in zip(paths[1:], headers[1:], strict=True):
        for name in headers[0].names:
            if name not in header.names:
                raise SourceError(f"{path}:1: no column {name!r}, which {paths[0]} has")
        for name in header.names:
            if name not in headers[0].names:
                raise SourceError(f"{path}:1: a column {name!r}, which {paths[0]} does not have")


def _last_lines(rows: Reader) -> list[int]:
    """The number of the last line of each row."""
    found: list[int] = []
    while True:
        try:
            for _ in rows:
                found.append(rows.line_num)  # noqa: PERF401 - what was found before an error counts
        except csv.Error:
            # The reader drops the row and goes on with the next line; so it does in `CsvSource.records`.
            found.append(rows.line_num)
        else:
            return found


def _header_in(data: bytes, path: Path, *, final: bool) -> Header | None:
    """The header, or None if more must be read to have it whole."""
    body = data.removeprefix(BOM)
    blank = len(body) - len(body.lstrip(b"\r\n"))
    row = 1 + body.count(b"\n", 0, blank)
    offset = len(data) - len(body) + blank
    body = body[blank:]
    if not body or not (final or b"\n" in body):
        return None
    try:
        delimiter = _delimiter(body, path)
        ends = record_ends(body, final, delimiter, Sizes(bytes=1, rows=1, max_row_bytes=0))
        first = next(reader(body[: ends[0].offset].decode("latin-1"), delimiter)) if ends else None
    except OpenQuote:
        raise SourceError(f"{path}:{row}: a quote opens in the header and is never closed") from None
    except csv.Error as error:
        raise SourceError(
            f"{path}:{row}: a carriage return alone ends no line; save the file with newlines"
        ) from error
    if first is None:
        return None
    end = ends[0].offset
    raw = body[:end] if body[:end].endswith(b"\n") else body[:end] + b"\n"
    try:
        names = tuple(next(reader(raw.decode(), delimiter)))
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        raise SourceError(
            f"{path}:{row}: the header is not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8"
        ) from None
    _refuse_bad_names(names, f"{path}:{row}")
    return Header(raw, names, delimiter, offset + end, row + raw.count(b"\n"))


def _delimiter(body: bytes, path: Path) -> str:
    """The one that splits the header's first line most; the rest of it may be needed to tell its end."""
    line = body[: body.find(b"\n") + 1] or body
    candidates = "\t" if ending(path)[0] == ".tsv" else ",\t;"
    return max(candidates, key=lambda each: len(next(reader(line.decode("latin-1"), each))))


def _refuse_bad_names(names: tuple[str, ...], where: str) -> None:
    for position, name in enumerate(names, 1):
        if not name.strip():
            raise SourceError(f"{where}: column {position} has no name in the header")
        first = names.index(name) + 1
        if first != position:
            raise SourceError(f"{where}: columns {first} and {position} are both named {name!r}")

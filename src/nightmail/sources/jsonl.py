"""JSON Lines: one object a line, split on the newline byte and on nothing else.

Blank lines are skipped but counted, a byte order mark at the start of a file is passed over. What
no JSON parser has to accept (NaN, halves of surrogate pairs, numbers beyond a double) is a bad row.
"""

from __future__ import annotations

import json
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from nightmail.sources.base import BadRow, Piece, Position, Record
from nightmail.sources.cutting import Cut, Sizes, cut, line_ends
from nightmail.sources.files import ending, fingerprint, no_records
from nightmail.sources.text import BOM

_DECODER = msgspec.json.Decoder(dict[str, Any])
_OPENS, _CLOSES = b"{}"
_BLOCK = 1 << 16


class JsonlSource:
    """Objects from `.jsonl`, `.ndjson` or `.json` files, plain or `.gz` or `.zst`."""

    piece_bytes = 4_000_000
    piece_rows = 5_000
    max_row_bytes = 64 << 20

    def __init__(self, paths: Iterable[Path | str]) -> None:
        self.paths = tuple(Path(path) for path in paths)

    def pieces(self, start: Position) -> Iterator[Piece]:
        """Whole lines of about `piece_bytes` and at most `piece_rows`."""
        found = False
        for index in range(start.file, len(self.paths)):
            plain = not ending(self.paths[index])[1]
            here = start if index == start.file else Position(file=index)
            for each in self._cuts(self.paths[index], here):
                payload = each.payload.removeprefix(BOM) if each.row == 1 else each.payload
                if payload.isspace() or not payload:
                    continue
                found = True
                after = Position(file=index, offset=each.next_offset, row=each.next_row)
                yield Piece(
                    path=str(self.paths[index]),
                    row=each.row,
                    payload=payload,
                    next=after,
                    stands_at=each.next_offset - len(payload) if plain else None,
                )
        if not found and start == Position():
            raise no_records(self.paths)

    def records(self, piece: Piece) -> list[Record | BadRow]:
        """The objects of a piece; a line that is none is a `BadRow` with the column in its message."""
        payload = piece.payload
        if lines := _plain_lines(payload):
            try:
                found: list[Record | BadRow] = list(_DECODER.decode_lines(payload))
            except (msgspec.MsgspecError, ValueError, RecursionError):
                found = []
            if len(found) == lines:
                return found
        return [_record(line, row) for row, line in _lines(piece)]

    def skim(self, piece: Piece, field: str | None) -> list[Any] | None:
        """See `Source.skim`. What is passed over is checked as JSON and as UTF-8 all the same, but for
        numbers beyond a double; it takes half the time of `records`."""
        payload = piece.payload
        lines = _plain_lines(payload)
        if not lines or (decoder := _skimmer(field)) is None or not _is_utf8(payload):
            return None
        try:
            found = decoder.decode_lines(payload)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if len(found) != lines:
            return None
        return [None] * lines if field is None else [each.value for each in found]

    def numbers(self, piece: Piece) -> list[int]:
        """The line of each item that `records` gives."""
        return [row for row, _ in _lines(piece)]

    def fingerprint(self) -> str:
        return fingerprint(self.paths)

    def _cuts(self, path: Path, start: Position) -> Iterator[Cut]:
        sizes = Sizes(self.piece_bytes, self.piece_rows, self.max_row_bytes)
        return cut(
            path,
            offset=start.offset,
            row=start.row,
            row_ends=lambda data, final: line_ends(data, final, sizes),
            sizes=sizes,
        )


def _plain_lines(payload: bytes) -> int:
    """How many lines there are, if each begins with a brace and ends with one; else 0.

    Decoding all in one call takes half the time and takes a line's end for any other blank. Between braces
    that stand so it can only be the end of an object: as many objects as lines are one on each.
    """
    find, last, lines, end = payload.find, len(payload) - 1, 1, -1
    if payload[:1] != b"{":
        return 0
    while 0 <= (end := find(b"\n", end + 1)) < last:
        if payload[end - 1] != _CLOSES or payload[end + 1] != _OPENS:
            return 0
        lines += 1
    return lines


@cache
def _skimmer(field: str | None) -> msgspec.json.Decoder[Any] | None:
    """Reads one field of an object; None for a name that msgspec does not look for."""
    fields = [] if field is None else [("value", Any)]
    try:
        kind = msgspec.defstruct("Skimmed", fields, rename={"value": field} if field else None, gc=False)
    except ValueError:
        return None
    return msgspec.json.Decoder(kind)


def _is_utf8(payload: bytes) -> bool:
    if payload.isascii():
        return True
    check = getincrementaldecoder("utf-8")().decode
    try:
        # By blocks that stay in the processor's cache: the whole as one text takes four times as long.
        for begin in range(0, len(payload), _BLOCK):
            check(payload[begin : begin + _BLOCK])
        check(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _lines(piece: Piece) -> Iterator[tuple[int, bytes]]:
    for row, line in enumerate(piece.payload.split(b"\n"), piece.row):
        if line and not line.isspace():
            yield row, line


def _record(line: bytes, row: int) -> Record | BadRow:
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return BadRow(row, _complaint(line, error))


def _complaint(line: bytes, error: Exception) -> str:
    """Why a line is no record, with the place; said by the parser that says it best."""
    try:
        text = line.decode()
    except UnicodeDecodeError as wrong:
        return f"not UTF-8 (byte 0x{line[wrong.start]:02x} at byte {wrong.start + 1} of the line)"
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as wrong:
        what = wrong.msg[0].lower() + wrong.msg[1:]
        what = what.removesuffix(" at").removesuffix(" starting")
        return f"not JSON ({what} at column {wrong.colno})"
    except _NotAValue as wrong:
        return f"not JSON ({wrong} is no JSON value{_place(line, str(wrong))})"
    except RecursionError:
        return "nested too deeply to be read"
    if not isinstance(value, dict):
        return f"a JSON {_kind(value)}, not an object"
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "not Unicode text (half of a surrogate pair as \\u escape)"
    return f"not JSON ({str(error)[0].lower()}{str(error)[1:].removesuffix(' - at `$[...]`')})"


class _NotAValue(ValueError):
    """NaN, Infinity or -Infinity, which Python's parser would take."""


def _refuse_constant(name: str) -> NoReturn:
    raise _NotAValue(name)


def _place(line: bytes, name: str) -> str:
    import orjson

    try:
        orjson.loads(line)
    except orjson.JSONDecodeError as error:
        # It points behind a sign, which it takes for the beginning of a number.
        return f" at column {error.colno - name.startswith('-')}"
    return ""


def _kind(value: object) -> str:
    match value:
        case list():
            return "array"
        case str():
            return "string"
        case bool() | None:
            return "true, false or null"
        case _:
            return "number"

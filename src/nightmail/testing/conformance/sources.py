"""What every source must do. A plug-in's own test is a call:

    def test_my_source_is_a_source(tmp_path):
        exercise_source(lambda: MySource([tmp_path / "rows.my"]), records=[{"id": 1}, {"id": 2}])

Give it an input of several pieces, better of several files: most of what can go wrong with resuming
goes wrong between them.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence

import msgspec

from nightmail.sources.base import BadRow, Piece, Position, Record, Source


def exercise_source(
    make: Callable[[], Source], *, records: Sequence[Record | BadRow] | None = None
) -> list[Record | BadRow]:
    """Read the source in every way that nightmail does and return its records; `AssertionError` says
    which rule of the port it breaks.

    `make` opens the source anew. `records` is what it must give, in order, if that is known.
    """
    pieces = list(make().pieces(Position()))
    _require(bool(pieces), "a source that holds records gives at least one piece")
    everything = _records(make(), pieces)
    if records is not None:
        _require(everything == list(records), f"gives {everything!r}, not {list(records)!r}")
    _pieces_are_values(make, pieces)
    _rows_are_numbered(make(), pieces)
    _skimming_tells_what_records_do(make(), pieces)
    _reading_goes_on_from_any_piece(make, pieces, everything)
    _require(make().fingerprint() == make().fingerprint(), "the fingerprint of an untouched input changed")
    return everything


def _pieces_are_values(make: Callable[[], Source], pieces: Sequence[Piece]) -> None:
    names = {str(path) for path in make().paths}
    for number, piece in enumerate(pieces):
        _require(piece.path in names, f"piece {number} is of {piece.path!r}, which is not one of the paths")
        copy = pickle.loads(pickle.dumps(piece))  # noqa: S301 - our own bytes, as a worker process gets them
        here, there = make(), make()
        first = here.records(piece)
        reference = piece.reference()
        if reference is not None:
            _require(reference.size == piece.size, f"piece {number} has another size when it is referred to")
            _require(reference.whole() == piece, f"piece {number} is another when it is read again")
        _require(here.records(piece) == first, f"reading piece {number} twice gives different records")
        _require(there.records(copy) == first, f"another process reads piece {number} differently")
        # A task may change the record that it is given.
        for record in first:
            if isinstance(record, dict):
                record.clear()
        _require(here.records(copy) == there.records(piece), f"the records of piece {number} are shared")
        position = msgspec.json.decode(msgspec.json.encode(piece.next), type=Position)
        _require(position == piece.next, f"the position after piece {number} does not survive JSON")


def _rows_are_numbered(source: Source, pieces: Sequence[Piece]) -> None:
    last: dict[str, int] = {}
    for number, piece in enumerate(pieces):
        found = source.records(piece)
        rows = list(source.numbers(piece))
        _require(len(rows) == len(found), f"piece {number} has {len(found)} items and {len(rows)} rows")
        _require(rows == sorted(set(rows)), f"the rows of piece {number} do not ascend")
        for row, record in zip(rows, found, strict=True):
            _require(row >= piece.row, f"piece {number} begins at row {piece.row} and holds row {row}")
            _require(row > last.get(piece.path, 0), f"row {row} of {piece.path} is in two pieces")
            if isinstance(record, BadRow):
                _require(record.row == row, f"a bad row says {record.row}, its place says {row}")
                _require(bool(record.message), f"the bad row {row} does not say what is wrong")
            last[piece.path] = row


def _skimming_tells_what_records_do(source: Source, pieces: Sequence[Piece]) -> None:
    for number, piece in enumerate(pieces):
        records = source.records(piece)
        names = dict.fromkeys(name for record in records if isinstance(record, dict) for name in record)
        for name in (None, *names, "no such field"):
            found = source.skim(piece, name)
            if found is None:
                continue
            said = f"skimming piece {number} for {name!r}"
            _require(len(found) == len(records), f"{said} gives {len(found)} values, not {len(records)}")
            for value, record in zip(found, records, strict=True):
                whole = isinstance(record, dict) and (name is None or name in record)
                _require(whole, f"{said} passes over {record!r}")
                wanted = record[name] if isinstance(record, dict) and name is not None else None
                # Not by `==`, which takes 1 for True, and for which no NaN is one.
                _require(repr(value) == repr(wanted), f"{said} gives {value!r}, not {wanted!r}")


def _reading_goes_on_from_any_piece(
    make: Callable[[], Source], pieces: Sequence[Piece], everything: Sequence[Record | BadRow]
) -> None:
    read: list[Record | BadRow] = []
    for number, piece in enumerate(pieces):
        read += make().records(piece)
        source = make()
        rest = _records(source, source.pieces(piece.next))
        _require(read + rest == list(everything), f"reading on after piece {number} loses or repeats records")


def _records(source: Source, pieces: Iterable[Piece]) -> list[Record | BadRow]:
    return [record for piece in pieces for record in source.records(piece)]


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)

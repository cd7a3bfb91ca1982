"""The whole source, read once before anything is sent: what is wrong with it is found while nothing is lost.

A row that cannot be read, a record without a usable key, a key that is there twice, however late in the
source: each is an error that names its place. What is kept of a source is a few bytes a record.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from nightmail.core.run import KeyKind, RunSpec
from nightmail.errors import ConfigError, SourceError
from nightmail.sources.base import BadRow, Piece, PieceReference, Position, Record, Source
from nightmail.stages.keying import Keying, keying_for, no_key
from nightmail.stores.base import Key

SHOWN = 5  # keys that an error names
PLACES = 3  # places that it names for each


class Surveyed(NamedTuple):
    """A piece that was looked through: how many of its records are wanted, and how records are named as far
    as is known (None while none was seen). `piece` is to be read again; None where it cannot be."""

    piece: PieceReference | None
    records: int
    keying: Keying | None


def survey(
    source: Source,
    spec: RunSpec,
    *,
    columns: list[str],
    start: Position | None = None,
    first_seq: int = 1,
    keying: Keying | None = None,
) -> Iterator[Surveyed]:
    """Read from `start` to the end of what is wanted, piece by piece. `columns` are the output's own, which
    the key must not be called like. Raises `SourceError` or `ConfigError`, for a key that is there twice at
    the end; with `skip_bad_rows`, only for what concerns the source as a whole."""
    seen = Seen()
    seq = first_seq
    for piece in source.pieces(start or Position()):
        left = None if spec.limit is None else max(0, spec.limit - seq + 1)
        if left == 0:
            break
        keys = None if keying is None else _skimmed(source, piece, keying)
        if keys is None:
            rows = source.records(piece)[:left]
            if not spec.skip_bad_rows:
                _refuse_bad(piece, rows)
            if keying is None:
                keying = _keying(piece, rows, spec, columns)
            keys = [None] * len(rows)
            if keying is not None and not spec.skip_bad_rows:
                keys = _keys(source, piece, rows, keying, seq)
        keys = keys[:left]
        if not spec.skip_bad_rows and keying is not None and keying.kind is not KeyKind.ROW:
            seen.add(keys)
        seq += len(keys)
        yield Surveyed(piece.reference(), len(keys), keying)
    if seq == 1:
        raise SourceError(f"{spec.source_name}: there are no records in it. Nothing was sent.")
    if (twice := seen.twice()) and keying is not None:
        _refuse_twice(source, keying, twice)


class Seen:
    """Which keys were there before: eight bytes for each."""

    def __init__(self) -> None:
        self._marks = array("q")

    def add(self, keys: Sequence[Key]) -> None:
        self._marks.extend(map(hash, keys))

    def twice(self) -> set[int]:
        """The hashes that are there more than once."""
        import numpy as np

        # In their place: nothing depends on their order.
        marks = np.frombuffer(self._marks, np.int64)
        marks.sort()
        return set(marks[1:][marks[1:] == marks[:-1]].tolist())


def _skimmed(source: Source, piece: Piece, keying: Keying) -> list[Any] | None:
    """The keys of a piece without its records; None if one of them has to be looked at."""
    if keying.kind is KeyKind.ROW:
        return source.skim(piece, None)
    values = source.skim(piece, keying.name)
    return None if values is None else keying.accepted(values)


def _keys(source: Source, piece: Piece, rows: list[Record | BadRow], keying: Keying, seq: int) -> list[Key]:
    if (keys := keying.keys(rows, seq)) is not None:
        return keys
    found: list[Key] = []
    try:
        for row in rows:
            assert not isinstance(row, BadRow), "refused before"
            found.append(keying.key(row, seq))
    except ValueError as error:
        line = source.numbers(piece)[len(found)]
        raise SourceError(
            f"{piece.path}:{line}: {error}. Nothing was sent. Fix the record, or use --skip-bad-rows to put "
            "such records into the failures file."
        ) from None
    return found


def _keying(piece: Piece, rows: list[Record | BadRow], spec: RunSpec, columns: list[str]) -> Keying | None:
    """By the first record of all."""
    first = next((row for row in rows if isinstance(row, dict)), None)
    if first is None:
        return None
    try:
        keying = keying_for(first, spec.key)
    except ValueError as error:
        raise SourceError(f"{piece.path}:{piece.row}: {error}. Nothing was sent; see --key.") from None
    if spec.only_new and keying.kind is KeyKind.ROW:
        raise SourceError(f"{no_key(piece.path)}. Nothing was sent.")
    if keying.name in columns:
        raise ConfigError(
            f"the output has a field {keying.name!r}, which is also the key's name: the two would be one "
            "column. Rename the field, or name another key with --key. Nothing was sent."
        )
    return keying


def _refuse_bad(piece: Piece, rows: list[Record | BadRow]) -> None:
    if BadRow not in set(map(type, rows)):
        return
    for row in rows:
        if isinstance(row, BadRow):
            raise SourceError(
                f"{piece.path}:{row.row}: {row.message}. Nothing was sent. Fix the line, or use "
                "--skip-bad-rows to put such rows into the failures file."
            )


def _refuse_twice(source: Source, keying: Keying, marks: set[int]) -> None:
    """Name the first of the keys with these hashes that are there more than once; only errors read again."""
    places: dict[Key, list[str]] = {}
    for key, place in _places(source, keying):
        if hash(key) in marks:
            places.setdefault(key, []).append(place)
    twice = {key: where for key, where in places.items() if len(where) > 1}
    if not twice:
        return
    shown = list(twice.items())[:SHOWN]
    told = "; ".join(f"{key!r} at {' and '.join(where[:PLACES])}" for key, where in shown)
    more = "; and more" if len(twice) > SHOWN else ""
    raise SourceError(
        f"the same key is there more than once: {told}{more}. Nothing was sent. Name another key with "
        "--key, or use --skip-bad-rows to keep the first of each."
    )


def _places(source: Source, keying: Keying) -> Iterator[tuple[Key, str]]:
    """Every key with its `file:line`."""
    for piece in source.pieces(Position()):
        for row, line in zip(source.records(piece), source.numbers(piece), strict=True):
            if not isinstance(row, BadRow):
                yield keying.key(row, 0), f"{piece.path}:{line}"

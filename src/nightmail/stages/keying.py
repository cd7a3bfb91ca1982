"""How the records of a run are named: by a field of theirs, or by their number in the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from nightmail.core.failure import Reason
from nightmail.core.run import KeyKind
from nightmail.sources.base import BadRow, Record
from nightmail.stores.base import FailedRow, Key


class Keying(NamedTuple):
    """How records are named: by a field, or by their number in the source."""

    kind: KeyKind
    name: str

    def key(self, record: Record, seq: int) -> Key:
        """The record's key; `ValueError` says what is wrong with it."""
        if self.kind is KeyKind.ROW:
            return seq
        try:
            key = record[self.name]
        except KeyError:
            raise ValueError(f"there is no {self.name!r} in this record (it has {_some(record)})") from None
        if self.kind is KeyKind.TEXT:
            if isinstance(key, str):
                if key.strip():
                    return key
                raise ValueError(f"{self.name!r} is empty")
        elif isinstance(key, int) and not isinstance(key, bool):
            return key
        if key is None:
            raise ValueError(f"{self.name!r} is empty")
        raise ValueError(
            f"{self.name!r} is {key!r}, but this run's keys are {self.kind.value}s (as in its first record)"
        )

    def keys(self, rows: Sequence[Record | BadRow], first_seq: int) -> list[Key] | None:
        """The keys of all rows at once; None if one of them is bad or has a wrong key: which, `key` tells.
        Takes a third of the time of asking for one after the other."""
        if not {dict}.issuperset(map(type, rows)):
            return None
        if self.kind is KeyKind.ROW:
            return list(range(first_seq, first_seq + len(rows)))
        name = self.name
        try:
            return self.accepted([row[name] for row in cast(Sequence[Record], rows)])
        except KeyError:
            return None

    def accepted(self, values: list[Any]) -> list[Key] | None:
        """Values of the key's field as keys; None if one of them cannot be one."""
        wanted = str if self.kind is KeyKind.TEXT else int
        if not {wanted}.issuperset(map(type, values)):
            return None
        return values if wanted is int or all(map(str.strip, values)) else None


def named(
    rows: Sequence[Record | BadRow], first_seq: int, keying: Keying, failed: list[FailedRow]
) -> tuple[list[int], list[Key], list[Record]]:
    """Numbers, keys and records; bad rows and records without a key are put to `failed`."""
    if (all_keys := keying.keys(rows, first_seq)) is not None:
        return list(range(first_seq, first_seq + len(rows))), all_keys, cast(list[Record], list(rows))
    seqs: list[int] = []
    keys: list[Key] = []
    records: list[Record] = []
    for seq, row in enumerate(rows, first_seq):
        if isinstance(row, BadRow):
            failed.append(FailedRow(seq, seq, Reason.BAD_ROW, f"line {row.row}: {row.message}"))
            continue
        try:
            keys.append(keying.key(row, seq))
        except ValueError as error:
            failed.append(FailedRow(seq, seq, Reason.BAD_ROW, str(error)))
            continue
        seqs.append(seq)
        records.append(row)
    return seqs, keys, records


def keying_for(record: Record, wanted: str | None) -> Keying:
    """How this source's records are named, judged by its first record: `wanted`, else `id` if there is
    one, else the row number. Raises `ValueError` with what is wrong."""
    name = "id" if wanted is None and "id" in record else wanted
    if not name:
        return Keying(KeyKind.ROW, "row")
    if name not in record:
        raise ValueError(f"there is no field {name!r} to be the key; the first record has {_some(record)}")
    value = record[name]
    if isinstance(value, int) and not isinstance(value, bool):
        return Keying(KeyKind.INTEGER, name)
    if isinstance(value, str):
        return Keying(KeyKind.TEXT, name)
    raise ValueError(
        f"the key {name!r} must be a text or a whole number, but is {value!r} in the first record"
    )


def no_key(path: str) -> str:
    """What to say where records must be told from each other and only have row numbers."""
    return (
        f"{path}: the records have no key, so which of them are new or changed cannot be told. Name a field "
        "that names them with --key, or ask for all of them each time with --every-record"
    )


def _some(record: Record) -> str:
    names = ", ".join(map(str, list(record)[:12]))
    return names if len(record) <= 12 else f"{names}, ..."

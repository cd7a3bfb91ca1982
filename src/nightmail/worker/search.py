"""Find records: by key in the store, by what their outputs say in the spool.

Nothing is indexed, so nothing is paid for it while a run goes on. Runs are looked through the newest first,
a stretch at a time, until enough is found or the time is up; then the answer says where to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Generator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from nightmail.core.ids import RunId
from nightmail.core.request import RequestState
from nightmail.core.run import KeyKind, Run
from nightmail.errors import ConfigError
from nightmail.spool import Spool
from nightmail.stages.parts import META, SEQ, batch_no_in, read_part
from nightmail.stores.base import Key, Store
from nightmail.worker.record import STRETCH, number_in

if TYPE_CHECKING:
    import pyarrow as pa

RUNS_AT_ONCE = 50
# Of the output around what was found, to either side.
AROUND = 100


# Before the place, the place, after it.
Excerpt = tuple[str, str, str]


class Hit(NamedTuple):
    """A record that was found; `excerpt` of its output, if that was looked through."""

    run_id: RunId
    record: int
    key: Key
    excerpt: Excerpt | None = None


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a search has come to: in which run, and behind which record; or, in outputs, in which of its
    parts and behind how many rows of that."""

    run_id: RunId
    part: str
    after: Annotated[int, msgspec.Meta(ge=0, le=2**62)]

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`next` is where to go on; None if everything was looked through. `newest` and `oldest` are the runs
    that were looked at."""

    hits: Sequence[Hit]
    next: Place | None
    newest: RunId | None
    oldest: RunId | None


def place_of(text: str | None) -> Place | None:
    """A place as it was written. Raises `ConfigError`."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=Place)
    except msgspec.DecodeError as error:
        raise ConfigError("a search goes on from the `next` that it gave, and this is none") from error


class Search:
    """One search over the runs of a home, or of one tenant in it; at most `seconds` and `limit` hits, but
    one stretch of rows in any case, so that whoever goes on gets to the end."""

    def __init__(
        self, store: Store, spool: Spool, *, tenant: str | None, run: Run | None, seconds: float, limit: int
    ) -> None:
        self._store = store
        self._spool = spool
        self._tenant = tenant
        self._run = run
        self._limit = limit
        self._until = asyncio.get_running_loop().time() + seconds
        self._hits: list[Hit] = []
        self._seen: list[RunId] = []

    async def keys(self, text: str, *, beginning: bool, start: Place | None) -> Found:
        """Records whose key is `text`, or begins with it."""
        async for run, after in self._runs(start):
            if self._is_over() and self._seen[1:]:
                return self._found(Place(run.run_id, "", after))
            number = number_in(run, text)
            if number is None and run.key_kind is not KeyKind.TEXT:
                continue
            while after < run.record_count:
                room = self._limit - len(self._hits)
                upto = after + STRETCH
                found = await self._store.inquiries.find(
                    run.run_no, text, number=number, beginning=beginning, after=after, upto=upto, limit=room
                )
                self._hits += [Hit(run.run_id, seq, key) for seq, key in found]
                after = found[-1][0] if len(found) == room else upto
                if self._is_over():
                    return self._found(Place(run.run_id, "", after))
        return self._found(None)

    async def outputs(self, text: str, *, start: Place | None) -> Found:
        """Records whose output has `text` in it, in capitals or not."""
        part = start.part if start is not None else ""
        async for run, after in self._runs(start):
            if self._is_over() and self._seen[1:]:
                return self._found(Place(run.run_id, part, after))
            for name in await asyncio.to_thread(_parts, self._spool, run.run_id, part):
                beyond = after if name == part else 0
                row = 0
                with contextlib.closing(_pieces(self._spool, name)) as pieces:
                    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                        if row + piece.num_rows > beyond:
                            passed = await self._in_piece(run, name, piece, text, max(0, beyond - row))
                            if self._is_over():
                                return self._found(Place(run.run_id, name, row + passed))
                        row += piece.num_rows
            part = ""
        return self._found(None)

    async def _runs(self, start: Place | None) -> AsyncIterator[tuple[Run, int]]:
        """Each run, and how far it was looked through before."""
        before: RunId | None = None
        if start is not None or self._run is not None:
            first = self._run or (await self._store.runs.read(start.run_id) if start is not None else None)
            if first is None or (self._tenant is not None and first.spec.tenant != self._tenant):
                return
            before = first.run_id
            self._seen.append(first.run_id)
            yield first, start.after if start is not None and start.run_id == first.run_id else 0
        while self._run is None:
            page = await self._store.runs.page(tenant=self._tenant, before=before, limit=RUNS_AT_ONCE)
            for run in page:
                self._seen.append(run.run_id)
                yield run, 0
            if not page:
                return
            before = page[-1].run_id

    async def _in_piece(self, run: Run, name: str, piece: pa.RecordBatch, text: str, first: int) -> int:
        """Take the hits among the rows from the `first` on in; up to which row it looked."""
        room = self._limit - len(self._hits)
        found, passed = await asyncio.to_thread(_matches, piece, text, first, room)
        batch_no = batch_no_in(name)
        seqs = [row[SEQ] for row, _ in found]
        # A part may have rows that were given up with it: they count where the store says so.
        good = {
            row.seq
            for row in (await self._store.pages.rows(run.run_no, seqs) if seqs else [])
            if row.state is RequestState.SUCCEEDED
            and (row.part == name or (row.part is None and row.batch_no == batch_no))
        }
        self._hits += [
            Hit(run.run_id, row[SEQ], row[piece.schema.names[1]], excerpt)
            for row, excerpt in found
            if row[SEQ] in good
        ]
        return passed

    def _is_over(self) -> bool:
        return len(self._hits) >= self._limit or asyncio.get_running_loop().time() >= self._until

    def _found(self, place: Place | None) -> Found:
        newest, oldest = (self._seen[0], self._seen[-1]) if self._seen else (None, None)
        return Found(hits=self._hits, next=place, newest=newest, oldest=oldest)


def _parts(spool: Spool, run_id: RunId, first: str) -> list[str]:
    """The parts of a run in an order that stays, from `first` on."""
    folder = f"{run_id}/outputs"
    found = sorted(
        (path.name for path in spool.path(folder).glob("*.arrow")), key=lambda name: (len(name), name)
    )
    names = [f"{folder}/{name}" for name in found]
    return names[names.index(first) :] if first in names else names


def _pieces(spool: Spool, name: str) -> Generator[pa.RecordBatch, None, None]:
    # It may have been tidied away since the folder was listed.
    with contextlib.suppress(FileNotFoundError):
        yield from read_part(spool, name)


def _matches(
    piece: pa.RecordBatch, text: str, first: int, limit: int
) -> tuple[list[tuple[dict[str, Any], Excerpt]], int]:
    """Up to `limit` rows, from the `first` on, with the text somewhere in their output; and up to which row
    was looked."""
    names = piece.schema.names
    outputs = names[2 : len(names) - len(META)]
    there = set()
    for name in outputs:
        there |= _rows_with(piece.column(name), text)
    wanted = sorted(row for row in there if row >= first)[:limit]
    rows = sorted(piece.take(wanted).to_pylist(), key=lambda row: int(row[SEQ])) if wanted else []
    pattern = re.compile(re.escape(text), re.IGNORECASE)
    found = [(row, _excerpt([row[name] for name in outputs], pattern)) for row in rows]
    passed = wanted[-1] + 1 if len(wanted) == limit else piece.num_rows
    return [(row, excerpt) for row, excerpt in found if excerpt is not None], passed


def _rows_with(column: pa.Array, text: str) -> set[int]:
    """The rows of a column with the text in them, however deep it lies in lists and structs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        matched = pc.match_substring(column, text, ignore_case=True)
        return set(pc.indices_nonzero(pc.fill_null(matched, False)).to_pylist())
    if pa.types.is_struct(kind):
        return {row for each in column.flatten() for row in _rows_with(each, text)}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inside = _rows_with(pc.list_flatten(column), text)
        parents = pc.list_parent_indices(column)
        return {parents[row].as_py() for row in inside}
    return set()


def _excerpt(value: Any, pattern: re.Pattern[str]) -> Excerpt | None:
    """The place where the text is first, in whatever is made of lists and fields; None if it is nowhere."""
    if isinstance(value, str):
        found = pattern.search(value)
        if found is None:
            return None
        start, end = found.span()
        return value[max(0, start - AROUND) : start], value[start:end], value[end : end + AROUND]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((each for part in inside if (each := _excerpt(part, pattern)) is not None), None)

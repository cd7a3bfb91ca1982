"""source -> requests: read on from where reading stopped, piece by piece.

A piece is built, its lines are written to the spool, and then one transaction puts its rows and the
place where the next piece begins into the store. A crash before that transaction leaves a file that the
same piece will write again; a crash after it, nothing to do. Several pieces may be built at once, also while
the rest of the source is surveyed; they enter the store in their order, once that is done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sized
from typing import NamedTuple

import msgspec

from nightmail.core.copies import DIGEST_BYTES
from nightmail.core.failure import Reason
from nightmail.core.lifecycle import RunEvent
from nightmail.core.run import KeyKind, Run
from nightmail.errors import SourceError, TaskError
from nightmail.sources.base import Piece, Position
from nightmail.stages.delivered import delivered_before
from nightmail.stages.digest import digest_for
from nightmail.stages.keying import Keying
from nightmail.stages.ports import Ports
from nightmail.stages.repeats import Repeats, lines_path
from nightmail.stages.shards import BuildOrder, BuiltPiece
from nightmail.stages.survey import survey
from nightmail.stages.surveying import Surveying
from nightmail.stages.unchanged import content
from nightmail.stores.base import FailedRow, Group, ReadyRows, Shard

# `build` failing on every one of so many first records is a mistake in the task, not in the data.
PROBE = 20


class _Building(NamedTuple):
    shard_no: int
    order: BuildOrder
    task: asyncio.Task[BuiltPiece]


async def enqueue(
    ports: Ports, run: Run, stopped: Callable[[], bool], told: Callable[[int], None] = lambda _: None
) -> Run:
    """Read the source to its end; the run is sealed then. Returns the run as it is afterwards: not sealed
    if it was `stopped` meanwhile. After each piece it is `told` how many records the store has."""
    position = msgspec.json.decode(run.position, type=Position) if run.position else Position()
    recording = _Recording(ports, run, await asyncio.to_thread(ports.source.fingerprint))
    shard_no, first_seq = len(await ports.store.requests.list_shards(run.run_no)), run.record_count + 1
    surveying = _surveying(ports, run, position, stopped)
    again: Iterator[Piece] | None = None  # read again, from where a piece has no place of its own
    building: deque[_Building] = deque()
    try:
        async for place, count, keying in surveying.pieces():
            early = place is not None and keying is not None and _may_be_early(ports, surveying, building)
            # Nothing reaches the store, from where it would be sent, before all of the source is known.
            if not early and not await surveying.whole():
                return run
            if stopped():
                return run
            # What was left out of a reference is read where it is built: it need not pass through this
            # process again.
            again = None if place is not None else again or ports.source.pieces(position)
            piece = place if again is None else await asyncio.to_thread(_next, again)
            if piece is None:
                raise _changed(ports, run)
            position = piece.next
            keying = keying or surveying.keying or Keying(KeyKind.ROW, "row")
            delivered = await delivered_before(ports, run, piece, keying)
            order = BuildOrder(
                piece=piece,
                first_seq=first_seq,
                record_count=count,
                keying=keying,
                digest=digest_for(deduped=run.spec.dedupe, compared=delivered is not None),
                delivered=delivered,
                file_path=lines_path(run.run_id, shard_no),
                piece_path=f"{run.run_id}/records/{shard_no:06}.piece" if ports.task.needs_record else None,
            )
            building.append(_Building(shard_no, order, asyncio.create_task(ports.shards.build(order))))
            # The first piece alone: a task that can make nothing of it is found out before there is more.
            if shard_no == 0:
                _refuse_task(ports, await building[0].task)
            shard_no, first_seq = shard_no + 1, first_seq + count
            while not early and len(building) >= (ports.shards.ahead if shard_no > 1 else 1):
                told(await recording.record(building.popleft(), surveying))
        if not await surveying.whole():
            return run
        while building:
            told(await recording.record(building.popleft(), surveying))
    finally:
        for each in building:
            each.task.cancel()
        await asyncio.gather(*(each.task for each in building), return_exceptions=True)
        await surveying.close()
    if run.spec.skip_bad_rows:
        await _drop_duplicates(ports, run)
    return await ports.store.runs.record_event(
        run.run_no, RunEvent.SEALED, now=ports.now(), lease=ports.lease
    )


def _surveying(ports: Ports, run: Run, start: Position, stopped: Callable[[], bool]) -> Surveying:
    surveyed = survey(
        ports.source,
        run.spec,
        columns=ports.task.column_names(),
        start=start,
        first_seq=run.record_count + 1,
        keying=Keying(run.key_kind, run.key_name) if run.key_kind and run.key_name else None,
    )
    return Surveying(surveyed, stopped)


def _may_be_early(ports: Ports, surveying: Surveying, building: Sized) -> bool:
    """May one more piece be built while the survey is under way?"""
    return surveying.is_under_way and len(building) < ports.shards.early


def _next(pieces: Iterator[Piece]) -> Piece | None:
    return next(pieces, None)


class _Recording:
    """Puts what was built into the store. `untouched` is the source's fingerprint as it was when its survey
    began."""

    def __init__(self, ports: Ports, run: Run, untouched: str) -> None:
        self._ports = ports
        self._run = run
        self._untouched = untouched
        self._begun = False
        self._groups: dict[str, Group] = {}
        self._repeats: Repeats | None = None

    async def record(self, building: _Building, surveying: Surveying) -> int:
        """Put a piece's rows into the store, once it is built; the number of its last record. The survey
        has come to its end."""
        if not self._begun:
            await self._begin(surveying)
        ports, run = self._ports, self._run
        order, built = building.order, await building.task
        if built.record_count != order.record_count:
            raise _changed(ports, run)
        await self._refuse_bad(built)
        for model in set(built.rows.models) - self._groups.keys():
            self._groups[model] = await ports.store.requests.record_group(
                ports.lease, model=model, endpoint=ports.task.endpoint
            )
        rows = built.rows
        if order.delivered is not None:
            # Before the shard: a crash between the two leaves digests that the same piece writes again.
            digests = range(0, len(built.digests), DIGEST_BYTES)
            contents = (content(built.digests[at : at + DIGEST_BYTES]) for at in digests)
            await ports.store.delivered.record_contents(ports.lease, zip(rows.seqs, contents, strict=True))
        shard = Shard(
            shard_no=building.shard_no,
            first_seq=order.first_seq,
            record_count=order.record_count,
            source_path=order.piece.path,
            source_row=order.piece.row,
            position=msgspec.json.encode(order.piece.next).decode(),
            file_path=order.file_path,
            file_bytes=built.file_bytes,
            piece_path=order.piece_path,
            ready=ReadyRows(
                seqs=rows.seqs,
                keys=rows.keys,
                group_nos=[self._groups[model].group_no for model in rows.models],
                tokens=rows.tokens,
                inputs=rows.inputs,
                lengths=rows.lengths,
            ),
            failed=built.failed,
            alone=run.spec.skip_bad_rows,
        )
        same = None
        if self._repeats is not None:
            same = await asyncio.to_thread(self._repeats.find, order, built)
        await ports.store.requests.record_shard(ports.lease, shard, now=ports.now(), same=same)
        return order.first_seq + order.record_count - 1

    async def _begin(self, surveying: Surveying) -> None:
        ports, run, keying = self._ports, self._run, surveying.keying
        self._begun = True
        if run.key_name is None and keying is not None:
            await ports.store.runs.record_key(ports.lease, name=keying.name, kind=keying.kind)
        self._groups = {each.model: each for each in await ports.store.requests.list_groups(run.run_no)}
        if run.spec.dedupe:
            self._repeats = await self._recalled(surveying.records)

    async def _recalled(self, coming: int) -> Repeats:
        """Which requests are there already, from before this process."""
        ports, run = self._ports, self._run
        repeats = Repeats(ports.spool, run.run_id, run.record_count + coming)
        for shard in await ports.store.requests.list_shards(run.run_no):
            if (kept := await ports.store.copies.kept(run.run_no, shard.shard_no)) is not None:
                repeats.recall(shard, kept)
        return repeats

    async def _refuse_bad(self, built: BuiltPiece) -> None:
        ports, run = self._ports, self._run
        bad = any(each.reason is Reason.BAD_ROW for each in built.failed)
        # In a source that is what it was, it is a number that nobody can hold: the survey passes over it.
        if (
            bad
            and not run.spec.skip_bad_rows
            and await asyncio.to_thread(ports.source.fingerprint) != self._untouched
        ):
            raise _changed(ports, run)


def _changed(ports: Ports, run: Run) -> SourceError:
    return SourceError(
        f"{run.spec.source_name} was changed while it was read. Let it come to rest, then give the same "
        "command again."
    )


def _refuse_task(ports: Ports, built: BuiltPiece) -> None:
    """A task that can make a request of none of the first records is wrong itself."""
    mine = [row for row in built.failed if row.reason is Reason.BUILD]
    if mine and not any(seq <= mine[0].seq + PROBE for seq in built.rows.seqs):
        raise TaskError(
            f"{ports.task.name}: no request could be made of any of the first {min(PROBE, len(mine))} "
            f"records: {mine[0].message}. Nothing was sent."
        )


async def _drop_duplicates(ports: Ports, run: Run) -> None:
    """Two records with one key would fight for one row of the output: the first is kept."""
    requests = ports.store.requests
    while twice := await requests.duplicate_keys(run.run_no, limit=10_000):
        rows = [
            FailedRow(seq, key, Reason.BAD_ROW, f"the key {key!r} was there before (record {seqs[0]})")
            for key, seqs in twice
            for seq in seqs[1:]
        ]
        await requests.record_failed(ports.lease, rows, now=ports.now())

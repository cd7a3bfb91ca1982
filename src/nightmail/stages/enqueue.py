"""source -> requests: read on from where reading stopped, piece by piece.

A piece is built, its lines are written to the spool, and then one transaction puts its rows and the
place where the next piece begins into the store. A crash before that transaction leaves a file that the
same piece will write again; a crash after it, nothing to do. Several pieces may be built at once; they
enter the store in their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from nightmail.core.copies import DIGEST_BYTES
from nightmail.core.failure import Reason
from nightmail.core.lifecycle import RunEvent
from nightmail.core.run import KeyKind, Run
from nightmail.errors import SourceError, TaskError
from nightmail.sources.base import Piece, PieceReference, Position
from nightmail.stages.delivered import delivered_before
from nightmail.stages.digest import digest_for
from nightmail.stages.keying import Keying
from nightmail.stages.ports import Ports
from nightmail.stages.repeats import Repeats, lines_path
from nightmail.stages.shards import BuildOrder, BuiltPiece
from nightmail.stages.survey import Survey, survey
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
    start = msgspec.json.decode(run.position, type=Position) if run.position else Position()
    untouched = await asyncio.to_thread(ports.source.fingerprint)
    found = await _survey(ports, run, start, stopped)
    if found is None:
        return run
    if run.key_name is None and found.keying is not None:
        await ports.store.runs.record_key(ports.lease, name=found.keying.name, kind=found.keying.kind)
    shard_no = len(await ports.store.requests.list_shards(run.run_no))
    groups = {each.model: each for each in await ports.store.requests.list_groups(run.run_no)}
    repeats = await _repeats(ports, run, sum(found.counts)) if run.spec.dedupe else None
    first_seq = run.record_count + 1
    # What was left out of these is read where they are built: it need not pass through this process again.
    pieces: Iterator[Piece | PieceReference]
    pieces = ports.source.pieces(start) if found.pieces is None else iter(found.pieces)
    building: deque[_Building] = deque()
    try:
        for count in found.counts:
            if stopped():
                return run
            piece = await asyncio.to_thread(_next, pieces)
            if piece is None:
                raise _changed(ports, run)
            keying = found.keying or Keying(KeyKind.ROW, "row")
            delivered = await delivered_before(ports, run, piece, keying)
            order = BuildOrder(
                piece=piece,
                first_seq=first_seq,
                record_count=count,
                keying=keying,
                digest=digest_for(deduped=repeats is not None, compared=delivered is not None),
                delivered=delivered,
                file_path=lines_path(run.run_id, shard_no),
                piece_path=f"{run.run_id}/records/{shard_no:06}.piece" if ports.task.needs_record else None,
            )
            building.append(_Building(shard_no, order, asyncio.create_task(ports.shards.build(order))))
            shard_no, first_seq = shard_no + 1, first_seq + count
            # The first piece alone: a task that can make nothing of it is found out before there is more.
            while len(building) >= (ports.shards.ahead if shard_no > 1 else 1):
                told(await _record(ports, run, building.popleft(), groups, repeats, untouched))
        while building:
            told(await _record(ports, run, building.popleft(), groups, repeats, untouched))
    finally:
        for each in building:
            each.task.cancel()
        await asyncio.gather(*(each.task for each in building), return_exceptions=True)
    if run.spec.skip_bad_rows:
        await _drop_duplicates(ports, run)
    return await ports.store.runs.record_event(
        run.run_no, RunEvent.SEALED, now=ports.now(), lease=ports.lease
    )


async def _survey(ports: Ports, run: Run, start: Position, stopped: Callable[[], bool]) -> Survey | None:
    return await asyncio.to_thread(
        survey,
        ports.source,
        run.spec,
        columns=ports.task.column_names(),
        start=start,
        first_seq=run.record_count + 1,
        keying=Keying(run.key_kind, run.key_name) if run.key_kind and run.key_name else None,
        stopped=stopped,
    )


def _next(pieces: Iterator[Piece | PieceReference]) -> Piece | PieceReference | None:
    return next(pieces, None)


async def _repeats(ports: Ports, run: Run, coming: int) -> Repeats:
    """Which requests are there already, from before this process."""
    repeats = Repeats(ports.spool, run.run_id, run.record_count + coming)
    for shard in await ports.store.requests.list_shards(run.run_no):
        if (kept := await ports.store.copies.kept(run.run_no, shard.shard_no)) is not None:
            repeats.recall(shard, kept)
    return repeats


async def _record(
    ports: Ports,
    run: Run,
    building: _Building,
    groups: dict[str, Group],
    repeats: Repeats | None,
    untouched: str,
) -> int:
    """Put a piece's rows into the store, once it is built; the number of its last record. `untouched` is the
    source's fingerprint as it was when it was surveyed."""
    order, built = building.order, await building.task
    if built.record_count != order.record_count:
        raise _changed(ports, run)
    bad = any(each.reason is Reason.BAD_ROW for each in built.failed)
    # In a source that is what it was, it is a number that nobody can hold: the survey passes over it.
    if bad and not run.spec.skip_bad_rows and await asyncio.to_thread(ports.source.fingerprint) != untouched:
        raise _changed(ports, run)
    if building.shard_no == 0:
        _refuse_task(ports, built)
    for model in set(built.rows.models) - groups.keys():
        groups[model] = await ports.store.requests.record_group(
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
            group_nos=[groups[model].group_no for model in rows.models],
            tokens=rows.tokens,
            inputs=rows.inputs,
            lengths=rows.lengths,
        ),
        failed=built.failed,
        alone=run.spec.skip_bad_rows,
    )
    same = await asyncio.to_thread(repeats.find, order, built) if repeats is not None else None
    await ports.store.requests.record_shard(ports.lease, shard, now=ports.now(), same=same)
    return order.first_seq + order.record_count - 1


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

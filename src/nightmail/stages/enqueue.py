"""source -> requests: read on from where reading stopped, piece by piece.

A piece is built, its lines are written to the spool, and then one transaction puts its rows and the
place where the next piece begins into the store. A crash before that transaction leaves a file that the
same piece will write again; a crash after it, nothing to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec

from nightmail.core.failure import Reason
from nightmail.core.lifecycle import RunEvent
from nightmail.core.run import KeyKind, Run
from nightmail.errors import ConfigError, SourceError, TaskError
from nightmail.sources.base import BadRow, Piece, Position, Record, Source
from nightmail.stages.build import Built, Workshop
from nightmail.stages.keying import Keying, keying_for
from nightmail.stages.ports import Ports
from nightmail.stores.base import FailedRow, Group, ReadyRows, Shard

# `build` failing on every one of so many first records is a mistake in the task, not in the data.
PROBE = 20
SHOWN = 5


async def enqueue(ports: Ports, run: Run, stop: asyncio.Event) -> Run:
    """Read the source to its end; the run is sealed then. Returns the run as it is afterwards: not sealed
    if `stop` was set meanwhile."""
    workshop = Workshop(task=ports.task, provider=ports.provider, counter=ports.counter, run_id=run.run_id)
    start = msgspec.json.decode(run.position, type=Position) if run.position else Position()
    pieces = ports.source.pieces(start)
    shard_no = len(await ports.store.requests.list_shards(run.run_no))
    groups = {each.model: each for each in await ports.store.requests.list_groups(run.run_no)}
    keying = Keying(run.key_kind, run.key_name) if run.key_kind and run.key_name else None
    first_seq = run.record_count + 1
    while (piece := await asyncio.to_thread(_next, pieces)) is not None:
        if stop.is_set():
            return run
        rows = await asyncio.to_thread(ports.source.records, piece)
        if run.spec.limit is not None:
            rows = rows[: max(0, run.spec.limit - first_seq + 1)]
            if not rows:
                break
        if not run.spec.skip_bad_rows:
            _refuse_bad(piece, rows)
        if (
            keying is None
            and (first := next((row for row in rows if isinstance(row, dict)), None)) is not None
        ):
            keying = _keying(piece, first, run, ports)
            await ports.store.runs.record_key(ports.lease, name=keying.name, kind=keying.kind)
        built = await asyncio.to_thread(
            workshop.build, rows, first_seq=first_seq, keying=keying or Keying(KeyKind.ROW, "row")
        )
        if not run.spec.skip_bad_rows:
            _refuse_keys(ports, piece, built, first_seq)
        if shard_no == 0:
            _refuse_task(ports, built)
        shard = await _write(ports, run, piece, built, shard_no, first_seq, len(rows), groups)
        await ports.store.requests.record_shard(ports.lease, shard, now=ports.now())
        shard_no, first_seq = shard_no + 1, first_seq + len(rows)
    if first_seq == 1:
        raise SourceError(f"{run.spec.source_name}: there are no records in it. Nothing was sent.")
    await _settle_duplicates(ports, run)
    return await ports.store.runs.record_event(
        run.run_no, RunEvent.SEALED, now=ports.now(), lease=ports.lease
    )


def _next(pieces: Iterator[Piece]) -> Piece | None:
    return next(pieces, None)


async def _write(
    ports: Ports,
    run: Run,
    piece: Piece,
    built: Built,
    shard_no: int,
    first_seq: int,
    count: int,
    groups: dict[str, Group],
) -> Shard:
    """The piece's files in the spool, and the shard that says so."""
    rows = built.rows
    for model in set(rows.models) - groups.keys():
        groups[model] = await ports.store.requests.record_group(
            ports.lease, model=model, endpoint=ports.task.endpoint
        )
    file_path = f"{run.run_id}/requests/{shard_no:06}.jsonl"
    size = await asyncio.to_thread(ports.spool.write, file_path, built.lines)
    piece_path = None
    if ports.task.needs_record:
        piece_path = f"{run.run_id}/records/{shard_no:06}.piece"
        await asyncio.to_thread(ports.spool.write, piece_path, [msgspec.msgpack.encode(piece)])
    return Shard(
        shard_no=shard_no,
        first_seq=first_seq,
        record_count=count,
        source_path=piece.path,
        source_row=piece.row,
        position=msgspec.json.encode(piece.next).decode(),
        file_path=file_path,
        file_bytes=size,
        piece_path=piece_path,
        ready=ReadyRows(
            seqs=rows.seqs,
            keys=rows.keys,
            group_nos=[groups[model].group_no for model in rows.models],
            tokens=rows.tokens,
            inputs=rows.inputs,
            lengths=rows.lengths,
        ),
        failed=built.failed,
    )


def _keying(piece: Piece, first: Record, run: Run, ports: Ports) -> Keying:
    try:
        keying = keying_for(first, run.spec.key)
    except ValueError as error:
        raise SourceError(f"{piece.path}:{piece.row}: {error}. Nothing was sent; see --key.") from None
    schema = ports.task.arrow_schema()
    if schema is not None and keying.name in schema.names:
        raise ConfigError(
            f"the output has a field {keying.name!r}, which is also the key's name: the two would be one "
            "column. Rename the field, or name another key with --key. Nothing was sent."
        )
    return keying


def _refuse_bad(piece: Piece, rows: list[Record | BadRow]) -> None:
    for row in rows:
        if isinstance(row, BadRow):
            raise SourceError(
                f"{piece.path}:{row.row}: {row.message}. Nothing was sent. Fix the line, or use "
                "--skip-bad-rows to put such rows into the failures file."
            )


def _refuse_keys(ports: Ports, piece: Piece, built: Built, first_seq: int) -> None:
    for failed in built.failed:
        if failed.reason is Reason.BAD_ROW:
            row = ports.source.numbers(piece)[failed.seq - first_seq]
            raise SourceError(
                f"{piece.path}:{row}: {failed.message}. Nothing was sent. Fix the record, or use "
                "--skip-bad-rows to put such records into the failures file."
            )


def _refuse_task(ports: Ports, built: Built) -> None:
    """A task that can make a request of none of the first records is wrong itself."""
    mine = [row for row in built.failed if row.reason is Reason.BUILD]
    if mine and not any(seq <= mine[0].seq + PROBE for seq in built.rows.seqs):
        raise TaskError(
            f"{ports.task.name}: no request could be made of any of the first {min(PROBE, len(mine))} "
            f"records: {mine[0].message}. Nothing was sent."
        )


async def _settle_duplicates(ports: Ports, run: Run) -> None:
    """Two records with one key would fight for one row of the output."""
    requests = ports.store.requests
    twice = await requests.duplicate_keys(run.run_no, limit=SHOWN + 1)
    if twice and not run.spec.skip_bad_rows:
        shown = [(key, seqs[:3]) for key, seqs in twice[:SHOWN]]
        places = await asyncio.to_thread(_places, ports.source, {seq for _, seqs in shown for seq in seqs})
        told = "; ".join(f"{key!r} at {' and '.join(places[seq] for seq in seqs)}" for key, seqs in shown)
        more = "; and more" if len(twice) > SHOWN else ""
        raise SourceError(
            f"the same key is there more than once: {told}{more}. Nothing was sent. Name another key with "
            "--key, or use --skip-bad-rows to keep the first of each."
        )
    while twice:
        rows = [
            FailedRow(seq, key, Reason.BAD_ROW, f"the key {key!r} was there before (record {seqs[0]})")
            for key, seqs in twice
            for seq in seqs[1:]
        ]
        await requests.record_failed(ports.lease, rows, now=ports.now())
        twice = await requests.duplicate_keys(run.run_no, limit=10_000)


def _places(source: Source, wanted: set[int]) -> dict[int, str]:
    """`file:line` of some records, found by reading again: only errors need it."""
    found: dict[int, str] = {}
    first = 1
    for piece in source.pieces(Position()):
        numbers = source.numbers(piece)
        for seq in wanted:
            if first <= seq < first + len(numbers):
                found[seq] = f"{piece.path}:{numbers[seq - first]}"
        first += len(numbers)
        if len(found) == len(wanted):
            break
    return found

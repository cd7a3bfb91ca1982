"""The parts of a run that burn CPU, one portion at a time: a piece of the source is built, a batch is judged.

An order and what comes of it are plain values, so that another process can carry the order out. Doing it
again gives the same files: who dies over an order has done no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from nightmail.core.batch import Batch
from nightmail.core.ids import RunId
from nightmail.core.pricing import Price
from nightmail.core.run import KeyKind
from nightmail.providers.base import Provider
from nightmail.sources.base import Piece, PieceReference, Source
from nightmail.spool import Spool
from nightmail.stages.build import BuiltRows, Workshop
from nightmail.stages.digest import Digest
from nightmail.stages.keying import Keying
from nightmail.stages.parts import part_name, part_schema, writing
from nightmail.stages.records import Records
from nightmail.stages.unchanged import leave_out
from nightmail.stages.validate import Judge
from nightmail.stages.verdicts import ResultFile, Verdicts
from nightmail.stores.base import Asked, FailedRow, Key, StoredShard
from nightmail.tasks.prepared import PreparedTask


@dataclass(frozen=True, slots=True)
class Tools:
    """What every order of a run is carried out with; used by one thread at a time."""

    run_id: RunId
    task: PreparedTask
    provider: Provider
    source: Source
    spool: Spool
    workshop: Workshop


class PrepareOrder(msgspec.Struct, frozen=True, kw_only=True, tag="prepare"):
    """Make ready for the first piece to build."""


class BuildOrder(msgspec.Struct, frozen=True, kw_only=True, tag="build"):
    """Build the first `record_count` records of a piece, numbered from `first_seq`, and write their lines
    to the spool file `file_path`; the piece itself to `piece_path`, if its records are wanted again. Those
    that were `delivered` just so before are left out."""

    piece: Piece | PieceReference
    first_seq: int
    record_count: int
    keying: Keying
    file_path: str
    piece_path: str | None
    digest: Digest | None = None  # what is to be made of the requests
    delivered: dict[Key, int] | None = None  # digests of requests, by key; then `digest` decides


class BuiltPiece(msgspec.Struct, kw_only=True):
    """What became of `record_count` records; the `digests` of the requests, one after the other, if they
    were wanted."""

    rows: BuiltRows
    failed: list[FailedRow]
    file_bytes: int
    record_count: int
    digests: bytes = b""


class JudgeOrder(msgspec.Struct, frozen=True, kw_only=True, tag="judge"):
    """Judge a batch, its extras with it, by its result files and write its accepted outputs to its part.
    `shards` are where its records are, if the task asks for them."""

    batch: Batch
    extras: list[Batch]
    asked: Asked
    files: list[ResultFile]
    key_name: str
    key_kind: KeyKind
    price: Price | None
    shards: list[StoredShard]


def build_piece(tools: Tools, order: BuildOrder) -> BuiltPiece:
    """Carry a `BuildOrder` out."""
    piece = order.piece.whole()
    rows = tools.source.records(piece)[: order.record_count]
    built = tools.workshop.build(rows, first_seq=order.first_seq, keying=order.keying, digest=order.digest)
    if order.delivered is not None:
        built = leave_out(built, order.delivered)
    if order.piece_path is not None:
        tools.spool.write(order.piece_path, [msgspec.msgpack.encode(piece)])
    return BuiltPiece(
        rows=built.rows,
        failed=built.failed,
        file_bytes=tools.spool.write(order.file_path, built.lines),
        record_count=len(rows),
        digests=b"".join(built.digests),
    )


def judge_batch(tools: Tools, order: JudgeOrder) -> Verdicts:
    """Carry a `JudgeOrder` out."""
    schema = part_schema(order.key_name, order.key_kind, tools.task.arrow_schema())
    records: Records | None = None
    if order.shards:
        records = Records(tools.spool, tools.source, order.shards)
    with writing(tools.spool, part_name(tools.run_id, order.batch.batch_no), schema) as part:
        return Judge(
            task=tools.task,
            provider=tools.provider,
            spool=tools.spool,
            run_id=tools.run_id,
            batch=order.batch,
            extras=order.extras,
            asked=order.asked,
            price=order.price,
            records=records,
            part=part,
        ).judge(order.files)


def near(shards: Sequence[StoredShard], batch: Batch) -> list[StoredShard]:
    """The shards that hold a batch's records."""
    return [
        shard
        for shard in shards
        if shard.first_seq <= batch.last_seq and shard.first_seq + shard.record_count > batch.first_seq
    ]


class Here:
    """Carries orders out in threads of this process."""

    ahead = 1
    early = 0

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self._building = asyncio.Lock()

    def rest(self, now: datetime) -> None:
        pass

    async def build(self, order: BuildOrder) -> BuiltPiece:
        # A user's `build` need not bear to be called by several threads at a time.
        async with self._building:
            return await asyncio.to_thread(build_piece, self.tools, order)

    async def judge(self, order: JudgeOrder) -> Verdicts:
        return await asyncio.to_thread(judge_batch, self.tools, order)

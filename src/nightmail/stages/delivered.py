"""What a schedule's runs have delivered: asked before a piece is built, noted when a run is."""

from __future__ import annotations

import asyncio

from nightmail.core.run import Run
from nightmail.sources.base import Piece, PieceReference, Record, Source
from nightmail.stages.keying import Keying
from nightmail.stages.ports import Ports
from nightmail.stores.base import Key

# Records of one transaction.
STEP = 50_000


async def delivered_before(
    ports: Ports, run: Run, piece: Piece | PieceReference, keying: Keying
) -> dict[Key, int] | None:
    """The digests that were delivered of this piece's records, by key; None if all are to be asked."""
    if not run.spec.only_new or run.spec.schedule_no is None:
        return None
    keys = await asyncio.to_thread(_keys, ports.source, piece, keying)
    return await ports.store.delivered.read(run.spec.schedule_no, keys)


async def remember(ports: Ports, run: Run) -> None:
    """The run's output is delivered: its schedule's next runs leave out what is in it. Again is harmless."""
    if not run.spec.only_new or run.spec.schedule_no is None:
        return
    for first in range(1, run.record_count + 1, STEP):
        await ports.store.delivered.record(ports.lease, run.spec.schedule_no, first, first + STEP - 1)


def _keys(source: Source, piece: Piece | PieceReference, keying: Keying) -> list[Key]:
    """Of records that have one that can be used; the others become failures when they are built."""
    return [key for row in source.records(piece.whole()) if (key := _key(row, keying)) is not None]


def _key(row: object, keying: Keying) -> Key | None:
    if not isinstance(row, dict):
        return None
    record: Record = row
    try:
        return keying.key(record, 0)
    except ValueError:
        return None

"""What the runs of a schedule have delivered, by key: compact rows, bulk statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from nightmail.stores.base import Key, Lease
from nightmail.stores.database import Database, Transaction


class SqliteDelivered:
    """See `nightmail.stores.base_schedules.Delivered`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, schedule_no: int, keys: Sequence[Key]) -> dict[Key, int]:
        text = msgspec.json.encode(keys).decode()
        return dict(
            await self._database.read(
                lambda tx: tx.rows("list_delivered", _pair, schedule_no=schedule_no, keys=text)
            )
        )

    async def record_contents(self, lease: Lease, rows: Iterable[tuple[int, int]]) -> None:
        def work(tx: Transaction) -> None:
            tx.fence(lease)
            tx.many("keep_content", ((lease.run_no, seq, digest) for seq, digest in rows))

        await self._database.write(work)

    async def record(self, lease: Lease, schedule_no: int, first: int, last: int) -> None:
        def work(tx: Transaction) -> None:
            tx.fence(lease)
            tx.run("remember_delivered", schedule_no=schedule_no, run_no=lease.run_no, first=first, last=last)

        await self._database.write(work)


def _pair(key: Key, digest: int) -> tuple[Key, int]:
    return key, digest

"""What the runs of a schedule have delivered, by key: compact rows, bulk statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from nightmail.core.request import RequestState
from nightmail.stores.base import Key, Lease
from nightmail.stores.database import Database, Transaction
from nightmail.stores.stretches import between, keys_of, numbers_of


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
            span = {"run_no": lease.run_no, "first": first, "last": last}
            tx.run("remember_delivered", schedule_no=schedule_no, **span)
            stretches = between(tx, **span, state=RequestState.SUCCEEDED)
            contents = dict(tx.each("list_contents", **span)) if stretches else {}
            for stretch in stretches:
                keys = keys_of(tx, stretch)
                tx.many(
                    "remember_one",
                    (
                        (schedule_no, keys[stretch.at(seq)], contents[seq], lease.run_no)
                        for seq in numbers_of(tx, lease.run_no, stretch, first, last)
                        if seq in contents
                    ),
                )

        await self._database.write(work)


def _pair(key: Key, digest: int) -> tuple[Key, int]:
    return key, digest

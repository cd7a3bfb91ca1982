"""The tables of notices, of their deliveries and of the webhooks that came in."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from nightmail.core.delivery import Delivery, Noticed, Outgoing, Told
from nightmail.core.ids import RunId
from nightmail.core.notice import Notice
from nightmail.stores.database import Database, Transaction, at, moment

# A provider repeats a webhook for three days (facts A.10).
REMEMBERED = timedelta(days=7)


class SqliteNotices:
    """See `nightmail.stores.base_notices.Notices`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, *, home: str) -> Noticed:
        def work(tx: Transaction) -> Noticed:
            tx.run("begin_noticing", home=home)
            row = tx.row("read_noticed")
            assert row is not None
            return Noticed(row["event_no"], row["home"])

        row = await self._database.read(lambda tx: tx.row("read_noticed"))
        return Noticed(*row) if row is not None else await self._database.write(work)

    async def record(
        self,
        notices: Sequence[Notice],
        channels: Mapping[str, Sequence[datetime | None]],
        *,
        after: int,
        upto: int,
    ) -> int | None:
        def work(tx: Transaction) -> int | None:
            if not tx.run("advance_noticed", after=after, upto=upto):
                return None
            return sum(_insert(tx, notice, place, channels) for place, notice in enumerate(notices))

        return await self._database.write(work)

    async def claim(
        self, channel: str, *, now: datetime, until: datetime, together: bool, limit: int
    ) -> list[Delivery]:
        def due(tx: Transaction) -> list[sqlite3.Row]:
            wanted: dict[str, Any] = {"channel": channel, "now": at(now), "limit": limit}
            if together:
                return tx.rows("list_due_together", **wanted)
            return tx.rows("list_due_heads", **wanted)

        def work(tx: Transaction) -> list[Delivery]:
            rows = due(tx)
            numbers = _json([row["notice_no"] for row in rows])
            tx.run("claim_deliveries", channel=channel, numbers=numbers, until=at(until))
            return [
                Delivery(row["notice_no"], row["tries"] + 1, msgspec.json.decode(row["body"], type=Notice))
                for row in rows
            ]

        # Asked each second, mostly for nothing: reading takes the lock from nobody.
        return await self._database.write(work) if await self._database.read(due) else []

    async def next_due(self, channels: Sequence[str], *, after: datetime) -> datetime | None:
        row = await self._database.read(
            lambda tx: tx.row("next_delivery_due", channels=_json(list(channels)), after=at(after))
        )
        assert row is not None
        return moment(row["due_at"])

    async def record_sent(self, channel: str, notice_nos: Sequence[int], *, now: datetime) -> None:
        await self._database.write(
            lambda tx: tx.run("end_deliveries", channel=channel, numbers=_json(notice_nos), now=at(now))
        )

    async def record_failed(
        self, channel: str, notice_nos: Sequence[int], *, error: str, due_at: datetime
    ) -> None:
        await self._database.write(
            lambda tx: tx.run(
                "put_off_deliveries",
                channel=channel,
                numbers=_json(notice_nos),
                error=error,
                due_at=at(due_at),
            )
        )

    async def record_given_up(self, *, before: datetime, now: datetime) -> int:
        return await self._database.write(
            lambda tx: tx.run("give_up_deliveries", before=at(before), now=at(now))
        )

    async def count(self) -> Sequence[Outgoing]:
        rows = await self._database.read(lambda tx: tx.rows("count_deliveries"))
        return [Outgoing(row["channel"], row["state"], row["n"], moment(row["due_at"])) for row in rows]

    async def list(
        self, *, run_id: RunId | None, tenant: str | None = None, before: str | None = None, limit: int
    ) -> list[tuple[Notice, list[Told]]]:
        wanted = {"run_id": run_id, "tenant": tenant, "before": before, "limit": limit}

        def work(tx: Transaction) -> list[tuple[Notice, list[Told]]]:
            rows = list(reversed(tx.rows("list_notices", **wanted)))
            told: dict[int, list[Told]] = {row["notice_no"]: [] for row in rows}
            for row in tx.rows("list_deliveries", numbers=_json(list(told))):
                told[row["notice_no"]].append(
                    Told(
                        channel=row["channel"],
                        state=row["state"],
                        tries=row["tries"],
                        due_at=moment(row["due_at"]),
                        ended_at=moment(row["ended_at"]),
                        error=row["error"],
                    )
                )
            return [(msgspec.json.decode(row["body"], type=Notice), told[row["notice_no"]]) for row in rows]

        return await self._database.read(work)

    async def record_webhook(
        self, webhook_id: str, *, type: str, provider_batch_id: str | None, now: datetime
    ) -> bool:
        def work(tx: Transaction) -> bool:
            tx.run("delete_old_webhooks", before=at(now - REMEMBERED))
            new = tx.run(
                "insert_webhook",
                webhook_id=webhook_id,
                type=type,
                provider_batch_id=provider_batch_id,
                now=at(now),
            )
            if new and provider_batch_id is not None:
                tx.run("look_at_batch_now", provider_batch_id=provider_batch_id, now=at(now))
            return bool(new)

        return await self._database.write(work)


def _insert(
    tx: Transaction, notice: Notice, place: int, channels: Mapping[str, Sequence[datetime | None]]
) -> bool:
    if tx.row("find_notice", notice_id=notice.notice_id) is not None:
        return False
    number = tx.insert(
        "insert_notice",
        notice_id=notice.notice_id,
        kind=notice.kind,
        run_id=notice.run_id,
        at=at(notice.at),
        body=_json(notice),
    )
    for channel, times in channels.items():
        due_at = times[place]
        if due_at is not None:
            tx.run(
                "insert_delivery", notice_no=number, channel=channel, run_id=notice.run_id, due_at=at(due_at)
            )
    return True


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()

"""The tables of tenants and of their keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from nightmail.core.scope import Scope
from nightmail.core.tenancy import ApiKey, Tenant
from nightmail.stores.database import Database, Transaction, at, moment


class SqliteTenants:
    """See `nightmail.stores.base_tenants.Tenants`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, tenant: Tenant, *, now: datetime) -> None:
        await self._database.write(
            lambda tx: tx.run(
                "write_tenant",
                name=tenant.name,
                budget_pusd=tenant.budget_pusd,
                share=tenant.share,
                now=at(now),
            )
        )

    async def list(self) -> Sequence[Tenant]:
        rows = await self._database.read(lambda tx: tx.rows("list_tenants"))
        return [Tenant(name=row["name"], budget_pusd=row["budget_pusd"], share=row["share"]) for row in rows]

    async def record_key(self, key: ApiKey) -> None:
        await self._database.write(
            lambda tx: tx.run(
                "insert_key",
                key_id=key.key_id,
                tenant=key.tenant,
                scope=key.scope,
                digest=key.digest,
                now=at(key.created_at),
            )
        )

    async def list_keys(self) -> Sequence[ApiKey]:
        rows = await self._database.read(lambda tx: tx.rows("list_keys"))
        return [_key_of(row) for row in rows]

    async def record_revoked(self, key_id: str, *, now: datetime) -> bool:
        return await self._database.write(lambda tx: tx.run("revoke_key", key_id=key_id, now=at(now))) == 1

    async def record_session(self, digest: str, key_id: str, *, now: datetime, until: datetime) -> None:
        def work(tx: Transaction) -> None:
            tx.run("delete_ended_sessions", now=at(now))
            tx.run("insert_session", digest=digest, key_id=key_id, now=at(now), expires_at=at(until))

        await self._database.write(work)

    async def read_session(self, digest: str, *, now: datetime) -> ApiKey | None:
        row = await self._database.read(lambda tx: tx.row("read_session", digest=digest, now=at(now)))
        return _key_of(row) if row else None

    async def delete_session(self, digest: str) -> None:
        await self._database.write(lambda tx: tx.run("delete_session", digest=digest))

    async def spent(self, tenant: str, *, since: datetime) -> int:
        row = await self._database.read(lambda tx: tx.row("tenant_spending", tenant=tenant, since=at(since)))
        assert row is not None
        return int(row["spent"] + row["reserved"])


def _key_of(row: sqlite3.Row) -> ApiKey:
    return ApiKey(
        key_id=row["key_id"],
        tenant=row["tenant"],
        scope=Scope(row["scope"]),
        digest=row["digest"],
        created_at=datetime.fromisoformat(row["created_at"]),
        revoked_at=moment(row["revoked_at"]),
    )

"""The store's part for a service that several share: tenants and their keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from nightmail.core.tenancy import ApiKey, Tenant


class Tenants(Protocol):
    async def record(self, tenant: Tenant, *, now: datetime) -> None:
        """Write a tenant down, or change what it is allowed."""
        ...

    async def list(self) -> Sequence[Tenant]:
        """All, by name."""
        ...

    async def record_key(self, key: ApiKey) -> None:
        """Keep a new key. Its tenant must be there."""
        ...

    async def list_keys(self) -> Sequence[ApiKey]:
        """All, revoked ones too, oldest first."""
        ...

    async def record_revoked(self, key_id: str, *, now: datetime) -> bool:
        """The key is good for nothing from now on; False if there is none of that id that still was."""
        ...

    async def record_session(self, digest: str, key_id: str, *, now: datetime, until: datetime) -> None:
        """Somebody has signed in with the key, until then. Sessions that have ended are forgotten."""
        ...

    async def read_session(self, digest: str, *, now: datetime) -> ApiKey | None:
        """The key of a session; None if there is none, or it has ended, or its key is revoked."""
        ...

    async def delete_session(self, digest: str) -> None: ...
    async def spent(self, tenant: str, *, since: datetime) -> int:
        """Pico-USD that its batches submitted since then have cost, or have reserved."""
        ...

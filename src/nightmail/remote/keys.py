"""The keys of a service, for who has one of an administrator."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from nightmail.core.scope import Scope
from nightmail.core.tenancy import ApiKey
from nightmail.errors import ConfigError, UnknownRun
from nightmail.remote.calls import Calls
from nightmail.remote.options import money
from nightmail.remote.wire import key_of


class Keys:
    """See `nightmail.worker.keys.Keys`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def add(
        self,
        tenant: str,
        *,
        scope: Scope | str = Scope.SUBMIT,
        budget: Decimal | float | str | None = None,
        share: float | None = None,
    ) -> str:
        asked = {
            "tenant": tenant,
            "scope": str(scope),
            "budget": money(budget) if budget is not None else None,
            "share": share,
        }
        return str((await self._calls.post("/keys", asked, again=False))["key"])

    async def list(self) -> Sequence[ApiKey]:
        return [key_of(row) for row in (await self._calls.get("/keys"))["keys"]]

    async def revoke(self, key_id: str) -> None:
        try:
            await self._calls.delete(f"/keys/{key_id}")
        except UnknownRun as error:
            raise ConfigError(
                f"there is no key {key_id!r} that is still good (nightmail keys list)"
            ) from error

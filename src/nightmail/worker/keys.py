"""The service's keys: made, listed, revoked; and what each tenant may use."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from nightmail.core.pricing import parse_usd
from nightmail.core.scope import Scope
from nightmail.core.tenancy import NAME, SESSION, ApiKey, Tenant, digest, written
from nightmail.errors import ConfigError
from nightmail.stages.ports import Clock
from nightmail.stores.base import Store
from nightmail.worker.options import amount_of


class Keys:
    """Reached as `client.keys`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(
        self,
        tenant: str,
        *,
        scope: Scope | str = Scope.SUBMIT,
        budget: Decimal | float | str | None = None,
        share: float | None = None,
    ) -> str:
        """A new key of the tenant, who is written down if new. This is the only time that it is told.

        `budget` (USD) is what the tenant's runs may cost in a UTC month, `share` the part of each model's
        queue that they may fill; where neither is given, what the tenant has stays."""
        if not NAME.fullmatch(tenant):
            raise ConfigError(f"a tenant's name is made of a-z, 0-9 and -, up to 40 of them, not {tenant!r}")
        if scope not in set(Scope):
            raise ConfigError(f"there is no scope {scope!r}; there is: {', '.join(Scope)}")
        if share is not None and not 0 < share <= 1:
            raise ConfigError(f"a share is more than 0 and at most 1, such as 0.25, not {share}")
        amount = amount_of(budget)
        if amount is not None and parse_usd(amount) == 0:
            raise ConfigError(
                "a tenant's budget is more than 0; who is to start nothing has its keys revoked"
            )
        known = {each.name: each for each in await self._store.tenants.list()}.get(tenant)
        if known is None or amount is not None or share is not None:
            before = known or Tenant(name=tenant)
            allowed = Tenant(
                name=tenant,
                budget_pusd=parse_usd(amount) if amount is not None else before.budget_pusd,
                share=share if share is not None else before.share,
            )
            await self._store.tenants.record(allowed, now=self._clock.now())
        key_id = self._clock.token()
        secret = self.secret()
        await self._store.tenants.record_key(
            ApiKey(
                key_id=key_id,
                tenant=tenant,
                scope=Scope(scope),
                digest=digest(secret),
                created_at=self._clock.now(),
            )
        )
        return written(key_id, secret)

    async def list(self) -> Sequence[ApiKey]:
        """All keys, revoked ones too, oldest first."""
        return await self._store.tenants.list_keys()

    async def sign_in(self, key_id: str) -> str:
        """What a browser that has shown this key is given in its place, good for `SESSION`. It is kept as a
        digest only, and ends with the key."""
        token, now = self.secret(), self._clock.now()
        await self._store.tenants.record_session(digest(token), key_id, now=now, until=now + SESSION)
        return token

    async def signed_in(self, token: str) -> ApiKey | None:
        """The key with which somebody has signed in; None if that is over."""
        return await self._store.tenants.read_session(digest(token), now=self._clock.now())

    async def sign_out(self, token: str) -> None:
        await self._store.tenants.delete_session(digest(token))

    def secret(self) -> str:
        """256 random bits, as 64 hexadecimal digits."""
        return "".join(self._clock.token() for _ in range(4))

    async def tenants(self) -> Sequence[Tenant]:
        return await self._store.tenants.list()

    async def spent(self, tenant: str) -> int:
        """Pico-USD that the tenant's runs have cost, or have reserved, in this UTC month."""
        month = self._clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return await self._store.tenants.spent(tenant, since=month)

    async def revoke(self, key_id: str) -> None:
        """The key is good for nothing from now on. Raises `ConfigError` if there is no such key."""
        if not await self._store.tenants.record_revoked(key_id, now=self._clock.now()):
            raise ConfigError(f"there is no key {key_id!r} that is still good (nightmail keys list)")

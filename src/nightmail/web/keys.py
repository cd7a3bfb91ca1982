"""Who asks: a key, looked up and limited in how often it may ask.

A service that only this machine can reach asks for no key as long as its home has none; it then answers
only to names of this machine, since any other name may be made to lead here by somebody's page. With the
first key, or where others can reach it, a key is needed for all but `/healthz`, `/readyz` and webhooks.
"""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from nightmail.client import Client
from nightmail.core.rates import Bucket, Rate, take
from nightmail.core.scope import Scope
from nightmail.core.tenancy import ApiKey, is_valid, parted
from nightmail.web.asked import Asked
from nightmail.web.problems import Problem, not_found
from nightmail.web.settings import Settings

# A key that was revoked is good for so long after that.
REFRESH = 2.0
MOST_BUCKETS = 10_000
# The problem that is put right by signing in.
SIGNED_OUT = "signed-out"
LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")


class Asker(NamedTuple):
    """Who asks. `tenant` is None where no keys are asked for."""

    tenant: str | None
    scope: Scope
    name: str

    @property
    def sees_all(self) -> bool:
        return self.scope is Scope.ADMIN

    @property
    def only(self) -> str | None:
        """The tenant to whose runs the asker is bound; None: everybody's."""
        return None if self.sees_all else self.tenant


ANYBODY = Asker(None, Scope.ADMIN, "local")


class Keyring:
    """The home's keys, read anew every few seconds, and how often each was used lately."""

    def __init__(self, client: Client, settings: Settings, *, local: bool) -> None:
        self._client = client
        self._settings = settings
        self._local = local
        self._keys: dict[str, ApiKey] = {}
        self._read_at = -math.inf
        self._reading = asyncio.Lock()
        self._buckets: dict[str, Bucket] = {}

    async def asker(self, key: str | None, address: str, name: str) -> Asker:
        """Who shows this key, from this address, to this name of ours. Raises `Problem` 401, 421 or 429."""
        now = asyncio.get_running_loop().time()
        await self._refresh(now)
        if self._is_open(name):
            return ANYBODY
        parts = parted(key) if key else None
        if parts and parts[0] not in self._keys and self._may_guess(address, now):
            # It may have been made a moment ago.
            await self._refresh(math.inf)
        known = self._keys.get(parts[0]) if parts else None
        if not is_valid(parts[1] if parts else "", known) or known is None:
            self._limit(_guesser(address), self._settings.wrong_key_rate, now)
            raise Problem(
                401,
                "key",
                "give a key that is good: Authorization: Bearer nm_... (nightmail keys add makes one)",
                headers={"WWW-Authenticate": "Bearer"},
            )
        self._limit(f"key {known.key_id}", self._settings.rate, now)
        return Asker(known.tenant, known.scope, known.key_id)

    async def visitor(self, token: str | None, name: str) -> Asker:
        """Who looks at a page: the owner of the key with which somebody signed in to get this token, which
        is good for pages alone. Raises `Problem` 401, 421 or 429."""
        now = asyncio.get_running_loop().time()
        await self._refresh(now)
        if self._is_open(name):
            return ANYBODY
        known = await self._client.keys.signed_in(token) if token else None
        if known is None:
            raise Problem(401, SIGNED_OUT, "sign in with a key first")
        self._limit(f"key {known.key_id}", self._settings.rate, now)
        return Asker(known.tenant, known.scope, known.key_id)

    async def knows(self, asker: Asker) -> bool:
        """Is what let the asker in still good? Asked by streams, which go on after that; it counts for no
        rate."""
        await self._refresh(asyncio.get_running_loop().time())
        if asker is ANYBODY:
            return not self._has_keys()
        known = self._keys.get(asker.name)
        return known is not None and known.revoked_at is None

    def _has_keys(self) -> bool:
        return any(each.revoked_at is None for each in self._keys.values())

    def _is_open(self, name: str) -> bool:
        """Is no key asked for? Raises `Problem` 421 if it is not to one of this machine's names then."""
        if not self._local or self._has_keys():
            return False
        if urlsplit(f"//{name}").hostname not in LOCAL_NAMES:
            raise Problem(421, "host", "without keys this answers to 127.0.0.1 and localhost only")
        return True

    async def _refresh(self, now: float) -> None:
        if now - self._read_at < REFRESH:
            return
        async with self._reading:
            if now - self._read_at >= REFRESH:
                read_at = asyncio.get_running_loop().time()
                self._keys = {each.key_id: each for each in await self._client.keys.list()}
                self._read_at = read_at

    def _may_guess(self, address: str, now: float) -> bool:
        return not take(self._buckets.get(_guesser(address)), self._settings.wrong_key_rate, now)[1]

    def _limit(self, who: str, rate: Rate, now: float) -> None:
        if len(self._buckets) >= MOST_BUCKETS:
            # Whoever asks from so many addresses is not stopped by remembering them all.
            self._buckets.clear()
        self._buckets[who], wait = take(self._buckets.get(who), rate, now)
        if wait:
            raise Problem(
                429,
                "rate",
                f"too many requests; wait {wait:.1f} s",
                headers={"Retry-After": str(math.ceil(wait))},
            )


def _guesser(address: str) -> str:
    return f"address {address}"


_bearer = HTTPBearer(auto_error=False, description="A key made by `nightmail keys add`.")


async def asker_of(request: Request) -> Asker:
    """Who has sent the request. Raises `Problem`."""
    keyring: Keyring = request.app.state.keyring
    address = request.client.host if request.client else "unknown"
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    key = shown.strip() if scheme.lower() == "bearer" else None
    return await keyring.asker(key, address, request.headers.get("host", ""))


def insist(asker: Asker, scope: Scope) -> Asker:
    """The asker, if its key lets it do what needs `scope`. Raises `Problem`."""
    if not asker.scope.includes(scope):
        raise Problem(403, "scope", f"this key may {asker.scope}, this needs one that may {scope}")
    return asker


# The scheme is there for the description; the header is read where plain routes read it too.
async def _asker(request: Request, _: Annotated[object, Security(_bearer)]) -> Asker:
    return await asker_of(request)


def _needing(scope: Scope):  # type: ignore[no-untyped-def]  # the shape that FastAPI reads
    async def asker(asker: Annotated[Asker, Depends(_asker)]) -> Asker:
        return insist(asker, scope)

    return asker


needs_admin = Depends(_needing(Scope.ADMIN))
Reader = Annotated[Asker, Depends(_needing(Scope.READ))]
Submitter = Annotated[Asker, Depends(_needing(Scope.SUBMIT))]


async def refuse_others(run_id: str, asker: Asker, client: Client) -> None:
    """Raises `Problem` 404 for a run that is not there, and for somebody else's."""
    tenant = await client.tenant_of(run_id)
    if asker.only is not None and tenant != asker.only:
        raise not_found("such run")


async def _own_run(run_id: str, asker: Annotated[Asker, Depends(_asker)], client: Asked) -> str:
    """Every route of one run depends on it: somebody else's is not there."""
    await refuse_others(run_id, asker, client)
    return run_id


OwnRun = Annotated[str, Depends(_own_run)]

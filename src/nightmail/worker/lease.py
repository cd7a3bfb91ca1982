"""The right to drive a run: claimed, kept alive, lost.

A lease ends by itself half a minute after its holder stops renewing it, so a run whose worker is gone is
taken over soon. On the same machine it is taken over at once when the holder's process is dead: the
token says which process that was. The fence in every write makes a holder that was only asleep harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from nightmail.core.ids import RunId
from nightmail.errors import DiskFull, NightmailError, StoreError
from nightmail.stages.ports import Clock
from nightmail.stores.base import Lease, Store, Tenure
from nightmail.worker.clock import LIFE

TERM = timedelta(seconds=30)
RENEW_EVERY = 10.0


class Sightings:
    """Leases that end further ahead than a lease can: a clock has been set back since they were taken.
    Whether the holder of such a one lives shows only in whether it is renewed."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[datetime, datetime]] = {}  # token -> its end, and since when that is so

    def is_over(self, tenure: Tenure, now: datetime) -> bool:
        """Has it stayed as it is for a whole term?"""
        if tenure.until <= now + TERM:
            self._seen.pop(tenure.token, None)
            return False
        known, since = self._seen.get(tenure.token, (None, now))
        if known != tenure.until or now < since:
            self._seen[tenure.token] = (tenure.until, now)
            return False
        return now - since > TERM


def make_token(clock: Clock) -> str:
    """Host, process, its life and chance, so that others on this host can tell whether the holder lives."""
    return f"{socket.gethostname()}/{os.getpid()}/{LIFE}-{clock.token()}"


def holder_of(token: str) -> str:
    """Who has taken the lease, in words."""
    host, _, rest = token.partition("/")
    return f"process {rest.partition('/')[0]} on {host}"


async def claim(
    store: Store,
    clock: Clock,
    run_id: RunId | None,
    *,
    sightings: Sightings | None = None,
    idle: bool = False,
) -> Lease | None:
    """Take a run, or return None if there is none to take (or it is driven by somebody living). With
    `idle` also one that has nothing to do. Who asks again and again keeps its `sightings`."""
    now = clock.now()
    dead = [
        tenure.token
        for tenure in await store.runs.leases()
        if is_dead(tenure.token) or (sightings is not None and sightings.is_over(tenure, now))
    ]
    return await store.runs.claim(
        run_id=run_id, token=make_token(clock), now=now, until=now + TERM, dead=dead, idle=idle
    )


@contextlib.asynccontextmanager
async def held(store: Store, clock: Clock, lease: Lease) -> AsyncIterator[None]:
    """Renew the lease while the block runs and give it back at its end. If it is lost, or cannot be
    renewed, the block is cancelled and what was the matter (`LeaseLost`, say) is raised."""
    owner = asyncio.current_task()
    assert owner is not None
    lost: list[NightmailError] = []

    async def renew() -> None:
        while True:
            await clock.wait(RENEW_EVERY)
            try:
                await store.runs.record_lease(lease, until=clock.now() + TERM)
            except (StoreError, DiskFull) as error:
                lost.append(error)
                owner.cancel()
                return

    async def give_back() -> None:
        renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing
        await store.runs.delete_lease(lease)

    renewing = asyncio.create_task(renew())
    try:
        yield
    except BaseException as error:
        # What ended the block is told, not that a full disk or a locked database takes no lease back either:
        # it ends by itself.
        with contextlib.suppress(StoreError, DiskFull):
            await give_back()
        if lost and isinstance(error, asyncio.CancelledError):
            raise lost[0] from None
        raise
    else:
        await give_back()


def is_dead(token: str) -> bool:
    """Did the holder run on this machine, and is its process gone?"""
    host, _, rest = token.partition("/")
    pid, _, life = rest.partition("/")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        # Not this process, but one that had its number before.
        return not life.startswith(f"{LIFE}-")
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False

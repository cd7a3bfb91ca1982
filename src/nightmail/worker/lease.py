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
from datetime import timedelta

from nightmail.core.ids import RunId
from nightmail.errors import LeaseLost
from nightmail.stages.ports import Clock
from nightmail.stores.base import Lease, Store

TERM = timedelta(seconds=30)
RENEW_EVERY = 10.0


def make_token(clock: Clock) -> str:
    """Host, process and chance, so that others on this host can tell whether the holder lives."""
    return f"{socket.gethostname()}/{os.getpid()}/{clock.token()}"


async def claim(store: Store, clock: Clock, run_id: RunId | None, *, idle: bool = False) -> Lease | None:
    """Take a run, or return None if there is none to take (or it is driven by somebody living). With
    `idle` also one that has nothing to do."""
    now = clock.now()
    dead = [lease.token for lease in await store.runs.leases() if is_dead(lease.token)]
    return await store.runs.claim(
        run_id=run_id, token=make_token(clock), now=now, until=now + TERM, dead=dead, idle=idle
    )


@contextlib.asynccontextmanager
async def held(store: Store, clock: Clock, lease: Lease) -> AsyncIterator[None]:
    """Renew the lease while the block runs and give it back at its end. If it is lost, the block is
    cancelled and `LeaseLost` raised."""
    owner = asyncio.current_task()
    assert owner is not None
    lost: list[LeaseLost] = []

    async def renew() -> None:
        while True:
            await clock.wait(RENEW_EVERY)
            try:
                await store.runs.record_lease(lease, until=clock.now() + TERM)
            except LeaseLost as error:
                lost.append(error)
                owner.cancel()
                return

    renewing = asyncio.create_task(renew())
    try:
        yield
    except asyncio.CancelledError:
        if lost:
            raise lost[0] from None
        raise
    finally:
        renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing
        if not lost:
            await store.runs.delete_lease(lease)


def is_dead(token: str) -> bool:
    """Did the holder run on this machine, and is its process gone?"""
    host, _, rest = token.partition("/")
    pid, _, _ = rest.partition("/")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False

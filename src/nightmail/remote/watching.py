"""Follow a run as the service tells it, over as many answers as that takes: a service may be started anew in
the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx2
import msgspec

from nightmail.core.run import RunState
from nightmail.errors import NightmailError, ServiceUnreachable, StoreError
from nightmail.remote.calls import Calls
from nightmail.remote.files import Told
from nightmail.remote.problems import put_off
from nightmail.stages.ports import Clock

# So long a service may be away: it is being updated, or its machine is started anew.
AWAY = 600.0
LOOK_AGAIN = 1.0
# It gives a sign of life every quarter of a minute.
SILENCE = 60.0


async def watched(
    calls: Calls, run_id: str, *, clock: Clock, told: Told, is_ending: bool = False
) -> AsyncGenerator[dict[str, Any], None]:
    """The run each time that it has changed, until it is over or paused. Raises what keeps it from going on
    if the asker has to mend it (one that `is_ending` goes on all the same), and `ServiceUnreachable` when the
    service is away for long."""
    time = asyncio.get_running_loop().time
    heard_at, is_away = time(), False
    while True:
        try:
            async with aclosing(_events(calls, run_id)) as events:
                async for event in events:
                    heard_at, is_away = time(), False
                    if event.event == "put_off":
                        detail = msgspec.json.decode(event.data)
                        error = None if is_ending else put_off(detail)
                        if error is not None:
                            raise _left_there(error, calls, run_id)
                        told(f"{run_id} could not go on ({detail.get('message')}); the service tries again")
                    elif event.event == "end":
                        return
                    elif event.event == "run":
                        row = msgspec.json.decode(event.data)
                        yield row
                        if row["state"] == RunState.PAUSED:
                            return
            lost: Exception | None = None
        except (httpx2.TransportError, ServiceUnreachable, StoreError) as error:
            lost = error
        # An answer that ends without `end` is that of a service that stops.
        if time() - heard_at > AWAY:
            raise ServiceUnreachable(
                f"{calls.url} has not answered for {AWAY / 60:.0f} minutes ({lost}); {run_id} goes on there "
                "when it runs again"
            )
        if not is_away:
            is_away = True
            told(f"{calls.url} does not answer{f' ({lost})' if lost is not None else ''}; trying again")
        await clock.wait(LOOK_AGAIN)


async def _events(calls: Calls, run_id: str) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
    async with calls.stream(f"/runs/{run_id}/watch", read_timeout=SILENCE) as answer:
        async for event in httpx2.EventSource(answer):
            yield event


def _left_there(error: NightmailError, calls: Calls, run_id: str) -> NightmailError:
    return type(error)(
        f"{error} ({run_id} stays at {calls.url}, which tries again every few minutes; nightmail cancel "
        f"{run_id} "
        f"--server {calls.url} gives it up)"
    )

"""Follow a run as the service tells it, over as many answers as that takes: a service may be started anew in
the middle."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
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
AWAY = timedelta(minutes=10)
LOOK_AGAIN, LONGEST_WAIT = 0.5, 5.0
# It gives a sign of life every quarter of a minute.
SILENCE = 60.0


async def watched(
    calls: Calls, run_id: str, *, clock: Clock, told: Told, is_ending: bool = False
) -> AsyncGenerator[dict[str, Any], None]:
    """The run each time that it has changed, until it is over or paused. Raises what keeps it from going on
    if the asker has to mend it (one that `is_ending` goes on all the same), and `ServiceUnreachable` when the
    service is away for long."""
    heard_at, tries = clock.now(), 0
    while True:
        try:
            async with aclosing(_events(calls, run_id)) as events:
                async for event in events:
                    heard_at, tries = clock.now(), 0
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
        if clock.now() - heard_at > AWAY:
            raise ServiceUnreachable(
                f"{calls.url} has not answered for {AWAY.total_seconds() / 60:.0f} minutes ({lost}); "
                f"{run_id} goes on there when it runs again"
            )
        if not tries:
            told(f"{calls.url} does not answer{f' ({lost})' if lost is not None else ''}; trying again")
        # Not all who watch come back in the same moment.
        await clock.wait(min(LOOK_AGAIN * 2**tries, LONGEST_WAIT) * (0.5 + clock.chance()))
        tries += 1


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

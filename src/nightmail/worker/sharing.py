"""When copies are looked through: now and then while a run goes on, and when nothing else of it is open.

Each look reads all copies that are open, so it waits until enough has been settled since the last one.
Nothing depends on these looks but how early a copy has its output; the last one finds whatever is left.
"""

from __future__ import annotations

import asyncio

from nightmail.core.batch import Batch
from nightmail.core.request import ASKED_STATES, RequestState
from nightmail.core.run import Run
from nightmail.errors import InternalError
from nightmail.stages.ports import Ports
from nightmail.stages.share import share
from nightmail.stores.base import Tally

# So often, at most, while a run goes on.
LOOKS = 8


class Sharing:
    """The looks of one driver at its run's copies, one at a time."""

    def __init__(self, ports: Ports, stop: asyncio.Event) -> None:
        self._ports = ports
        self._stop = stop
        self._settled = 0
        self._looking = asyncio.Lock()

    async def after(self, run: Run, batch: Batch) -> None:
        """A batch has been settled."""
        self._settled += batch.requests
        if self._settled * LOOKS < run.record_count or self._looking.locked():
            return
        self._settled = 0
        async with self._looking:
            await share(self._ports, run, self._stop)

    async def rest(self, run: Run, tally: Tally) -> bool:
        """If nothing but copies is open, each of their firsts has its final state: look. Did it move any?"""
        if any(tally.states.get(state) for state in ASKED_STATES):
            return False
        async with self._looking:
            moved = await share(self._ports, run, self._stop)
        if not moved and not self._stop.is_set():
            following = tally.states[RequestState.FOLLOWING]
            raise InternalError(
                f"run {run.run_id}: {following} records wait for answers to requests that are not there; "
                "nightmail doctor shows whether the counts are those of the rows"
            )
        return True

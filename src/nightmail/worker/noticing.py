"""Find what somebody is to be told and write it down, with who is to be told and when.

Events are read on from where the last look ended; that place moves in the transaction that writes the
notices down. A crash before it makes the same notices again, with the same ids. Several may look at the same
time: the one that is late writes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from nightmail.core.batch import BatchState
from nightmail.core.budget import Money
from nightmail.core.channel import Channel, times_of
from nightmail.core.notice import Happening, Notice
from nightmail.core.notice_events import of_event
from nightmail.core.notice_states import of_day, of_run, of_schedule
from nightmail.core.pricing import parse_usd
from nightmail.stages.ports import Clock
from nightmail.stores.base import Store
from nightmail.worker.reading import status

EVERY = 5.0  # seconds between looks at events
STATES_EVERY = timedelta(minutes=1)  # between looks at what becomes so gradually
AT_ONCE = 200  # events of one look


class Noticing:
    """The loop that makes notices for `channels`; `daily_budget` is the home's, in USD."""

    def __init__(
        self, store: Store, clock: Clock, channels: Sequence[Channel], *, daily_budget: str | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._channels = channels
        self._daily_pusd = parse_usd(daily_budget) if daily_budget is not None else None
        self._states_at: datetime | None = None
        self._known: set[str] = set()  # ids that are written down: what stays as it is costs no transaction

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        while not stop.is_set():
            if not await self.look():
                await self._clock.wait(EVERY, wake=stop)

    async def look(self) -> bool:
        """Look once; whether there may be more events that wait to be looked at."""
        since = await self._store.notices.begin(home=self._clock.token())
        events = await self._store.events.list_after(since.event_no, limit=AT_ONCE)
        now = self._clock.now()
        found = await self._of_events(events, since.home, now) if events else []
        if self._states_at is None or not timedelta(0) <= now - self._states_at < STATES_EVERY:
            found += await self._of_states(since.home, now)
            self._states_at = now
        new = [notice for notice in found if notice.notice_id not in self._known]
        if events or new:
            upto = events[-1].event_no if events else since.event_no
            times = {channel.name: times_of(channel, new, now) for channel in self._channels}
            if await self._store.notices.record(new, times, after=since.event_no, upto=upto) is None:
                return True
            self._known.update(notice.notice_id for notice in new)
        return len(events) == AT_ONCE

    async def _of_events(self, events: Sequence[Happening], home: str, now: datetime) -> list[Notice]:
        seen = {}
        for run_id in {event.run_id for event in events}:
            # A run that was forgotten since is not there: nothing of it was ever sent.
            if (run := await self._store.runs.read(run_id)) is not None:
                seen[run_id] = await status(self._store, run, now)
        return [
            notice
            for event in events
            if event.run_id in seen
            for notice in of_event(event, seen[event.run_id], home=home, now=now)
        ]

    async def _of_states(self, home: str, now: datetime) -> list[Notice]:
        found: list[Notice] = []
        for run in await self._store.runs.unfinished():
            if run.finished_at is not None:
                continue
            spending = await self._store.batches.spending(run.run_no)
            budget = run.spec.budget_usd
            found += of_run(
                await status(self._store, run, now),
                await self._store.batches.list(run.run_no, states=[BatchState.IN_PROGRESS]),
                money=Money(spent=spending.spent_pusd, reserved=spending.reserved_pusd),
                budget_pusd=parse_usd(budget) if budget is not None else None,
                home=home,
                now=now,
            )
        for schedule in await self._store.schedules.list():
            for newest in await self._store.schedules.occurrences(schedule.schedule_no, limit=1):
                found += of_schedule(schedule.name, newest, home=home, now=now)
        if self._daily_pusd is not None:
            figures = await self._store.figures.read(now=now)
            money = Money(spent=figures.spent_today_pusd, reserved=figures.reserved_today_pusd)
            found += of_day(money, self._daily_pusd, home=home, now=now)
        return found

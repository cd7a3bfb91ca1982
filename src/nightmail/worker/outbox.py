"""Tell every channel what it has not been told yet: at least once, of one run in order, with backoff.

A notice is claimed for a while before it is sent, so that two processes on one home do not tell the same at
the same time. A crash between the sending and the note that it was sent tells it again, under the same id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from nightmail.core.channel import Channel
from nightmail.core.delivery import Delivery
from nightmail.core.notice import Notice
from nightmail.core.polling import delay
from nightmail.core.quiet import loud_at
from nightmail.errors import ChannelFailed
from nightmail.stages.ports import Clock
from nightmail.stores.base import Store

logger = logging.getLogger("nightmail.notices")

EVERY = 5.0  # seconds between looks into the outbox, if nothing is due before
CLAIMED = timedelta(minutes=2)  # longer than any sender takes
SWEEP = timedelta(hours=1)
KEPT = timedelta(hours=72)  # as long as OpenAI tries its own webhooks (facts A.10)
MOST = 50  # of one channel at a time
TOLD_AT = (1, 10, 100)


class Sender(Protocol):
    """Reaches one channel."""

    async def send(self, notices: Sequence[Notice]) -> None:
        """Return once they have been taken; raise `ChannelFailed` if not. Never for longer than `CLAIMED`."""
        ...


class Outbox:
    """The loop that empties the outbox; `senders` by the name of their channel."""

    def __init__(
        self, store: Store, clock: Clock, channels: Sequence[Channel], senders: Mapping[str, Sender]
    ) -> None:
        self._store = store
        self._clock = clock
        self._channels = channels
        self._senders = senders
        self._swept_at: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; what is being sent then is sent to its end."""
        while not stop.is_set():
            await self.empty(stop)
            now = self._clock.now()
            due = await self._store.notices.next_due([channel.name for channel in self._channels], after=now)
            seconds = EVERY if due is None else (due - now).total_seconds()
            await self._clock.wait(min(EVERY, seconds), wake=stop)

    async def empty(self, stop: asyncio.Event | None = None) -> None:
        """Send everything that is due. A channel that is slow or down holds no other up."""
        now = self._clock.now()
        if self._swept_at is None or now - self._swept_at >= SWEEP:
            self._swept_at = now
            if given_up := await self._store.notices.record_given_up(before=now - KEPT, now=now):
                logger.warning(
                    "%d deliveries are given up after %d hours", given_up, KEPT / timedelta(hours=1)
                )
        await asyncio.gather(*(self._tell(channel, stop) for channel in self._channels))

    async def _tell(self, channel: Channel, stop: asyncio.Event | None) -> None:
        while stop is None or not stop.is_set():
            now = self._clock.now()
            claimed = await self._store.notices.claim(
                channel.name, now=now, until=now + CLAIMED, together=channel.for_people, limit=MOST
            )
            if not claimed:
                return
            if channel.for_people:
                await self._send(channel, claimed)
            else:
                for one in claimed:
                    await self._send(channel, [one])

    async def _send(self, channel: Channel, claimed: Sequence[Delivery]) -> None:
        numbers = [each.notice_no for each in claimed]
        try:
            await self._senders[channel.name].send([each.notice for each in claimed])
        except ChannelFailed as error:
            tries = max(each.tries for each in claimed)
            if tries in TOLD_AT:
                logger.warning("channel %s cannot be told (%d times): %s", channel.name, tries, error)
            now = self._clock.now()
            later = loud_at(channel.quiet, now + delay(tries, chance=self._clock.chance()))
            await self._store.notices.record_failed(channel.name, numbers, error=str(error), due_at=later)
        else:
            await self._store.notices.record_sent(channel.name, numbers, now=self._clock.now())

"""The store port, notices: what somebody is to be told and whether they were, and webhooks that came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from nightmail.core.delivery import Delivery, Noticed, Outgoing, Told
from nightmail.core.ids import RunId
from nightmail.core.notice import Notice


class Notices(Protocol):
    async def begin(self, *, home: str) -> Noticed:
        """Where making notices stands. At the very first time it begins behind the newest event: nobody is
        told of what was before. Then `home` becomes the home's name."""
        ...

    async def record(
        self,
        notices: Sequence[Notice],
        channels: Mapping[str, Sequence[datetime | None]],
        *,
        after: int,
        upto: int,
    ) -> int | None:
        """Write notices down that are not there yet, each with a delivery for every channel that names a
        time for it (by its place among the notices; None: not for this channel), and note that events up to
        `upto` are done, all at once. How many were new; None, and nothing is written, if somebody else has
        come further than `after` meanwhile."""
        ...

    async def claim(
        self, channel: str, *, now: datetime, until: datetime, together: bool, limit: int
    ) -> list[Delivery]:
        """What the channel is to be told now, in order; nobody else gets it before `until`. Of one run only
        the first that is pending, so that order is kept; `together` all that are pending, once the first of
        them is due."""
        ...

    async def next_due(self, channels: Sequence[str], *, after: datetime) -> datetime | None:
        """When the next delivery to one of these becomes due. What is due already may be waiting for the one
        before it."""
        ...

    async def record_sent(self, channel: str, notice_nos: Sequence[int], *, now: datetime) -> None: ...
    async def record_failed(
        self, channel: str, notice_nos: Sequence[int], *, error: str, due_at: datetime
    ) -> None:
        """They were not told; `error` says why, without an address."""
        ...

    async def record_given_up(self, *, before: datetime, now: datetime) -> int:
        """What is still pending of notices from before is not tried any more; how many."""
        ...

    async def list(
        self, *, run_id: RunId | None, tenant: str | None = None, before: str | None = None, limit: int
    ) -> list[tuple[Notice, list[Told]]]:
        """The newest, or the newest before the one with the id `before`, oldest first, with what became of
        each; of a run, or of a tenant's runs, if given."""
        ...

    async def count(self) -> Sequence[Outgoing]:
        """Deliveries by channel and state."""
        ...

    async def record_webhook(
        self, webhook_id: str, *, type: str, provider_batch_id: str | None, now: datetime
    ) -> bool:
        """A webhook has come, for the first time (else nothing happens, and False): the batch that it names,
        if it is under way here, is due to be looked at now. One transaction."""
        ...

"""What goes out of a home to others, and what comes in: the notices, the webhooks, the figures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime

from nightmail.core.delivery import Outgoing, Told
from nightmail.core.figures import Figures
from nightmail.core.ids import RunId
from nightmail.core.notice import Notice
from nightmail.errors import ConfigError
from nightmail.stages.ports import Clock
from nightmail.worker.arrivals import take
from nightmail.worker.noticing import Noticing
from nightmail.worker.outbox import Outbox
from nightmail.worker.senders import senders_for
from nightmail.worker.service import Service

# As the official client calls it; several, separated by spaces, while one takes the other's place.
SECRETS = "OPENAI_WEBHOOK_SECRET"


class Hooks:
    """Of one home. `loops` are run beside a worker; the rest is asked."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._store = service.store
        self._clock = clock

    def loops(self, *, environment: Mapping[str, str] | None = None) -> list[Noticing | Outbox]:
        """Make notices and send them to the channels of the settings; without a channel, nothing is to be
        done. Each runs until the event given to its `run` is set. Raises `ConfigError` for an environment
        variable that a channel needs and that is missing."""
        settings = self._service.settings
        if not settings.channels:
            return []
        senders = senders_for(settings.channels, self._clock, environment=environment)
        return [
            Noticing(self._store, self._clock, settings.channels, daily_budget=settings.daily_budget),
            Outbox(self._store, self._clock, settings.channels, senders),
        ]

    async def notices(
        self,
        run_id: str | None = None,
        *,
        tenant: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[tuple[Notice, list[Told]]]:
        """The newest notices of a run, of a tenant's runs, or of all, oldest first, with what became of each
        at each channel; those before the one with the id `before`, if given."""
        run = RunId(run_id) if run_id else None
        return await self._store.notices.list(run_id=run, tenant=tenant, before=before, limit=limit)

    async def outbox(self) -> Sequence[Outgoing]:
        """What is on its way to each channel, and what became of the rest."""
        return await self._store.notices.count()

    async def receive(
        self, headers: Mapping[str, str], body: bytes, *, environment: Mapping[str, str] | None = None
    ) -> bool:
        """A provider's webhook has come; whether it was new. The batch that it names is looked at at once.
        `headers` has lower-case names. Raises `WebhookRefused`, and `ConfigError` if there is no secret to
        check it with."""
        secrets = (os.environ if environment is None else environment).get(SECRETS, "").split()
        if not secrets:
            raise ConfigError(f"webhooks cannot be checked: {SECRETS} is not set")
        return await take(
            self._store, self._clock, headers, body, secrets=secrets, look_now=self._service.look_now
        )

    def now(self) -> datetime:
        """The time of the home's clock."""
        return self._clock.now()

    async def figures(self) -> Figures:
        """The home in numbers, as it is now."""
        return await self._store.figures.read(now=self._clock.now())

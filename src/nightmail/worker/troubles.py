"""What a stage's failure at the provider leads to: a later time, or a pause until somebody acts."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any

from nightmail.core.batch import CLOSED_STATES, Batch
from nightmail.core.lifecycle import RunEvent
from nightmail.core.polling import LONGEST, delay
from nightmail.core.quota import Hold
from nightmail.core.run import PauseReason, RunState
from nightmail.errors import (
    AuthenticationFailed,
    BillingBlocked,
    ProviderError,
    ProviderUnavailable,
    QuotaReached,
    RateLimited,
)
from nightmail.stages.ports import Ports
from nightmail.telemetry import EventName
from nightmail.worker.holds import Holds

MAX_OUTAGE = timedelta(hours=24)
PATIENCE = 3  # failures in a row after which tidying up is given up
TOLD_AT = (1, 10, 100, 1_000)


class Troubles:
    """The failures of one run's stages, in a row, by batch."""

    def __init__(self, ports: Ports, holds: Holds) -> None:
        self._ports = ports
        self._holds = holds
        self._times: dict[int, int] = {}
        self._out_since: datetime | None = None

    def is_patient(self, batch: Batch) -> bool:
        """Is it worth while to try tidying up once more?"""
        return self._times.get(batch.batch_no, 0) < PATIENCE

    async def guard(self, work: Coroutine[Any, Any, None], *batches: Batch) -> None:
        """Run a stage. Raises what no waiting can mend: other errors, and an outage of a day."""
        try:
            await work
        except AuthenticationFailed as error:
            await self._pause(PauseReason.CREDENTIALS, error)
            await self._put_off(batches, error, None)
        except BillingBlocked as error:
            await self._pause(PauseReason.BILLING, error)
            await self._put_off(batches, error, None)
        except QuotaReached:
            # What it teaches is in the store; the next claim asks there.
            for batch in batches:
                self._holds.note(batch, Hold.BLOCKED, self._ports.now())
        except RateLimited as error:
            await self._put_off(batches, error, error.retry_after)
        except ProviderUnavailable as error:
            now = self._ports.now()
            self._out_since = min(self._out_since or now, now)
            if now - self._out_since > MAX_OUTAGE:
                raise
            await self._put_off(batches, error, None)
        except ProviderError as error:
            await self._put_off(batches, error, None)
        else:
            self._out_since = None
            for batch in batches:
                self._times.pop(batch.batch_no, None)

    async def _pause(self, reason: PauseReason, error: ProviderError) -> None:
        ports = self._ports
        run = await ports.store.runs.read(ports.run_id)
        if run is not None and run.state in (RunState.OPEN, RunState.DRAINING):
            await ports.store.runs.record_event(
                run.run_no,
                RunEvent.PAUSED,
                now=ports.now(),
                reason=reason,
                message=str(error),
                lease=ports.lease,
            )

    async def _put_off(self, batches: Sequence[Batch], error: ProviderError, seconds: float | None) -> None:
        """Try again later: after the time that the provider named, or with growing patience."""
        ports = self._ports
        for batch in batches:
            times = self._times[batch.batch_no] = self._times.get(batch.batch_no, 0) + 1
            wait = delay(times, chance=ports.clock.chance())
            if seconds is not None:
                wait = min(timedelta(seconds=seconds), LONGEST)
            current = await ports.store.batches.read(batch.batch_id)
            if current is not None and current.state not in CLOSED_STATES:
                await ports.store.batches.record(
                    ports.lease, current, None, now=ports.now(), due_at=ports.now() + wait
                )
            if times in TOLD_AT:
                await ports.tell(EventName.PROVIDER_TROUBLE, batch, message=str(error), times=times)

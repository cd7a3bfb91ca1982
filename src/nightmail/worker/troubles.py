"""What a stage's failure at the provider leads to: a later time, or a pause until somebody acts."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from nightmail.core.batch import CLOSED_STATES, Batch, BatchState
from nightmail.core.polling import LONGEST, Lasting, delay, is_due
from nightmail.core.quota import Hold
from nightmail.core.run import PauseReason, Run
from nightmail.errors import (
    AuthenticationFailed,
    BillingBlocked,
    ProviderError,
    ProviderUnavailable,
    QuotaReached,
    RateLimited,
)
from nightmail.stages.pause import pause
from nightmail.stages.ports import Ports
from nightmail.stages.unseen import is_believed_lost
from nightmail.telemetry import EventName
from nightmail.worker.holds import Holds

T = TypeVar("T")
MAX_OUTAGE = timedelta(hours=24)
PATIENCE = 3  # failures in a row after which what can be done without is
NO_BATCH = 0  # they are numbered from 1
TOLD_AT = (1, 10, 100, 1_000)


class Troubles:
    """The failures of one run's stages, in a row, by batch."""

    def __init__(self, ports: Ports, holds: Holds) -> None:
        self._ports = ports
        self._holds = holds
        self._times: dict[int, int] = {}
        self._lasting: dict[int, Lasting] = {}  # since the first of these failures
        self._out = Lasting()
        self._quiet_until: datetime | None = None

    def is_patient(self, batch: Batch) -> bool:
        """Is it worth while to try once more what can be done without?"""
        return self._times.get(batch.batch_no, 0) < PATIENCE

    def may_be_there(self, run: Run, batch: Batch) -> bool:
        """May what the provider has not shown be there all the same? The time alone says little, since this
        machine may have slept; nor does the number of times."""
        since = self._lasting.get(batch.batch_no, Lasting()).since
        return self.is_patient(batch) or since is None or not is_believed_lost(run, since, self._ports.now())

    def may_ask(self) -> bool:
        """Is it time again for what concerns no single batch?"""
        return is_due(self._quiet_until, self._ports.now())

    async def guard(self, work: Coroutine[Any, Any, T], *batches: Batch) -> T | None:
        """Run a stage; what it returns, or None after trouble. Raises what no waiting can mend: other
        errors, and an outage of a day."""
        try:
            answer = await work
        except AuthenticationFailed as error:
            await pause(self._ports, PauseReason.CREDENTIALS, str(error))
            await self._put_off(batches, error, None)
        except BillingBlocked as error:
            await pause(self._ports, PauseReason.BILLING, str(error))
            await self._put_off(batches, error, None)
        except QuotaReached as error:
            # What it teaches is in the store; the next claim asks there.
            for batch in batches:
                self._holds.note(batch, Hold.BLOCKED, self._ports.now())
            # A server that says so to any other call is asked again like one that is busy.
            others = [batch for batch in batches if batch.state is not BatchState.PLANNED]
            await self._put_off(others, error, None)
        except RateLimited as error:
            await self._put_off(batches, error, error.retry_after)
        except ProviderUnavailable as error:
            now = self._ports.now()
            if now - self._out.seen(now) > MAX_OUTAGE:
                raise
            await self._put_off(batches, error, None)
        except ProviderError as error:
            await self._put_off(batches, error, None)
        else:
            if isinstance(answer, Hold):
                # Nobody was asked anything, so an outage goes on.
                for batch in batches:
                    self._holds.note(batch, answer, self._ports.now())
                return answer
            self._out = Lasting()
            for number in [batch.batch_no for batch in batches] or [NO_BATCH]:
                self._times.pop(number, None)
                self._lasting.pop(number, None)
            return answer
        return None

    async def _put_off(self, batches: Sequence[Batch], error: ProviderError, seconds: float | None) -> None:
        """Try again later: after the time that the provider named, or with growing patience."""
        ports = self._ports
        if not batches:
            self._quiet_until = ports.now() + self._wait(NO_BATCH, seconds)
            await self._tell(None, error)
        for batch in batches:
            wait = self._wait(batch.batch_no, seconds)
            current = await ports.store.batches.read(batch.batch_id)
            if current is not None and current.state not in CLOSED_STATES:
                await ports.store.batches.record(
                    ports.lease, current, None, now=ports.now(), due_at=ports.now() + wait
                )
            await self._tell(batch, error)

    async def _tell(self, batch: Batch | None, error: ProviderError) -> None:
        times = self._times[batch.batch_no if batch is not None else NO_BATCH]
        if times in TOLD_AT:
            await self._ports.tell(EventName.PROVIDER_TROUBLE, batch, message=str(error), times=times)

    def _wait(self, batch_no: int, seconds: float | None) -> timedelta:
        times = self._times[batch_no] = self._times.get(batch_no, 0) + 1
        self._lasting.setdefault(batch_no, Lasting()).seen(self._ports.now())
        if seconds is not None:
            return min(timedelta(seconds=seconds), LONGEST)
        return delay(times, chance=self._ports.clock.chance())

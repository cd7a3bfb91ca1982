"""A clock that stands still until somebody waits, then jumps: a night passes in milliseconds."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
# Rounds of the event loop that others get before a wait is over: work that needs no waiting (a thread's
# answer, a call to a fake) comes first, as it would within real seconds.
ROUNDS = 4


class ManualClock:
    """See `nightmail.stages.ports.Clock`. Chance is always one half; tokens are counted."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._tokens = 0

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        """Jump."""
        self._now += by

    def chance(self) -> float:
        return 0.5

    def token(self) -> str:
        self._tokens += 1
        return f"token{self._tokens}"

    async def wait(self, seconds: float, *, wake: asyncio.Event | None = None) -> None:
        """Others run first; then, unless `wake` was set meanwhile, the time has passed."""
        for _ in range(ROUNDS):
            if wake is not None and wake.is_set():
                return
            await asyncio.sleep(0.0005)  # noqa: TID251 - other tasks and threads of the test go first
        self._now += timedelta(seconds=max(0.0, seconds))

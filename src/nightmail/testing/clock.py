"""A clock that stands still until everybody waits, then jumps to the first who is due: a night passes in
milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
# Rounds of the event loop that others get before a wait is over: work that needs no waiting (a call to a
# fake, what a thread's answer leads to) comes first, as it would within real seconds.
ROUNDS = 20
LOOK = 0.0005  # seconds between two looks whether the work is done


class ManualClock:
    """See `nightmail.stages.ports.Clock`. Chance is always one half; tokens are counted."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._tokens = 0
        self._at_work = 0
        self._lock = threading.Lock()
        self._waits = 0
        self._waiting: dict[int, datetime] = {}
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        """Jump."""
        self._now += by

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """While a call is under way here, in whichever thread, no wait makes time jump: how much time
        passes during a call must not depend on how fast the machine is."""
        with self._lock:
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1

    def chance(self) -> float:
        return 0.5

    def token(self) -> str:
        self._tokens += 1
        return f"token{self._tokens}"

    async def wait(self, seconds: float, *, wake: asyncio.Event | None = None) -> None:
        """Until the time has passed, or `wake` is set. It passes when nobody works, and only for the one
        of all who wait that is due first: two who wait a second each take one second together."""
        self._waits += 1
        self._attend(asyncio.get_running_loop())
        number, until = self._waits, self._now + timedelta(seconds=max(0.0, seconds))
        self._waiting[number] = until
        quiet = 0
        try:
            while not (wake is not None and wake.is_set()):
                if quiet and self._now >= until:
                    return
                if self._at_work:
                    quiet = 0
                    await asyncio.sleep(LOOK)  # noqa: TID251 - threads of the test go first
                elif quiet >= ROUNDS and number == min(self._waiting, key=self._due):
                    self._now = until
                    return
                else:
                    quiet += 1
                    await asyncio.sleep(0)  # noqa: TID251 - and so do its other tasks
        finally:
            del self._waiting[number]

    def _due(self, number: int) -> tuple[datetime, int]:
        return self._waiting[number], number

    def _attend(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on what `loop` has threads do (a transaction, a file) is work, like a port's call."""
        if loop in self._loops:
            return
        self._loops.add(loop)
        run_in_executor = loop.run_in_executor

        def attended(
            executor: Executor | None, call: Callable[..., Any], *arguments: Any
        ) -> asyncio.Future[Any]:
            work = run_in_executor(executor, call, *arguments)
            self._at_work += 1
            work.add_done_callback(self._done)
            return work

        loop.run_in_executor = attended  # type: ignore[method-assign, assignment]

    def _done(self, work: asyncio.Future[Any]) -> None:
        self._at_work -= 1

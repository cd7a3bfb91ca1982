"""How many synchronous calls may be on their way at once: found by trying, as TCP finds its window.

It doubles per round trip until the provider first objects, then grows by one per round trip and halves
at each further objection. What the provider's headers say comes first: nothing is sent while the
requests or tokens of the current minute are used up, or before the moment named by Retry-After.
"""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST = 8.0
MOST = 256.0
LEAST = 1.0
# Without a Retry-After, the first wait after an objection.
PAUSE = timedelta(seconds=1)


class Throttle:
    """State of one account's synchronous calls in this process."""

    def __init__(self) -> None:
        self.limit = FIRST
        self.in_flight = 0
        self.blocked_until: datetime | None = None
        self._blocked_at: datetime | None = None
        self._careful = False
        self._halved_at: datetime | None = None

    def admits(self, now: datetime) -> bool:
        """May one more call go now?"""
        if self._blocked_at is not None and now < self._blocked_at:
            # The clock was set back: until when the block holds is not known any more.
            self._blocked_at = self.blocked_until = None
        if self.blocked_until is not None and now < self.blocked_until:
            return False
        return self.in_flight < int(self.limit)

    def sent(self) -> None:
        self.in_flight += 1

    def answered(self) -> None:
        """A call came back with an answer, good or bad, that was no objection to our rate."""
        self.in_flight -= 1
        self.limit = min(MOST, self.limit + (1 / self.limit if self._careful else 1))

    def refused(self, now: datetime, retry_after: float | None) -> None:
        """The provider said 429 or 503: less, and not before."""
        self.in_flight -= 1
        self._careful = True
        # The calls that were already on their way are refused for the same reason: they count once.
        if self._halved_at is None or not timedelta(0) <= now - self._halved_at <= PAUSE:
            self.limit = max(LEAST, self.limit / 2)
            self._halved_at = now
        self.block(now, retry_after)

    def lost(self) -> None:
        """A call ended without an answer."""
        self.in_flight -= 1

    def block(self, now: datetime, seconds: float | None) -> None:
        until = now + (timedelta(seconds=seconds) if seconds is not None else PAUSE)
        if self.blocked_until is None or until > self.blocked_until:
            self._blocked_at, self.blocked_until = now, until

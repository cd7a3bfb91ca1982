"""How many synchronous calls may be on their way at once: found by trying, as TCP finds its window.

It doubles per round trip until the provider first objects, is then halved, and from there on grows by one
per round trip and shrinks by a tenth at each objection: near the limit, with few objections. Calls that
were on their way together count as one objection. What the provider says comes first: nothing is sent
while the requests or tokens of the current minute are used up, or before the moment named by
Retry-After. If it objects without naming one, a smaller window is enough as long as something is answered
meanwhile; else the pause is short at first, and doubles.
"""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST = 8.0
MOST = 256.0
LEAST = 1.0
HALF = 0.5
SHRINK = 0.9
# Without a Retry-After, the wait after two objections in a row, and twice as long after each further one.
PAUSE = timedelta(milliseconds=50)
LONGEST_PAUSE = timedelta(seconds=60)


class Throttle:
    """State of one account's synchronous calls in this process."""

    def __init__(self) -> None:
        self.limit = FIRST
        self.in_flight = 0
        self.blocked_until: datetime | None = None
        self._blocked_at: datetime | None = None
        self._window = 0  # one more with each objection
        self._in_a_row = 0

    def admits(self, now: datetime) -> bool:
        """May one more call go now?"""
        return not self.blocked_for(now) and self.in_flight < int(self.limit)

    def blocked_for(self, now: datetime) -> timedelta:
        """How long nothing is to be sent."""
        if self._blocked_at is not None and now < self._blocked_at:
            # The clock was set back: until when the block holds is not known any more.
            self._blocked_at = self.blocked_until = None
        return timedelta(0) if self.blocked_until is None else max(timedelta(0), self.blocked_until - now)

    def sent(self) -> int:
        """A call goes; in which window, to be told if it is refused."""
        self.in_flight += 1
        return self._window

    def answered(self) -> None:
        """A call came back with an answer, good or bad, that was no objection to our rate."""
        self.in_flight -= 1
        self._in_a_row = 0
        self.limit = min(MOST, self.limit + (1 / self.limit if self._window else 1))

    def refused(self, now: datetime, retry_after: float | None, *, window: int) -> None:
        """The provider said 429 or 503 to a call sent in `window`: less, and not before."""
        self.in_flight -= 1
        if window == self._window:
            self.limit = max(LEAST, self.limit * (SHRINK if self._window else HALF))
            self._window += 1
            self._in_a_row += 1
        if retry_after is not None:
            self.block(now, retry_after)
        elif self._in_a_row > 1:
            self.block(now, min(LONGEST_PAUSE, PAUSE * 2 ** min(20, self._in_a_row - 2)).total_seconds())

    def lost(self) -> None:
        """A call ended without an answer."""
        self.in_flight -= 1

    def block(self, now: datetime, seconds: float) -> None:
        """Send nothing for so long."""
        until = now + timedelta(seconds=seconds)
        if self.blocked_until is None or until > self.blocked_until:
            self._blocked_at, self.blocked_until = now, until

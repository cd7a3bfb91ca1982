"""When to look at a batch again: early and often, then less.

Small batches end within a minute and most within an hour (facts C: median 7 minutes over 230,000
batches), so the first looks come quickly; after that a look every five minutes is enough for a night.
"""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST = 1.0
GROWTH = 1.6
LAST = 300.0
JITTER = 0.1
# `completed` without file ids is polled on for this long: they may appear late (facts E.5).
GRACE = timedelta(seconds=60)
# Nothing of a batch is put off for longer, but by a longer interval of the user's.
LONGEST = timedelta(minutes=10)


def delay(polls: int, *, chance: float, interval: float | None = None) -> timedelta:
    """How long to wait after `polls` looks that showed no end. `chance` in [0, 1) spreads many
    batches; `interval` is the user's own fixed time in seconds."""
    base = interval if interval is not None else min(LAST, FIRST * GROWTH ** min(polls, 20))
    return timedelta(seconds=base * (1 + JITTER * (2 * chance - 1)))


def is_due(due_at: datetime | None, now: datetime, *, interval: float | None = None) -> bool:
    """Is it time to look again? Also if the time is further ahead than anything is ever put off: then the
    clock has been set back since."""
    if due_at is None or due_at <= now:
        return True
    longest = max(LONGEST, timedelta(seconds=(interval or 0.0) * (1 + JITTER)))
    return due_at > now + longest

"""When to look at a batch again: early and often, then less.

Small batches end within a minute and most within an hour (facts C: median 7 minutes over 230,000
batches), so the first looks come quickly; after that a look every five minutes is enough for a night.
"""

from __future__ import annotations

from datetime import timedelta

FIRST = 1.0
GROWTH = 1.6
LAST = 300.0
JITTER = 0.1
# `completed` without file ids is polled on for this long: they may appear late (facts E.5).
GRACE = timedelta(seconds=60)


def delay(polls: int, *, chance: float, interval: float | None = None) -> timedelta:
    """How long to wait after `polls` looks that showed no end. `chance` in [0, 1) spreads many
    batches; `interval` is the user's own fixed time in seconds."""
    base = interval if interval is not None else min(LAST, FIRST * GROWTH ** min(polls, 20))
    return timedelta(seconds=base * (1 + JITTER * (2 * chance - 1)))

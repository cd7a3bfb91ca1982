"""When to look at a batch again, and when to try again what failed.

A look is due when the batch is a twentieth older than at the last one: twice a second at first, every ten
seconds after three minutes, every five minutes in the night. So its end is seen soon after it came,
measured by how long it took, however fast the provider is; until then its share of the model's queue is
taken, and work that waits for it stands still. Over a day that is some four hundred looks.
"""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST = 0.5
AFTER_FAILURE = 1.0
# Looks that are due within this time of each other are one round of looks.
TOGETHER = timedelta(seconds=0.25)
LAST = 300.0
SHARE_OF_AGE = 0.05
GROWTH = 1.6
JITTER = 0.1
# `completed` without file ids is polled on for this long: they may appear late (facts E.5).
GRACE = timedelta(seconds=60)
# What is believed to be lost is asked for and paid again. A server in trouble also says that it does not know
# what it has, for minutes; what is really gone (facts E.14) can wait for an hour of its day.
LOST_AFTER = timedelta(hours=1)
# Nothing of a batch is put off for longer, but by a longer interval of the user's.
LONGEST = timedelta(minutes=10)
# Longer than anything is put off and then takes, a slow answer included.
PAUSE = 2 * LONGEST


def next_look(age: timedelta, *, chance: float, interval: float | None = None) -> timedelta:
    """How long to wait after a look that showed no end, at a batch that was submitted `age` ago. `chance`
    in [0, 1) spreads many batches; `interval` is the user's own fixed time in seconds."""
    grown = min(LAST, max(FIRST, age.total_seconds() * SHARE_OF_AGE))
    return _spread(interval if interval is not None else grown, chance)


def first_look(*, chance: float, interval: float | None = None) -> timedelta:
    """How long after its submission a batch is looked at first: half a second, or less if the user's own
    fixed time is shorter. It is never longer, since one that has no room in the queue is refused at once,
    and others wait to learn that."""
    return _spread(FIRST if interval is None else min(FIRST, interval), chance)


def delay(times: int, *, chance: float) -> timedelta:
    """How long to wait after `times` failures in a row before it is tried once more: from a second to
    five minutes."""
    return _spread(min(LAST, AFTER_FAILURE * GROWTH ** min(times, 20)), chance)


class Lasting:
    """Since when something has been so each time that it was tried. After a pause in which nobody tried, as
    while the machine slept, and after a clock that was set back, it begins anew."""

    def __init__(self) -> None:
        self.since: datetime | None = None
        self._seen: datetime | None = None

    def seen(self, now: datetime) -> datetime:
        """It is so now; since when."""
        if self.since is None or self._seen is None or not self._seen <= now <= self._seen + PAUSE:
            self.since = now
        self._seen = now
        return self.since


def is_lost(missed_since: datetime, now: datetime) -> bool:
    """Is what the provider has not shown since then lost, as far as one can know?"""
    return now - missed_since >= LOST_AFTER


def is_due(due_at: datetime | None, now: datetime, *, interval: float | None = None) -> bool:
    """Is it time to look again? Also if the time is further ahead than anything is ever put off: then the
    clock has been set back since."""
    if due_at is None or due_at <= now:
        return True
    longest = max(LONGEST, timedelta(seconds=(interval or 0.0) * (1 + JITTER)))
    return due_at > now + longest


def may_join(due_at: datetime | None, now: datetime, *, interval: float | None = None) -> bool:
    """Is it nearly time, so that a batch is looked at along with another? Not by the user's own time."""
    return interval is None and is_due(due_at, now + TOGETHER)


def _spread(seconds: float, chance: float) -> timedelta:
    return timedelta(seconds=seconds * (1 + JITTER * (2 * chance - 1)))

"""A batch's way as a strip of colours: waiting here, at the provider, being read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from nightmail.core import wording
from nightmail.core.batch import Batch, BatchState, Phase

WIDTH = 1000
# So that what was quick can be seen.
LEAST = 6.0


class Strip(NamedTuple):
    """One stretch of a way: where it begins, how wide it is (of `WIDTH`), and its style."""

    x: float
    width: float
    style: str


class Way(NamedTuple):
    """A batch with its way. `words` say the same as the strips."""

    batch: Batch
    strips: list[Strip]
    words: str


class Ways(NamedTuple):
    """Batches, the newest first, over the time from `begin` to `end`."""

    begin: datetime
    end: datetime
    ways: list[Way]

    @property
    def is_short(self) -> bool:
        """Are minutes too coarse to tell the ends apart?"""
        return self.end - self.begin < timedelta(minutes=10)


def ways(batches: Sequence[Batch], end: datetime) -> Ways:
    """All ways on one scale, up to `end` at least."""
    begin = min((batch.created_at for batch in batches), default=end)
    end = max([end, *(batch.settled_at for batch in batches if batch.settled_at is not None)])
    whole = max(end - begin, timedelta(seconds=1))
    return Ways(begin, end, [_way(batch, begin, whole, end) for batch in batches])


def _way(batch: Batch, begin: datetime, whole: timedelta, end: datetime) -> Way:
    strips: list[Strip] = []
    words: list[str] = []
    for name, style, since, until in _stretches(batch, end):
        x = WIDTH * ((since - begin) / whole)
        width = max(LEAST, WIDTH * ((until - since) / whole))
        strips.append(Strip(round(min(x, WIDTH - LEAST), 1), round(width, 1), style))
        words.append(f"{name} {wording.duration(until - since)}")
    return Way(batch, strips, ", ".join(words))


def _stretches(batch: Batch, now: datetime) -> list[tuple[str, str, datetime, datetime]]:
    if batch.state is BatchState.ABANDONED or batch.submitted_at is None:
        return [("waited", "of-open", batch.created_at, batch.ended_at or now)]
    there = (
        "of-in_batch" if batch.phase not in (Phase.FAILED, Phase.EXPIRED, Phase.CANCELLED) else "of-failed"
    )
    found = [
        ("waited", "of-open", batch.created_at, batch.submitted_at),
        ("at the provider", there, batch.submitted_at, batch.ended_at or now),
    ]
    if batch.ended_at is not None:
        found.append(("read", "of-succeeded", batch.ended_at, batch.settled_at or now))
    return found

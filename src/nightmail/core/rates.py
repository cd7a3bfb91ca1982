"""How often somebody may ask: a bucket that fills steadily and from which every request takes one."""

from __future__ import annotations

from typing import NamedTuple


class Rate(NamedTuple):
    """So many requests a second for long, and so many at once."""

    per_second: float
    burst: float


class Bucket(NamedTuple):
    """What is left, and when that was so (seconds of any clock that only grows)."""

    left: float
    at: float


def take(bucket: Bucket | None, rate: Rate, now: float) -> tuple[Bucket, float]:
    """Take one: the bucket afterwards, and for how many seconds to wait (0: it was there)."""
    filled = rate.burst
    if bucket is not None:
        filled = min(rate.burst, bucket.left + max(0.0, now - bucket.at) * rate.per_second)
    if filled < 1:
        return Bucket(filled, now), (1 - filled) / rate.per_second
    return Bucket(filled - 1, now), 0.0

"""How long the stations of a batch take. Pure: the same batch has the same night.

Realistic times are of the size that users report for OpenAI: minutes in the queue, tens of thousands
of requests an hour, a short while for the files.
"""

from __future__ import annotations

import random

import msgspec


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: `validating` after creation, `queue` before the first line, `finalizing` after the last;
    `rate` lines a second between them (None: no waiting at all)."""

    validating: float = 0.0
    queue: float = 0.0
    rate: float | None = None
    finalizing: float = 0.0

    def done(self, seconds: float, total: int) -> int:
        """How many of `total` lines are done this long after processing began."""
        if self.rate is None:
            return total
        return max(0, min(total, int((seconds - self.queue) * self.rate)))

    def processing(self, total: int) -> float:
        """Seconds from the beginning of processing, queue included, to the last line."""
        return self.queue + (total / self.rate if self.rate is not None else 0.0)


def timeline(timing: str, speed: float, seed: int, batch: int) -> Timeline:
    """The stations of one batch."""
    if timing == "instant":
        return Timeline()
    chance = random.Random(f"{seed}/{batch}")
    return Timeline(
        validating=chance.uniform(2, 20) / speed,
        queue=min(chance.lognormvariate(4.5, 1.0), 3600.0) / speed,
        rate=chance.uniform(8, 30) * speed,
        finalizing=chance.uniform(5, 60) / speed,
    )
